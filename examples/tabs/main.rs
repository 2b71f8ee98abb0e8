//! A room for users with several tabs each: messages in JSON, and the last lines for who comes later.
//!
//! `cargo run --example tabs [IP:PORT]`, then open <http://127.0.0.1:8081> in some tabs, under one name or more. A user
//! is there as long as one tab is. Nobody proves a name here: see the example `auth` for that.

mod room;

use axum::{
    BoxError, Router,
    extract::{Query, State, rejection::QueryRejection},
    response::Html,
    routing::get,
    serve::ListenerExt,
};
use axum_sockjs::{CloseFrame, Message, Session, SockJs};
use axum_sockjs_rooms::Rooms;
use room::ToPage;
use serde::Deserialize;
use tokio::net::TcpListener;

/// The code of a close that says: come back with a name.
const NO_NAME: u16 = 4400;
/// Characters.
const LONGEST_NAME: usize = 30;
const LONGEST_LINE: usize = 500;

#[derive(Deserialize)]
struct Visitor {
    name: String,
}

/// What a page sends.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum FromPage {
    Say { text: String },
}

/// The text without spaces around it, if something is left and not too much.
fn within(text: &str, longest: usize) -> Option<&str> {
    let text = text.trim();
    (1..=longest).contains(&text.chars().count()).then_some(text)
}

async fn tab(
    visitor: Result<Query<Visitor>, QueryRejection>,
    State(rooms): State<Rooms>,
    session: Session,
) -> Result<(), BoxError> {
    let name = visitor.as_ref().ok().and_then(|visitor| within(&visitor.name, LONGEST_NAME));
    let name = name.ok_or(CloseFrame::new(NO_NAME, "say who you are"))?;
    let tab = rooms.enter_as(&session, name)?;
    let room = tab.join("room").last(usize::MAX).greet(|_| Some(Message::from(&ToPage::Room))).await?;
    let mut session = session.json::<FromPage, ToPage>();
    session.send(&room::all(&room.presence())).await?;
    loop {
        match session.recv().await {
            Ok(Some(FromPage::Say { text })) => {
                if let Some(text) = within(&text, LONGEST_LINE) {
                    let (from, text) = (name.to_owned(), text.to_owned());
                    room.send(&ToPage::Line { from, text });
                }
            }
            Ok(None) => return Ok(()),
            // A message that is no `FromPage` is ignored; a handler that returns this error ends the session.
            Err(_) => {}
        }
    }
}

fn app() -> Router {
    Router::new()
        .route("/", get(Html(include_str!("index.html"))))
        .nest_service("/room", SockJs::new(tab).with_state(room::rooms()))
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8081".to_owned());
    let listener = TcpListener::bind(addr).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener.tap_io(|tcp| _ = tcp.set_nodelay(true)), app()).await
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum_sockjs::Transport;
    use serde_json::{Value, json};
    use sockjs_client::test::{TestClient, TestSession};

    use super::{NO_NAME, app};

    async fn tab_of(name: &str, app: &Router, transport: Transport) -> TestSession {
        TestClient::new(app.clone(), &format!("/room?name={name}")).open(transport).await.unwrap()
    }

    /// What a tab is told of who is there.
    async fn news(tab: &mut TestSession) -> (Value, Value) {
        let news = tab.recv_json().await;
        assert_eq!(news["type"], "users");
        (news["here"].clone(), news["gone"].clone())
    }

    #[tokio::test(start_paused = true)]
    async fn a_user_is_there_as_long_as_one_tab_is() {
        let app = app();
        let mut ada = tab_of("Ada", &app, Transport::WebSocket).await;
        assert_eq!(ada.recv_json().await, json!({ "type": "room" }));
        // As it comes, and by the news.
        for _ in 0..2 {
            assert_eq!(news(&mut ada).await, (json!(["Ada"]), json!([])));
        }
        let [mut first, second] = [
            tab_of("Bob", &app, Transport::XhrStreaming).await,
            tab_of("Bob", &app, Transport::XhrPolling).await,
        ];
        assert_eq!(news(&mut ada).await, (json!(["Bob"]), json!([])));
        second.abort();
        assert_eq!(first.recv_json().await["type"], "room");
        assert_eq!(news(&mut first).await, (json!(["Ada", "Bob"]), json!([])));
        assert_eq!(news(&mut first).await, (json!(["Bob"]), json!([])));
        first.send_json(&json!({ "type": "say", "text": " hello " })).await;
        let line = json!({ "type": "line", "from": "Bob", "text": "hello" });
        assert_eq!((first.recv_json().await, ada.recv_json().await), (line.clone(), line));
        first.abort();
        assert_eq!(news(&mut ada).await, (json!([]), json!(["Bob"])));
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_later_sees_the_last_lines() {
        let app = app();
        let mut ada = tab_of("Ada", &app, Transport::WebSocket).await;
        ada.send_json(&json!({ "type": "say", "text": "too early" })).await;
        ada.send("no JSON").await;
        while ada.recv_json().await["type"] != "line" {}
        let mut bob = tab_of("Bob", &app, Transport::WebSocket).await;
        assert_eq!(bob.recv_json().await, json!({ "type": "room" }));
        let line = json!({ "type": "line", "from": "Ada", "text": "too early" });
        assert_eq!(bob.recv_json().await, line);
    }

    #[tokio::test(start_paused = true)]
    async fn a_tab_needs_a_name() {
        for path in ["/room", "/room?name=%20"] {
            let mut session = TestClient::new(app(), path).open(Transport::XhrPolling).await.unwrap();
            assert_eq!(session.closed().await.code(), NO_NAME);
        }
    }
}
