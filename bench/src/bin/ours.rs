//! The server under test: this crate as its documentation says to use it, with the default options.
//!
//! `ours [--workers N] [--heartbeat MS] [--http1 true]`: prints its address. `/echo` answers each message with itself, and
//! `/broadcast` sends each message to all its sessions. With `--http1`, hyper serves HTTP/1.1 only, instead of
//! `axum::serve`, which looks for HTTP/2 first: its read buffer then stays half as large.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router, ServiceExt,
    extract::{Request, State},
    serve::ListenerExt,
};
use axum_sockjs::{Options, SendError, Sender, Session, SockJs};
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::net::TcpListener;
use tower::Layer as _;
use uuid::Uuid;

async fn echo(mut session: Session) {
    while let Some(message) = session.recv().await {
        if session.send(message).await.is_err() {
            break;
        }
    }
}

/// Everyone on `/broadcast`.
#[derive(Clone, Default)]
struct Room(Arc<Mutex<HashMap<Uuid, Sender>>>);

impl Room {
    fn with<R>(&self, f: impl FnOnce(&mut HashMap<Uuid, Sender>) -> R) -> R {
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

async fn serve(heartbeat: Option<Duration>, http1_only: bool) -> std::io::Result<()> {
    // JSONP and HtmlFile are off by default.
    let mut options = Options::new().legacy_transports(true);
    if let Some(heartbeat) = heartbeat {
        options = options.heartbeat(heartbeat);
    }
    let echo = SockJs::new(echo).options(options.clone());
    let broadcast = SockJs::new(broadcast).options(options).with_state(Room::default());
    if std::env::var_os("NEST").is_some() {
        let app = Router::new().nest_service("/echo", echo).nest_service("/broadcast", broadcast);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("listening on http://{}", listener.local_addr()?);
        let app = app.into_make_service_with_connect_info::<SocketAddr>();
        return axum::serve(listener.tap_io(|tcp| _ = tcp.set_nodelay(true)), app).await;
    }
    let app = echo.layer("/echo").layer(broadcast.layer("/broadcast").layer(Router::new()));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    if http1_only {
        let app = TowerToHyperService::new(app);
        loop {
            let (tcp, _) = listener.accept().await?;
            _ = tcp.set_nodelay(true);
            let connection = http1::Builder::new().serve_connection(TokioIo::new(tcp), app.clone());
            tokio::spawn(connection.with_upgrades());
        }
    }
    let app = ServiceExt::<Request>::into_make_service_with_connect_info::<SocketAddr>(app);
    axum::serve(listener.tap_io(|tcp| _ = tcp.set_nodelay(true)), app).await
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut workers = 1;
    let mut heartbeat = None;
    let mut http1_only = false;
    let mut args = std::env::args().skip(1);
    while let Some(flag) = args.next() {
        let value = args.next().ok_or_else(|| format!("{flag} needs a value"))?;
        match flag.as_str() {
            "--workers" => workers = value.parse()?,
            "--heartbeat" => heartbeat = Some(Duration::from_millis(value.parse()?)),
            "--http1" => http1_only = value.parse()?,
            _ => return Err(format!("unknown option {flag}").into()),
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()?;
    Ok(runtime.block_on(serve(heartbeat, http1_only))?)
}
