//! The WebSockets, framed and raw.

use std::time::Duration;

use sockjs_client::{Error, LoneSurrogates, Session, Transport};
use tokio::time::{Instant, timeout};

use super::{ended, opened, refused};
use crate::support::{raw::RawServer, soon};

/// A server that opens a session, and then says these bytes, once or without end.
fn after_open(endless: bool, bytes: impl AsRef<[u8]>) -> RawServer {
    let bytes = bytes.as_ref().to_vec();
    RawServer::new(move |request, mut conn| {
        let bytes = bytes.clone();
        async move {
            conn.websocket(&request).await?;
            conn.text("o").await?;
            if endless {
                return conn.endlessly(bytes).await;
            }
            conn.say(bytes).await?;
            conn.idle().await
        }
    })
}

fn text(text: &str) -> Vec<u8> {
    [&[0x81, text.len() as u8], text.as_bytes()].concat()
}

#[tokio::test]
async fn a_handshake_has_to_be_right() {
    let accepted = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ACCEPT\r\n";
    for (status, headers, sentence) in [
        ("200 OK", "", "the server answered 200 OK"),
        ("302 Found", "Location: /a\r\n", "the server answered 302 Found, a redirect to \"/a\""),
        (
            "101 Switching Protocols",
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: AAAA\r\n",
            "the server answered the handshake of another WebSocket",
        ),
        (
            "101 Switching Protocols",
            "Connection: Upgrade\r\nUpgrade: websocket\r\n",
            "the server answered the handshake of another WebSocket",
        ),
        (
            "101 Switching Protocols",
            "Connection: Upgrade\r\nSec-WebSocket-Accept: ACCEPT\r\n",
            "the server switched to a protocol that is not WebSocket",
        ),
        (
            "101 Switching Protocols",
            "Connection: Upgrade\r\nUpgrade: h2c\r\nSec-WebSocket-Accept: ACCEPT\r\n",
            "the server switched to a protocol that is not WebSocket",
        ),
        (
            "101 Switching Protocols",
            "Connection: keep-alive\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ACCEPT\r\n",
            "the server switched protocols without `Connection: Upgrade`",
        ),
        (
            "101 Switching Protocols",
            &format!("{accepted}Sec-WebSocket-Extensions: permessage-deflate\r\n"),
            "the server chose an extension of WebSocket that was not offered",
        ),
        (
            "101 Switching Protocols",
            &format!("{accepted}Sec-WebSocket-Protocol: chat\r\n"),
            "the server chose a sub-protocol that was not offered",
        ),
    ] {
        let answer = format!("HTTP/1.1 {status}\r\n{headers}\r\n");
        let server = RawServer::new(move |request, mut conn| {
            let key = request.header("sec-websocket-key").unwrap().to_owned();
            let accept = tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes());
            let answer = answer.replace("ACCEPT", &accept);
            async move {
                conn.say(answer).await?;
                conn.text("o").await?;
                None
            }
        });
        for transport in [Transport::WebSocket, Transport::RawWebSocket] {
            let error = refused(&server, transport).await;
            assert_eq!(error.to_string(), sentence, "{transport}");
            assert_eq!(error.close_frame().code(), 1006);
        }
    }
}

#[tokio::test]
async fn options_of_the_connection_may_be_several() {
    let server = RawServer::new(move |request, mut conn| async move {
        conn.handshake(&request, "Connection: keep-alive, x\r\n").await?;
        conn.text("o").await?;
        conn.idle().await
    });
    drop(opened(&server, Transport::WebSocket).await);
    server.nothing_is_left().await;
}

#[tokio::test]
async fn violations_of_rfc_6455_end_the_session() {
    let masked = [&[0x81, 0x81, 1, 2, 3, 4][..], &[b'h' ^ 1]].concat();
    for (what, bytes) in [
        ("masked", masked),
        ("invalid UTF-8", vec![0x81, 2, b'a', 0xff]),
        ("a reserved bit", vec![0xc1, 1, b'h']),
        ("a reserved opcode", vec![0x83, 1, b'h']),
        ("a reserved control opcode", vec![0x8b, 0]),
        ("a continuation of nothing", vec![0x80, 1, b'h']),
        ("a message within a message", vec![0x01, 1, b'a', 0x81, 1, b'h']),
        ("a ping in fragments", vec![0x09, 0]),
        ("a ping that is too long", [&[0x89, 126, 0, 126][..], &[0; 126]].concat()),
        ("a close frame of one byte", vec![0x88, 1, 3]),
    ] {
        for transport in [Transport::WebSocket, Transport::RawWebSocket] {
            let server = after_open(false, &bytes);
            let mut session = opened(&server, transport).await;
            if transport == Transport::RawWebSocket {
                assert_eq!(soon("the text", session.recv()).await.unwrap(), "o");
            }
            let event = ended(&server, session).await;
            assert_eq!(event.code(), 1006, "{what}, {transport}: {event}");
            assert!(matches!(event.error(), Some(Error::Lost(_))), "{what}: {event}");
            let text = event.to_string();
            assert!(text.contains("WebSocket protocol error") || text.contains("UTF-8"), "{what}: {text}");
        }
    }
}

#[tokio::test]
async fn messages_beyond_the_limit_are_not_waited_for() {
    let announced = [&[0x81, 127][..], &(1_u64 << 30).to_be_bytes(), b"a[\"xxxx"].concat();
    let absurd = [&[0x81, 127][..], &u64::MAX.to_be_bytes(), b"a[\"xxxx"].concat();
    let long = [&[0x81, 127][..], &((64 << 10) + 1_u64).to_be_bytes(), &[b'x'; (64 << 10) + 1]].concat();
    let fragments = [&[0x00, 126, 1, 0][..], &[b'x'; 256]].concat();
    let begin = [0x01, 1, b'a'];
    for transport in [Transport::WebSocket, Transport::RawWebSocket] {
        for (what, begin, bytes, endless) in [
            ("announced", &[][..], &announced, false),
            ("absurd", &[], &absurd, false),
            ("long", &[], &long, false),
            ("fragments", &begin, &fragments, true),
        ] {
            let (begin, bytes) = (begin.to_vec(), bytes.clone());
            let server = RawServer::new(move |request, mut conn| {
                let (begin, bytes) = (begin.clone(), bytes.clone());
                async move {
                    conn.websocket(&request).await?;
                    conn.text("o").await?;
                    conn.say(begin).await?;
                    if endless {
                        return conn.endlessly(bytes).await;
                    }
                    conn.say(bytes).await?;
                    conn.idle().await
                }
            });
            let mut session = opened(&server, transport).await;
            if transport == Transport::RawWebSocket {
                assert_eq!(soon("the text", session.recv()).await.unwrap(), "o");
            }
            let event = ended(&server, session).await;
            assert_eq!((event.code(), event.reason()), (1009, "Frame too long"), "{what}: {event:?}");
        }
    }
}

#[tokio::test]
async fn a_frame_of_too_many_messages_is_too_long() {
    let frame = format!("a[\"\"{}]", ",\"\"".repeat(1 << 18));
    let server =
        after_open(false, [&[0x81, 127][..], &(frame.len() as u64).to_be_bytes(), frame.as_bytes()].concat());
    let client = server.only(Transport::WebSocket);
    let session = soon("a session", client.connect()).await.unwrap();
    drop(client);
    assert_eq!(ended(&server, session).await.code(), 1009);
}

#[tokio::test]
async fn nonsense_is_dropped_and_a_second_open_frame_is_another_session() {
    let frames = ["", "x", "a", "a[1]", "c[1]", "c[1000,\"\",1]", "m[]", "h", "a[\"x\"]", "\u{e9}", "o"];
    let binary = vec![0x82, 2, 0xff, 0];
    let bytes: Vec<u8> = frames.iter().map(|frame| text(frame)).chain([binary]).collect::<Vec<_>>().concat();
    let server = after_open(false, bytes);
    let mut session = opened(&server, Transport::WebSocket).await;
    assert_eq!(soon("a message", session.recv()).await.unwrap(), "x");
    let event = ended(&server, session).await;
    assert_eq!((event.code(), event.reason()), (1006, "Server lost session"));
}

#[tokio::test]
async fn a_lone_surrogate_that_is_refused_ends_the_session() {
    let server = after_open(false, text(r#"a["x","\ud800"]"#));
    let client = server.only(Transport::WebSocket).lone_surrogates(LoneSurrogates::Refuse);
    let session = soon("a session", client.connect()).await.unwrap();
    drop(client);
    let event = ended(&server, session).await;
    assert_eq!((event.code(), event.reason()), (1007, "Lone surrogate"), "{event}");
}

#[tokio::test]
async fn a_frame_that_breaks_off_is_lost() {
    for with_reset in [false, true] {
        for transport in [Transport::WebSocket, Transport::RawWebSocket] {
            let server = RawServer::new(move |request, mut conn| async move {
                conn.websocket(&request).await?;
                conn.text("o").await?;
                conn.say([0x81, 100, b'a']).await?;
                conn.told().await;
                if with_reset {
                    conn.reset();
                }
                None
            });
            let mut session = opened(&server, transport).await;
            if transport == Transport::RawWebSocket {
                assert_eq!(soon("the text", session.recv()).await.unwrap(), "o");
            }
            server.tell();
            let event = ended(&server, session).await;
            assert_eq!((event.code(), event.reason()), (1006, "Connection lost"));
        }
    }
}

/// How long it takes to close a session. It takes no longer than it may.
async fn closes(session: Session) -> sockjs_client::CloseEvent {
    let began = Instant::now();
    let event = soon("the end", session.close(3000, "bye")).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    event
}

#[tokio::test]
async fn pings_without_an_end_hold_up_nothing() {
    for transport in [Transport::WebSocket, Transport::RawWebSocket] {
        // As fast as they are read, and the answers are not.
        let server = after_open(true, b"\x89\x02hi");
        let client = server.only(transport).close_timeout(Duration::from_millis(200));
        let session = soon("a session", client.connect()).await.unwrap();
        session.send("x").await.unwrap();
        let event = closes(session).await;
        assert_eq!(event.code(), 3000, "{event:?}");
        drop(client);
        server.nothing_is_left().await;
    }
}

#[tokio::test]
async fn pings_whose_answers_are_not_read_end_the_session() {
    for transport in [Transport::WebSocket, Transport::RawWebSocket] {
        let server = after_open(true, [&[0x89, 125][..], &[b'x'; 125]].concat());
        let client = server.only(transport);
        let session = soon("a session", client.connect()).await.unwrap();
        // The buffers of the system's sockets take some of them.
        let event = soon("the end", session.closed()).await;
        assert_eq!(event.code(), 1006, "{event:?}");
        assert!(event.to_string().contains("does not read the answers to its pings"), "{event}");
        drop((session, client));
        server.nothing_is_left().await;
    }
}

/// `send` waits at its bound, and `close` no longer than it may.
#[tokio::test]
async fn a_server_that_does_not_read_holds_up_no_more_than_the_queue() {
    for transport in [Transport::WebSocket, Transport::RawWebSocket] {
        let server = RawServer::new(move |request, mut conn| async move {
            conn.websocket(&request).await?;
            conn.text("o").await?;
            conn.deaf().await
        });
        let client =
            server.only(transport).close_timeout(Duration::from_millis(200)).send_queue_bytes(64 << 10);
        let session = soon("a session", client.connect()).await.unwrap();
        drop(client);
        let mut sent = 0;
        // The buffers of the system's sockets take some of it.
        while timeout(Duration::from_millis(300), session.send("x".repeat(60_000))).await.is_ok() {
            sent += 1;
            assert!(sent < 1000, "{} bytes wait nowhere", sent * 60_000);
        }
        let began = Instant::now();
        let event = soon("the end", session.close(3000, "bye")).await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
        assert!(!event.was_clean(), "{event}");
        assert_eq!(event.reason(), "Sending error: the server has not taken them within 200ms");
        let unsent = session.unsent();
        assert_eq!((unsent.uncertain.len(), unsent.queued.len()), (1, 0), "a second one has no room");
        drop(session);
        server.nothing_is_left().await;
    }
}

/// RFC 6455, section 5.5.1: a close frame is answered.
#[tokio::test]
async fn the_servers_close_frame_is_answered() {
    for transport in [Transport::WebSocket, Transport::RawWebSocket] {
        let (answers, mut answer) = tokio::sync::mpsc::unbounded_channel();
        let server = RawServer::new(move |request, mut conn| {
            let answers = answers.clone();
            async move {
                conn.websocket(&request).await?;
                conn.text("o").await?;
                if transport == Transport::WebSocket {
                    conn.text("c[4000,\"bye\"]").await?;
                }
                conn.say(b"\x88\x05\x0f\xa0bye").await?;
                while let Some(frame) = conn.frame().await {
                    answers.send(frame).unwrap();
                }
                None
            }
        });
        let mut session = opened(&server, transport).await;
        while soon("the end", session.recv()).await.is_some() {}
        let event = session.close_event().unwrap();
        assert_eq!((event.code(), event.reason(), event.was_clean()), (4000, "bye", true), "{transport}");
        let (kind, _) = soon("the answer", answer.recv()).await.expect("an answer");
        assert_eq!(kind, 0x88, "{transport}");
        drop(session);
        server.nothing_is_left().await;
    }
}

#[tokio::test]
async fn a_close_that_is_not_answered_is_not_waited_for() {
    for transport in [Transport::WebSocket, Transport::RawWebSocket] {
        let server = after_open(false, "");
        let client = server.only(transport).close_timeout(Duration::from_millis(200));
        let session = soon("a session", client.connect()).await.unwrap();
        let began = Instant::now();
        let event = soon("the end", session.close(3000, "bye")).await.unwrap();
        assert!(began.elapsed() >= Duration::from_millis(200) && began.elapsed() < Duration::from_secs(4));
        assert_eq!((event.code(), event.was_clean()), (3000, true));
        drop((client, session));
        server.nothing_is_left().await;
    }
}
