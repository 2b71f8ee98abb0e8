//! What runs on each node: one chat over all of them, whose members see at which node each other's sessions are.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Query, State, rejection::QueryRejection},
    http::HeaderValue,
    middleware::map_response,
    response::Response,
};
use axum_sockjs::{Message, Options, Session, SockJs, SockJsHandle};
use axum_sockjs_rooms::{History, JoinError, Outcome, Position, Present, Recovery, Rooms};
use serde::{Deserialize, Serialize};
use sockjs_bus::Bus;

pub(crate) const ROOM: &str = "lobby";

/// After this time without a word of a node, its members are gone.
const DEAD_AFTER: Duration = Duration::from_secs(3);
/// Comings and goings within this time are told together.
const TOGETHER: Duration = Duration::from_millis(100);

/// Characters.
const LONGEST_NAME: usize = 30;
const LONGEST_LINE: usize = 500;
/// The code of a close that says: come back with a name.
const NO_NAME: u16 = 4400;

/// Where a session is, and how it talks: the data of a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    node: String,
    transport: String,
}

/// A room's key and a user are their names.
pub(crate) type ChatRooms = Rooms<String, String, Place>;

/// A line as it is kept.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Line<'a> {
    Said { from: &'a str, node: &'a str, text: &'a str },
    Count { count: u64 },
}

impl From<Line<'_>> for Message {
    fn from(line: Line<'_>) -> Self {
        Self::json(&line).expect("texts and numbers can be JSON")
    }
}

/// The rooms, with all nodes that are on this bus.
pub(crate) fn rooms(bus: Arc<dyn Bus>, node: &str) -> ChatRooms {
    Rooms::builder()
        .bus(bus)
        .node_name(node)
        .dead_after(DEAD_AFTER)
        .history(History::last(500).max_age(Duration::from_secs(3600)))
        // A line is JSON already: the position is put in front of it, once for all who get it.
        .encode(|position, line| {
            let line = line.as_str().unwrap_or_default();
            format!(r#"{{"type":"line","position":"{position}","line":{line}}}"#).into()
        })
        .announce(TOGETHER, |_room, changes| {
            let gone = changes.left.iter().filter_map(|present| present.user.as_deref()).collect();
            let here = changes.joined.iter().chain(&changes.updated).collect();
            Some(ToPage::Changed { gone, here }.message())
        })
        .build()
}

/// What a page asks for.
#[derive(Deserialize)]
struct Visit {
    name: String,
    /// That of the last line that it shows.
    since: Option<Position>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum FromPage {
    Say { text: String },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum ToPage<'a> {
    /// Comes first: where the session is, and how many lines follow that were missed, or that the page begins anew.
    Room { node: &'a str, transport: &'a str, position: Position, begins_anew: bool, lines: u64 },
    /// Who is there.
    Present { present: &'a [Present<String, Place>] },
    /// What has changed of that.
    Changed { gone: Vec<&'a str>, here: Vec<&'a Present<String, Place>> },
    /// A line that was not taken, and why.
    Refused { text: &'a str },
}

impl ToPage<'_> {
    fn message(&self) -> Message {
        Message::json(self).expect("texts and lists can be JSON")
    }
}

/// One node.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) name: Arc<str>,
    pub(crate) rooms: ChatRooms,
}

/// The text without spaces around it, if something is left and not too much.
fn within(text: &str, longest: usize) -> Option<&str> {
    let text = text.trim();
    (1..=longest).contains(&text.chars().count()).then_some(text)
}

async fn chat(
    visit: Result<Query<Visit>, QueryRejection>,
    State(node): State<Node>,
    mut session: Session,
) -> Result<(), JoinError> {
    let visit = visit.ok().map(|Query(visit)| visit);
    let Some(name) = visit.as_ref().and_then(|visit| within(&visit.name, LONGEST_NAME)) else {
        session.close(NO_NAME, "say who you are");
        return Ok(());
    };
    let since = visit.as_ref().and_then(|visit| visit.since);
    let transport = session.transport().name();
    let tab = node.rooms.enter_as(&session, name)?;
    let place = Place { node: node.name.to_string(), transport: transport.to_owned() };
    let here = Arc::clone(&node.name);
    let greet = move |recovery: &Recovery| {
        let begins_anew = recovery.outcome != Outcome::Whole;
        let (position, lines) = (recovery.position, recovery.messages);
        Some(ToPage::Room { node: &here, transport, position, begins_anew, lines }.message())
    };
    let room = tab.join_with(ROOM, place).since(since).last(20).greet(greet).await?;
    session.send(ToPage::Present { present: &room.presence() }.message()).await.ok();
    while let Some(message) = session.recv().await {
        // Anything else is no message of this page.
        let Ok(FromPage::Say { text }) = message.parse_json() else { continue };
        let Some(said) = within(&text, LONGEST_LINE) else { continue };
        let sent = room.send(Line::Said { from: name, node: &node.name, text: said });
        if sent.refused.is_some() {
            // The bus keeps the room's lines. While it is away there is no order in which they could be shown.
            session.send(ToPage::Refused { text: &text }.message()).await.ok();
        }
    }
    Ok(())
}

/// The app of a node. Each answer says at which node its request came in: what is forwarded passes here at both nodes,
/// and the later one is where it came in.
pub(crate) fn app(node: Node, options: Options) -> (Router, SockJsHandle) {
    let edge = HeaderValue::from_str(&node.name).expect("a node's name is one letter");
    let sockjs = SockJs::new(chat).options(options).with_state(node);
    let handle = sockjs.handle();
    let names_the_edge = move |mut answer: Response| {
        answer.headers_mut().insert("x-edge", edge.clone());
        async { answer }
    };
    (Router::new().nest_service("/chat", sockjs).layer(map_response(names_the_edge)), handle)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::Router;
    use axum_sockjs::{Options, Transport};
    use serde_json::{Value, json};
    use sockjs_bus::InProcess;
    use sockjs_client::test::{TestClient, TestSession};

    use super::{NO_NAME, Node, app, rooms};

    /// Nodes of these names.
    fn nodes<const N: usize>(names: [&str; N]) -> [Router; N] {
        let bus = InProcess::new();
        names.map(|name| {
            let rooms = rooms(Arc::new(bus.connect()), name);
            app(Node { name: name.into(), rooms }, Options::new()).0
        })
    }

    async fn page(node: &Router, query: &str, transport: Transport) -> TestSession {
        let client = TestClient::new(node.clone(), &format!("/chat?{query}"));
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

    #[tokio::test(start_paused = true)]
    async fn a_line_reaches_the_members_at_every_node() {
        let [a, b] = nodes(["a", "b"]);
        let mut ada = page(&a, "name=Ada", Transport::XhrPolling).await;
        let mut bob = page(&b, "name=Bob", Transport::WebSocket).await;
        assert_eq!(next(&mut ada, "room").await["node"], "a");
        assert_eq!(next(&mut bob, "room").await["node"], "b");
        // Whichever way it is told: as it was when she came, or as it changed.
        while !ada.recv_json().await.to_string().contains(r#""node":"b","transport":"websocket""#) {}
        bob.send_json(&json!({ "type": "say", "text": " hello " })).await;
        let line = json!({ "from": "Bob", "node": "b", "text": "hello" });
        assert_eq!(next(&mut ada, "line").await["line"], line);
        assert_eq!(next(&mut bob, "line").await["line"], line);
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_comes_back_at_another_node_to_what_it_has_missed() {
        let [a, b] = nodes(["a", "b"]);
        let mut ada = page(&a, "name=Ada", Transport::XhrStreaming).await;
        let mut bob = page(&b, "name=Bob", Transport::WebSocket).await;
        next(&mut bob, "room").await;
        bob.send_json(&json!({ "type": "say", "text": "one" })).await;
        let since = next(&mut ada, "line").await["position"].as_str().unwrap_or_default().to_owned();
        ada.abort();
        for text in ["two", "three"] {
            bob.send_json(&json!({ "type": "say", "text": text })).await;
        }
        while next(&mut bob, "line").await["line"]["text"] != "three" {}
        let mut ada = page(&b, &format!("name=Ada&since={since}"), Transport::XhrPolling).await;
        let room = next(&mut ada, "room").await;
        assert_eq!(
            (&room["node"], &room["begins_anew"], &room["lines"]),
            (&json!("b"), &json!(false), &json!(2))
        );
        for text in ["two", "three"] {
            assert_eq!(next(&mut ada, "line").await["line"]["text"], text);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_needs_a_name() {
        let [a] = nodes(["a"]);
        for query in ["name=%20", "name"] {
            assert_eq!(page(&a, query, Transport::XhrPolling).await.closed().await.code(), NO_NAME);
        }
    }
}
