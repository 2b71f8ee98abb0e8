//! A page to try every transport: `cargo run --release --example demo`, then open `http://127.0.0.1:8081`.
//!
//! The page, `static/demo.html`, chats over the transport that is chosen and shows frames and latency. The
//! client script comes from a local `npm install sockjs-client`, here or in `tests/node`, or else from the
//! CDN. Ctrl-C says goodbye to every session before it stops the server.

use std::{
    collections::HashMap,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    extract::State,
    response::{Html, Redirect},
    routing::get,
};
use axum_sockjs::{ClientScript, Message, Options, Sender, Session, SockJs};
use serde::{Deserialize, Serialize};
use serde_json::Number;
use tokio::net::TcpListener;
use uuid::Uuid;

const CLIENT_URL: &str = "https://cdn.jsdelivr.net/npm/sockjs-client@1.6.1/dist/sockjs.min.js";

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum FromPage {
    Say { text: String },
    Ping { at: Number },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum ToPage<'a> {
    Hello { id: &'a str, transport: &'a str, people: usize },
    Joined { id: &'a str, people: usize },
    Left { id: &'a str, people: usize },
    Said { from: &'a str, text: &'a str },
    Pong { at: Number },
}

impl From<ToPage<'_>> for Message {
    fn from(event: ToPage<'_>) -> Self {
        // Maps with text keys cannot fail to serialize.
        serde_json::to_string(&event).unwrap_or_default().into()
    }
}

#[derive(Clone, Default)]
struct Room {
    people: Arc<Mutex<HashMap<Uuid, Sender>>>,
}

impl Room {
    /// Changes who is in the room, and says how many there are then.
    fn change(&self, change: impl FnOnce(&mut HashMap<Uuid, Sender>)) -> usize {
        let mut people = self.people.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut people);
        people.len()
    }

    fn tell(&self, event: ToPage<'_>) {
        let message = Message::from(event);
        self.change(|people| {
            for person in people.values() {
                // Who reads too slowly misses something.
                person.try_send(message.clone()).ok();
            }
        });
    }
}

async fn chat(State(room): State<Room>, mut session: Session) {
    let uuid = session.id();
    let id = &uuid.simple().to_string()[..6];
    let people = room.change(|people| drop(people.insert(uuid, session.sender())));
    session.send(ToPage::Hello { id, transport: session.transport().name(), people }).await.ok();
    room.tell(ToPage::Joined { id, people });
    while let Some(message) = session.recv().await {
        match serde_json::from_slice(message.as_bytes()) {
            Ok(FromPage::Say { text }) => room.tell(ToPage::Said { from: id, text: &text }),
            Ok(FromPage::Ping { at }) => drop(session.send(ToPage::Pong { at }).await),
            Err(_) => {}
        }
    }
    let people = room.change(|people| drop(people.remove(&uuid)));
    room.tell(ToPage::Left { id, people });
}

/// The client's script from a local npm install, if there is one.
fn local_client() -> Option<ClientScript> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    ["node_modules", "tests/node/node_modules"].into_iter().find_map(|modules| {
        ClientScript::from_file(root.join(modules).join("sockjs-client/dist/sockjs.min.js")).ok()
    })
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    // The page and the iframe load the client from the same place, so that both have the same version.
    let (options, client_url) = match local_client() {
        Some(script) => (Options::new().client_script(script), "/chat/sockjs.min.js"),
        None => (Options::new().client_url(CLIENT_URL), CLIENT_URL),
    };
    let chat = SockJs::new(chat).options(options).with_state(Room::default());
    let handle = chat.handle();
    let app = Router::new()
        .route("/", get(|| async { Html(include_str!("../static/demo.html")) }))
        .route("/sockjs.min.js", get(move || async move { Redirect::temporary(client_url) }))
        .nest_service("/chat", chat);
    let listener = TcpListener::bind("127.0.0.1:8081").await?;
    println!("open http://{}", listener.local_addr()?);
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(async move {
            tokio::signal::ctrl_c().await.ok();
            let told = handle.close_all(4001, "the demo stops");
            println!("told {told} sessions goodbye");
            handle.drained().await;
        })
        .await
}
