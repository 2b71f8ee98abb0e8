//! Chat rooms: who is there, what was said, and no line lost by a page that comes back.
//!
//! `cargo run -p axum-sockjs-rooms --example rooms_chat [IP:PORT]`, then open <http://127.0.0.1:8081> in some tabs, under
//! one name or more. Nobody proves a name here.

use std::time::Duration;

use axum::{
    BoxError, Router,
    extract::{Path, Query, State},
    response::Html,
    routing::{get, post},
    serve::ListenerExt,
};
use axum_sockjs::{CloseFrame, Message, Session, SockJs};
use axum_sockjs_rooms::{History, Outcome, Position, Present, Recovery, Rooms};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

/// What a page does, shown to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Doing {
    #[default]
    Reads,
    Types,
}

/// A room's key and a user are their names.
type ChatRooms = Rooms<String, String, Doing>;

/// Characters.
const LONGEST_NAME: usize = 30;
const LONGEST_LINE: usize = 500;

/// What a page asks for.
#[derive(Deserialize)]
struct Visit {
    name: String,
    room: String,
    /// That of the last line that it shows.
    since: Option<Position>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum FromPage {
    Say { text: String },
    Doing { doing: Doing },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum ToPage<'a> {
    /// Comes first: how many lines follow that were said before, and whether what the page shows has a hole.
    Room { position: Position, begins_anew: bool, lines: u64 },
    /// Who is there.
    Present { present: &'a [Present<String, Doing>] },
    /// What has changed of that.
    Changed { gone: Vec<&'a str>, here: Vec<&'a Present<String, Doing>> },
}

impl ToPage<'_> {
    fn message(&self) -> Message {
        Message::json(self).expect("texts and lists can be JSON")
    }
}

/// A line as it is kept.
#[derive(Serialize)]
struct Line<'a> {
    from: &'a str,
    text: &'a str,
}

/// The text without spaces around it, if something is left and not too much.
fn within(text: &str, longest: usize) -> Option<&str> {
    let text = text.trim();
    (1..=longest).contains(&text.chars().count()).then_some(text)
}

fn rooms() -> ChatRooms {
    Rooms::builder()
        .history(History::last(200).max_age(Duration::from_secs(24 * 3600)))
        // A line is JSON already: the position is put in front of it, once for all who get it.
        .encode(|position, line| {
            let line = line.as_str().unwrap_or_default();
            format!(r#"{{"type":"line","position":"{position}","line":{line}}}"#).into()
        })
        .announce(Duration::from_millis(200), |_room, changes| {
            let gone = changes.left.iter().filter_map(|present| present.user.as_deref()).collect();
            let here = changes.joined.iter().chain(&changes.updated).collect();
            Some(ToPage::Changed { gone, here }.message())
        })
        .max_rooms(1_000)
        .build()
}

/// What a page is told first.
fn greet(recovery: &Recovery) -> Option<Message> {
    let begins_anew = recovery.outcome != Outcome::Whole;
    Some(ToPage::Room { position: recovery.position, begins_anew, lines: recovery.messages }.message())
}

async fn chat(
    Query(visit): Query<Visit>,
    State(rooms): State<ChatRooms>,
    mut session: Session,
) -> Result<(), BoxError> {
    let Visit { name, room, since } = visit;
    let (Some(name), Some(key)) = (within(&name, LONGEST_NAME), within(&room, LONGEST_NAME)) else {
        return Err(CloseFrame::new(4400, "say who you are, and where you want to go").into());
    };
    let _tab = rooms.enter_as(&session, name)?;
    let room = rooms.join(&session, key).since(since).last(50).greet(greet).await?;
    session.send(ToPage::Present { present: &room.presence() }.message()).await?;
    while let Some(message) = session.recv().await {
        match message.parse_json() {
            Ok(FromPage::Say { text }) => {
                if let Some(text) = within(&text, LONGEST_LINE) {
                    room.send(Message::json(&Line { from: name, text })?);
                }
            }
            Ok(FromPage::Doing { doing }) => room.set_data(doing),
            // No message of this page.
            Err(_) => {}
        }
    }
    Ok(())
}

/// Closes all tabs of a user.
async fn log_out(Path(name): Path<String>, State(rooms): State<ChatRooms>) -> String {
    format!("{} tabs closed", rooms.close_user(&name, 4001, "logged out").sessions)
}

fn app() -> Router {
    Router::new()
        .route("/", get(Html(include_str!("index.html"))))
        .route("/log-out/{name}", post(log_out))
        .merge(SockJs::new(chat).into_router("/chat"))
        .with_state(rooms())
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8081".to_owned());
    let listener = TcpListener::bind(addr).await?;
    println!("open http://{}", listener.local_addr()?);
    axum::serve(listener.tap_io(|tcp| _ = tcp.set_nodelay(true)), app()).await
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, http::Request};
    use axum_sockjs::Transport;
    use serde_json::{Value, json};
    use sockjs_client::test::{TestClient, TestSession};
    use tower::ServiceExt as _;

    use super::app;

    async fn page(app: &Router, query: &str, transport: Transport) -> TestSession {
        let client = TestClient::new(app.clone(), &format!("/chat?room=rust&{query}"));
        client.open(transport).await.expect("the chat is open to all")
    }

    /// What a page is told next of this kind.
    async fn next(page: &mut TestSession, kind: &str) -> Value {
        loop {
            let told = page.recv_json().await;
            if told["type"] == kind {
                return told;
            }
        }
    }

    async fn say(page: &mut TestSession, text: &str) {
        page.send_json(&json!({ "type": "say", "text": text })).await;
    }

    #[tokio::test(start_paused = true)]
    async fn lines_reach_all_and_those_who_come_later() {
        let app = app();
        let mut ada = page(&app, "name=Ada", Transport::WebSocket).await;
        let room = next(&mut ada, "room").await;
        assert_eq!(room["begins_anew"], json!(true));
        say(&mut ada, " hello ").await;
        let line = next(&mut ada, "line").await;
        assert_eq!(line["line"], json!({ "from": "Ada", "text": "hello" }));
        let start = room["position"].clone();
        for transport in [Transport::XhrPolling, Transport::XhrStreaming, Transport::EventSource] {
            let mut bob = page(&app, "name=Bob", transport).await;
            assert_eq!(bob.recv_json().await["position"], start, "the place before the line that follows");
            assert_eq!(bob.recv_json().await, line);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_that_comes_back_gets_what_it_has_missed() {
        let app = app();
        let mut ada = page(&app, "name=Ada", Transport::WebSocket).await;
        let mut bob = page(&app, "name=Bob", Transport::XhrStreaming).await;
        say(&mut ada, "one").await;
        let position = next(&mut bob, "line").await["position"].clone();
        bob.abort();
        say(&mut ada, "two").await;
        say(&mut ada, "three").await;
        next(&mut ada, "line").await;
        next(&mut ada, "line").await;
        next(&mut ada, "line").await;
        let since = format!("name=Bob&since={}", position.as_str().unwrap_or_default());
        let mut bob = page(&app, &since, Transport::WebSocket).await;
        let room = next(&mut bob, "room").await;
        assert_eq!((&room["begins_anew"], &room["lines"]), (&json!(false), &json!(2)));
        assert_eq!(bob.recv_json().await["line"]["text"], "two");
        assert_eq!(bob.recv_json().await["line"]["text"], "three");
        let mut eve = page(&app, "name=Eve&since=0000000000000000-7", Transport::WebSocket).await;
        assert_eq!(next(&mut eve, "room").await["begins_anew"], json!(true));
        assert_eq!(eve.recv_json().await["line"]["text"], "one");
    }

    #[tokio::test(start_paused = true)]
    async fn the_others_see_who_is_there_and_what_they_do() {
        let app = app();
        let mut ada = page(&app, "name=Ada", Transport::WebSocket).await;
        let present = next(&mut ada, "present").await;
        assert_eq!(present["present"][0]["user"], "Ada");
        next(&mut ada, "changed").await;
        let mut first = page(&app, "name=Bob", Transport::WebSocket).await;
        let here = next(&mut ada, "changed").await["here"].clone();
        assert_eq!((&here[0]["user"], &here[0]["tabs"][0]["data"]), (&json!("Bob"), &json!("reads")));
        let second = page(&app, "name=Bob", Transport::XhrPolling).await;
        assert_eq!(next(&mut ada, "changed").await["here"][0]["tabs"].as_array().map(Vec::len), Some(2));
        first.send_json(&json!({ "type": "doing", "doing": "types" })).await;
        assert_eq!(next(&mut ada, "changed").await["here"][0]["tabs"][0]["data"], "types");
        first.abort();
        assert_eq!(next(&mut ada, "changed").await["here"][0]["tabs"].as_array().map(Vec::len), Some(1));
        second.abort();
        assert_eq!(next(&mut ada, "changed").await["gone"], json!(["Bob"]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_log_out_ends_all_tabs() {
        let app = app();
        let mut first = page(&app, "name=Ada", Transport::WebSocket).await;
        let mut second = page(&app, "name=Ada", Transport::XhrStreaming).await;
        next(&mut first, "room").await;
        next(&mut second, "room").await;
        let request = Request::post("/log-out/Ada").body(Body::empty()).expect("a request");
        assert!(app.clone().oneshot(request).await.expect("an answer").status().is_success());
        assert_eq!((first.closed().await.code(), second.closed().await.code()), (4001, 4001));
        let mut nobody = page(&app, "name=%20", Transport::WebSocket).await;
        assert_eq!(nobody.closed().await.code(), 4400);
    }
}
