//! Nodes of a cluster in one process, each with a thread of its own, and a balancer that knows no affinity.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header::CONNECTION},
    middleware::Next,
    response::Response,
    serve::ListenerExt as _,
};
use axum_sockjs::{Cluster, ClusterOptions, Options, SockJs, SockJsHandle};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::oneshot,
};

use super::{PATIENCE, http::Connection, server::Server};

pub(crate) const SECRET: &str = "a secret of these tests, of more than thirty-two bytes";

/// A node with one endpoint, at `/app`. Dropped, it vanishes like a process that is killed.
pub(crate) struct Node {
    pub(crate) server: Server,
    pub(crate) cluster: Cluster,
    pub(crate) handle: SockJsHandle,
    runtime: tokio::runtime::Handle,
    counts: Arc<Counts>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

/// What a node has seen of others.
#[derive(Default)]
struct Counts {
    /// Forwarded requests that have not been answered.
    waiting: AtomicUsize,
    /// Forwarded requests that have come with a connection of their own.
    forwarded: AtomicUsize,
    /// Links to which the node has agreed.
    links: AtomicUsize,
    /// A request by which a link was asked for.
    header: Mutex<Option<HeaderValue>>,
}

/// How a node is set up.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) addr: SocketAddr,
    pub(crate) cluster: Arc<dyn Fn(ClusterOptions) -> ClusterOptions + Send + Sync>,
    pub(crate) secret: &'static str,
    /// The endpoint, with the options that it is given.
    pub(crate) endpoint: Arc<dyn Fn(Options) -> SockJs + Send + Sync>,
    pub(crate) app: Arc<dyn Fn(SockJs) -> Router + Send + Sync>,
    send_buffer: Option<u32>,
}

impl Plan {
    pub(crate) fn new(endpoint: impl Fn(Options) -> SockJs + Send + Sync + 'static) -> Self {
        Self {
            addr: (Ipv4Addr::LOCALHOST, 0).into(),
            cluster: Arc::new(|options| options.public_url("http://public.example")),
            secret: SECRET,
            endpoint: Arc::new(endpoint),
            app: Arc::new(|endpoint| Router::new().nest_service("/app", endpoint)),
            send_buffer: None,
        }
    }

    /// A fixed size of what the system keeps for each connection to the node that does not read.
    pub(crate) fn send_buffer(mut self, bytes: u32) -> Self {
        self.send_buffer = Some(bytes);
        self
    }

    pub(crate) fn cluster(
        mut self,
        change: impl Fn(ClusterOptions) -> ClusterOptions + Send + Sync + 'static,
    ) -> Self {
        self.cluster = Arc::new(change);
        self
    }

    pub(crate) fn secret(mut self, secret: &'static str) -> Self {
        self.secret = secret;
        self
    }

    pub(crate) fn at(mut self, addr: SocketAddr) -> Self {
        self.addr = addr;
        self
    }

    pub(crate) fn app(mut self, app: impl Fn(SockJs) -> Router + Send + Sync + 'static) -> Self {
        self.app = Arc::new(app);
        self
    }

    pub(crate) fn start(&self) -> Node {
        Node::start(self.clone())
    }

    pub(crate) fn start_three(&self) -> [Node; 3] {
        [self.start(), self.start(), self.start()]
    }
}

impl Node {
    fn start(plan: Plan) -> Self {
        let (sender, started) = mpsc::channel();
        let (end, ended) = oneshot::channel::<()>();
        let counts = Arc::new(Counts::default());
        let counter = Arc::clone(&counts);
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("a runtime can be built");
            runtime.block_on(async {
                let socket = TcpSocket::new_v4().expect("there are sockets");
                socket.set_reuseaddr(true).expect("a socket takes options");
                if let Some(bytes) = plan.send_buffer {
                    socket.set_send_buffer_size(bytes).expect("a socket takes options");
                }
                socket.bind(plan.addr).expect("the address is free");
                let listener: TcpListener = socket.listen(1024).expect("a bound socket listens");
                let addr = listener.local_addr().expect("a bound listener has an address");
                let options = (plan.cluster)(ClusterOptions::new(plan.secret, addr));
                let cluster = Cluster::new(options).expect("the options can work");
                let endpoint = (plan.endpoint)(Options::new().cluster(&cluster));
                let handle = endpoint.handle();
                let app =
                    (plan.app)(endpoint).layer(axum::middleware::from_fn_with_state(counter, one_request));
                let runtime = tokio::runtime::Handle::current();
                sender.send((addr, cluster, handle, runtime)).expect("the test waits for the node");
                let listener =
                    listener.tap_io(|io| io.set_nodelay(true).expect("a connected socket takes options"));
                let service = app.into_make_service_with_connect_info::<SocketAddr>();
                tokio::select! {
                    served = axum::serve(listener, service) => served.expect("the server runs"),
                    _ = ended => {}
                }
            });
            runtime.shutdown_background();
        });
        let (addr, cluster, handle, runtime) = started.recv_timeout(PATIENCE).expect("the node starts");
        let (end, thread) = (Some(end), Some(thread));
        Self { server: Server::at(addr), cluster, handle, runtime, counts, end, thread }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.server.addr
    }

    /// What `/info` says of the URL for the transports.
    pub(crate) async fn base_url(&self, query: &str) -> String {
        let answer = self.server.get(format!("/app/info{query}")).await;
        assert_eq!(answer.status, 200, "{answer}");
        let info: serde_json::Value = serde_json::from_str(answer.text()).expect("it is JSON");
        info["base_url"].as_str().unwrap_or_default().to_owned()
    }

    /// The path below which this node has its sessions.
    pub(crate) async fn path(&self) -> String {
        let url = self.base_url("").await;
        url.strip_prefix("http://public.example").expect("it begins with the public URL").to_owned()
    }

    /// Stops the node as `SIGSTOP` does a process: its connections stay, and nothing answers. It goes on when the result
    /// is dropped.
    pub(crate) async fn stop(&self) -> mpsc::Sender<()> {
        let (go_on, stopped) = mpsc::channel::<()>();
        let (sender, blocked) = oneshot::channel();
        self.runtime.spawn(async move {
            sender.send(()).ok();
            stopped.recv().ok();
        });
        blocked.await.expect("the node runs");
        go_on
    }

    /// Whether another node has forwarded a request to this one, with a connection of its own, that waits for the head of
    /// its answer.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.counts.waiting.load(Ordering::SeqCst) > 0
    }

    /// How many requests have been forwarded to this node with a connection of their own.
    pub(crate) fn forwarded(&self) -> usize {
        self.counts.forwarded.load(Ordering::SeqCst)
    }

    /// To how many links this node has agreed.
    pub(crate) fn links(&self) -> usize {
        self.counts.links.load(Ordering::SeqCst)
    }

    /// The header of the last request by which a link was asked for.
    pub(crate) fn link_header(&self) -> Option<HeaderValue> {
        self.counts.header.lock().expect("no test fails there").clone()
    }

    /// Ends the node with all its connections, and waits for that.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // A failed node has said why.
            thread.join().ok();
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.end();
    }
}

struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A connection of a client serves one request, so that whatever stands in front chooses a node for each.
async fn one_request(State(counts): State<Arc<Counts>>, request: Request, next: Next) -> Response {
    let header = request.headers().get("sockjs-forwarded").cloned();
    let is_forwarded = header.is_some() && !request.uri().path().ends_with("/~");
    let _waits = is_forwarded.then(|| Waits::new(&counts.waiting));
    counts.forwarded.fetch_add(is_forwarded.into(), Ordering::SeqCst);
    let mut response = next.run(request).await;
    let is_upgrade = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    if header.is_none() && !is_upgrade {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if header.is_some() && is_upgrade {
        counts.links.fetch_add(1, Ordering::SeqCst);
        *counts.header.lock().expect("no test fails there") = header;
    }
    response
}

/// A balancer that gives each connection to the next node, whatever it is about.
pub(crate) struct Balancer {
    pub(crate) addr: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl Balancer {
    pub(crate) async fn start(nodes: Vec<SocketAddr>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port is free");
        let addr = listener.local_addr().expect("a bound listener has an address");
        let next = AtomicUsize::new(0);
        let task = tokio::spawn(async move {
            loop {
                let (mut client, _) = listener.accept().await.expect("there are connections");
                let node = nodes[next.fetch_add(1, Ordering::Relaxed) % nodes.len()];
                tokio::spawn(async move {
                    let Ok(mut server) = TcpStream::connect(node).await else { return };
                    client.set_nodelay(true).ok();
                    server.set_nodelay(true).ok();
                    tokio::io::copy_bidirectional(&mut client, &mut server).await.ok();
                });
            }
        });
        Self { addr, task }
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A connection from another address of this machine.
pub(crate) async fn connect_from(client: Ipv4Addr, addr: SocketAddr) -> Connection {
    let socket = TcpSocket::new_v4().expect("there are sockets");
    socket.bind((client, 0).into()).expect("loopback has many addresses");
    Connection::over(socket.connect(addr).await.expect("the node listens"))
}

/// What a test waits for at most where an answer has to come by itself.
pub(crate) const SOON: Duration = Duration::from_secs(1);
