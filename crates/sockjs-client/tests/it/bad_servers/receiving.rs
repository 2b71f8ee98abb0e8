//! The transports over HTTP: what comes in place of frames.

use std::time::Duration;

use sockjs_client::{Error, LoneSurrogates, Transport};
use tokio::time::{Instant, sleep};

use super::{ended, opened, refused, timed_out};
use crate::support::{FRAMED, HTTP, framed, raw::RawServer, soon};

/// A server that opens a session over any transport, and then says these bytes without end, or once.
fn after_open(transport: Transport, endless: bool, bytes: String) -> RawServer {
    RawServer::new(move |request, mut conn| {
        let bytes = bytes.clone();
        async move {
            conn.receiver().await?;
            conn.say(framed(transport, "o")).await?;
            if endless {
                return conn.endlessly(bytes).await;
            }
            conn.say(&bytes).await?;
            assert_ne!(request.name(), "xhr_send");
            conn.idle().await
        }
    })
}

#[tokio::test]
async fn heartbeats_are_no_session() {
    for transport in FRAMED {
        let server = RawServer::new(move |request, mut conn| async move {
            if transport == Transport::WebSocket {
                conn.websocket(&request).await?;
                return conn.endlessly(b"\x81\x01h").await;
            }
            conn.receiver().await?;
            conn.endlessly(framed(transport, "h")).await
        });
        timed_out(&server, transport).await;
    }
}

#[tokio::test]
async fn nonsense_before_the_open_frame_is_skipped_until_the_time_is_over() {
    for transport in HTTP {
        let frames = ["x", "a[1]", "c[]", "", "a[\"early\"]", "O", " o"];
        let piece: String = frames.iter().map(|frame| framed(transport, frame)).collect();
        let server = RawServer::new(move |_, mut conn| {
            let piece = piece.clone();
            async move {
                conn.receiver().await?;
                conn.say(piece.repeat(100)).await?;
                conn.idle().await
            }
        });
        timed_out(&server, transport).await;
    }
}

#[tokio::test]
async fn nonsense_without_an_end_ends_with_the_time() {
    for transport in HTTP {
        let server = RawServer::new(move |_, mut conn| async move {
            conn.receiver().await?;
            loop {
                // Slow enough for the limit on what a client takes to mean something.
                conn.say(framed(transport, "x")).await?;
                sleep(Duration::from_millis(1)).await;
            }
        });
        timed_out(&server, transport).await;
    }
}

#[tokio::test]
async fn megabytes_of_nonsense_between_frames_are_dropped() {
    for transport in HTTP {
        let nonsense = framed(transport, "x\u{e9}").repeat(100_000);
        let nonsense = nonsense + &framed(transport, "a[\"x\"]");
        let server = after_open(transport, false, nonsense);
        let mut session = opened(&server, transport).await;
        assert_eq!(soon("a message", session.recv()).await.unwrap(), "x", "{transport}");
        drop(session);
        server.nothing_is_left().await;
    }
}

#[tokio::test]
async fn a_frame_without_an_end_is_too_long() {
    for transport in HTTP {
        let begin = framed(transport, "a[\"");
        let begin = begin.split("\"\r").next().unwrap().trim_end_matches(['"', ')', ';', '\r', '\n']);
        let begin = begin.split("\");").next().unwrap().trim_end_matches('\\').to_owned();
        let server = RawServer::new(move |_, mut conn| {
            let begin = begin.clone();
            async move {
                conn.receiver().await?;
                conn.say(framed(transport, "o")).await?;
                conn.say(begin).await?;
                conn.endlessly("xxxx").await
            }
        });
        let session = opened(&server, transport).await;
        let event = ended(&server, session).await;
        assert_eq!((event.code(), event.was_clean()), (1009, false), "{transport}: {event}");
        assert!(matches!(event.error(), Some(Error::FrameTooLong)), "{transport}: {event}");
    }
}

#[tokio::test]
async fn frames_beyond_the_limits_are_too_long() {
    let long = format!("a[\"{}\"]", "x".repeat(64 << 10));
    let many = format!("a[\"\"{}]", ",\"\"".repeat(1 << 18));
    for transport in HTTP {
        for (frame, limit) in [(&long, 64 << 10), (&many, 16 << 20)] {
            let server = after_open(transport, false, framed(transport, frame));
            let client = server.only(transport).max_frame_bytes(limit);
            let session = soon("a session", client.connect()).await.unwrap();
            drop(client);
            let event = ended(&server, session).await;
            assert_eq!(event.code(), 1009, "{transport}: {event}");
            assert_eq!(event.reason(), "Frame too long");
        }
    }
}

#[tokio::test]
async fn a_lone_surrogate_that_is_refused_ends_the_session() {
    for transport in HTTP {
        let server = after_open(transport, false, framed(transport, r#"a["x","\ud800"]"#));
        let client = server.only(transport).lone_surrogates(LoneSurrogates::Refuse);
        let session = soon("a session", client.connect()).await.unwrap();
        drop(client);
        let event = ended(&server, session).await;
        assert_eq!((event.code(), event.reason()), (1007, "Lone surrogate"), "{transport}: {event}");
    }
}

#[tokio::test]
async fn a_close_frame_has_two_items_and_a_code() {
    let wrong = [
        "c[]",
        "c[1000]",
        "c[1000,\"a\",1]",
        "c[65536,\"a\"]",
        "c[-1,\"a\"]",
        "c[1.5,\"\"]",
        "c[\"1\",\"\"]",
        "c",
    ];
    for transport in HTTP {
        let frames: String = wrong.iter().map(|frame| framed(transport, frame)).collect();
        let server = after_open(transport, false, frames + &framed(transport, "c[65535,\"really\"]"));
        let session = opened(&server, transport).await;
        let event = ended(&server, session).await;
        assert_eq!((event.code(), event.reason(), event.was_clean()), (65535, "really", true), "{transport}");
    }
}

#[tokio::test]
async fn a_second_open_frame_is_another_session() {
    for transport in HTTP {
        let server = after_open(transport, false, framed(transport, "o"));
        let session = opened(&server, transport).await;
        let event = ended(&server, session).await;
        assert_eq!((event.code(), event.reason()), (1006, "Server lost session"), "{transport}");
    }
}

/// Each answer is whole, and says nothing.
#[tokio::test]
async fn answers_without_frames_are_asked_for_at_rest() {
    for opens in [false, true] {
        for transport in [Transport::XhrStreaming, Transport::EventSource, Transport::JsonpPolling] {
            let server = RawServer::new(move |request, conn| async move {
                let is_first = request.header("cookie").is_none();
                let frame = if opens && is_first { framed(transport, "o") } else { String::new() };
                let headers = "Content-Type: text/event-stream\r\nSet-Cookie: seen=1\r\n";
                conn.answer("200 OK", headers, &frame).await
            });
            let began = Instant::now();
            let client = server.only(transport).min_open_timeout(Duration::from_secs(1));
            let result = soon("an end", client.connect()).await;
            assert_eq!(result.is_ok(), opens, "{transport}: {result:?}");
            if opens {
                sleep(Duration::from_secs(1)).await;
            }
            let asked = server.requests(transport.path()).len();
            // 10, 20, 40 ms and so on between them.
            assert!(asked > 1 && asked < 12, "{transport}: {asked} requests in {:?}", began.elapsed());
            drop((client, result));
            server.nothing_is_left().await;
        }
    }
}

#[tokio::test]
async fn an_event_stream_has_its_type() {
    for content_type in ["text/html", "text/plain; charset=UTF-8", "", "text/event"] {
        let server = RawServer::new(move |_, mut conn| async move {
            conn.stream(content_type).await?;
            conn.chunk("data: o\r\n\r\n").await?;
            conn.idle().await
        });
        let error = refused(&server, Transport::EventSource).await;
        assert_eq!(error.to_string(), "the server's answer is no event stream");
        assert_eq!(error.close_frame().code(), 1006);
    }
}

#[tokio::test]
async fn heads_without_an_end_are_given_up() {
    for transport in FRAMED {
        for (begin, piece) in
            [("HTTP/1.1 200 OK\r\nX: ", "aaaa"), ("HTTP/1.1 200 OK\r\n", "a: b\r\n"), ("HTTP/1.1 101 ", "OK")]
        {
            let server = RawServer::new(move |_, mut conn| async move {
                conn.say(begin).await?;
                conn.endlessly(piece).await
            });
            let error = refused(&server, transport).await;
            assert!(matches!(error, Error::Lost(_)), "{transport}: {error}");
            assert!(error.to_string().contains("message head is too large"), "{transport}: {error}");
        }
    }
}

/// Answers that announce an answer, of which any number may come.
#[tokio::test]
async fn informational_answers_without_an_end_end_with_the_time() {
    for transport in FRAMED {
        let server = RawServer::new(move |_, mut conn| async move {
            loop {
                conn.say("HTTP/1.1 100 Continue\r\n\r\n").await?;
                sleep(Duration::from_millis(1)).await;
            }
        });
        timed_out(&server, transport).await;
    }
}

#[tokio::test]
async fn a_refused_receiver_is_told() {
    for transport in FRAMED {
        for (status, headers) in
            [("404 Not Found", ""), ("302 Found", "Location: /a\r\n"), ("201 Created", "")]
        {
            let server =
                RawServer::new(move |_, conn| async move { conn.answer(status, headers, "why").await });
            let error = refused(&server, transport).await;
            let response = error.response().unwrap();
            assert_eq!(response.status().as_str(), &status[..3], "{transport}");
            assert_eq!(response.body(), "why");
            assert_eq!(error.close_frame().code(), 1006);
        }
    }
}

#[tokio::test]
async fn a_chunk_that_breaks_off_is_lost() {
    for with_reset in [false, true] {
        for transport in [Transport::XhrStreaming, Transport::HtmlFile, Transport::XhrPolling] {
            let server = RawServer::new(move |_, mut conn| async move {
                conn.stream("a/b").await?;
                conn.chunk(&framed(transport, "o")).await?;
                conn.say("100\r\na[\"").await?;
                conn.told().await;
                if with_reset {
                    conn.reset();
                }
                None
            });
            let session = opened(&server, transport).await;
            server.tell();
            let event = ended(&server, session).await;
            assert_eq!((event.code(), event.reason()), (1006, "Connection lost"), "{transport}");
        }
    }
}

#[tokio::test]
async fn chunks_that_are_none_are_lost() {
    for nonsense in ["x\r\n", "ffffffffffffffffff\r\n", "-1\r\n", "1\r\nabc"] {
        let server = RawServer::new(move |_, mut conn| async move {
            conn.stream("a/b").await?;
            conn.chunk("o\n").await?;
            conn.say(nonsense).await?;
            conn.idle().await
        });
        let session = opened(&server, Transport::XhrStreaming).await;
        let event = ended(&server, session).await;
        assert_eq!((event.code(), event.reason()), (1006, "Connection lost"), "{nonsense:?}");
    }
}
