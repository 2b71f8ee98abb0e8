//! The answers to requests that carry messages.

use std::time::Duration;

use sockjs_client::{Error, SendError, Transport};
use tokio::time::{Instant, sleep, timeout};

use crate::support::{
    HTTP, framed,
    raw::{Conn, RawServer, Request},
    soon,
};

const SENDS: [&str; 2] = ["xhr_send", "jsonp_send"];

/// Opens a stream, or answers the first poll and lets the others wait.
async fn receiver(transport: Transport, request: Request, mut conn: Conn) -> Option<Conn> {
    let is_first = request.header("cookie").is_none();
    conn.say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nSet-Cookie: seen=1\r\n").await?;
    conn.say("Transfer-Encoding: chunked\r\n\r\n").await?;
    if is_first {
        conn.chunk(&framed(transport, "o")).await?;
        if matches!(transport, Transport::XhrPolling | Transport::JsonpPolling) {
            conn.say("0\r\n\r\n").await?;
            return Some(conn);
        }
    }
    conn.idle().await
}

/// A server that answers each request with messages by `answer`.
fn sending_server<F, A>(transport: Transport, answer: F) -> RawServer
where
    F: Fn(Conn) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Option<Conn>> + Send + 'static,
{
    RawServer::new(move |request, conn| {
        let answer = answer.clone();
        async move {
            if SENDS.contains(&request.name()) {
                answer(conn).await
            } else {
                receiver(transport, request, conn).await
            }
        }
    })
}

#[tokio::test]
async fn two_answers_are_success() {
    for transport in HTTP {
        for status in ["200 OK", "204 No Content"] {
            let server = sending_server(transport, move |mut conn| async move {
                let head = if status.starts_with("204") { "" } else { "Content-Length: 2\r\n" };
                let body = if status.starts_with("204") { "" } else { "ok" };
                conn.say(format!("HTTP/1.1 {status}\r\n{head}\r\n{body}")).await?;
                Some(conn)
            });
            let session = soon("a session", server.only(transport).connect()).await.unwrap();
            for text in ["a", "b"] {
                session.send(text).await.unwrap();
                soon("a flush", session.flush()).await.unwrap();
            }
            let event = soon("the end", session.close(1000, "")).await.unwrap();
            assert!(event.was_clean(), "{transport}: {event}");
            assert!(session.unsent().uncertain.is_empty());
            drop(session);
            server.nothing_is_left().await;
            let name = transport.send_path().unwrap();
            let bodies: Vec<_> = server.requests(name).into_iter().map(|request| request.body).collect();
            let expected = match transport {
                Transport::JsonpPolling => ["d=%5B%22a%22%5D", "d=%5B%22b%22%5D"],
                _ => ["[\"a\"]", "[\"b\"]"],
            };
            assert_eq!(bodies, expected.map(|body| body.as_bytes().to_vec()), "{transport}");
        }
    }
}

#[tokio::test]
async fn any_other_answer_ends_the_session() {
    let mut sessions = Vec::new();
    for transport in HTTP {
        for status in ["404 Not Found", "413 Payload Too Large", "500 Internal Server Error", "302 Found"] {
            let server =
                sending_server(transport, move |conn| async move { conn.answer(status, "", "why").await });
            let session = soon("a session", server.only(transport).connect()).await.unwrap();
            session.send("a").await.unwrap();
            sessions.push((status, server, session));
        }
    }
    let mut servers = Vec::new();
    for (status, server, mut session) in sessions {
        assert_eq!(soon("the end", session.recv()).await, None);
        let event = session.close_event().unwrap();
        assert_eq!(event.code(), 1006, "{}", session.transport());
        assert_eq!(event.reason(), format!("Sending error: the server answered {status}: why"));
        let error = event.error().unwrap();
        assert!(matches!(error, Error::Sending(_)), "{error:?}");
        assert_eq!(error.response().unwrap().body(), "why");
        let unsent = session.unsent();
        assert_eq!((unsent.queued, unsent.uncertain), (vec![], vec!["a".into()]));
        let sends = server.requests(session.transport().send_path().unwrap()).len();
        assert_eq!(sends, 1, "not sent again");
        servers.push(server);
    }
    for server in servers {
        server.nothing_is_left().await;
    }
}

#[tokio::test]
async fn a_close_frame_says_why_messages_are_refused() {
    let server = RawServer::new(move |request, mut conn| async move {
        if request.name() == "xhr_send" {
            return conn.answer("404 Not Found", "", "").await;
        }
        conn.receiver().await?;
        conn.say("o\n").await?;
        // Behind the refusal.
        sleep(Duration::from_millis(100)).await;
        conn.say("c[4000,\"gone\"]\n").await?;
        conn.idle().await
    });
    let mut session = soon("a session", server.only(Transport::XhrStreaming).connect()).await.unwrap();
    session.send("a").await.unwrap();
    assert_eq!(soon("the end", session.recv()).await, None);
    let event = session.close_event().unwrap();
    assert_eq!((event.code(), event.reason(), event.was_clean()), (4000, "gone", true));
    assert_eq!(session.unsent().uncertain, ["a"]);
    drop(session);
    server.nothing_is_left().await;
}

/// Neither the answer nor the reading of the request: `send` waits at its bound, and `close` no longer than it may.
#[tokio::test]
async fn a_server_that_does_not_answer_holds_up_neither_the_close_nor_more_than_the_queue() {
    for transport in HTTP {
        let server = sending_server(transport, move |conn| async move { conn.deaf().await });
        let client = server.only(transport).close_timeout(Duration::from_millis(200)).send_queue_bytes(1000);
        let session = soon("a session", client.connect()).await.unwrap();
        drop(client);
        session.send("first").await.unwrap();
        server.asked(transport.send_path().unwrap()).await;
        let mut queued = 0;
        let full = loop {
            match session.try_send("x".repeat(100)) {
                Ok(()) => queued += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(full, SendError::Full(_)) && (1..10).contains(&queued), "{full:?} after {queued}");
        timeout(Duration::from_millis(20), session.send("x".repeat(1000))).await.unwrap_err();
        let began = Instant::now();
        let event = soon("the end", session.close(3000, "")).await.unwrap();
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(200) && took < Duration::from_secs(4), "{transport}: {took:?}");
        assert!(!event.was_clean(), "{event}");
        assert_eq!(event.reason(), "Sending error: the server has not taken them within 200ms");
        let unsent = session.unsent();
        assert_eq!((unsent.uncertain, unsent.queued.len()), (vec!["first".into()], queued), "{transport}");
        assert_eq!(session.send("late").await, Err(SendError::Closed("late".into())));
        drop(session);
        server.nothing_is_left().await;
    }
}

#[tokio::test]
async fn an_answer_without_an_end_costs_its_connection() {
    let server = sending_server(Transport::XhrStreaming, move |mut conn| async move {
        conn.say("HTTP/1.1 200 OK\r\n\r\n").await?;
        conn.endlessly("ok").await
    });
    let session = soon("a session", server.only(Transport::XhrStreaming).connect()).await.unwrap();
    for text in ["a", "b", "c"] {
        session.send(text).await.unwrap();
        soon("a flush", session.flush()).await.unwrap();
    }
    drop(session);
    server.nothing_is_left().await;
    assert_eq!(server.posted(), ["[\"a\"]", "[\"b\"]", "[\"c\"]"]);
    assert!(server.written() < super::TAKEN, "{}", server.written());
}

#[tokio::test]
async fn a_flood_of_frames_holds_up_no_messages() {
    for frame in ["h", "x", "a[]"] {
        let server = RawServer::new(move |request, mut conn| async move {
            if request.name() == "xhr_send" {
                return conn.answer("200 OK", "", "").await;
            }
            conn.receiver().await?;
            conn.say("o\n").await?;
            conn.endlessly(framed(Transport::XhrStreaming, frame)).await
        });
        let session = soon("a session", server.only(Transport::XhrStreaming).connect()).await.unwrap();
        let began = Instant::now();
        for number in 0..10 {
            session.send(number.to_string()).await.unwrap();
            soon("a flush", session.flush()).await.unwrap();
        }
        soon("the end", session.close(1000, "")).await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(10), "{frame}: {:?}", began.elapsed());
        drop(session);
        server.nothing_is_left().await;
    }
}

/// Each connection ends behind its first answer: announced, at once, or with a reset. A request on it may be lost, but no
/// message is in two places.
#[tokio::test]
async fn connections_that_do_not_last_bring_no_message_twice() {
    for how in ["announced", "at once", "reset"] {
        let server = sending_server(Transport::XhrStreaming, move |mut conn| async move {
            let headers = if how == "announced" { "Connection: close\r\n" } else { "" };
            conn.say(format!("HTTP/1.1 204 No Content\r\n{headers}\r\n")).await?;
            if how == "reset" {
                conn.reset();
            }
            None
        });
        for _ in 0..4 {
            let session = soon("a session", server.only(Transport::XhrStreaming).connect()).await.unwrap();
            let mut sent = Vec::new();
            for number in 0..20 {
                if session.send(number.to_string()).await.is_err() {
                    break;
                }
                sent.push(number.to_string());
                if session.flush().await.is_err() {
                    break;
                }
            }
            let event = soon("the end", session.close(1000, "")).await.unwrap();
            if how == "announced" {
                assert!(event.was_clean() && sent.len() == 20, "{event} after {}", sent.len());
            }
            let unsent = session.unsent();
            let text = |message: &sockjs_client::Message| message.as_str().unwrap().to_owned();
            let posted = server.posted().into_iter();
            let arrived: Vec<String> =
                posted.flat_map(|batch| serde_json::from_str::<Vec<String>>(&batch).unwrap()).collect();
            server.forget();
            let mut each = arrived.clone();
            each.extend(unsent.queued.iter().map(text));
            // What is uncertain may have arrived.
            each.extend(unsent.uncertain.iter().map(text).filter(|text| !arrived.contains(text)));
            assert_eq!(each, sent, "{how}: {unsent:?}");
        }
        server.nothing_is_left().await;
    }
}

/// A server that closes a connection without an answer to what it has read is not asked again.
#[tokio::test]
async fn a_request_is_sent_once_on_a_connection_that_was_used_before() {
    let server = RawServer::new(move |request, conn| async move {
        if request.name() != "xhr_send" {
            return receiver(Transport::XhrStreaming, request, conn).await;
        }
        if request.body == b"[\"first\"]" { conn.answer("200 OK", "", "").await } else { None }
    });
    let mut session = soon("a session", server.only(Transport::XhrStreaming).connect()).await.unwrap();
    session.send("first").await.unwrap();
    soon("a flush", session.flush()).await.unwrap();
    session.send("second").await.unwrap();
    assert_eq!(soon("the end", session.recv()).await, None);
    assert!(matches!(session.close_event().unwrap().error(), Some(Error::Sending(_))));
    assert_eq!(session.unsent().uncertain, ["second"]);
    drop(session);
    server.nothing_is_left().await;
    assert_eq!(server.posted(), ["[\"first\"]", "[\"second\"]"]);
}
