//! The services that the official protocol suite and the browser client's own tests ask for.
//!
//! `cargo run --release --example testserver -- --help` lists its options.
//!
//! | path | does |
//! |---|---|
//! | `/echo` | answers each message with itself |
//! | `/long_echo` | as `/echo`, with responses as long as by default |
//! | `/late_echo` | as `/long_echo`, but receives nothing for eleven seconds |
//! | `/close` | closes at once with 3000 "Go away!" |
//! | `/disabled_websocket_echo` | as `/echo`, without WebSocket |
//! | `/cookie_needed_echo` | as `/echo`, with the `JSESSIONID` cookie |
//! | `/ticker` | sends "tick!" each second |
//! | `/amplify` | answers message n with 2^n times "x", for 0 < n < 19, else as for 1 |
//! | `/broadcast` | sends each message to all its sessions |
//! | `/full` | has no room for a session |
//! | `/stuck` | never receives, and its queue holds one message |
//! | `/refusals` | no service: how many requests the two before have refused, as JSON |
//! | `/own_echo` | as `/echo`, for pages of its own origin only |
//! | `/forwarded_echo` | the same, and it believes a proxy about that origin |
//! | `/commands` | `close CODE TEXT` closes so; `name NAME` names the session; `watch` reports every end |

use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf, time::Duration};

use axum::{Router, extract::State, routing::get, serve::ListenerExt};
use axum_sockjs::{
    ClientScript, CloseReason, ConnectionId, Cookie, Message, Options, Origins, Session, SockJs,
    SockJsHandle, Transport,
};
use axum_sockjs_rooms::{JoinError, Rooms};
use clap::Parser;
use tokio::{net::TcpListener, sync::broadcast};
use tower_http::services::ServeDir;

/// The services that the official protocol suite and the browser client's own tests ask for.
#[derive(Parser)]
struct Args {
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8081")]
    addr: SocketAddr,
    #[arg(long, value_name = "BYTES", default_value_t = 4096)]
    response_limit: usize,
    #[arg(long, value_name = "BYTES", default_value_t = 128 << 10)]
    max_message: usize,
    /// Threads.
    #[arg(long, value_name = "N", default_value = "2")]
    workers: NonZeroUsize,
    /// Served at all other paths.
    #[arg(long = "static", value_name = "DIR")]
    static_dir: Option<PathBuf>,
    /// The script of sockjs-client, for the iframe pages.
    #[arg(long, value_name = "FILE", value_parser = |file: &str| ClientScript::from_file(file))]
    client: Option<ClientScript>,
    /// Makes the server a node of a cluster, which the others reach at its address.
    #[arg(long, value_name = "TEXT", requires = "public")]
    cluster_secret: Option<String>,
    /// The URL at which clients reach the nodes of the cluster.
    #[arg(long, value_name = "URL", requires = "cluster_secret")]
    public: Option<String>,
}

async fn echo(mut session: Session) {
    while let Some(message) = session.recv().await {
        if session.send(message).await.is_err() {
            break;
        }
    }
}

/// Begins after more than the ten seconds that a default allows for several other things.
async fn late_echo(session: Session) {
    tokio::time::sleep(Duration::from_secs(11)).await;
    echo(session).await;
}

async fn close(session: Session) {
    session.close(3000, "Go away!");
}

async fn ticker(session: Session) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            _ = ticks.tick() => session.try_send("tick!").ok(),
            _ = session.closed() => break,
        };
    }
}

async fn amplify(mut session: Session) {
    while let Some(message) = session.recv().await {
        let n = message.as_str().and_then(|text| text.parse::<u32>().ok()).filter(|n| (1..19).contains(n));
        if session.send("x".repeat(1 << n.unwrap_or(1))).await.is_err() {
            break;
        }
    }
}

async fn broadcast(State(rooms): State<Rooms>, mut session: Session) -> Result<(), JoinError> {
    let room = rooms.join(&session, "broadcast").await?;
    while let Some(message) = session.recv().await {
        // Waits for a slow peer rather than lose a message: this is a test.
        room.to_room().send_within(Duration::MAX, message).await;
    }
    Ok(())
}

async fn stuck(session: Session) {
    session.closed().await;
}

fn refused(endpoints: &[SockJsHandle]) -> String {
    endpoints.iter().map(|handle| handle.stats().rejected.values().sum::<u64>()).sum::<u64>().to_string()
}

/// Where the ends of `/commands` sessions are told.
type Ends = broadcast::Sender<(ConnectionId, String)>;

async fn commands(State(ends): State<Ends>, mut session: Session) {
    let mut name = "-".to_owned();
    while let Some(message) = session.recv().await {
        let text = message.as_str().unwrap_or_default();
        match text.split_once(' ').unwrap_or((text, "")) {
            ("close", arguments) => {
                let (code, reason) = arguments.split_once(' ').unwrap_or((arguments, ""));
                session.close(code.parse().unwrap_or(3000), reason.to_owned());
            }
            ("name", arguments) => {
                name = arguments.to_owned();
                session.send(format!("named {name}")).await.ok();
            }
            ("watch", _) => watch(ends.subscribe(), &session),
            _ => {
                session.send(message).await.ok();
            }
        }
    }
    let reason = match session.closed().await {
        CloseReason::Client(_) => "client-closed".to_owned(),
        CloseReason::ConnectionLost => "connection-lost".to_owned(),
        CloseReason::TimedOut => "timed-out".to_owned(),
        CloseReason::Server(frame) => format!("server-closed {} {}", frame.code(), frame.reason()),
        CloseReason::ProtocolError(_) => "protocol-error".to_owned(),
        CloseReason::Shutdown(_) => "shutdown".to_owned(),
        other => other.to_string(),
    };
    // An error means that nobody watches.
    ends.send((session.id(), format!("ended {} {name} {reason}", session.transport()))).ok();
}

fn watch(mut ends: broadcast::Receiver<(ConnectionId, String)>, session: &Session) {
    let watcher = session.sender();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                end = ends.recv() => match end {
                    Ok((id, line)) if id != watcher.id() => drop(watcher.send(Message::from(line)).await),
                    Ok(_) => {}
                    Err(_) => break,
                },
                _ = watcher.closed() => break,
            }
        }
    });
}

/// What makes the server a node, if it is one.
#[cfg(feature = "cluster")]
type Node = Option<axum_sockjs::Cluster>;
#[cfg(not(feature = "cluster"))]
type Node = ();

#[cfg(feature = "cluster")]
fn node(args: &Args, addr: SocketAddr) -> std::io::Result<Node> {
    let (Some(secret), Some(public)) = (&args.cluster_secret, &args.public) else { return Ok(None) };
    let options = axum_sockjs::ClusterOptions::new(secret, addr).public_url(public);
    axum_sockjs::Cluster::new(options).map(Some).map_err(std::io::Error::other)
}

#[cfg(not(feature = "cluster"))]
fn node(args: &Args, _: SocketAddr) -> std::io::Result<Node> {
    match (&args.cluster_secret, &args.public) {
        (None, None) => Ok(()),
        _ => Err(std::io::Error::other(
            "this test server cannot be a node of a cluster: build it with `--features cluster`",
        )),
    }
}

fn app(args: &Args, node: &Node) -> Router {
    let plain = || {
        #[cfg(feature = "cluster")]
        if let Some(node) = node {
            return Options::new().cluster(node);
        }
        #[cfg(not(feature = "cluster"))]
        let () = node;
        Options::new()
    };
    let options = || {
        // Who tests comes from anywhere, and no cookie here lets anyone do anything.
        let mut options = plain().response_limit(args.response_limit).origins(Origins::any());
        options = options.max_message_bytes(args.max_message);
        options = options.max_body_bytes((args.max_message + 4).max(1 << 20));
        if let Some(client) = &args.client {
            options = options.client_script(client.clone());
        }
        #[cfg(feature = "websocket")]
        let options = options.hixie76(true);
        options
    };
    let with_long_responses = || options().response_limit(128 << 10);
    let full = SockJs::new(echo).options(options().max_sessions(0));
    let stuck = SockJs::new(stuck)
        .options(options().receive_queue_messages(1).receive_timeout(Duration::from_millis(500)));
    let refusals = [full.handle(), stuck.handle()];
    let without_websocket = options().disable(Transport::WebSocket).disable(Transport::RawWebSocket);
    let app = Router::new()
        .nest_service("/echo", SockJs::new(echo).options(options()))
        .nest_service("/long_echo", SockJs::new(echo).options(with_long_responses()))
        .nest_service("/late_echo", SockJs::new(late_echo).options(with_long_responses()))
        .nest_service("/own_echo", SockJs::new(echo).options(plain()))
        .nest_service("/forwarded_echo", SockJs::new(echo).options(plain().trust_forwarded(true)))
        .nest_service("/close", SockJs::new(close).options(options()))
        .nest_service("/disabled_websocket_echo", SockJs::new(echo).options(without_websocket))
        .nest_service(
            "/cookie_needed_echo",
            SockJs::new(echo).options(options().cookie(Cookie::jsessionid())),
        )
        .nest_service("/ticker", SockJs::new(ticker).options(options()))
        .nest_service("/amplify", SockJs::new(amplify).options(options()))
        .nest_service("/broadcast", SockJs::new(broadcast).options(options()).with_state(Rooms::new()))
        .nest_service("/full", full)
        .nest_service("/stuck", stuck)
        .route("/refusals", get(async move || refused(&refusals)))
        .nest_service("/commands", SockJs::new(commands).options(options()).with_state(Ends::new(1024)));
    match &args.static_dir {
        Some(dir) => app.fallback_service(ServeDir::new(dir)),
        None => app,
    }
}

async fn serve(args: Args) -> std::io::Result<()> {
    let listener = TcpListener::bind(args.addr).await?;
    let addr = listener.local_addr()?;
    println!("listening on http://{addr}");
    let app = app(&args, &node(&args, addr)?).into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener.tap_io(|tcp| _ = tcp.set_nodelay(true)), app).await
}

fn main() -> std::io::Result<()> {
    tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::from_default_env()).init();
    let args = Args::parse();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(args.workers.get()).enable_all().build()?.block_on(serve(args))
}

#[cfg(test)]
mod tests {
    use axum_sockjs::Transport;
    use clap::Parser as _;
    use sockjs_client::test::TestClient;
    use tokio::time::Instant;

    use super::{Args, Duration, app};

    #[cfg(not(feature = "cluster"))]
    #[test]
    fn what_it_was_not_built_for_is_said() {
        let args =
            Args::parse_from(["testserver", "--cluster-secret", "text", "--public", "http://a.example"]);
        let error = super::node(&args, ([127, 0, 0, 1], 80).into()).unwrap_err();
        assert!(error.to_string().contains("--features cluster"), "{error}");
    }

    fn service(path: &str) -> TestClient {
        TestClient::new(app(&Args::parse_from(["testserver"]), &Default::default()), path)
    }

    #[tokio::test(start_paused = true)]
    async fn the_services_do_what_their_table_says() {
        for &transport in Transport::ALL {
            let mut echo = service("/echo").open(transport).await.unwrap();
            echo.send("hello").await;
            assert_eq!(echo.recv().await, "hello", "{transport}");

            let began = Instant::now();
            let mut late =
                service("/late_echo").patience(Duration::from_secs(20)).open(transport).await.unwrap();
            late.send("hello").await;
            assert_eq!(late.recv().await, "hello", "{transport}");
            assert_eq!(began.elapsed(), Duration::from_secs(11), "{transport}");

            let mut close = service("/close").open(transport).await.unwrap();
            assert_eq!(close.closed().await.to_string(), r#"3000 "Go away!""#, "{transport}");

            let mut ticker = service("/ticker").open(transport).await.unwrap();
            let began = Instant::now();
            for seconds in 0..3 {
                assert_eq!(ticker.recv().await, "tick!", "{transport}");
                assert_eq!(began.elapsed().as_secs(), seconds, "{transport}");
            }

            let mut amplify = service("/amplify").open(transport).await.unwrap();
            for (n, length) in [("3", 8), ("18", 1 << 18), ("19", 2)] {
                amplify.send(n).await;
                assert_eq!(amplify.recv().await.len(), length, "{transport}");
            }

            let broadcast = service("/broadcast");
            let mut all =
                [broadcast.open(transport).await.unwrap(), broadcast.open(transport).await.unwrap()];
            all[0].send("hello").await;
            for session in &mut all {
                assert_eq!(session.recv().await, "hello", "{transport}");
            }

            let mut commands = service("/commands").open(transport).await.unwrap();
            commands.send("name Ada").await;
            assert_eq!(commands.recv().await, "named Ada", "{transport}");
            commands.send("close 4000 enough").await;
            assert_eq!(commands.closed().await.to_string(), r#"4000 "enough""#, "{transport}");
        }
        assert_eq!(service("/full").open(Transport::WebSocket).await.unwrap_err().status(), 503);
        let off = service("/disabled_websocket_echo");
        assert_eq!(off.open(Transport::WebSocket).await.unwrap_err().status(), 404);
        assert_eq!(service("/cookie_needed_echo").info().await["cookie_needed"], true);
    }
}
