//! Nodes that vanish, stop, or come back.

use std::{net::SocketAddr, time::Instant};

use axum_sockjs::{
    CloseReason, Cluster, ClusterOptions, Options, RejectionCause, Session, SockJs, Transport,
};
use tokio::sync::mpsc;

use super::{GIVEN_UP, below, echoing, linked, next, passed, plan, receive, send};
use crate::support::{
    apps::{echo, open_to_all},
    client::{Frame, Kind, http_ways, on_each},
    fresh_id,
    http::MEGABYTE,
    nodes::{Plan, SECRET, SOON},
    relay::Relay,
    server::Server,
    until, within,
};

fn interrupted() -> Frame {
    Frame::Close(1002, "Connection interrupted".to_owned())
}

#[tokio::test]
async fn a_killed_owner_is_lost_at_once() {
    on_each(http_ways(), async |way| {
        let [owner, edge, other] = echoing();
        let path = owner.path().await;
        let id = fresh_id();
        let (frame, mut connection) = receive(&edge, &path, way, &id).await;
        assert_eq!(frame, Frame::Open);
        if way.kind == Kind::Poll {
            linked(&edge, &owner, &path).await;
            connection = edge.server.connect().await;
            connection.send(&below(&path, way.receiving(&id))).await;
            passed(&edge, &owner, &path).await;
        }
        owner.kill();
        let began = Instant::now();
        // What waits ends with a close frame.
        let frame = match way.kind {
            Kind::Poll => way.read(connection.answer("POST").await.text()),
            _ => next(&mut connection, way).await,
        };
        assert_eq!(frame, interrupted());
        // What comes later too, and a message is refused.
        for node in [&edge, &other] {
            assert_eq!(receive(node, &path, way, &id).await.0, interrupted());
            let (status, text) = send(node, &path, way, &id, "[\"a\"]").await;
            assert_eq!((status, &*text), (502, "The session's node is lost.\n"));
            assert!(node.handle.stats().rejected[&RejectionCause::OwnerLost] >= 2);
            assert!(node.handle.is_empty());
        }
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    })
    .await;
}

#[tokio::test]
async fn an_owner_that_restarts_has_lost_its_sessions() {
    on_each(http_ways(), async |way| {
        let [owner, edge, other] = echoing();
        let (path, addr) = (owner.path().await, owner.addr());
        let id = fresh_id();
        assert_eq!(receive(&edge, &path, way, &id).await.0, Frame::Open);
        owner.kill();
        let owner = plan(echo).at(addr).start();
        for node in [&edge, &other, &owner] {
            // Never a second open frame.
            assert_eq!(receive(node, &path, way, &id).await.0, interrupted());
            assert_eq!(send(node, &path, way, &id, "[\"a\"]").await.0, 404);
        }
        assert!(owner.handle.is_empty());
        let (frame, _connection) = receive(&edge, &owner.path().await, way, &id).await;
        assert_eq!(frame, Frame::Open);
    })
    .await;
}

#[tokio::test]
async fn a_killed_edge_is_a_lost_connection() {
    let (sender, mut ends) = mpsc::unbounded_channel();
    let report = move |session: Session| {
        let sender = sender.clone();
        async move { drop(sender.send(session.closed().await)) }
    };
    let plan = Plan::new(move |options: Options| SockJs::new(report.clone()).options(open_to_all(options)));
    let owner = plan.start();
    let path = owner.path().await;
    for way in http_ways() {
        let edge = plan.start();
        let id = fresh_id();
        let (_, _stream) = receive(&edge, &path, way, &id).await;
        let mut poll = edge.server.connect().await;
        if way.kind == Kind::Poll {
            linked(&edge, &owner, &path).await;
            poll.send(&below(&path, way.receiving(&id))).await;
            passed(&edge, &owner, &path).await;
        }
        edge.kill();
        let end = within("the end", ends.recv()).await;
        assert_eq!(end, Some(CloseReason::ConnectionLost), "{}", way.transport);
    }
}

#[tokio::test]
async fn a_client_that_vanishes_is_lost_to_the_owner() {
    let nodes = echoing();
    let path = nodes[0].path().await;
    for way in http_ways().filter(|way| way.kind == Kind::Stream) {
        let (_, stream) = receive(&nodes[1], &path, way, &fresh_id()).await;
        assert_eq!(nodes[0].handle.len(), 1);
        stream.abort();
        until("no session", || nodes[0].handle.is_empty()).await;
    }
}

#[tokio::test]
async fn a_stopped_owner_is_given_up_and_the_edge_serves_all_others() {
    let nodes = echoing();
    let [owner, edge, other] = &nodes;
    let (path, others) = (owner.path().await, other.path().await);
    on_each(http_ways(), async |way| {
        let id = fresh_id();
        let (frame, mut connection) = receive(edge, &path, way, &id).await;
        assert_eq!(frame, Frame::Open);
        let before = edge.cluster.stats();
        assert_eq!(before.nodes_silent, 0);
        let go_on = owner.stop().await;
        let began = Instant::now();
        if way.kind == Kind::Poll {
            connection = edge.server.connect().await;
            connection.send(&below(&path, way.receiving(&id))).await;
        }
        let mut sending = edge.server.connect().await;
        sending.send(&below(&path, way.sending(&id, "[\"a\"]"))).await;
        // Meanwhile others are served.
        let other_id = fresh_id();
        let (frame, _other) = receive(edge, &others, way, &other_id).await;
        assert_eq!(frame, Frame::Open);
        assert!(send(edge, &others, way, &other_id, "[\"a\"]").await.0 < 300);
        assert!(began.elapsed() < SOON);
        let frame = match way.kind {
            Kind::Poll => way.read(connection.answer("POST").await.text()),
            _ => next(&mut connection, way).await,
        };
        assert_eq!(frame, interrupted());
        assert_eq!(sending.answer("POST").await.status, 502);
        assert!(began.elapsed() < GIVEN_UP, "{:?}", began.elapsed());
        // From now on at once.
        let began = Instant::now();
        let now = edge.cluster.stats();
        assert_eq!((now.nodes_silent, now.nodes_given_up), (1, before.nodes_given_up + 1));
        assert_eq!(receive(edge, &path, way, &id).await.0, interrupted());
        assert_eq!(send(edge, &path, way, &id, "[\"a\"]").await.0, 502);
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
        drop(go_on);
        // It is served again as soon as it has answered.
        within("a node that is back", async {
            loop {
                if receive(edge, &path, way, &fresh_id()).await.0 == Frame::Open {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        })
        .await;
        assert_eq!(edge.cluster.stats().nodes_silent, 0);
        owner.handle.close_all(3000, "next");
        other.handle.close_all(3000, "next");
    })
    .await;
}

#[tokio::test]
async fn a_link_that_leads_nowhere_is_given_up_though_the_owner_lives() {
    let plan = plan(echo);
    let (relay, owner) = Relay::before(&plan).await;
    let edge = plan.start();
    let path = owner.path().await;
    linked(&edge, &owner, &path).await;
    let way = http_ways().find(|way| way.transport == Transport::XhrPolling).unwrap();
    let id = fresh_id();
    assert_eq!(receive(&edge, &path, way, &id).await.0, Frame::Open);
    let before = owner.forwarded();
    let mut poll = edge.server.connect().await;
    poll.send(&below(&path, way.receiving(&id))).await;
    passed(&edge, &owner, &path).await;
    relay.forget();
    assert_eq!(way.read(poll.answer("POST").await.text()), interrupted());
    // The poll waited on the link.
    assert_eq!((owner.forwarded(), owner.links()), (before, 1));
}

/// The path of sessions of a node at any address, whether it runs or not.
pub(super) async fn path_of(address: SocketAddr) -> String {
    let options = ClusterOptions::new(SECRET, address).public_url("http://public.example");
    let node = Cluster::new(options).expect("the options can work");
    let endpoint = SockJs::new(echo).options(open_to_all(Options::new().cluster(&node)));
    let there = Server::start(axum::Router::new().nest_service("/app", endpoint)).await;
    let info = there.get("/app/info").await;
    let info: serde_json::Value = serde_json::from_str(info.text()).expect("it is JSON");
    let url = info["base_url"].as_str().expect("the node says so");
    url.strip_prefix("http://public.example").expect("it begins with the public URL").to_owned()
}

#[tokio::test]
async fn what_lacks_at_the_edge_ends_no_session() {
    let edge = plan(echo).start();
    // Of an address of one network, which is not said: no connection begins, as without a port or a descriptor.
    let path = &path_of("[fe80::1]:80".parse().unwrap()).await;
    on_each(http_ways(), async |way| {
        let (frame, _) = receive(&edge, path, way, "id").await;
        assert_eq!(frame, Frame::Close(1013, "Try again later".to_owned()));
        let (status, text) = send(&edge, path, way, "id", "[\"a\"]").await;
        assert_eq!((status, &*text), (503, "Too many requests for one node.\n"));
    })
    .await;
    assert_eq!(edge.handle.stats().rejected[&RejectionCause::OwnerLost], 0);
}

#[tokio::test]
async fn a_refused_request_is_read_to_its_end() {
    let plan = plan(echo).cluster(|options| options.public_url("http://public.example").max_connections(1));
    let (lost, full, edge) = (plan.start(), plan.start(), plan.start());
    let stream = http_ways().find(|way| way.transport == Transport::XhrStreaming).unwrap();
    let (lost_path, full_path) = (lost.path().await, full.path().await);
    lost.kill();
    let _stream = receive(&edge, &full_path, stream, &fresh_id()).await;
    for (path, status) in [(&lost_path, 502), (&full_path, 503)] {
        let body = vec![b' '; 16 * MEGABYTE];
        let request = below(path, stream.sending("id", &body)).to_bytes();
        let mut connection = edge.server.connect().await;
        // If nobody read it, the connection would break here.
        within("a server that reads", connection.write(&request)).await;
        assert_eq!(connection.answer("POST").await.status, status);
    }
}

#[tokio::test]
async fn an_owner_to_which_no_connection_comes_about_is_lost_within_a_second() {
    let edge = plan(echo).start();
    // A full backlog: no connection is refused, and none comes about.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut filling = Vec::new();
    while let Ok(Ok(stream)) =
        tokio::time::timeout(std::time::Duration::from_millis(200), tokio::net::TcpStream::connect(address))
            .await
    {
        filling.push(stream);
    }
    let path = &path_of(address).await;
    on_each(http_ways(), async |way| {
        let began = Instant::now();
        assert_eq!(receive(&edge, path, way, "id").await.0, interrupted());
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
        let began = Instant::now();
        assert_eq!(send(&edge, path, way, "id", "[\"a\"]").await.0, 502);
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    })
    .await;
}

#[tokio::test]
async fn as_many_requests_wait_for_a_node_as_may() {
    let plan = plan(echo).cluster(|options| options.public_url("http://public.example").max_connections(2));
    let (owner, edge) = (plan.start(), plan.start());
    let path = owner.path().await;
    let way = http_ways().find(|way| way.transport == Transport::XhrStreaming).unwrap();
    let first = receive(&edge, &path, way, &fresh_id()).await;
    let second = receive(&edge, &path, way, &fresh_id()).await;
    assert_eq!(owner.handle.len(), 2);
    on_each(http_ways(), async |way| {
        let (frame, _) = receive(&edge, &path, way, "id").await;
        assert_eq!(frame, Frame::Close(1013, "Try again later".to_owned()));
        let (status, text) = send(&edge, &path, way, "id", "[]").await;
        assert_eq!((status, &*text), (503, "Too many requests for one node.\n"));
    })
    .await;
    drop((first, second));
    until("no session", || owner.handle.is_empty()).await;
    within("room", async {
        while receive(&edge, &path, way, &fresh_id()).await.0 != Frame::Open {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    })
    .await;
}
