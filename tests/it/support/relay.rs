//! What stands between an edge and its owner: it passes connections on, keeps what has come over them, and can forget
//! them.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use axum_sockjs::ClusterOptions;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::{JoinHandle, JoinSet},
};

use super::nodes::{Node, Plan, SECRET};

pub(crate) struct Relay {
    pub(crate) addr: SocketAddr,
    listener: Option<TcpListener>,
    forget: Arc<Notify>,
    /// What edges have sent.
    seen: Arc<Mutex<Vec<u8>>>,
    task: Option<JoinHandle<()>>,
}

impl Relay {
    async fn bind() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port is free");
        let addr = listener.local_addr().expect("a bound listener has an address");
        let (forget, seen) = Default::default();
        Self { addr, listener: Some(listener), forget, seen, task: None }
    }

    /// A relay to a node that knows nothing of it.
    pub(crate) async fn to(node: SocketAddr) -> Self {
        let mut relay = Self::bind().await;
        relay.start(node);
        relay
    }

    /// A node whose address for others is that of its relay.
    pub(crate) async fn before(plan: &Plan) -> (Self, Node) {
        let mut relay = Self::bind().await;
        let addr = relay.addr;
        let public = move |_| ClusterOptions::new(SECRET, addr).public_url("http://public.example");
        let node = plan.clone().cluster(public).start();
        relay.start(node.addr());
        (relay, node)
    }

    fn start(&mut self, node: SocketAddr) {
        let listener = self.listener.take().expect("it has not started");
        let (forget, seen) = (Arc::clone(&self.forget), Arc::clone(&self.seen));
        self.task = Some(tokio::spawn(async move {
            // Dropped, it ends them.
            let mut connections = JoinSet::new();
            loop {
                let (edge, _) = listener.accept().await.expect("there are connections");
                let forgotten = Arc::clone(&forget).notified_owned();
                let seen = Arc::clone(&seen);
                connections.spawn(async move {
                    let Ok(owner) = TcpStream::connect(node).await else { return };
                    let ((mut edge, mut to_edge), (mut owner, mut to_owner)) =
                        (edge.into_split(), owner.into_split());
                    let requests = async {
                        let mut buffer = vec![0; 4096];
                        while let Ok(length @ 1..) = edge.read(&mut buffer).await {
                            seen.lock().expect("no test fails there").extend(&buffer[..length]);
                            if to_owner.write_all(&buffer[..length]).await.is_err() {
                                break;
                            }
                        }
                    };
                    tokio::select! {
                        () = requests => {}
                        _ = copy(&mut owner, &mut to_edge) => {}
                        () = forgotten => std::future::pending().await,
                    }
                });
            }
        }));
    }

    /// The connections that exist lead nowhere from now on, and nobody is told; new ones are passed on.
    pub(crate) fn forget(&self) {
        self.forget.notify_waiters();
    }

    /// What edges have sent.
    pub(crate) fn seen(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().expect("no test fails there")).into_owned()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}
