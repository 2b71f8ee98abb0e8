//! A node that shuts down while it forwards.

use std::time::{Duration, Instant};

use axum_sockjs::{CloseFrame, Transport};

use super::{below, echoing, linked, next, passed, receive, send};
use crate::support::{
    client::{Frame, Kind, http_ways, on_each},
    fresh_id, until, within,
};

#[tokio::test]
async fn sessions_of_other_nodes_survive_the_shutdown_of_an_edge() {
    on_each(http_ways(), async |way| {
        let nodes = echoing();
        let [owner, edge, other] = &nodes;
        let path = owner.path().await;
        let id = fresh_id();
        let (frame, mut connection) = receive(edge, &path, way, &id).await;
        assert_eq!(frame, Frame::Open);
        if way.kind == Kind::Poll {
            linked(edge, owner, &path).await;
            connection = edge.server.connect().await;
            connection.send(&below(&path, way.receiving(&id))).await;
            passed(edge, owner, &path).await;
        }
        let handle = edge.handle.clone();
        let shutdown =
            tokio::spawn(async move { handle.shutdown(4001, "restarting", Duration::from_secs(10)).await });
        // What waits is ended in order, and the client comes back by another node.
        match way.kind {
            Kind::Poll => assert_eq!(way.read(connection.answer("POST").await.text()), Frame::Heartbeat),
            _ => assert_eq!(within("the end", connection.chunk()).await, b""),
        }
        let report = within("the shutdown", shutdown).await.unwrap();
        assert_eq!((report.closed, report.lost), (0, 0));
        assert_eq!(edge.server.get("/app/info").await.status, 503);
        // A balancer may not know yet.
        assert!(send(edge, &path, way, &id, "[\"a\"]").await.0 < 300);
        let (frame, mut connection) = receive(edge, &path, way, &id).await;
        assert_eq!(frame, Frame::messages(&["a"]));
        if way.kind == Kind::Stream {
            // A stream there lasts a moment only.
            assert_eq!(within("the end", connection.chunk()).await, b"");
        }
        let (frame, mut connection) = match way.kind {
            Kind::Poll => (receive(edge, &path, way, &id).await.0, edge.server.connect().await),
            // Its first frame is the next message.
            _ => {
                assert!(send(other, &path, way, &id, "[\"b\"]").await.0 < 300);
                receive(other, &path, way, &id).await
            }
        };
        if way.kind == Kind::Poll {
            // A poll there lasts a moment only.
            assert_eq!(frame, Frame::Heartbeat);
            assert!(send(other, &path, way, &id, "[\"b\"]").await.0 < 300);
            assert_eq!(receive(other, &path, way, &id).await.0, Frame::messages(&["b"]));
        } else {
            assert_eq!(frame, Frame::messages(&["b"]));
            assert!(send(edge, &path, way, &id, "[\"c\"]").await.0 < 300);
            assert_eq!(next(&mut connection, way).await, Frame::messages(&["c"]));
        }
        assert_eq!(owner.handle.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn requests_that_go_on_coming_do_not_hold_up_a_shutdown() {
    const GRACE: Duration = Duration::from_secs(10);
    let nodes = echoing();
    let [owner, edge, _] = &nodes;
    let path = &owner.path().await;
    let way = http_ways().find(|way| way.transport == Transport::XhrPolling).unwrap();
    linked(edge, owner, path).await;
    let mut waiting = Vec::new();
    for _ in 0..4 {
        let id = fresh_id();
        assert_eq!(receive(edge, path, way, &id).await.0, Frame::Open);
        let mut connection = edge.server.connect().await;
        connection.send(&below(path, way.receiving(&id))).await;
        waiting.push((id, connection));
    }
    passed(edge, owner, path).await;
    // A balancer that does not notice: of these, which begin one after the other and last for a moment, one always waits.
    let polls = waiting.iter_mut().zip([0, 40, 80, 120]).map(async |((id, connection), behind)| {
        assert_eq!(way.read(connection.answer("POST").await.text()), Frame::Heartbeat);
        tokio::time::sleep(Duration::from_millis(behind)).await;
        loop {
            assert_eq!(receive(edge, path, way, id).await.0, Frame::Heartbeat);
        }
    });
    let polls = futures_util::future::join_all(polls);
    // What began before is waited for, until the others never leave a gap.
    let request = below(path, way.sending(&fresh_id(), "[\"a\"]")).to_bytes();
    let (most, last) = request.split_at(request.len() - 1);
    let mut sending = edge.server.connect().await;
    sending.write(most).await;
    until("a request at the owner", || owner.is_waited_for()).await;
    let sent = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        sending.write(last).await;
        assert_eq!(sending.answer("POST").await.status, 404);
        std::future::pending::<()>().await;
    };
    let began = Instant::now();
    tokio::select! {
        _ = polls => {}
        () = sent => {}
        report = edge.handle.shutdown(4001, "restarting", GRACE) => assert_eq!(report.lost, 0),
    }
    assert!(began.elapsed() < GRACE / 2, "{:?}", began.elapsed());
    assert_eq!(owner.handle.len(), 4);
}

#[tokio::test]
async fn a_goodbye_overtakes_a_poll_and_still_ends_it() {
    let nodes = echoing();
    let [owner, edge, other] = &nodes;
    let path = owner.path().await;
    let way = http_ways().find(|way| way.transport == Transport::XhrPolling).unwrap();
    let id = fresh_id();
    assert_eq!(receive(edge, &path, way, &id).await.0, Frame::Open);
    // Its body is not complete, so that it does not wait for a frame yet.
    let poll = below(&path, way.receiving(&id)).body("body").to_bytes();
    let (most, last) = poll.split_at(poll.len() - 1);
    let mut connection = edge.server.connect().await;
    connection.write(most).await;
    until("a poll at the owner", || owner.is_waited_for()).await;
    let handle = edge.handle.clone();
    let shutdown =
        tokio::spawn(async move { handle.shutdown(4001, "restarting", Duration::from_secs(10)).await });
    // The goodbye has no body, and arrives first.
    tokio::time::sleep(Duration::from_millis(100)).await;
    connection.write(last).await;
    assert_eq!(way.read(connection.answer("POST").await.text()), Frame::Heartbeat);
    assert_eq!(within("the shutdown", shutdown).await.unwrap().lost, 0);
    assert!(send(other, &path, way, &id, "[\"a\"]").await.0 < 300);
    assert_eq!(receive(other, &path, way, &id).await.0, Frame::messages(&["a"]));
}

#[tokio::test]
async fn an_owner_that_shuts_down_tells_its_clients_through_any_node() {
    on_each(http_ways(), async |way| {
        let nodes = echoing();
        let [owner, edge, _] = &nodes;
        let path = owner.path().await;
        let id = fresh_id();
        let (_, mut connection) = receive(edge, &path, way, &id).await;
        let handle = owner.handle.clone();
        let shutdown =
            tokio::spawn(async move { handle.shutdown(4001, "restarting", Duration::from_secs(10)).await });
        let frame = match way.kind {
            Kind::Poll => receive(edge, &path, way, &id).await.0,
            _ => next(&mut connection, way).await,
        };
        assert_eq!(frame, Frame::Close(4001, "restarting".to_owned()));
        let report = within("the shutdown", shutdown).await.unwrap();
        assert_eq!((report.closed, report.lost), (1, 0));
        // A new session of its is refused, and the client asks `/info` again.
        let answer = edge.server.ask(&below(&path, way.receiving(&fresh_id()))).await;
        let told = CloseFrame::new(1013, "Try again later");
        assert!(answer.status == 503 || answer.text().contains(told.reason()), "{answer}");
    })
    .await;
}
