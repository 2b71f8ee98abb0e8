//! Cuts in what the server sends. Those in what it receives are in `wire::hostile`.

use axum_sockjs::{CloseReason, Options};

#[cfg(feature = "websocket")]
use crate::support::ws::{self, FIN, TEXT, frame};
use crate::support::{
    NEVER,
    client::{Frame, Kind, http_ways, on_each, ways},
    fresh_id,
    http::{EXITS, Exit, Request, leave},
    scene::{HEARTBEAT, Scene, polling},
};

#[tokio::test]
async fn an_answer_to_a_poll_may_be_cut_at_any_byte() {
    on_each(ways(Kind::Poll), async |way| {
        let mut scene = Scene::start(Options::new().disconnect_delay(NEVER)).await;
        let whole = {
            let id = fresh_id();
            scene.open(way, &id).await;
            scene.post(way, &id, "[\"lost\"]").await;
            let mut connection = scene.connect().await;
            connection.send(&way.receiving(&id).header("Connection", "close")).await;
            connection.rest().await.len()
        };
        for cut in 0..whole {
            let id = fresh_id();
            scene.open(way, &id).await;
            scene.post(way, &id, "[\"lost\"]").await;
            let mut connection = scene.connect().await;
            connection.send(&way.receiving(&id).header("Connection", "close")).await;
            connection.exactly(cut).await;
            // A half close is no cut: the answer is on its way already.
            leave(connection, EXITS[cut % 2]).await;
        }
        for _ in 0..=whole {
            assert_eq!(scene.reporting.end_as_time_passes().await, CloseReason::TimedOut);
        }
        scene.nothing_is_left().await;
    })
    .await;
}

#[tokio::test]
async fn a_stream_may_be_cut_at_any_byte() {
    on_each(ways(Kind::Stream), async |way| {
        let mut scene = Scene::start(Options::new().disconnect_delay(NEVER)).await;
        // A stream as it comes: its head with the padding, and one chunk for each frame.
        let (before_open, whole) = {
            let mut connection = scene.connect().await;
            let id = fresh_id();
            connection.send(&way.receiving(&id)).await;
            connection.head().await;
            connection.chunk().await;
            let before_open = connection.taken();
            connection.chunk().await;
            scene.post(way, &id, "[\"lost\"]").await;
            connection.chunk().await;
            let whole = connection.taken();
            leave(connection, Exit::Reset).await;
            scene.reporting.end().await;
            (before_open, whole)
        };
        for cut in 0..whole {
            // Within the padding, one byte is like another.
            if (400..before_open - 64).contains(&cut) && cut % 64 != 0 {
                continue;
            }
            let id = fresh_id();
            let mut connection = scene.connect().await;
            connection.send(&way.receiving(&id)).await;
            connection.exactly(cut.min(before_open)).await;
            if cut > before_open {
                // `o` has left, and the application's answer follows it.
                scene.post(way, &id, "[\"lost\"]").await;
                connection.exactly(cut - before_open).await;
            }
            leave(connection, EXITS[cut % 3]).await;
            if cut > before_open {
                assert_eq!(scene.reporting.end().await, CloseReason::ConnectionLost, "at byte {cut}");
            }
        }
        scene.nothing_is_left_but_ends(&CloseReason::ConnectionLost).await;
    })
    .await;
}

// A stream or a poll whose client says that it will write no more is over: a client that wants its answer
// keeps the connection open in both directions.
#[tokio::test]
async fn a_receiver_that_half_closes_is_lost() {
    on_each(http_ways(), async |way| {
        let mut scene = Scene::start(Options::new().disconnect_delay(NEVER)).await;
        let id = fresh_id();
        let mut connection = scene.connect().await;
        connection.send(&way.receiving(&id)).await;
        if way.kind == Kind::Poll {
            assert_eq!(way.read(connection.answer(way.method).await.text()), Frame::Open);
            connection.send(&way.receiving(&id)).await;
            // It has been attached when another receiver is refused.
            let refused = scene.reporting.endpoint.server.ask(&way.receiving(&id)).await;
            assert!(matches!(way.read(refused.text()), Frame::Close(2010, _)), "{refused}");
        } else {
            connection.head().await;
            connection.chunk().await;
            assert_eq!(way.read(&connection.text_chunk().await), Frame::Open);
        }
        leave(connection, Exit::HalfClose).await;
        assert_eq!(scene.reporting.end().await, CloseReason::ConnectionLost);
        // For the disconnect delay its id tells what has happened, as after any other cut.
        let answer = scene.reporting.endpoint.server.ask(&polling().receiving(&id)).await;
        assert_eq!(polling().read(answer.text()), Frame::Close(1002, "Connection interrupted".to_owned()));
        scene.nothing_is_left().await;
    })
    .await;
}

/// A client whose connection has gone without a word, as when a phone loses its network, looks to the server
/// like one that is silent: a poll is answered into nothing, and the next one never comes.
#[tokio::test]
async fn a_half_open_poll_times_out_after_a_heartbeat() {
    on_each(ways(Kind::Poll), async |way| {
        let mut scene = Scene::start(Options::new().heartbeat(HEARTBEAT).disconnect_delay(NEVER)).await;
        let id = fresh_id();
        scene.open(way, &id).await;
        let mut connection = scene.connect().await;
        connection.send(&way.receiving(&id)).await;
        scene.both_wait().await;
        // Nothing reads the answer, and nothing closes the connection.
        assert_eq!(scene.reporting.end_as_time_passes().await, CloseReason::TimedOut);
        drop(connection);
        scene.nothing_is_left().await;
    })
    .await;
}

/// Behind bytes that it has read already, hyper does not look for the end of a connection; writing finds it.
#[tokio::test]
async fn a_cut_behind_a_pipelined_request_is_found_by_the_next_heartbeat() {
    on_each(http_ways(), async |way| {
        let mut scene = Scene::start(Options::new().heartbeat(HEARTBEAT).disconnect_delay(NEVER)).await;
        for exit in [Exit::Close, Exit::Reset] {
            let id = fresh_id();
            if way.kind == Kind::Poll {
                scene.open(way, &id).await;
            }
            let mut connection = scene.connect().await;
            let request = [way.receiving(&id).to_bytes(), Request::get("/app/info").to_bytes()].concat();
            connection.write(request).await;
            if way.kind == Kind::Stream {
                connection.head().await;
                connection.chunk().await;
                assert_eq!(way.read(&connection.text_chunk().await), Frame::Open);
            }
            scene.both_wait().await;
            leave(connection, exit).await;
            let end = scene.reporting.end_as_time_passes().await;
            match way.kind {
                // The heartbeat answers a poll, whether that arrives or not.
                Kind::Poll => {
                    assert!(matches!(end, CloseReason::TimedOut | CloseReason::ConnectionLost), "{end}");
                }
                Kind::Stream | Kind::Socket => assert_eq!(end, CloseReason::ConnectionLost),
            }
        }
        scene.nothing_is_left().await;
    })
    .await;
}

#[cfg(feature = "websocket")]
#[tokio::test]
async fn an_upgrade_and_the_frames_behind_it_may_be_cut_at_any_byte() {
    on_each(ways(Kind::Socket), async |way| {
        let mut scene = Scene::start(Options::new().disconnect_delay(NEVER)).await;
        let message = frame(FIN | TEXT, b"[\"lost\"]");
        let (before_open, whole) = {
            let mut connection = ws::upgraded(scene.reporting.endpoint.server.addr, &ws::target(way)).await;
            let before_open = connection.taken();
            if way.framed {
                assert_eq!(ws::read_frame(&mut connection).await, (FIN | TEXT, b"o".to_vec()));
            }
            connection.write(&message).await;
            ws::read_frame(&mut connection).await;
            let whole = connection.taken();
            leave(connection, Exit::Reset).await;
            scene.reporting.end().await;
            (before_open, whole)
        };
        for cut in 0..whole {
            let mut connection = scene.connect().await;
            connection.send(&ws::handshake(ws::target(way))).await;
            connection.exactly(cut.min(before_open)).await;
            if cut > before_open {
                connection.write(&message).await;
                connection.exactly(cut - before_open).await;
            }
            leave(connection, EXITS[cut % 3]).await;
            if cut > before_open {
                assert_eq!(scene.reporting.end().await, CloseReason::ConnectionLost, "at byte {cut}");
            }
        }
        scene.nothing_is_left_but_ends(&CloseReason::ConnectionLost).await;
    })
    .await;
}
