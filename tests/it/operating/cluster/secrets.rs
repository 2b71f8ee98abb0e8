//! Tags and headers that no node has made.

use std::time::Duration;

use axum_sockjs::{CheckError, Cluster, ClusterOptions, RejectionCause, Transport};

use super::{below, echoing, faults::path_of, plan, receive, send};
use crate::support::{
    apps::echo,
    client::{Frame, http_ways, on_each},
    fresh_id,
    http::Request,
    nodes::{Node, SECRET},
    relay::Relay,
};

const OTHER: &str = "another secret of these tests, as long as the first";

/// Whether a node has been asked for nothing.
fn is_untouched(node: &Node) -> bool {
    node.handle.is_empty() && node.handle.stats().rejected.values().all(|&count| count == 0)
}

#[tokio::test]
async fn a_tag_that_no_node_has_made_is_404_and_nothing_is_called() {
    let nodes = echoing();
    let foreign = plan(echo).secret(OTHER).start();
    let path = nodes[0].path().await;
    let mut forged = path.clone();
    let last = if forged.ends_with('A') { 'E' } else { 'A' };
    forged.pop();
    forged.push(last);
    let tags = [
        forged,
        path[..path.len() - 1].to_owned(),
        format!("{path}A"),
        foreign.path().await,
        "/app/~".to_owned(),
        "/app/~x".to_owned(),
        format!("/app/~{}", "A".repeat(58)),
        format!("/app/~{}", "A".repeat(5000)),
        "/app/~%2e%2e".to_owned(),
        format!("{path}/~{}", &path["/app/~".len()..]),
    ];
    for tag in tags {
        on_each(http_ways(), async |way| {
            for request in [way.receiving("id"), way.sending("id", "[\"a\"]")] {
                let answer = nodes[1].server.ask(&below(&tag, request)).await;
                assert_eq!((answer.status, answer.text()), (404, "Not found\n"), "{tag}");
            }
        })
        .await;
        for end in ["", "/info", "/iframe.html", "/websocket"] {
            assert_eq!(nodes[1].server.get(format!("{tag}{end}")).await.status, 404, "{tag}{end}");
        }
    }
    assert!(is_untouched(&nodes[0]) && is_untouched(&nodes[2]) && is_untouched(&foreign));
    assert!(nodes[1].handle.is_empty());
}

#[tokio::test]
async fn only_a_node_can_say_that_it_has_forwarded_a_request() {
    let nodes = echoing();
    let way = http_ways().find(|way| way.transport == Transport::XhrPolling).unwrap();
    for path in [nodes[0].path().await, nodes[1].path().await, "/app".to_owned()] {
        for value in ["", "x", "bm9ib2R5", &"A".repeat(63), &"A".repeat(9000), "proto=https"] {
            let id = fresh_id();
            for request in [way.receiving(&id), way.sending(&id, "[\"a\"]")] {
                let request = below(&path, request).header("Sockjs-Forwarded", value);
                let answer = nodes[0].server.ask(&request).await;
                assert_eq!(answer.status, 404, "{value:?}: {answer}");
            }
        }
    }
    assert_eq!(nodes[0].server.ask(&Request::get("/app/~")).await.status, 404);
    assert!(nodes.iter().all(|node| node.handle.is_empty()));
    assert!(is_untouched(&nodes[1]) && is_untouched(&nodes[2]));
}

#[tokio::test]
async fn secrets_change_without_a_lost_session() {
    let old = plan(echo).start();
    let both = |first, second: &'static str| {
        plan(echo)
            .secret(first)
            .cluster(move |options| options.public_url("http://public.example").other_secret(second))
    };
    let (reads_new, writes_new) = (both(SECRET, OTHER).start(), both(OTHER, SECRET).start());
    let new = plan(echo).secret(OTHER).start();
    on_each(http_ways(), async |way| {
        for (owner, edge, works) in [
            (&old, &reads_new, true),
            (&reads_new, &old, true),
            (&reads_new, &writes_new, true),
            (&writes_new, &reads_new, true),
            (&writes_new, &new, true),
            (&new, &writes_new, true),
            (&old, &new, false),
            (&new, &old, false),
        ] {
            let path = owner.path().await;
            let id = fresh_id();
            if works {
                let (frame, _connection) = receive(edge, &path, way, &id).await;
                assert_eq!(frame, Frame::Open);
                assert!(send(edge, &path, way, &id, "[\"a\"]").await.0 < 300);
            } else {
                assert_eq!(edge.server.ask(&below(&path, way.receiving(&id))).await.status, 404);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_node_checks_whether_it_reaches_another() {
    let nodes = echoing();
    let foreign = plan(echo).secret(OTHER).start();
    let cluster = &nodes[0].cluster;
    for node in &nodes {
        cluster.check(node.addr(), "/app").await.unwrap();
        cluster.check(node.addr(), "/app/").await.unwrap();
    }
    let wrong = cluster.check(nodes[1].addr(), "/nothing").await.unwrap_err();
    assert!(matches!(wrong, CheckError::Status(status) if status == 404), "{wrong}");
    let wrong = cluster.check(foreign.addr(), "/app").await.unwrap_err();
    assert!(matches!(wrong, CheckError::Status(status) if status == 404), "{wrong}");
    let gone = nodes[2].addr();
    let [_, _, last] = nodes;
    last.kill();
    let client = Cluster::new(
        ClusterOptions::new(SECRET, "127.0.0.1:1".parse().unwrap())
            .answer_timeout(Duration::from_millis(300)),
    )
    .unwrap();
    let wrong = client.check(gone, "/app").await.unwrap_err();
    assert!(matches!(wrong, CheckError::Connect(_)), "{wrong}");
    let stopped = plan(echo).start();
    let _stop = stopped.stop().await;
    let wrong = client.check(stopped.addr(), "/app").await.unwrap_err();
    assert!(matches!(wrong, CheckError::NoAnswer), "{wrong}");
    // One that knows itself by another address.
    let misled = plan(echo)
        .cluster(|_| {
            ClusterOptions::new(SECRET, "127.0.0.1:2".parse().unwrap()).public_url("http://public.example")
        })
        .start();
    let wrong = client.check(misled.addr(), "/app").await.unwrap_err();
    assert!(matches!(wrong, CheckError::OtherAddress(address) if address.port() == 2), "{wrong}");
}

/// What has a node's address now may pass what it gets on to another node, and read it.
#[tokio::test]
async fn the_proof_of_a_node_is_for_its_own_address() {
    let [owner, edge, _] = &echoing();
    let relay = Relay::to(owner.addr()).await;
    let path = &path_of(relay.addr).await;
    on_each(http_ways(), async |way| {
        let id = fresh_id();
        let (frame, _) = receive(edge, path, way, &id).await;
        assert_eq!(frame, Frame::Close(1002, "Connection interrupted".to_owned()));
        assert_eq!(send(edge, path, way, &id, "[\"a\"]").await.0, 502);
        assert!(!relay.seen().contains(&id), "no request of a client goes there");
    })
    .await;
    assert!(relay.seen().contains("GET /app/~ "));
    assert!(is_untouched(owner));
    assert_eq!(owner.forwarded(), 0);
}

/// Who has seen a forwarded request can repeat it at a node for which it was not: it would go to and fro if two nodes took
/// each other's address for their own.
#[tokio::test]
async fn a_request_goes_one_hop_and_no_further() {
    let plan = plan(echo);
    let (relay, owner) = Relay::before(&plan).await;
    let (edge, other) = (plan.start(), plan.start());
    let path = &owner.path().await;
    on_each(http_ways(), async |way| {
        let id = fresh_id();
        assert_eq!(receive(&edge, path, way, &id).await.0, Frame::Open);
        owner.handle.close_all(3000, "next");
        // Of no session, so that it does not go over a link.
        let none = fresh_id();
        assert_eq!(send(&edge, path, way, &none, "[\"a\"]").await.0, 404);
        let seen = relay.seen();
        let repeated = |id, request| {
            // Before, it may have been declined over a link.
            let (_, seen) = seen.rsplit_once(id).expect("it has come by");
            let (_, seen) = seen.split_once("sockjs-forwarded: ").expect("a node has sent it");
            let (header, _) = seen.split_once("\r\n").expect("it is a header");
            below(path, request).header("Sockjs-Forwarded", header)
        };
        let answer = other.server.ask(&repeated(&id, way.receiving(&id))).await;
        assert_eq!(answer.status, 200);
        assert!(answer.text().contains("Connection interrupted"), "{answer}");
        let sent = repeated(&none, way.sending(&none, "[\"a\"]"));
        assert_eq!(other.server.ask(&sent).await.status, 404);
    })
    .await;
    let rejected = other.handle.stats().rejected[&RejectionCause::NoSession];
    assert_eq!(rejected, 2 * http_ways().count() as u64);
    assert!(other.handle.is_empty());
}
