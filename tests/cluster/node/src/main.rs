//! A node of the cluster that the tests start, kill and stop.
//!
//! | path | does |
//! |---|---|
//! | `/echo` | answers each message with itself |
//! | `/long_echo` | the same, with responses as long as by default |
//! | `/private` | first says whose session it is and where it came from, then echoes; for those with a token or a cookie |
//! | `/limited` | echoes; two sessions for each client at most |
//! | `/flood` | sends without end, and waits for the client however long |
//! | `/room` | a room: see [`rooms`] |
//! | `/stats` | no service: what the node has counted, as JSON |
//! | `/presence` | no service: who is in the rooms of all nodes |

mod echo;
mod private;
mod rooms;
mod stats;

use std::{future::IntoFuture as _, net::SocketAddr, path::PathBuf, time::Duration};

use axum::{BoxError, Router, middleware, routing::get, serve::ListenerExt as _};
use axum_sockjs::{ClientScript, Cluster, ClusterOptions, Options, Origins, SockJs, SockJsHandle};
use clap::Parser;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::oneshot,
    task::JoinSet,
    time::sleep,
};
use tower_http::services::ServeDir;

use crate::stats::Stats;

/// For clients to fetch what they have coming.
const GRACE: Duration = Duration::from_secs(5);
/// For what clients send while their close frame is on its way: it is answered as after any close.
const LATE_REQUESTS: Duration = Duration::from_secs(1);
/// For what is left of HTTP then.
const LAST_BYTES: Duration = Duration::from_secs(1);

/// A node of the cluster that the tests start, kill and stop.
#[derive(Parser)]
struct Args {
    /// Where it listens.
    #[arg(long, value_name = "IP:PORT")]
    addr: SocketAddr,
    /// Where the other nodes reach it, if they do not where it listens.
    #[arg(long, value_name = "IP:PORT")]
    internal: Option<SocketAddr>,
    #[arg(long, value_name = "TEXT")]
    secret: String,
    /// The URL of the balancer.
    #[arg(long, value_name = "URL")]
    public: String,
    /// `nats://…` or `redis://…`.
    #[arg(long, value_name = "URL")]
    bus: Option<String>,
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    dead_after: u64,
    /// How often the bus is asked for a sign of life.
    #[arg(long, value_name = "MS", default_value_t = 5_000)]
    ping_interval: u64,
    /// Of `/echo`.
    #[arg(long, value_name = "BYTES", default_value_t = 4 << 10)]
    response_limit: usize,
    /// Served at all other paths.
    #[arg(long = "static", value_name = "DIR")]
    static_dir: Option<PathBuf>,
    /// The script of sockjs-client, for the iframe pages.
    #[arg(long, value_name = "FILE", value_parser = |file: &str| ClientScript::from_file(file))]
    client: Option<ClientScript>,
}

/// The services by their names, and the handles of those.
struct Endpoints {
    app: Router,
    handles: Vec<(&'static str, SockJsHandle)>,
}

impl Endpoints {
    fn add(mut self, name: &'static str, service: SockJs) -> Self {
        self.handles.push((name, service.handle()));
        self.app = self.app.nest_service(&format!("/{name}"), service);
        self
    }
}

fn endpoints(args: &Args, addr: SocketAddr, cluster: &Cluster, rooms: &rooms::Rooms) -> Endpoints {
    let options = || {
        // Pages of the tests come from two origins.
        let options = Options::new().cluster(cluster).origins(Origins::any());
        match &args.client {
            Some(client) => options.client_script(client.clone()),
            None => options,
        }
    };
    Endpoints { app: Router::new(), handles: Vec::new() }
        .add("echo", SockJs::new(echo::echo).options(options().response_limit(args.response_limit)))
        .add("long_echo", SockJs::new(echo::echo).options(options()))
        .add("private", private::service(options().response_limit(args.response_limit)))
        .add(
            "limited",
            SockJs::new(echo::echo).options(options().max_sessions_per_peer(2).peer_key(private::client)),
        )
        .add("flood", SockJs::new(echo::flood).options(options().response_limit(1 << 30).write_timeout(None)))
        .add("room", SockJs::new(rooms::room).options(options()).with_state((rooms.clone(), addr)))
}

/// Shuts all services down, and says what was lost.
async fn shut_down(handles: Vec<(&'static str, SockJsHandle)>) {
    let mut all = JoinSet::new();
    for (name, handle) in handles {
        all.spawn(async move { (name, handle.shutdown(4001, "restarting", GRACE).await) });
    }
    while let Some(ended) = all.join_next().await {
        if let Ok((name, report)) = ended {
            println!("{name}: {report}");
        }
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), BoxError> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let args = Args::parse();
    let listener = TcpListener::bind(args.addr).await?;
    let addr = listener.local_addr()?;
    let cluster = Cluster::new(
        ClusterOptions::new(&args.secret, args.internal.unwrap_or(addr)).public_url(&args.public),
    )?;
    let bus = match &args.bus {
        Some(address) => Some(rooms::bus(address, Duration::from_millis(args.ping_interval)).await?),
        None => None,
    };
    let rooms = rooms::rooms(bus.clone(), Duration::from_millis(args.dead_after), addr);
    let Endpoints { app, handles } = endpoints(&args, addr, &cluster, &rooms);
    let stats = Stats::new(handles.clone(), rooms.clone(), bus);
    let own = Router::new()
        .route("/stats", get(stats::show))
        .route("/presence", get(rooms::presence))
        .with_state((stats.clone(), rooms.clone()));
    let app = app.merge(own).layer(middleware::from_fn_with_state(stats, stats::count));
    let app = match &args.static_dir {
        Some(dir) => app.fallback_service(ServeDir::new(dir)),
        None => app,
    };

    let (all_told, told) = oneshot::channel();
    let mut terminated = signal(SignalKind::terminate())?;
    let stop = async move {
        terminated.recv().await;
        // The server goes on accepting meanwhile: clients that poll come by new requests.
        shut_down(handles).await;
        sleep(LATE_REQUESTS).await;
        all_told.send(()).ok();
    };
    println!("listening on http://{addr}");
    let listener = listener.tap_io(|tcp| _ = tcp.set_nodelay(true));
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    let serve = axum::serve(listener, app).with_graceful_shutdown(stop).into_future();
    let last_bytes = async {
        // An error means that the server has ended by itself.
        if told.await.is_ok() {
            sleep(LAST_BYTES).await;
        }
    };
    tokio::select! {
        served = serve => served?,
        () = last_bytes => {}
    }
    rooms.leave_bus().await;
    println!("ended");
    Ok(())
}
