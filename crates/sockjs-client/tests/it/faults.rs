//! What breaks under a session: docs/faults.md has a row for each.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum_sockjs::Options;
use sockjs_client::{CloseEvent, Error, Message, SendError, Session, Transport};
use tokio::time::{Instant, sleep, timeout};

use crate::support::{
    FRAMED, HTTP, Server, echo, framed,
    raw::{Conn, RawServer, Request, alive_tasks},
    soon,
};

const SHORT: Duration = Duration::from_millis(250);

/// Begins to receive over any transport, up to the open frame.
async fn open(transport: Transport, request: &Request, conn: &mut Conn) -> Option<()> {
    if transport.is_socket() {
        conn.websocket(request).await?;
        return conn.text("o").await;
    }
    conn.receiver().await?;
    conn.say(framed(transport, "o")).await
}

fn is_sending(request: &Request) -> bool {
    ["xhr_send", "jsonp_send"].contains(&request.name())
}

/// A server that opens sessions, and says and answers nothing more.
fn silent(transport: Transport) -> RawServer {
    RawServer::new(move |request, mut conn| async move {
        if !is_sending(&request) {
            open(transport, &request, &mut conn).await?;
        }
        conn.idle().await
    })
}

async fn end(session: &mut Session) -> CloseEvent {
    assert_eq!(soon("the end", session.recv()).await, None, "{session:?}");
    session.close_event().unwrap()
}

fn texts(messages: &[Message]) -> Vec<String> {
    messages.iter().map(|message| message.as_str().unwrap().to_owned()).collect()
}

/// The messages in arrays of JSON.
fn in_arrays(arrays: impl IntoIterator<Item = Vec<u8>>) -> Vec<String> {
    arrays.into_iter().flat_map(|array| serde_json::from_slice::<Vec<String>>(&array).unwrap()).collect()
}

#[tokio::test]
async fn a_server_that_is_killed_is_lost_with_all_its_connections() {
    for transport in FRAMED.into_iter().chain([Transport::RawWebSocket]) {
        let server = Server::new(echo, Options::new()).await;
        let client = server.client();
        let mut session = soon("a session", client.open(transport)).await.unwrap();
        session.send("x").await.unwrap();
        assert_eq!(soon("an echo", session.recv()).await.unwrap(), "x");
        drop(server);
        let event = end(&mut session).await;
        assert_eq!((event.code(), event.was_clean()), (1006, false), "{transport}: {event}");
        assert_eq!(session.send("late").await, Err(SendError::Closed("late".into())));
        drop((session, client));
        soon("the end of all tasks", async {
            while alive_tasks() > 0 {
                sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }
}

/// Of the frames, those arrive that are whole.
#[tokio::test]
async fn a_connection_may_be_cut_at_any_byte_while_it_receives() {
    for transport in FRAMED {
        let frame = |text: &str| match transport {
            Transport::WebSocket => format!("\u{1}{}{text}", char::from(text.len() as u8)).into_bytes(),
            _ => framed(transport, text).into_bytes(),
        };
        let mut first = frame("a[\"one\"]");
        let mut second = frame("a[\"two\",\"three\"]");
        if transport == Transport::WebSocket {
            (first[0], second[0]) = (0x81, 0x81);
        }
        let both = [&first[..], &second].concat();
        for at in (0..both.len()).step_by(3) {
            let part = both[..at].to_vec();
            let server = RawServer::new(move |request, mut conn| {
                let part = part.clone();
                async move {
                    if request.header("cookie").is_some() {
                        // A browser opens an event stream again, and the server has forgotten the session.
                        open(transport, &request, &mut conn).await?;
                        return conn.idle().await;
                    }
                    if transport.is_socket() {
                        conn.websocket(&request).await?;
                        conn.text("o").await?;
                    } else {
                        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nSet-Cookie: a=b";
                        conn.say(format!("{head}\r\nContent-Length: 1000\r\n\r\n")).await?;
                        conn.say(framed(transport, "o")).await?;
                    }
                    conn.say(part).await?;
                    None
                }
            });
            let client = server.only(transport);
            let mut session = soon("a session", client.connect()).await.unwrap();
            let mut received = Vec::new();
            while let Some(message) = soon("an end", session.recv()).await {
                received.push(message);
            }
            // The last bytes of a frame in a body may be those behind its line's end.
            let all = ["one", "two", "three"];
            let count = received.len();
            assert!([0, 1, 3].contains(&count), "{transport}: {count} messages of a part of a frame");
            assert_eq!(texts(&received), all[..count], "{transport} at {at}");
            if at < first.len() / 2 {
                assert_eq!(count, 0, "{transport} at {at}");
            }
            let event = session.close_event().unwrap();
            let reason = match transport {
                Transport::EventSource => "Server lost session",
                _ => "Connection lost",
            };
            assert_eq!((event.code(), event.reason()), (1006, reason), "{transport} at {at}");
            drop((session, client));
            server.nothing_is_left().await;
        }
    }
}

/// The requests are read, and the connection of the third one is cut before its answer.
#[tokio::test]
async fn messages_of_a_request_that_is_cut_are_uncertain() {
    let mut sessions = Vec::new();
    for transport in HTTP {
        for with_reset in [false, true] {
            let count = Arc::new(AtomicUsize::new(0));
            let server = RawServer::new(move |request, mut conn| {
                let count = count.clone();
                async move {
                    if !is_sending(&request) {
                        open(transport, &request, &mut conn).await?;
                        return conn.idle().await;
                    }
                    if count.fetch_add(1, Ordering::SeqCst) < 2 {
                        return conn.answer("200 OK", "", "").await;
                    }
                    if with_reset {
                        conn.reset();
                    }
                    None
                }
            });
            let client = server.only(transport).max_batch_messages(2);
            let session = soon("a session", client.connect()).await.unwrap();
            for number in 0..10 {
                session.send(number.to_string()).await.unwrap();
            }
            sessions.push((server, session));
        }
    }
    let mut servers = Vec::new();
    for (server, mut session) in sessions {
        let event = end(&mut session).await;
        let transport = session.transport();
        assert!(matches!(event.error(), Some(Error::Sending(_))), "{transport}: {event}");
        let unsent = session.unsent();
        let requests = server.requests(transport.send_path().unwrap());
        assert_eq!(requests.len(), 3, "{transport}");
        let mut each = in_arrays(requests[..2].iter().map(Request::payload));
        assert_eq!(texts(&unsent.uncertain), in_arrays([requests[2].payload()]));
        each.extend(texts(&unsent.uncertain));
        each.extend(texts(&unsent.queued));
        assert_eq!(each, (0..10).map(|number| number.to_string()).collect::<Vec<_>>());
        servers.push(server);
    }
    for server in servers {
        server.nothing_is_left().await;
    }
}

/// The server reads three messages, and goes.
#[tokio::test]
async fn a_socket_that_is_cut_while_it_sends_loses_what_was_written() {
    for with_reset in [false, true] {
        let (seen, mut arrived) = tokio::sync::mpsc::unbounded_channel();
        let server = RawServer::new(move |request, mut conn| {
            let seen = seen.clone();
            async move {
                open(Transport::WebSocket, &request, &mut conn).await?;
                for _ in 0..3 {
                    seen.send(conn.frame().await?.1).unwrap();
                }
                if with_reset {
                    conn.reset();
                }
                None
            }
        });
        let client = server.only(Transport::WebSocket).max_batch_bytes(60_000);
        let session = soon("a session", client.connect()).await.unwrap();
        let mut sent = Vec::new();
        // Until the connection is known to be gone.
        loop {
            let text = format!("{}{}", sent.len(), "x".repeat(50_000));
            match soon("room", session.send(text.clone())).await {
                Ok(()) => sent.push(text),
                Err(SendError::Closed(_)) => break,
                Err(other) => panic!("{other}"),
            }
        }
        let event = session.closed().await;
        assert_eq!((event.code(), event.reason()), (1006, "Connection lost"), "{event}");
        let unsent = session.unsent();
        let arrived = in_arrays(std::iter::from_fn(|| arrived.try_recv().ok()));
        assert_eq!(arrived, sent[..3]);
        // What is left are the last ones, in order, each once.
        let left = [texts(&unsent.uncertain), texts(&unsent.queued)].concat();
        assert_eq!(left, sent[sent.len() - left.len()..]);
        drop((session, client));
        server.nothing_is_left().await;
    }
}

#[tokio::test]
async fn a_server_that_falls_silent_is_lost_after_its_time() {
    for transport in FRAMED.into_iter().chain([Transport::RawWebSocket]) {
        let server = silent(transport);
        let client = server.only(transport).server_timeout(SHORT);
        let mut session = soon("a session", client.connect()).await.unwrap();
        if transport == Transport::RawWebSocket {
            assert_eq!(soon("the text", session.recv()).await.unwrap(), "o");
        }
        let began = Instant::now();
        let event = end(&mut session).await;
        assert_eq!((event.code(), event.reason()), (1006, "Server silent"), "{transport}");
        assert!(matches!(event.error(), Some(Error::Silent(time)) if *time == SHORT));
        assert!(began.elapsed() < Duration::from_secs(8), "{transport}: {:?}", began.elapsed());
        drop((session, client));
        server.nothing_is_left().await;
    }
}

/// A poll that waits for its head is silent, too.
#[tokio::test]
async fn a_poll_that_is_never_answered_is_lost_after_its_time() {
    for transport in [Transport::XhrPolling, Transport::JsonpPolling, Transport::EventSource] {
        let server = RawServer::new(move |request, conn| async move {
            if request.header("cookie").is_some() {
                return conn.idle().await;
            }
            let headers = "Content-Type: text/event-stream\r\nSet-Cookie: a=b\r\n";
            conn.answer("200 OK", headers, &framed(transport, "o")).await
        });
        let client = server.only(transport).server_timeout(SHORT);
        let mut session = soon("a session", client.connect()).await.unwrap();
        assert_eq!(end(&mut session).await.reason(), "Server silent", "{transport}");
        drop((session, client));
        server.nothing_is_left().await;
    }
}

/// Heartbeats over HTTP, answers to pings over a WebSocket.
#[tokio::test]
async fn a_server_that_gives_a_sign_of_life_is_not_lost() {
    let mut sessions = Vec::new();
    for transport in FRAMED.into_iter().chain([Transport::RawWebSocket]) {
        let server = RawServer::new(move |request, mut conn| async move {
            open(transport, &request, &mut conn).await?;
            if transport.is_socket() {
                loop {
                    let (kind, payload) = conn.frame().await?;
                    assert_eq!((kind, &*payload), (0x89, &b""[..]));
                    conn.say([0x8a, 0]).await?;
                }
            }
            loop {
                sleep(Duration::from_millis(50)).await;
                conn.say(framed(transport, "h")).await?;
            }
        });
        // Long enough for a machine that is busy.
        let client = server.only(transport).server_timeout(Duration::from_millis(900));
        let mut session = soon("a session", client.connect()).await.unwrap();
        if transport == Transport::RawWebSocket {
            assert_eq!(soon("the text", session.recv()).await.unwrap(), "o");
        }
        sessions.push((server, session));
    }
    sleep(Duration::from_millis(1200)).await;
    let mut servers = Vec::new();
    for (server, mut session) in sessions {
        assert!(session.try_recv().is_none() && session.close_event().is_none(), "{session:?}");
        servers.push(server);
    }
    for server in servers {
        server.nothing_is_left().await;
    }
}

#[tokio::test]
async fn an_application_that_does_not_receive_holds_up_the_server() {
    for transport in FRAMED {
        let piece = "x".repeat(100);
        let frame = format!("a[\"{piece}\"]");
        let server = RawServer::new(move |request, mut conn| {
            let frame = frame.clone();
            async move {
                open(transport, &request, &mut conn).await?;
                if transport.is_socket() {
                    return conn.endlessly([&[0x81, frame.len() as u8], frame.as_bytes()].concat()).await;
                }
                conn.endlessly(framed(transport, &frame)).await
            }
        });
        let client = server.only(transport).receive_queue_bytes(10_000);
        let mut session = soon("a session", client.connect()).await.unwrap();
        // Until nothing moves any more.
        let mut written = usize::MAX;
        while written != server.written() {
            written = server.written();
            sleep(Duration::from_millis(200)).await;
        }
        assert!(written < 24 << 20, "{transport}: {written} bytes");
        let mut waiting = 0;
        while session.try_recv().is_some() {
            waiting += 1;
        }
        assert!((10..200).contains(&waiting), "{transport}: {waiting} messages");
        for _ in 0..1000 {
            assert_eq!(soon("a message", session.recv()).await.unwrap(), *piece);
        }
        // It closes all the same.
        let event = soon("the end", session.close(1000, "")).await.unwrap();
        assert_eq!(event.code(), 1000, "{transport}: {event}");
        drop((session, client));
        server.nothing_is_left().await;
    }
}

#[tokio::test]
async fn a_session_that_is_dropped_leaves_nothing() {
    for transport in FRAMED.into_iter().chain([Transport::RawWebSocket]) {
        for sends in [false, true] {
            let server = silent(transport);
            let client = server.only(transport);
            let session = soon("a session", client.connect()).await.unwrap();
            let sender = session.sender();
            if sends {
                session.send("x").await.unwrap();
                if let Some(name) = transport.send_path() {
                    server.asked(name).await;
                }
            }
            drop(session);
            soon("the end of the task", async {
                while !sender.is_closed() {
                    tokio::task::yield_now().await;
                }
            })
            .await;
            assert_eq!(sender.send("late").await, Err(SendError::Closed("late".into())));
            let flushed = sender.flush().await;
            if !sends {
                flushed.unwrap();
            } else if transport.send_path().is_some() {
                flushed.expect_err("its request is not answered");
            }
            drop((sender, client));
            server.nothing_is_left().await;
        }
    }
}

#[tokio::test]
async fn an_open_that_is_dropped_half_way_leaves_nothing() {
    for transport in FRAMED.into_iter().chain([Transport::RawWebSocket]) {
        for part in ["info", "nothing", "a head", "a body"] {
            let server = RawServer::of(move |request, mut conn| async move {
                if request.name() == "info" && part != "info" {
                    return conn.ok("{}").await;
                }
                if part == "a head" {
                    conn.say("HTTP/1.1 200 OK\r\n").await?;
                } else if part == "a body" {
                    conn.receiver().await?;
                    conn.say("hhhh").await?;
                }
                conn.idle().await
            });
            let client = server.only(transport).min_open_timeout(Duration::from_secs(30));
            let connecting = client.connect();
            let name = if part == "info" { "info" } else { transport.path() };
            tokio::select! {
                result = connecting => panic!("{transport}, {part}: {result:?}"),
                () = server.asked(name) => {}
            }
            drop(client);
            server.nothing_is_left().await;
        }
    }
}

#[tokio::test]
async fn a_send_that_is_dropped_half_way_sends_nothing() {
    for transport in HTTP {
        let server = RawServer::new(move |request, mut conn| async move {
            if is_sending(&request) {
                conn.told().await;
                return conn.answer("200 OK", "", "").await;
            }
            open(transport, &request, &mut conn).await?;
            conn.idle().await
        });
        let client = server.only(transport).send_queue_bytes(1);
        let session = soon("a session", client.connect()).await.unwrap();
        session.send("first").await.unwrap();
        timeout(Duration::from_millis(50), session.send("dropped")).await.expect_err("there is no room");
        assert!(matches!(session.try_send("refused"), Err(SendError::Full(message)) if message == "refused"));
        timeout(Duration::from_millis(50), session.flush()).await.expect_err("it is under way");
        server.tell();
        session.send("second").await.unwrap();
        server.tell();
        soon("a flush", session.flush()).await.unwrap();
        let event = soon("the end", session.close(1000, "")).await.unwrap();
        assert!(event.was_clean(), "{event}");
        drop((session, client));
        server.nothing_is_left().await;
        let requests = server.requests(transport.send_path().unwrap());
        assert_eq!(in_arrays(requests.iter().map(Request::payload)), ["first", "second"], "{transport}");
    }
}

#[tokio::test]
async fn a_close_sends_what_is_queued_once() {
    for transport in HTTP {
        let server = RawServer::new(move |request, mut conn| async move {
            if is_sending(&request) {
                sleep(Duration::from_millis(5)).await;
                return conn.answer("200 OK", "", "").await;
            }
            open(transport, &request, &mut conn).await?;
            conn.idle().await
        });
        let client = server.only(transport).max_batch_messages(3);
        let session = soon("a session", client.connect()).await.unwrap();
        for number in 0..20 {
            session.send(number.to_string()).await.unwrap();
        }
        // Dropped half-way, it closes all the same.
        timeout(Duration::from_millis(1), session.close(3000, "first")).await.ok();
        let event = soon("the end", session.close(3001, "second")).await.unwrap();
        assert_eq!((event.code(), event.reason(), event.was_clean()), (3000, "first", true));
        let unsent = session.unsent();
        assert!(unsent.queued.is_empty() && unsent.uncertain.is_empty());
        drop((session, client));
        server.nothing_is_left().await;
        let requests = server.requests(transport.send_path().unwrap());
        let sent: Vec<_> = (0..20).map(|number| number.to_string()).collect();
        assert_eq!(in_arrays(requests.iter().map(Request::payload)), sent, "{transport}");
    }
}

#[tokio::test]
async fn a_socket_that_closes_sends_what_is_queued_and_its_code() {
    let (seen, mut frames) = tokio::sync::mpsc::unbounded_channel();
    let server = RawServer::new(move |request, mut conn| {
        let seen = seen.clone();
        async move {
            open(Transport::WebSocket, &request, &mut conn).await?;
            loop {
                let (kind, payload) = conn.frame().await?;
                seen.send((kind, payload)).unwrap();
                if kind == 0x88 {
                    conn.say(b"\x88\x02\x03\xe8").await?;
                }
            }
        }
    });
    let client = server.only(Transport::WebSocket);
    let session = soon("a session", client.connect()).await.unwrap();
    for number in 0..20 {
        session.send(number.to_string()).await.unwrap();
    }
    let event = soon("the end", session.close(3000, "bye")).await.unwrap();
    assert_eq!((event.code(), event.reason(), event.was_clean()), (3000, "bye", true));
    drop((session, client));
    server.nothing_is_left().await;
    for number in 0..20 {
        assert_eq!(frames.recv().await.unwrap(), (0x81, format!("[\"{number}\"]").into_bytes()));
    }
    assert_eq!(frames.recv().await.unwrap(), (0x88, b"\x0b\xb8bye".to_vec()));
    assert!(frames.try_recv().is_err(), "one close frame");
}

#[tokio::test]
async fn a_panic_of_the_function_that_sees_frames_ends_the_session() {
    let server = RawServer::new(move |request, mut conn| async move {
        open(Transport::WebSocket, &request, &mut conn).await?;
        conn.text("h").await?;
        conn.idle().await
    });
    let client = server.only(Transport::WebSocket).inspect_frames(|frame| {
        assert_ne!(*frame, sockjs_client::Frame::Heartbeat, "this is told in the test's output");
    });
    let mut session = soon("a session", client.connect()).await.unwrap();
    let event = end(&mut session).await;
    assert_eq!((event.code(), event.was_clean()), (1006, false));
    assert!(event.to_string().contains("the session's task was stopped"), "{event}");
    drop((session, client));
    server.nothing_is_left().await;
}
