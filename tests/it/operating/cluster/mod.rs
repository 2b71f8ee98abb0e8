//! Sessions on any of several nodes: `Options::cluster`.

mod drain;
mod faults;
mod forwarding;
mod judging;
mod links;
mod mounting;
mod secrets;

use std::time::Duration;

use axum_sockjs::{Options, RejectionCause, Session, SockJs};

use crate::support::{
    apps::{echo, open_to_all},
    client::{Frame, Kind, Way},
    http::{Connection, Request},
    nodes::{Node, Plan},
    within,
};

/// Three nodes that echo.
fn echoing() -> [Node; 3] {
    plan(echo).start_three()
}

fn plan<F>(handler: impl Fn(Session) -> F + Clone + Send + Sync + 'static) -> Plan
where
    F: Future<Output = ()> + Send + 'static,
{
    Plan::new(move |options: Options| SockJs::new(handler.clone()).options(open_to_all(options)))
}

/// A request for a session below another path than `/app`.
fn below(path: &str, request: Request) -> Request {
    request.moved("/app", path)
}

/// Sends a receiving request, and reads its first frame and the connection that may bring more.
async fn receive(node: &Node, path: &str, way: &Way, id: &str) -> (Frame, Connection) {
    let mut connection = node.server.connect().await;
    connection.send(&below(path, way.receiving(id))).await;
    let head = connection.head().await;
    assert_eq!(head.status, 200, "{head}");
    let frame = if way.kind == Kind::Poll {
        let body = connection.body(&head).await;
        way.read(std::str::from_utf8(&body).expect("it is UTF-8"))
    } else {
        connection.text_chunk().await;
        next(&mut connection, way).await
    };
    (frame, connection)
}

/// The next frame of a stream; its chunks need not be those of the owner.
async fn next(connection: &mut Connection, way: &Way) -> Frame {
    let mut bytes = Vec::new();
    loop {
        let chunk = connection.chunk().await;
        assert!(!chunk.is_empty(), "{} has ended", way.transport);
        bytes.extend(chunk);
        let text = std::str::from_utf8(&bytes);
        if let Some(frame) = text.ok().and_then(|text| way.try_read(text)) {
            return frame;
        }
    }
}

/// The status and body of a sending request's answer.
async fn send(node: &Node, path: &str, way: &Way, id: &str, payload: &str) -> (u16, String) {
    let answer = node.server.ask(&below(path, way.sending(id, payload))).await;
    (answer.status, answer.text().to_owned())
}

/// Waits until the short requests of sessions go from one node to another over a link.
async fn linked(edge: &Node, owner: &Node, path: &str) {
    within("a link", async {
        loop {
            let before = owner.forwarded();
            if has_passed(edge, owner, path).await && owner.forwarded() == before {
                break;
            }
        }
    })
    .await;
}

/// Waits until the owner has seen what was sent to it over a link before.
async fn passed(edge: &Node, owner: &Node, path: &str) {
    assert!(has_passed(edge, owner, path).await, "the edge has answered for the owner");
}

/// Sends a poll that is refused, whatever the session, and says whether the owner has refused it. The edge answers the same
/// if its link breaks, as it does when it has not yet seen the end of the owner.
async fn has_passed(edge: &Node, owner: &Node, path: &str) -> bool {
    let refused = || owner.handle.stats().rejected[&RejectionCause::Malformed];
    let before = refused();
    let answer = edge.server.get(format!("{path}/000/none/jsonp")).await;
    assert_eq!((answer.status, answer.text()), (500, "\"callback\" parameter required\n"));
    refused() > before
}

/// Longer than a node takes to give up another.
const GIVEN_UP: Duration = Duration::from_secs(5);
