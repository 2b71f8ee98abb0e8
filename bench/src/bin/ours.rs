//! The server under test: this crate as its documentation says to use it, with the default options but for the
//! number of sessions.
//!
//! `ours [--workers N] [--heartbeat MS] [--http1 true] [--nested true] [--rooms true] [--forwarded true]`: prints its address. `/echo`
//! answers each message with itself, and `/broadcast` sends each message to all its sessions, from a list written by hand
//! or, with `--rooms`, by a room of `axum-sockjs-rooms`: with `--bus URL`, one of all nodes with the same bus, and with
//! `--history true`, one that keeps its last messages. Who says `joined?` there is told `joined`. With `--ends-with-input
//! true`, it ends with its standard input.
//!
//! The endpoints are layers around the router; with `--nested`, they are nested in it. With `--http1`, the server
//! speaks only HTTP/1.1, while `axum::serve` looks for HTTP/2 first: hyper's read buffer then stays half as large.
//!
//! With `--forwarded`, it is a node of a cluster without sessions, and starts another one, which ends with it. The URL that
//! it prints has the other one's tag: what is asked there is forwarded.

use std::{
    collections::HashMap,
    convert::Infallible,
    io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _},
    net::TcpStream,
    process::{Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    BoxError, Router,
    body::Body,
    extract::{Request, State},
    response::Response,
    serve::ListenerExt,
};
use axum_sockjs::{
    Cluster, ClusterOptions, ConnectionId, Options, Overflow, SendError, Sender, Session, SockJs,
};
use axum_sockjs_rooms::{History, JoinError, Rooms};
use clap::{ArgAction::Set, Parser};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use sockjs_bus::Bus;
use tokio::net::TcpListener;
use tower::{Layer as _, Service, ServiceExt as _};

async fn echo(mut session: Session) {
    while let Some(message) = session.recv().await {
        if session.send(message).await.is_err() {
            break;
        }
    }
}

/// Everyone on `/broadcast`.
#[derive(Clone, Default)]
struct Room(Arc<Mutex<HashMap<ConnectionId, Sender>>>);

impl Room {
    fn with<R>(&self, f: impl FnOnce(&mut HashMap<ConnectionId, Sender>) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn broadcast(State(room): State<Room>, mut session: Session) {
    room.with(|room| room.insert(session.id(), session.sender()));
    while let Some(message) = session.recv().await {
        room.with(|room| {
            for sender in room.values() {
                if let Err(SendError::Full(_)) = sender.try_send(message.clone()) {
                    sender.close(4000, "too slow");
                }
            }
        });
    }
    room.with(|room| room.remove(&session.id()));
}

async fn broadcast_in_a_room(State(rooms): State<Rooms>, mut session: Session) -> Result<(), JoinError> {
    let room = rooms.join(&session, "all").await?;
    while let Some(message) = session.recv().await {
        if message == "joined?" {
            session.send("joined").await.ok();
        } else {
            room.send(message);
        }
    }
    Ok(())
}

async fn rooms(setup: &Setup) -> Result<Rooms, BoxError> {
    let mut rooms = Rooms::builder().overflow(Overflow::Close);
    if setup.history {
        rooms = rooms.history(History::last(100));
    }
    let bus: Arc<dyn Bus> = match &setup.bus {
        None => return Ok(rooms.build()),
        Some(url) if url.starts_with("nats:") => Arc::new(sockjs_bus_nats::Nats::connect(url).await?),
        Some(url) => Arc::new(sockjs_bus_redis::Redis::connect(url).await?),
    };
    Ok(rooms.bus(bus).try_build()?)
}

/// How `ours` is to run.
#[derive(Parser)]
struct Setup {
    #[arg(long, default_value_t = 1)]
    workers: usize,
    #[arg(long, value_name = "MS")]
    heartbeat: Option<u64>,
    #[arg(long = "http1", action = Set, default_value_t = false)]
    http1_only: bool,
    #[arg(long, action = Set, default_value_t = false)]
    nested: bool,
    #[arg(long, action = Set, default_value_t = false)]
    rooms: bool,
    /// `nats://…` or `redis://…`.
    #[arg(long, requires = "rooms")]
    bus: Option<String>,
    #[arg(long, action = Set, default_value_t = false)]
    history: bool,
    #[arg(long, action = Set, default_value_t = false)]
    forwarded: bool,
    #[arg(long, action = Set, default_value_t = false)]
    ends_with_input: bool,
    /// Be a node whose requests are forwarded.
    #[arg(long, action = Set, default_value_t = false, hide = true)]
    owner: bool,
}

/// The nodes of `--forwarded` are of one machine.
const SECRET: &str = "nobody else needs to know the secret of a measurement";

/// Starts the node that has the sessions, and returns its tag.
fn start_owner(setup: &Setup) -> std::io::Result<String> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--owner", "true", "--ends-with-input", "true", "--workers", &setup.workers.to_string()]);
    if let Some(heartbeat) = setup.heartbeat {
        command.args(["--heartbeat", &heartbeat.to_string()]);
    }
    let mut owner = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    BufReader::new(owner.stdout.take().ok_or(ErrorKind::BrokenPipe)?).read_line(&mut line)?;
    let address = line.trim().rsplit("http://").next().unwrap_or_default();
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET /echo/info HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let tag = answer.split_once("/echo/~").and_then(|(_, rest)| rest.split('"').next());
    // Its input stays open as long as this process.
    std::mem::forget(owner);
    tag.map(str::to_owned).ok_or_else(|| ErrorKind::InvalidData.into())
}

async fn serve(setup: Setup) -> Result<(), BoxError> {
    // JSONP and HtmlFile are off by default. Sessions that come and go quickly are many: each is remembered for the
    // disconnect delay.
    let mut options = Options::new().legacy_transports(true).max_sessions(None);
    if let Some(heartbeat) = setup.heartbeat {
        options = options.heartbeat(Duration::from_millis(heartbeat));
    }
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    if setup.forwarded || setup.owner {
        let node = ClusterOptions::new(SECRET, address).public_url(format!("http://{address}"));
        options = options.cluster(&Cluster::new(node)?);
    }
    let echo = SockJs::new(echo).options(options.clone());
    let broadcast = if setup.rooms {
        SockJs::new(broadcast_in_a_room).options(options).with_state(rooms(&setup).await?)
    } else {
        SockJs::new(broadcast).options(options).with_state(Room::default())
    };
    match setup.forwarded {
        true => println!("listening on http://{address}/~{}", start_owner(&setup)?),
        false => println!("listening on http://{address}"),
    }
    if setup.ends_with_input {
        std::thread::spawn(|| {
            std::io::stdin().read_to_end(&mut Vec::new()).ok();
            std::process::exit(0);
        });
    }
    if setup.nested {
        let app = Router::new().nest_service("/echo", echo).nest_service("/broadcast", broadcast);
        return Ok(run(listener, app, setup.http1_only).await?);
    }
    let app = echo.layer("/echo").layer(broadcast.layer("/broadcast").layer(Router::new()));
    Ok(run(listener, app, setup.http1_only).await?)
}

async fn run<S>(listener: TcpListener, app: S, http1_only: bool) -> std::io::Result<()>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    if http1_only {
        let app = TowerToHyperService::new(
            app.map_request(|request: hyper::Request<Incoming>| request.map(Body::new)),
        );
        loop {
            let (tcp, _) = listener.accept().await?;
            _ = tcp.set_nodelay(true);
            let connection = http1::Builder::new().serve_connection(TokioIo::new(tcp), app.clone());
            tokio::spawn(connection.with_upgrades());
        }
    }
    let app = axum::ServiceExt::<Request>::into_make_service(app);
    axum::serve(listener.tap_io(|tcp| _ = tcp.set_nodelay(true)), app).await
}

fn main() -> Result<(), BoxError> {
    let setup = Setup::parse();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(setup.workers).enable_all().build()?;
    runtime.block_on(serve(setup))
}
