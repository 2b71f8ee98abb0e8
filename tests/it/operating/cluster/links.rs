//! Short requests of open sessions, which go over one connection between two nodes.

use axum::http::HeaderMap;
use axum_sockjs::{CloseReason, ClusterStats, Options, RejectionCause, Session, SockJs, Transport};
use tokio::sync::mpsc;

use super::{below, echoing, linked, passed, plan, receive, send};
use crate::support::{
    apps::{echo, open_to_all},
    client::{Frame, Kind, http_ways, on_each},
    fresh_id,
    http::{MEGABYTE, Request},
    nodes::Plan,
    until, within,
};

#[tokio::test]
async fn polls_and_sends_of_open_sessions_need_no_connection_of_their_own() {
    let [owner, edge, _] = &echoing();
    let path = &owner.path().await;
    linked(edge, owner, path).await;
    on_each(http_ways(), async |way| {
        let before = owner.forwarded();
        let id = fresh_id();
        let (frame, mut connection) = receive(edge, path, way, &id).await;
        assert_eq!(frame, Frame::Open);
        for round in 0..20 {
            let message = format!("message {round}, é, \u{1f600}");
            let payload = serde_json::to_string(&[&message]).unwrap();
            assert!(send(edge, path, way, &id, &payload).await.0 < 300);
            let frame = match way.kind {
                Kind::Poll => receive(edge, path, way, &id).await.0,
                _ => super::next(&mut connection, way).await,
            };
            assert_eq!(frame, Frame::messages(&[message]));
        }
        assert_eq!(owner.forwarded() - before, 1, "only what opens the session passes the layers");
        // A body that has not come at once has a connection of its own, and so has a long one.
        let request = below(path, way.sending(&id, "[\"a\"]")).to_bytes();
        let (most, last) = request.split_at(request.len() - 1);
        let mut slow = edge.server.connect().await;
        slow.write(most).await;
        until("a request at the owner", || owner.is_waited_for()).await;
        slow.write(last).await;
        assert!(slow.answer("POST").await.status < 300);
        let long = serde_json::to_string(&["x".repeat(100_000)]).unwrap();
        assert!(send(edge, path, way, &id, &long).await.0 < 300);
        assert_eq!(owner.forwarded() - before, 3);
        owner.handle.close_all(3000, "next");
    })
    .await;
    assert_eq!(owner.links(), 1);
}

#[tokio::test]
async fn long_answers_come_over_a_link() {
    let plan = Plan::new(|options| {
        SockJs::new(echo)
            .options(open_to_all(options.max_message_bytes(2 * MEGABYTE).max_body_bytes(3 * MEGABYTE)))
    });
    let (owner, edge) = (plan.start(), plan.start());
    let path = &owner.path().await;
    linked(&edge, &owner, path).await;
    let way = http_ways().find(|way| way.transport == Transport::XhrPolling).unwrap();
    let id = fresh_id();
    assert_eq!(receive(&edge, path, way, &id).await.0, Frame::Open);
    let message = "é".repeat(MEGABYTE / 4);
    let before = owner.forwarded();
    assert_eq!(send(&owner, path, way, &id, &serde_json::to_string(&[&message]).unwrap()).await.0, 204);
    assert!(receive(&edge, path, way, &id).await.0 == Frame::messages(&[message]), "not the same");
    assert_eq!(owner.forwarded(), before);
}

#[tokio::test]
async fn a_poll_that_is_cut_ends_its_session() {
    let (sender, mut ends) = mpsc::unbounded_channel();
    let report = move |session: Session| {
        let sender = sender.clone();
        async move { drop(sender.send(session.closed().await)) }
    };
    let plan = Plan::new(move |options: Options| SockJs::new(report.clone()).options(open_to_all(options)));
    let (owner, edge) = (plan.start(), plan.start());
    let path = owner.path().await;
    linked(&edge, &owner, &path).await;
    let way = http_ways().find(|way| way.transport == Transport::XhrPolling).unwrap();
    let id = fresh_id();
    assert_eq!(receive(&edge, &path, way, &id).await.0, Frame::Open);
    let mut poll = edge.server.connect().await;
    poll.send(&below(&path, way.receiving(&id))).await;
    passed(&edge, &owner, &path).await;
    assert_eq!(owner.handle.len(), 1);
    poll.abort();
    assert_eq!(within("the end", ends.recv()).await, Some(CloseReason::ConnectionLost));
    // The link and what else goes over it stay.
    linked(&edge, &owner, &path).await;
    assert_eq!(owner.links(), 1);
}

#[tokio::test]
async fn what_is_for_no_session_of_the_link_comes_through_the_router() {
    let [owner, edge, _] = &echoing();
    let path = &owner.path().await;
    linked(edge, owner, path).await;
    let way = http_ways().find(|way| way.transport == Transport::XhrPolling).unwrap();
    // The router may have a second endpoint below the prefix, for another host.
    let before = owner.forwarded();
    assert_eq!(send(edge, path, way, "none", "[\"a\"]").await.0, 404);
    assert_eq!(owner.forwarded(), before + 1);
    assert_eq!(owner.handle.stats().rejected[&RejectionCause::NoSession], 1);
}

#[tokio::test]
async fn an_identity_may_need_what_layers_add_and_has_no_link() {
    async fn user(headers: HeaderMap) -> Option<String> {
        Some(headers.get("x-user")?.to_str().ok()?.to_owned())
    }
    let plan = Plan::new(|options| SockJs::new(echo).options(open_to_all(options)).identity(user));
    let (owner, edge) = (plan.start(), plan.start());
    let path = owner.path().await;
    let way = http_ways().find(|way| way.transport == Transport::XhrPolling).unwrap();
    for round in 0..5 {
        let before = owner.forwarded();
        let request = below(&path, way.sending("none", "[]")).header("X-User", "ada");
        assert_eq!(edge.server.ask(&request).await.status, 404);
        assert_eq!(owner.forwarded(), before + 1, "{round}");
    }
    assert_eq!(owner.links(), 0);
}

#[tokio::test]
async fn a_link_opens_again_after_a_restart() {
    let [owner, edge, _] = echoing();
    let path = owner.path().await;
    linked(&edge, &owner, &path).await;
    let addr = owner.addr();
    owner.kill();
    let owner = plan(echo).at(addr).start();
    let path = owner.path().await;
    linked(&edge, &owner, &path).await;
    assert_eq!(owner.links(), 1);
}

#[tokio::test]
async fn who_repeats_a_nodes_request_for_a_link_gets_nothing() {
    let [owner, edge, _] = &echoing();
    let path = owner.path().await;
    linked(edge, owner, &path).await;
    let seen = owner.link_header().expect("there is a link");
    let ask = |header: &[u8]| {
        let request =
            Request::get("/app/~").header("Connection", "upgrade").header("Upgrade", "sockjs-link-1");
        request.header_of_bytes("Sockjs-Forwarded", header)
    };
    assert_eq!(owner.server.ask(&ask(b"x")).await.status, 404);
    let mut connection = owner.server.connect().await;
    connection.send(&ask(seen.as_bytes())).await;
    let head = connection.head().await;
    assert_eq!(head.status, 101, "{head}");
    // What proves something to the owner can only be made of its own proof.
    for first in [seen.as_bytes(), head.header("sockjs-forwarded").unwrap().as_bytes()] {
        let mut connection = owner.server.connect().await;
        connection.send(&ask(seen.as_bytes())).await;
        assert_eq!(connection.head().await.status, 101);
        let mut hello = (first.len() as u32 + 5).to_be_bytes().to_vec();
        hello.extend([0, 0, 0, 0, 0]);
        hello.extend(first);
        connection.write(hello).await;
        assert_eq!(within("the end", connection.rest()).await, b"");
    }
}

#[tokio::test]
async fn what_is_forwarded_is_counted_at_both_nodes() {
    let [owner, edge, _] = &echoing();
    let path = &owner.path().await;
    assert_eq!(edge.cluster.stats(), ClusterStats::default());
    linked(edge, owner, path).await;
    let poll = http_ways().find(|way| way.transport == Transport::XhrPolling).unwrap();
    let stream = http_ways().find(|way| way.transport == Transport::XhrStreaming).unwrap();
    let (edge_before, owner_before) = (edge.cluster.stats(), owner.cluster.stats());
    assert_eq!((edge_before.links, edge_before.nodes, edge_before.waiting), (1, 1, 0));
    let id = fresh_id();
    assert_eq!(receive(edge, path, poll, &id).await.0, Frame::Open);
    assert_eq!(send(edge, path, poll, &id, "[\"a\"]").await.0, 204);
    assert_eq!(receive(edge, path, poll, &id).await.0, Frame::messages(&["a"]));
    let (frame, connection) = receive(edge, path, stream, &fresh_id()).await;
    assert_eq!(frame, Frame::Open);
    // The stream still waits, and a poll that is declined over a link is one request.
    let (now, owners) = (edge.cluster.stats(), owner.cluster.stats());
    assert_eq!(now.forwarded - edge_before.forwarded, 4);
    assert_eq!(now.forwarded_over_links - edge_before.forwarded_over_links, 2);
    assert_eq!((now.waiting, now.waiting_for_one, now.links, now.nodes), (1, 1, 1, 1));
    assert_eq!((now.answered, now.nodes_silent, now.nodes_given_up), (0, 0, 0));
    assert_eq!(owners.answered - owner_before.answered, 4);
    assert_eq!((owners.forwarded, owners.waiting, owners.links, owners.nodes), (0, 0, 0, 0));
    drop(connection);
    until("nothing waits", || edge.cluster.stats().waiting == 0).await;
    assert_eq!(edge.cluster.stats().forwarded, now.forwarded);
}
