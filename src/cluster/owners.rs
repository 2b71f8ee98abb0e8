//! The nodes to which this one forwards requests, and the task that looks after each.

use std::{
    collections::HashMap,
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, StatusCode, Uri,
    header::{CONNECTION, HOST, UPGRADE},
};
use tokio::{net::TcpStream, time::sleep};

use super::{
    connection::{Connection, is_of_the_peer},
    forwarded::{Context, FORWARDED, Forwarded, Sealed, Writer},
    link::{
        client::{Link, greet},
        frame::PROTOCOL,
        framed::Framed,
        links::Way,
    },
    owner::{NoAnswer, Owner, Waiting},
    secret::Secret,
    tag::CHECK_PATH,
    totals::Totals,
};
use crate::util::timeout::timeout;

/// A node from which nothing has come for this long, though something waits for it, is asked whether it lives. Kept
/// connections are looked at as often.
const TICK: Duration = Duration::from_secs(1);

/// A node that does not answer is asked again for this long, and what is for it is refused at once. Then a request tries
/// anew.
const SILENCE: Duration = Duration::from_secs(30);

/// As often a node is told that this one shuts down, once a second.
const MAX_LEAVES: usize = 30;

/// The longest answer of a node: its tag.
pub(super) const MAX_ANSWER: usize = 256;

/// The nodes to which this one forwards requests.
pub(super) struct Owners {
    pub(super) writer: Writer,
    secrets: Arc<[Secret]>,
    pub(super) times: Times,
    pub(super) max_connections: usize,
    nodes: Mutex<HashMap<SocketAddr, Arc<Owner>>>,
    pub(super) totals: Totals,
}

/// How long what may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) connect: Duration,
    pub(super) answer: Duration,
    pub(super) idle: Duration,
}

impl Owners {
    pub(super) fn new(writer: Writer, secrets: Arc<[Secret]>, times: Times, max_connections: usize) -> Self {
        let (nodes, totals) = Default::default();
        Self { writer, secrets, times, max_connections, nodes, totals }
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

    /// The nodes that are known now.
    pub(super) fn known(&self) -> Vec<Arc<Owner>> {
        self.nodes().values().cloned().collect()
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

    /// A connection to an owner, and whether it was kept. What a new one leads to has proven that it is a node, since a tag
    /// says only where one has been.
    pub(super) async fn connection(
        &self,
        owner: &Owner,
        prefix: &str,
    ) -> Result<(Box<Connection>, bool), NoAnswer> {
        if let Some(kept) = owner.kept(self.times.idle).await {
            return Ok((kept, true));
        }
        let opened = Box::pin(Connection::open(owner.address, self.times.connect)).await;
        let connection = opened.map_err(|error| {
            tracing::debug!(node = %owner.address, %error, "a node of the cluster cannot be reached");
            // What lacks here is no reason to end a session there.
            if is_of_the_peer(&error) { NoAnswer::Unreachable } else { NoAnswer::Full }
        })?;
        let forwarded = Forwarded::default();
        let asked = Box::pin(self.ask(owner, prefix, Box::new(connection), &forwarded));
        match timeout(self.times.answer, asked).await {
            Ok(Some(Answered { is_ok: true, connection: Some(connection) })) => {
                owner.heard();
                owner.is_proven(prefix);
                Ok((connection, false))
            }
            Ok(Some(_)) => {
                owner.stranger.call_once(|| {
                    tracing::warn!(
                        node = %owner.address, prefix,
                        "what answers at a node's address has not proven to be one: another process has it, a \
                         layer refuses `PREFIX/~`, or the node knows itself by another address"
                    );
                });
                Err(NoAnswer::Unreachable)
            }
            Ok(None) | Err(_) => Err(NoAnswer::Unreachable),
        }
    }

    /// A link to an endpoint of an owner, if there is one. Otherwise one opens for those who come later.
    pub(super) fn link(self: &Arc<Self>, owner: &Arc<Owner>, prefix: &str) -> Option<Arc<Link>> {
        match owner.links.way(prefix) {
            Way::Link(link) => return Some(link),
            Way::Ordinary => {}
            Way::OpenLink => {
                tokio::spawn(keep_link(Arc::downgrade(self), Arc::clone(owner), prefix.into()));
            }
        }
        None
    }

    /// Opens a connection for a link, which the owner has taken.
    async fn open_link(&self, owner: &Owner, prefix: &str) -> Option<Framed<TcpStream>> {
        let connection = Connection::open(owner.address, self.times.connect).await.ok()?;
        let mut request = self.check(owner.address, prefix, &Forwarded::default());
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
        request.headers_mut().insert(UPGRADE, HeaderValue::from_static(PROTOCOL));
        let header = request.headers()[FORWARDED].clone();
        let upgraded = timeout(self.times.answer, Box::pin(connection.upgrade(request))).await;
        let (headers, io, input) = upgraded.ok()??;
        if !self.is_proven(owner, &header, &headers) {
            return None;
        }
        let proof = self.writer.write(&Forwarded::default(), &Context::proof(headers.get(FORWARDED)?)?);
        // What has agreed need not be the endpoint's server, or may not know how to go on.
        timeout(self.times.answer, Box::pin(greet(io, input, &proof))).await.ok()?
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

    /// Asks a node whether it lives: any answer says so. A connection is kept for the next time.
    pub(super) async fn probe(
        &self,
        owner: &Owner,
        forwarded: &Forwarded,
        kept: &mut Option<Box<Connection>>,
    ) -> Probed {
        let attempts = pin!(async {
            if let Some(connection) = kept.take() {
                // It may close at this moment, or lead nowhere, while the node lives.
                let asked = pin!(self.ask(owner, owner.prefix(), connection, forwarded));
                if let Ok(Some(answered)) = timeout(self.times.answer / 2, asked).await {
                    return answered.keep(kept);
                }
            }
            for _ in 0..2 {
                let limit = self.times.connect.min(self.times.answer / 2);
                let connection = match Connection::open(owner.address, limit).await {
                    Ok(connection) => Box::new(connection),
                    Err(error) if !is_of_the_peer(&error) => {
                        tracing::debug!(node = %owner.address, %error, "a node of the cluster cannot be asked");
                        return Probed::Unknown;
                    }
                    Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Probed::Silent,
                    Err(_) => continue,
                };
                if let Some(answered) = self.ask(owner, owner.prefix(), connection, forwarded).await {
                    return answered.keep(kept);
                }
            }
            Probed::Silent
        });
        timeout(self.times.answer, attempts).await.unwrap_or(Probed::Silent)
    }

    /// Whether an answer shows that the owner has read this header, and so knows the secret. An address may be that of
    /// something else by now, which must get no request of a client; so the proof of another node, to which it may have
    /// passed the header on, is none.
    fn is_proven(&self, owner: &Owner, header: &HeaderValue, answer: &HeaderMap) -> bool {
        let proof = answer.get(FORWARDED).and_then(Sealed::parse);
        let (Some(proof), Some(context)) = (proof, Context::proof(header)) else { return false };
        proof.node.address == owner.address
            && self
                .secrets
                .iter()
                .any(|secret| proof.open(&secret.forwarded_by(&proof.node), &context).is_some())
    }

    /// Asks on one connection. `None` without an answer.
    async fn ask(
        &self,
        owner: &Owner,
        prefix: &str,
        mut connection: Box<Connection>,
        forwarded: &Forwarded,
    ) -> Option<Answered> {
        let request = self.check(owner.address, prefix, forwarded);
        let header = request.headers()[FORWARDED].clone();
        let answer = connection.send(request).await.ok()?;
        let is_ok = answer.status() == StatusCode::OK && self.is_proven(owner, &header, answer.headers());
        let mut body = answer.into_body();
        // A longer answer is none of a node, and not worth being read.
        let mut length = 0;
        while let Some(piece) = poll_fn(|cx| connection.poll_body(&mut body, cx)).await {
            let Ok(piece) = piece else { return Some(Answered { is_ok, connection: None }) };
            length += piece.data_ref().map_or(0, Bytes::len);
            if length > MAX_ANSWER {
                return Some(Answered { is_ok: false, connection: None });
            }
        }
        Some(Answered { is_ok, connection: Some(connection) })
    }

    /// Says to a node that this one shuts down, each second until nothing waits for it.
    pub(super) async fn leave(&self, owner: &Owner) {
        let leaving = Forwarded { leaving: true, ..Forwarded::default() };
        let mut kept = None;
        let mut is_reported = false;
        for _ in 0..MAX_LEAVES {
            match self.probe(owner, &leaving, &mut kept).await {
                // A request may still be on its way there, whose waiting is not known yet.
                Probed::Answered { is_ok: true } => {}
                _ if is_reported => {}
                probed => {
                    is_reported = true;
                    tracing::warn!(
                        node = %owner.address, ?probed,
                        "a node of the cluster does not take note that this one shuts down; `PREFIX/~` must reach \
                         its endpoint"
                    );
                }
            }
            sleep(TICK).await;
            if !owner.is_waited_for() {
                return;
            }
        }
    }
}

/// What a node is known to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Probed {
    /// It has answered, and as a node does if `is_ok`.
    Answered { is_ok: bool },
    /// It does not answer.
    Silent,
    /// It could not be asked, and the cause is here.
    Unknown,
}

/// One answer.
struct Answered {
    is_ok: bool,
    connection: Option<Box<Connection>>,
}

impl Answered {
    fn keep(self, kept: &mut Option<Box<Connection>>) -> Probed {
        *kept = self.connection;
        Probed::Answered { is_ok: self.is_ok }
    }
}

/// Opens a link, and carries what goes over it.
async fn keep_link(owners: Weak<Owners>, owner: Arc<Owner>, prefix: Box<str>) {
    let Some(owners) = owners.upgrade() else { return };
    let opened = Box::pin(owners.open_link(&owner, &prefix)).await;
    let Some(framed) = opened else { return owner.links.opened(&prefix, None) };
    tracing::debug!(node = %owner.address, prefix = &*prefix, "a link to a node of the cluster is open");
    let link = Link::new();
    owner.links.opened(&prefix, Some(Arc::clone(&link)));
    // Not before: who looks after the owner closes its links at the end.
    drop(owners);
    link.run(framed, || owner.heard()).await;
}

/// Looks after an owner until nothing needs it.
async fn look_after(owners: Weak<Owners>, owner: Arc<Owner>) {
    let mut signs = owner.signs();
    let mut kept = None;
    loop {
        sleep(TICK).await;
        let Some(owners) = owners.upgrade() else { return owner.links.close() };
        owner.sweep(owners.times.idle, owners.times.answer);
        if owner.is_in_doubt(signs) {
            match owners.probe(&owner, &Forwarded::default(), &mut kept).await {
                Probed::Answered { .. } => owner.is_back(),
                // What lacks here must not end what waits.
                Probed::Unknown => {}
                // Something may have come meanwhile: the node is busy, but it lives.
                Probed::Silent if owner.signs() != signs => {}
                Probed::Silent => {
                    if owner.give_up() {
                        owners.totals.given_up.add();
                    }
                }
            }
        }
        signs = owner.signs();
        if owners.forget(&owner) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::{super::node_id::NodeId, *};

    fn owners() -> Owners {
        let secrets: Arc<[_]> = [Secret::new(b"a secret")].into();
        let node = NodeId { address: ([127, 0, 0, 1], 1).into(), boot: 1 };
        let writer = Writer::new(node, secrets[0].forwarded_by(&node));
        let times = Times {
            connect: Duration::from_millis(800),
            answer: Duration::from_secs(2),
            idle: Duration::from_secs(5),
        };
        Owners::new(writer, secrets, times, 10)
    }

    /// What a node at this address writes headers with.
    fn writer(owners: &Owners, address: SocketAddr) -> Writer {
        let node = NodeId { address, boot: 2 };
        Writer::new(node, owners.secrets[0].forwarded_by(&node))
    }

    /// Answers `answers` requests on one connection, and closes it with or without having read one more.
    async fn serve(listener: &TcpListener, answers: usize) {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 4096];
        for _ in 0..answers {
            assert!(stream.read(&mut buffer).await.unwrap() > 0);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx").await.unwrap();
        }
        assert!(stream.read(&mut buffer).await.unwrap() > 0);
    }

    #[tokio::test]
    async fn a_node_that_closes_a_connection_is_asked_on_another() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let owners = owners();
        let owner = Owner::new(listener.local_addr().unwrap(), "/app");
        let nodes = tokio::spawn(async move {
            // Closed amid the first request; one answered, then closed amid the next; answered.
            for answers in [0, 1, 1] {
                serve(&listener, answers).await;
            }
        });
        let mut kept = None;
        for _ in 0..2 {
            let probed = owners.probe(&owner, &Forwarded::default(), &mut kept).await;
            assert_eq!(probed, Probed::Answered { is_ok: false }, "it lives, but proves nothing");
            assert!(kept.is_some(), "the connection is used again");
        }
        drop(kept);
        nodes.abort();
    }

    #[tokio::test]
    async fn a_node_that_refuses_is_silent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let owner = Owner::new(listener.local_addr().unwrap(), "/app");
        drop(listener);
        let probed = owners().probe(&owner, &Forwarded::default(), &mut None).await;
        assert_eq!(probed, Probed::Silent);
    }

    #[tokio::test]
    async fn what_does_not_prove_to_be_a_node_gets_no_request() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let owners = owners();
        let owner = Owner::new(listener.local_addr().unwrap(), "/app");
        let stranger = tokio::spawn(async move { serve(&listener, 1).await });
        assert!(matches!(owners.connection(&owner, "/app").await, Err(NoAnswer::Unreachable)));
        // It has got nothing more.
        assert!(stranger.await.is_err());
    }

    #[test]
    fn a_proof_is_for_one_header() {
        let owners = owners();
        let header = |path| {
            let context = Context { method: &Method::GET, path, query: None };
            owners.writer.write(&Forwarded::default(), &context)
        };
        let (first, second) = (header("/~"), header("/~"));
        let owner = Owner::new(([127, 0, 0, 1], 2).into(), "/app");
        let prove =
            |address| writer(&owners, address).write(&Forwarded::default(), &Context::proof(&first).unwrap());
        let proof = prove(owner.address);
        let answer = |value| HeaderMap::from_iter([(FORWARDED, value)]);
        assert!(owners.is_proven(&owner, &first, &answer(proof.clone())));
        assert!(!owners.is_proven(&owner, &second, &answer(proof)));
        let other = prove(([127, 0, 0, 1], 3).into());
        assert!(!owners.is_proven(&owner, &first, &answer(other)), "another node has proven this");
        assert!(!owners.is_proven(&owner, &first, &answer(first.clone())), "an echo proves nothing");
        assert!(!owners.is_proven(&owner, &first, &HeaderMap::new()));
    }

    /// An owner whose server agrees to a link, and then knows nothing of it.
    #[tokio::test]
    async fn an_owner_that_drops_its_links_is_asked_for_one_later() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let owners = Arc::new(owners());
        let owner = Arc::new(Owner::new(listener.local_addr().unwrap(), "/app"));
        let writer = writer(&owners, owner.address);
        let node = tokio::spawn(async move {
            for count in 1.. {
                let (mut stream, _) = listener.accept().await.unwrap();
                assert_eq!(count, 1, "it is not asked at once");
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    stream.read_buf(&mut request).await.unwrap();
                }
                let request = String::from_utf8(request).unwrap();
                let header =
                    request.lines().find_map(|line| line.strip_prefix("sockjs-forwarded: ")).unwrap();
                let header = HeaderValue::try_from(header).unwrap();
                let proof = writer.write(&Forwarded::default(), &Context::proof(&header).unwrap());
                let proof = proof.to_str().unwrap();
                let answer = format!(
                    "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: {PROTOCOL}\r\n\
                     sockjs-forwarded: {proof}\r\n\r\n"
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        assert!(owners.link(&owner, "/app").is_none());
        let refused = async {
            while !owner.links.is_empty() {
                assert!(owners.link(&owner, "/app").is_none(), "no request goes over it");
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(20), pin!(refused)).await.expect("it is not taken");
        for _ in 0..10 {
            assert!(owners.link(&owner, "/app").is_none());
            assert!(owner.links.is_empty(), "none opens");
        }
        node.abort();
        assert!(node.await.unwrap_err().is_cancelled());
    }
}
