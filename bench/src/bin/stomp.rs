//! The STOMP server under test: `axum-stomp` as its documentation says to use it, with the default options, but that
//! clients may send to topics, as they may with other brokers. Beside it stand plain SockJS endpoints that pass the same
//! bytes to the same sessions: what STOMP costs is the difference.
//!
//! `stomp [--workers N]`: prints its address. STOMP is at `/stomp`, with a handler `/app/echo` that answers to
//! `/user/queue/echo`. `/like/echo` and `/like/broadcast` are as in `ours`, and on `/like/pairs` a session says
//! `sends N` or `receives N`, gets an `ok`, and the messages of the first go to the second.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{Router, extract::State, serve::ListenerExt};
use axum_sockjs::{ConnectionId, Options, SendError, Sender, Session, SockJs};
use axum_stomp::{Bytes, ClientSend, Encoded, SendToUser, Stomp, StompOptions};
use clap::Parser;
use tokio::net::TcpListener;
use tower::Layer as _;

async fn stomp_echo(body: Bytes) -> SendToUser<Encoded> {
    SendToUser::new("/queue/echo", Encoded::new(body)).this_session_only()
}

async fn echo(mut session: Session) {
    while let Some(message) = session.recv().await {
        if session.send(message).await.is_err() {
            break;
        }
    }
}

/// Some sessions, by a name.
struct Room<K>(Arc<Mutex<HashMap<K, Sender>>>);

impl<K> Clone for Room<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K> Default for Room<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Eq + Hash> Room<K> {
    fn with<R>(&self, f: impl FnOnce(&mut HashMap<K, Sender>) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn send(sender: &Sender, message: axum_sockjs::Message) {
    if let Err(SendError::Full(_)) = sender.try_send(message) {
        sender.close(4000, "too slow");
    }
}

async fn broadcast(State(room): State<Room<ConnectionId>>, mut session: Session) {
    room.with(|room| room.insert(session.id(), session.sender()));
    while let Some(message) = session.recv().await {
        room.with(|room| room.values().for_each(|sender| send(sender, message.clone())));
    }
    room.with(|room| room.remove(&session.id()));
}

async fn pairs(State(room): State<Room<String>>, mut session: Session) {
    let Some(first) = session.recv().await else { return };
    let Some((side, pair)) = first.as_str().and_then(|first| first.split_once(' ')) else { return };
    if side == "receives" {
        room.with(|room| room.insert(pair.to_owned(), session.sender()));
    }
    if session.send("ok").await.is_err() {
        return;
    }
    while let Some(message) = session.recv().await {
        room.with(|room| {
            if let Some(sender) = room.get(pair) {
                send(sender, message);
            }
        });
    }
}

/// How `stomp` is to run.
#[derive(Parser)]
struct Setup {
    #[arg(long, default_value_t = 1)]
    workers: usize,
}

async fn serve() -> std::io::Result<()> {
    let server = Stomp::new()
        .options(StompOptions::new().client_send(ClientSend::HANDLERS.broker(true)))
        .message("/echo", stomp_echo)
        .build();
    let stomp = server.sockjs_with(server.sockjs_options().max_sessions(None));
    let options = Options::new().max_sessions(None);
    let echo = SockJs::new(echo).options(options.clone());
    let broadcast = SockJs::new(broadcast).options(options.clone()).with_state(Room::default());
    let pairs = SockJs::new(pairs).options(options).with_state(Room::default());
    let app = Router::new();
    let app = pairs.layer("/like/pairs").layer(app);
    let app = broadcast.layer("/like/broadcast").layer(app);
    let app = stomp.layer("/stomp").layer(echo.layer("/like/echo").layer(app));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    let app = axum::ServiceExt::<axum::extract::Request>::into_make_service(app);
    axum::serve(listener.tap_io(|tcp| _ = tcp.set_nodelay(true)), app).await
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let setup = Setup::parse();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(setup.workers).enable_all().build()?;
    Ok(runtime.block_on(serve())?)
}
