//! The rates at which a client may send.

use std::time::Duration;

use axum::http::StatusCode;
use axum_sockjs::{CloseKind, CloseReason, Options, Rate, RateOverflow, Session};
use tokio::time::Instant;

use crate::support::{
    in_process::{Client, DELAY, Down, Stage, TICK, done, http_transports, next, polling_with},
    settle, soon,
};

const SECOND: Duration = Duration::from_secs(1);

fn two_a_second() -> Options {
    Options::new().message_rate(Rate::per_second(2))
}

/// Sends in a task of its own; tells the answer, and after how long.
async fn sends(client: &Client, json: &str) -> tokio::task::JoinHandle<(StatusCode, Duration)> {
    let (client, json, start) = (client.clone(), json.to_owned(), Instant::now());
    let task = tokio::spawn(async move { (client.send(&json).await, start.elapsed()) });
    settle().await;
    task
}

async fn open(options: Options, transport: axum_sockjs::Transport) -> (Stage, Down, Session) {
    let mut stage = Stage::new(options.disconnect_delay(100 * DELAY));
    let (down, session) = stage.open_by_hand(transport).await;
    (stage, down, session)
}

#[tokio::test(start_paused = true)]
async fn a_sending_request_over_the_rate_is_answered_in_its_time() {
    for transport in http_transports() {
        let (_stage, down, mut session) = open(two_a_second(), transport).await;
        let start = Instant::now();
        assert_eq!(down.client.send(r#"["a", "b", "c"]"#).await, StatusCode::NO_CONTENT);
        assert_eq!(start.elapsed(), Duration::ZERO, "one batch, as a whole");
        for text in ["a", "b", "c"] {
            assert_eq!(next(&mut session).await.unwrap(), text);
        }
        let second = sends(&down.client, r#"["d"]"#).await;
        assert!(session.try_recv().is_none(), "{transport}");
        assert_eq!(next(&mut session).await.unwrap(), "d");
        assert_eq!(done(second).await, (StatusCode::NO_CONTENT, SECOND), "{transport}");
        assert_eq!(session.close_reason(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn those_that_wait_for_the_rate_come_in_order_and_one_at_a_time() {
    let (_stage, client, mut session) = polling_with(two_a_second().disconnect_delay(100 * DELAY)).await;
    assert_eq!(client.send(r#"["first", "batch"]"#).await, StatusCode::NO_CONTENT);
    let mut sent = Vec::new();
    for text in ["a", "b", "c", "d"] {
        sent.push(sends(&client, &format!("[{text:?}]")).await);
    }
    for text in ["first", "batch"] {
        assert_eq!(next(&mut session).await.unwrap(), text);
    }
    // One goes away, and its place in the line with it.
    sent.remove(1).abort();
    for (half, text) in ["a", "c", "d"].into_iter().enumerate() {
        let start = Instant::now();
        assert_eq!(next(&mut session).await.unwrap(), text);
        assert_eq!(start.elapsed(), SECOND / 2, "{half}");
    }
    for (sent, halves) in sent.into_iter().zip(1..) {
        assert_eq!(done(sent).await, (StatusCode::NO_CONTENT, halves * SECOND / 2));
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_request_waits_batch_by_batch() {
    let options = two_a_second().max_batch_messages(2).disconnect_delay(100 * DELAY);
    let (_stage, client, mut session) = polling_with(options).await;
    let sent = sends(&client, r#"["a", "b", "c", "d", "e"]"#).await;
    let start = Instant::now();
    let mut came = Vec::new();
    for _ in 0..5 {
        let text = next(&mut session).await.unwrap();
        came.push((text.as_str().unwrap().to_owned(), start.elapsed().as_millis()));
    }
    let expected = [("a", 0), ("b", 0), ("c", 500), ("d", 500), ("e", 1500)];
    assert_eq!(came, expected.map(|(text, millis)| (text.to_owned(), millis)));
    assert_eq!(done(sent).await.0, StatusCode::NO_CONTENT);
}

#[tokio::test(start_paused = true)]
async fn bytes_are_those_of_the_messages() {
    let options = Options::new().byte_rate(Rate::per_second(10)).disconnect_delay(100 * DELAY);
    let (_stage, client, mut session) = polling_with(options).await;
    // Seven bytes, however long they are in the body.
    let escaped = r#"["\u0061\u0062\u0063", "", "\u0064\u0065\u0066\u0067"]"#;
    for (json, wait) in [(escaped, 0), (r#"["0123456789abc"]"#, 0), (r#"[""]"#, 1100), (r#"["a"]"#, 0)] {
        let start = Instant::now();
        assert_eq!(client.send(json).await, StatusCode::NO_CONTENT);
        assert_eq!(start.elapsed().as_millis(), wait, "{json}");
    }
    assert_eq!(next(&mut session).await.unwrap(), "abc");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_may_not_wait_so_long_gets_503() {
    let options = two_a_second().receive_timeout(SECOND).disconnect_delay(100 * DELAY);
    let (_stage, client, mut session) = polling_with(options).await;
    assert_eq!(client.send(r#"["a", "b", "c", "d", "e"]"#).await, StatusCode::NO_CONTENT);
    let start = Instant::now();
    assert_eq!(client.send(r#"["late"]"#).await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(start.elapsed(), SECOND);
    // Nobody waits: the time comes and goes.
    soon("some time", tokio::time::sleep(10 * SECOND)).await;
    for text in ["a", "b", "c", "d", "e"] {
        assert_eq!(next(&mut session).await.unwrap(), text);
    }
    assert!(session.try_recv().is_none());
    assert_eq!(client.send(r#"["f"]"#).await, StatusCode::NO_CONTENT);
}

#[tokio::test(start_paused = true)]
async fn a_rate_that_closes_tells_the_receiver_and_the_sender_nothing() {
    for transport in http_transports() {
        let options = two_a_second().rate_overflow(RateOverflow::Close);
        let (stage, mut down, mut session) = open(options, transport).await;
        for json in [r#"["a"]"#, r#"["b"]"#, r#"["too", "fast"]"#, r#"["late"]"#] {
            assert_eq!(down.client.send(json).await, StatusCode::NO_CONTENT, "{transport}: {json}");
        }
        assert_eq!(session.close_reason(), Some(CloseReason::RateExceeded));
        assert_eq!(down.frame().await, r#"c[1008,"Client too fast"]"#, "{transport}");
        for text in ["a", "b"] {
            assert_eq!(next(&mut session).await.unwrap(), text);
        }
        assert_eq!(next(&mut session).await, None);
        let closed = stage.endpoint.handle.stats().closed;
        assert_eq!(closed[&CloseKind::RateExceeded], 1, "{closed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn within_the_rate_nothing_waits_and_nothing_closes() {
    for policy in [RateOverflow::Wait, RateOverflow::Close] {
        let (_stage, client, mut session) =
            polling_with(two_a_second().rate_overflow(policy).disconnect_delay(1000 * DELAY)).await;
        for _ in 0..10 {
            let start = Instant::now();
            for _ in 0..2 {
                assert_eq!(client.send(r#"["a"]"#).await, StatusCode::NO_CONTENT);
                assert_eq!(next(&mut session).await.unwrap(), "a");
            }
            assert!(start.elapsed() < TICK);
            tokio::time::sleep(SECOND).await;
        }
        // Nor does anything else count.
        for _ in 0..100 {
            assert_eq!(client.send("[]").await, StatusCode::NO_CONTENT);
        }
        assert_eq!(session.close_reason(), None);
    }
}

#[cfg(feature = "websocket")]
mod sockets {
    use axum_sockjs::Options;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::support::{
        client::{Way, on_each, sockets},
        pipe::Stage,
        ws,
    };

    fn text(way: &Way, text: &str) -> Vec<u8> {
        let payload = if way.framed { format!("[{text:?}]") } else { text.to_owned() };
        ws::frame(ws::FIN | ws::TEXT, payload.as_bytes())
    }

    #[tokio::test(start_paused = true)]
    async fn a_socket_over_the_rate_is_read_in_its_time_and_stays_alive() {
        on_each(sockets(), async |way| {
            let options = Options::new().message_rate(Rate::new(1, 60 * SECOND)).pong_timeout(7 * SECOND);
            let mut stage = Stage::new(way, options);
            let (connection, mut session) = stage.open(way).await;
            let (mut reads, mut connection) = tokio::io::split(connection);
            // The heartbeats are read, and no ping is answered while the socket is not read.
            let reads = tokio::spawn(async move { while let Ok(1..) = reads.read(&mut [0; 64]).await {} });
            let all: Vec<u8> = ["a", "b", "c"].iter().flat_map(|message| text(way, message)).collect();
            connection.write_all(&all).await.unwrap();
            assert_eq!(next(&mut session).await.unwrap(), "a");
            for message in ["b", "c"] {
                let start = Instant::now();
                assert_eq!(next(&mut session).await.unwrap(), message);
                // The first minute began with the first message.
                assert_eq!(start.elapsed().as_secs(), 60);
                assert_eq!(session.close_reason(), None);
            }
            // From here on it is read again, and answers are expected.
            assert_eq!(soon("its end", session.closed()).await, CloseReason::PongTimeout);
            reads.abort();
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_that_closes_tells_the_socket() {
        on_each(sockets(), async |way| {
            let options = Options::new().message_rate(Rate::per_second(2)).rate_overflow(RateOverflow::Close);
            let mut stage = Stage::new(way, options);
            let (mut connection, mut session) = stage.open(way).await;
            let pings = ws::frame(ws::FIN | ws::PING, b"").repeat(10);
            let empty = if way.framed { ws::frame(ws::FIN | ws::TEXT, b"[]").repeat(10) } else { Vec::new() };
            let ok = [pings, empty, text(way, "a"), text(way, "b")].concat();
            connection.write_all(&ok).await.unwrap();
            for message in ["a", "b"] {
                assert_eq!(next(&mut session).await.unwrap(), message);
            }
            assert_eq!(session.close_reason(), None);
            connection.write_all(&text(way, "c")).await.unwrap();
            assert_eq!(soon("its end", session.closed()).await, CloseReason::RateExceeded);
            let mut told = Vec::new();
            soon("the end of the connection", connection.read_to_end(&mut told)).await.unwrap();
            let frame: &[u8] = b"\x88\x11\x03\xf0Client too fast";
            let in_sockjs: &[u8] = b"\x81\x19c[1008,\"Client too fast\"]";
            let expected = if way.framed { [in_sockjs, frame].concat() } else { frame.to_vec() };
            assert!(told.ends_with(&expected), "{}", String::from_utf8_lossy(&told));
            assert_eq!(next(&mut session).await, None);
        })
        .await;
    }
}
