//! Clients that stop, and bodies that drip or come in pieces.

use std::time::Duration;

use axum_sockjs::{CloseFrame, CloseReason, Options, RejectionCause, SendError, Session};
use tokio::time::sleep;

use crate::support::{
    NEVER,
    apps::Stage,
    as_time_passes,
    client::{Client, Frame, Kind, WAYS, http_ways, on_each},
    fresh_id, pass,
    scene::Scene,
    until, within,
};

/// A message for which a full queue has no room, where a small one might find some.
fn pad(text: &str) -> String {
    text.to_owned() + &" ".repeat(64 << 10)
}

/// Sends until the session takes no more, and gives the number of bytes that went in.
async fn fill(session: &Session) -> usize {
    let message = pad("");
    let mut taken = 0;
    let mut tries = 0;
    // The buffers of both ends of the connection fill first; nobody says when.
    while tries < 20 {
        match session.try_send(&message) {
            Ok(()) => (taken, tries) = (taken + message.len(), 0),
            Err(SendError::Full(_)) => {
                tries += 1;
                sleep(Duration::from_millis(10)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
    taken
}

#[tokio::test]
async fn a_client_that_stops_reading_costs_no_more_than_its_buffers() {
    on_each(WAYS, async |way| {
        // A stream does not come to its end by itself.
        let options = Options::new().disconnect_delay(NEVER).response_limit(1 << 30).heartbeat(None);
        let mut stage = Stage::start(options).await;
        let mut other = Client::open(&stage.endpoint, way).await;
        let mut others = stage.session().await;
        let client = Client::open(&stage.endpoint, way).await;
        let stalled = stage.session().await;
        let taken = fill(&stalled).await;
        assert!(taken < 32 << 20, "{taken} bytes for a client that reads nothing");
        // Who waits for room is told of the end.
        let waiting = stalled.sender();
        let waiting = tokio::spawn(async move { waiting.send(pad("behind all that")).await });
        others.send("for one that reads").await.unwrap();
        assert_eq!(other.messages(1).await, ["for one that reads"]);
        if way.kind == Kind::Poll {
            other.down.request().await;
            until("its poll", || stage.endpoint.handle.stats().total().attached == 1).await;
        }
        client.abort(true);
        if way.kind == Kind::Poll {
            pass(NEVER).await;
        }
        let reason = within("the end of the stalled session", stalled.closed()).await;
        let expected = match way.kind {
            // Between two polls there is no connection that could be lost.
            Kind::Poll => CloseReason::TimedOut,
            Kind::Stream | Kind::Socket => CloseReason::ConnectionLost,
        };
        assert_eq!(reason, expected);
        let refused = within("the waiting send", waiting).await.unwrap().unwrap_err();
        assert_eq!(refused, SendError::Closed(pad("behind all that").into()));
        drop(stalled);
        other.send(&["goes on"]).await;
        assert_eq!(within("a message", others.recv()).await.unwrap(), "goes on");
        until("one session", || stage.endpoint.handle.len() == 1).await;
    })
    .await;
}

#[tokio::test]
async fn a_body_that_drips_is_told_408_and_brings_nothing() {
    on_each(http_ways(), async |way| {
        let options = Options::new().heartbeat(None).disconnect_delay(NEVER);
        let mut scene = Scene::start(options).await;
        let id = fresh_id();
        if way.kind == Kind::Poll {
            scene.open(way, &id).await;
        }
        let mut receiver = scene.connect().await;
        receiver.send(&way.receiving(&id)).await;
        if way.kind == Kind::Stream {
            receiver.head().await;
            receiver.chunk().await;
            assert_eq!(way.read(&receiver.text_chunk().await), Frame::Open);
        }
        let request = way.sending(&id, "[\"never whole\"]").to_bytes();
        let mut connection = scene.connect().await;
        connection.write(&request[..request.len() - 1]).await;
        // Nobody says when the server begins to wait for the last byte.
        as_time_passes("an answer", connection.readable()).await;
        let answer = connection.answer("POST").await;
        assert_eq!((answer.status, answer.text()), (408, "Body too slow.\n"));
        assert_eq!(scene.reporting.endpoint.handle.stats().rejected[&RejectionCause::SlowBody], 1);
        // The session goes on without it.
        scene.post(way, &id, "[\"whole\"]").await;
        let frame = match way.kind {
            Kind::Poll => receiver.answer(way.method).await.text().to_owned(),
            Kind::Stream | Kind::Socket => receiver.text_chunk().await,
        };
        assert_eq!(way.read(&frame), Frame::messages(&["whole"]));
        scene.post(way, &id, "[\"close\"]").await;
        assert_eq!(scene.reporting.end().await, CloseReason::Server(CloseFrame::new(4001, "as you wish")));
    })
    .await;
}

#[tokio::test]
async fn a_character_may_be_split_over_the_pieces_of_a_body() {
    on_each(http_ways(), async |way| {
        let mut stage = Stage::start(Options::new()).await;
        let id = fresh_id();
        let _client = Client::open_as(&stage.endpoint, way, &id).await;
        let mut session = stage.session().await;
        let target = way.sending(&id, "").target;
        let head = format!("POST {target} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (payload, whole) in [
            ("[\"\u{e9}\u{20ac}\u{1f600}\"]".as_bytes(), true),
            // Half a character, and the beginning of another.
            (b"[\"\xf0\x9f\x98\xc3\xa9\"]", false),
        ] {
            for size in 1..=3 {
                let mut connection = stage.endpoint.server.connect().await;
                connection.write(&head).await;
                for piece in payload.chunks(size) {
                    connection.write(format!("{size:x}\r\n")).await;
                    // The last piece may be shorter: spaces behind an array are nothing.
                    let mut piece = piece.to_vec();
                    piece.resize(size, b' ');
                    for byte in piece {
                        connection.write([byte]).await;
                    }
                    connection.write("\r\n").await;
                }
                connection.write("0\r\n\r\n").await;
                let answer = connection.answer("POST").await;
                if whole {
                    way.expect_taken(&answer);
                    let message = within("a message", session.recv()).await.unwrap();
                    assert_eq!(message, "\u{e9}\u{20ac}\u{1f600}");
                } else {
                    assert_eq!((answer.status, answer.text()), (500, "Broken JSON encoding.\n"));
                    assert!(session.try_recv().is_none());
                }
            }
        }
    })
    .await;
}
