//! The nodes to which this one forwards requests, and the task that looks after each.

use std::{
    collections::HashMap,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use axum::body::Body;
use http::{HeaderValue, Method, Request, Response, Uri, header::HOST};
use hyper::body::Incoming;
use tokio::time::sleep;

use super::{
    connection::Connection,
    forwarded::{Context, FORWARDED, Forwarded, Writer},
    owner::{NoAnswer, Owner, Waiting},
    tag::CHECK_PATH,
};
use crate::util::timeout::timeout;

/// A node from which nothing has come for this long, though something waits for it, is asked whether it lives. Kept
/// connections are looked at as often.
const TICK: Duration = Duration::from_secs(1);

/// A node that does not answer is asked again for this long, and what is for it is refused at once. Then a request tries
/// anew.
const SILENCE: Duration = Duration::from_secs(30);

/// The nodes to which this one forwards requests.
pub(super) struct Owners {
    pub(super) writer: Writer,
    pub(super) times: Times,
    pub(super) max_connections: usize,
    nodes: Mutex<HashMap<SocketAddr, Arc<Owner>>>,
}

/// How long what may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) connect: Duration,
    pub(super) answer: Duration,
    pub(super) idle: Duration,
}

impl Owners {
    pub(super) fn new(writer: Writer, times: Times, max_connections: usize) -> Self {
        Self { writer, times, max_connections, nodes: Mutex::default() }
    }

    fn nodes(&self) -> MutexGuard<'_, HashMap<SocketAddr, Arc<Owner>>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request for a node.
    pub(super) fn begin(self: &Arc<Self>, address: SocketAddr, prefix: &str) -> Result<Waiting, NoAnswer> {
        let mut nodes = self.nodes();
        if let Some(owner) = nodes.get(&address) {
            // Under the lock of the nodes, so that the owner is not forgotten meanwhile.
            return owner.begin(self.max_connections);
        }
        let owner = Arc::new(Owner::new(address, prefix));
        let waiting = owner.begin(self.max_connections)?;
        nodes.insert(address, Arc::clone(&owner));
        drop(nodes);
        tokio::spawn(look_after(Arc::downgrade(self), owner));
        Ok(waiting)
    }

    /// The nodes for which something waits.
    pub(super) fn waited_for(&self) -> Vec<Arc<Owner>> {
        self.nodes().values().filter(|owner| owner.is_waited_for()).cloned().collect()
    }

    /// Whether the owner is forgotten, since nothing needs it.
    fn forget(&self, owner: &Owner) -> bool {
        let mut nodes = self.nodes();
        let is_unused = owner.is_unused(SILENCE);
        if is_unused {
            nodes.remove(&owner.address);
        }
        is_unused
    }

    /// A connection to an owner, and whether it was kept.
    pub(super) async fn connection(&self, owner: &Owner) -> Result<(Box<Connection>, bool), NoAnswer> {
        if let Some(kept) = owner.kept().await {
            return Ok((kept, true));
        }
        let opened = Box::pin(Connection::open(owner.address, self.times.connect)).await;
        opened.map(|connection| (Box::new(connection), false)).map_err(|error| {
            tracing::debug!(node = %owner.address, %error, "a node of the cluster cannot be reached");
            NoAnswer::Unreachable
        })
    }

    /// A request to a node itself: whether it is one, and what `forwarded` says.
    pub(super) fn check(&self, address: SocketAddr, prefix: &str, forwarded: &Forwarded) -> Request<Body> {
        let context = Context { method: &Method::GET, path: CHECK_PATH, query: None };
        let header = self.writer.write(forwarded, &context);
        let mut request = Request::new(Body::empty());
        // A prefix is a part of a valid path.
        *request.uri_mut() = Uri::try_from(format!("{prefix}{CHECK_PATH}")).unwrap_or_default();
        let host = HeaderValue::try_from(address.to_string()).expect("an address is a header's value");
        request.headers_mut().insert(HOST, host);
        request.headers_mut().insert(FORWARDED, header);
        request
    }

    /// Asks a node for any answer.
    pub(super) async fn probe(&self, owner: &Owner, forwarded: &Forwarded) -> Result<(), NoAnswer> {
        let asked = pin!(async {
            let (mut connection, _) = self.connection(owner).await?;
            let request = self.check(owner.address, &owner.prefix, forwarded);
            let answer: Response<Incoming> =
                connection.send(request).await.map_err(|_| NoAnswer::Unreachable)?;
            // The connection is not kept: reading the rest is not worth it.
            drop(answer);
            Ok(())
        });
        timeout(self.times.answer, asked).await.unwrap_or(Err(NoAnswer::Unreachable))
    }
}

/// Looks after an owner until nothing needs it.
async fn look_after(owners: Weak<Owners>, owner: Arc<Owner>) {
    let mut signs = owner.signs();
    loop {
        sleep(TICK).await;
        let Some(owners) = owners.upgrade() else { return };
        owner.sweep(owners.times.idle);
        if owner.is_in_doubt(signs) {
            match owners.probe(&owner, &Forwarded::default()).await {
                Ok(()) => owner.is_back(),
                // Something may have come meanwhile: the node is busy, but it lives.
                Err(_) if owner.signs() != signs => {}
                Err(_) => owner.give_up(),
            }
        }
        signs = owner.signs();
        if owners.forget(&owner) {
            return;
        }
    }
}
