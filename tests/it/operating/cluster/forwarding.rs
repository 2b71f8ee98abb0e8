//! Each request to another node.

use axum_sockjs::{SockJs, Transport};
use sockjs_client::Client;

use super::{below, echoing, next, plan, receive, send};
use crate::support::{
    apps::{echo, open_to_all},
    client::{Frame, Kind, http_ways, on_each},
    fresh_id,
    http::{Connection, MEGABYTE, Request},
    nodes::{Balancer, Node, Plan},
    until, within,
};

#[tokio::test]
async fn each_request_may_come_to_any_node() {
    let nodes = echoing();
    for owner in 0..3 {
        let path = &nodes[owner].path().await;
        on_each(http_ways(), async |way| {
            let id = fresh_id();
            let node = |n: usize| &nodes[(owner + n) % 3];
            let (frame, mut connection) = receive(node(1), path, way, &id).await;
            assert_eq!(frame, Frame::Open);
            assert_eq!(nodes[owner].handle.len(), 1, "the session is at its owner");
            for round in 0..9 {
                let message = format!("message {round}, é, \u{1f600}");
                let payload = serde_json::to_string(&[&message]).unwrap();
                let taken = send(node(round), path, way, &id, &payload).await;
                assert!(taken.0 == 204 || taken == (200, "ok".to_owned()), "{taken:?}");
                let frame = if way.kind == Kind::Poll {
                    receive(node(round + 1), path, way, &id).await.0
                } else {
                    next(&mut connection, way).await
                };
                assert_eq!(frame, Frame::messages(&[message]));
            }
            drop(connection);
            // What the edge has lost is lost to the owner, as with a client; a poll times out.
            if way.kind == Kind::Stream {
                until("no session", || nodes[owner].handle.is_empty()).await;
            } else {
                nodes[owner].handle.close_all(3000, "enough");
                let (frame, _) = receive(node(2), path, way, &id).await;
                assert_eq!(frame, Frame::Close(3000, "enough".to_owned()));
            }
            assert!(nodes.iter().all(|node| node.handle.is_empty()));
        })
        .await;
    }
}

#[tokio::test]
async fn the_client_exchanges_messages_over_a_balancer_without_affinity() {
    const MESSAGES: usize = 300;
    for transport in [Transport::XhrPolling, Transport::XhrStreaming, Transport::EventSource] {
        let nodes = Plan::new(|options| {
            SockJs::new(echo).options(open_to_all(options).scheme("http".parse().unwrap()))
        })
        .cluster(|options| options)
        .start_three();
        let balancer = Balancer::start(nodes.iter().map(Node::addr).collect()).await;
        let client = Client::new(&format!("http://{}/app", balancer.addr)).unwrap().transports([transport]);
        let mut session = client.connect().await.unwrap();
        assert_eq!(session.transport(), transport);
        for round in 0..MESSAGES {
            session.send(format!("message {round}")).await.unwrap();
            if round % 3 == 0 {
                session.flush().await.unwrap();
            }
        }
        for round in 0..MESSAGES {
            let message = within("a message", session.recv()).await.expect("the session is open");
            assert_eq!(message.as_str(), Some(&*format!("message {round}")), "{transport}");
        }
        assert_eq!(nodes.iter().map(|node| node.handle.len()).sum::<usize>(), 1);
        session.close(1000, "done").await.ok();
    }
}

#[tokio::test]
async fn large_bodies_pass_in_both_directions() {
    let nodes = Plan::new(|options| {
        let options = options.max_message_bytes(2 * MEGABYTE).max_body_bytes(5 * MEGABYTE);
        SockJs::new(echo).options(open_to_all(options.response_limit(3 * MEGABYTE)))
    })
    .start_three();
    let path = &nodes[0].path().await;
    on_each(http_ways(), async |way| {
        let id = fresh_id();
        let (frame, mut connection) = receive(&nodes[1], path, way, &id).await;
        assert_eq!(frame, Frame::Open);
        let message = "é".repeat(MEGABYTE / 4);
        let payload = serde_json::to_string(&[&message]).unwrap();
        assert!(send(&nodes[2], path, way, &id, &payload).await.0 < 300);
        let frame = match way.kind {
            Kind::Poll => receive(&nodes[2], path, way, &id).await.0,
            _ => next(&mut connection, way).await,
        };
        assert!(frame == Frame::messages(&[message]), "not the same");
        // Beyond the limit, the owner's answer comes through.
        let payload = serde_json::to_string(&["x".repeat(3 * MEGABYTE)]).unwrap();
        let (status, text) = send(&nodes[1], path, way, &id, &payload).await;
        assert_eq!((status, &*text), (413, "Message too long.\n"));
    })
    .await;
}

#[tokio::test]
async fn what_needs_no_owner_is_served_where_it_arrives() {
    let nodes = echoing();
    let path = nodes[0].path().await;
    let other = &nodes[1].server;
    assert_eq!(other.get(path.clone()).await.text(), "Welcome to SockJS!\n");
    assert!(other.get(format!("{path}/iframe.html")).await.text().contains("<!DOCTYPE html>"));
    let info = other.get(format!("{path}/info")).await;
    let base_url = nodes[1].base_url("").await;
    assert!(info.text().contains(&format!("\"base_url\":\"{base_url}\"")), "{info}");
    let preflight =
        Request::new("OPTIONS", format!("{path}/000/id/xhr")).header("Origin", "http://a.example");
    assert_eq!(other.ask(&preflight).await.status, 204);
    let wrong = other.get(format!("{path}/000/id/xhr")).await;
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("OPTIONS, POST")));
    assert_eq!(other.get(format!("{path}/000/id/nothing")).await.status, 404);
    assert!(nodes.iter().all(|node| node.handle.is_empty()));
}

#[cfg(feature = "websocket")]
#[tokio::test]
async fn a_websocket_is_a_session_where_it_arrives() {
    let nodes = echoing();
    for path in [nodes[0].path().await, "/app".to_owned()] {
        let url = format!("http://{}{path}", nodes[1].addr());
        for transport in [Transport::WebSocket, Transport::RawWebSocket] {
            let mut session = Client::new(&url).unwrap().open(transport).await.unwrap();
            session.send("hello").await.unwrap();
            assert_eq!(within("a message", session.recv()).await.unwrap().as_str(), Some("hello"));
            assert_eq!(nodes.each_ref().map(|node| node.handle.len()), [0, 1, 0]);
            session.close(1000, "").await.ok();
            until("no session", || nodes[1].handle.is_empty()).await;
        }
    }
}

#[tokio::test]
async fn a_slow_reader_holds_up_the_owner_and_nothing_piles_up_between() {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let flood = move |session: axum_sockjs::Session| {
        let count = Arc::clone(&count);
        async move {
            let message: axum_sockjs::Message = "x".repeat(50_000).into();
            while session.send(message.clone()).await.is_ok() {
                count.fetch_add(50_000, Ordering::Relaxed);
            }
        }
    };
    // A fixed buffer does not grow; that of the connection between the nodes grows to what the system allows.
    let most = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_rmem").unwrap();
    let most: usize = most.split_whitespace().next_back().unwrap().parse().unwrap();
    let nodes = Plan::new(move |options| {
        let options = options.response_limit(usize::MAX).write_timeout(None);
        SockJs::new(flood.clone()).options(open_to_all(options.send_queue_bytes(MEGABYTE)))
    })
    .send_buffer(64 << 10)
    .start_three();
    let path = nodes[0].path().await;
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 << 10).unwrap();
    let mut connection = Connection::over(socket.connect(nodes[1].addr()).await.unwrap());
    let way = http_ways().find(|way| way.transport == Transport::XhrStreaming).unwrap();
    connection.send(&below(&path, way.receiving(&fresh_id()))).await;
    connection.head().await;
    // The queue, what the kernel keeps, and the pieces on the way; then nothing moves.
    let mut before = usize::MAX;
    within("an end of the flood", async {
        while before != sent.load(Ordering::Relaxed) {
            before = sent.load(Ordering::Relaxed);
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        }
    })
    .await;
    assert!(before > MEGABYTE && before < most + 2 * MEGABYTE, "{before} bytes");
    // It goes on when the client reads.
    within("more", async {
        while sent.load(Ordering::Relaxed) < before + 10 * MEGABYTE {
            connection.chunk().await;
        }
    })
    .await;
    drop(connection);
    until("no session", || nodes[0].handle.is_empty()).await;
}

#[tokio::test]
async fn without_a_tag_the_balancer_keeps_a_session_on_its_node() {
    let nodes = plan(echo).start_three();
    let way = http_ways().find(|way| way.transport == Transport::XhrPolling).unwrap();
    let id = fresh_id();
    assert_eq!(receive(&nodes[0], "/app", way, &id).await.0, Frame::Open);
    assert_eq!(send(&nodes[0], "/app", way, &id, "[\"a\"]").await.0, 204);
    assert_eq!(send(&nodes[1], "/app", way, &id, "[\"a\"]").await.0, 404);
    // The session is the same with its node's tag.
    let path = nodes[0].path().await;
    assert_eq!(send(&nodes[1], &path, way, &id, "[\"b\"]").await.0, 204);
    assert_eq!(receive(&nodes[2], &path, way, &id).await.0, Frame::messages(&["a", "b"]));
}

#[tokio::test]
async fn a_handle_knows_its_sessions_below_the_tag_of_its_own_node_alone() {
    let nodes = echoing();
    let way = http_ways().find(|way| way.transport == Transport::XhrPolling).unwrap();
    let (own, others, id) = (nodes[0].path().await, nodes[1].path().await, fresh_id());
    let (frame, _connection) = receive(&nodes[1], &own, way, &id).await;
    assert_eq!(frame, Frame::Open);
    let has = |node: &Node, path: &str| {
        let below = path.strip_prefix("/app").expect("it begins with the endpoint's");
        node.handle.has_session_at(&format!("{below}/000/{id}/xhr_send"))
    };
    assert!(has(&nodes[0], &own) && has(&nodes[0], "/app"));
    // These are forwarded, or are no node's.
    assert!(!has(&nodes[1], &own) && !has(&nodes[0], &others) && !has(&nodes[1], &others));
    assert!(!has(&nodes[0], "/app/~") && !has(&nodes[0], &format!("{own}x")) && !has(&nodes[0], "/app/~x"));
    assert!(!has(&nodes[0], &format!("{own}{}", &own["/app".len()..])));
}
