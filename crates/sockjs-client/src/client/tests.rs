//! How sessions open and end, by the clock: against servers in memory, under a paused clock.

use sockjs_core::CloseFrame;

use super::*;
use crate::memory::{Answer, client, ok, timed};

const MS: Duration = Duration::from_millis(1);

fn head() -> String {
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n".to_owned()
}

/// The errors of the transports, in their order.
fn tried(error: ConnectError) -> Vec<(Transport, Error)> {
    match error {
        ConnectError::Transports(tried) => tried,
        ConnectError::Info(error) => panic!("{error}"),
    }
}

/// With its body: a head alone is no answer.
#[tokio::test(start_paused = true)]
async fn info_may_take_eight_seconds() {
    for begun in [0, ok("{}").len() - 1] {
        let (client, log) = client("http://h/app", move |_| {
            let (first, rest) = (ok("{}")[..begun].to_owned(), ok("{}")[begun..].to_owned());
            Answer::Parts(vec![(MS, first.into()), (60_000 * MS, rest.into())])
        });
        let (time, result) = timed(client.connect()).await;
        let error = result.unwrap_err();
        assert_eq!(time, 8000 * MS, "{begun} bytes");
        assert_eq!(error.close_frame().code(), 1002);
        assert_eq!(error.to_string(), "/info: timed out after 8s");
        assert_eq!(log.names(), ["info"]);
    }
}

/// The limit is 64 KiB, of which the library keeps a part for itself.
#[tokio::test(start_paused = true)]
async fn a_head_is_bounded() {
    for (kib, is_taken) in [(32, true), (66, false), (200, false)] {
        let (client, log) = client("http://h/app", move |seen| match seen.name() {
            "info" => Answer::at_once(
                ok("{}").replace("\r\n\r\n", &format!("\r\nX: {}\r\n\r\n", "x".repeat(kib << 10))),
            ),
            _ => Answer::ok("c[3000,\"\"]\n"),
        });
        let error = client.transports([Transport::XhrPolling]).connect().await.unwrap_err();
        assert_eq!(error.close_frame().code(), if is_taken { 3000 } else { 1002 }, "{kib} KiB: {error}");
        assert_eq!(log.all().len(), if is_taken { 2 } else { 1 });
    }
}

#[tokio::test(start_paused = true)]
async fn each_transport_has_two_round_trips_and_then_comes_the_next() {
    // Below 100 ms, 300 ms are added; above, it is four times as long.
    for (info, least, each) in [(50, 0, 700), (100, 0, 800), (200, 0, 1600), (50, 3000, 3000), (50, 10, 700)]
    {
        let (client, log) = client("http://h/app?q=1", move |seen| match seen.name() {
            "info" => Answer::after(info * MS, ok("{}")),
            _ => Answer::Silence,
        });
        let (time, result) = timed(client.min_open_timeout(least * MS).connect()).await;
        assert_eq!(time, (info + 4 * each) * MS);
        let error = result.unwrap_err();
        assert_eq!(error.close_frame(), CloseFrame::from_static(2000, "All transports failed"));
        for ((transport, error), expected) in tried(error).into_iter().zip(ORDER) {
            assert_eq!(transport, *expected);
            assert!(matches!(error, Error::TimedOut(time) if time == each * MS), "{transport}: {error}");
        }
        assert_eq!(log.names(), ["info", "websocket", "xhr_streaming", "eventsource", "xhr"]);
        let starts: Vec<_> = log.all().iter().skip(1).map(|seen| seen.at).collect();
        assert_eq!(starts, (0..4).map(|at| (info + at * each) * MS).collect::<Vec<_>>());
        let sessions: std::collections::BTreeSet<_> = log
            .all()
            .iter()
            .skip(1)
            .map(|seen| seen.target().split('/').nth(3).unwrap().to_owned())
            .collect();
        assert_eq!(sessions.len(), 4, "each attempt is a session of its own");
        assert!(
            log.all().iter().all(|seen| seen.target().ends_with("?q=1")),
            "the query is on every request"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn one_transport_alone_has_five_seconds() {
    for transport in
        [Transport::WebSocket, Transport::RawWebSocket, Transport::EventSource, Transport::XhrPolling]
    {
        for (least, most) in [(0, 5000), (100, 5000), (7000, 7000)] {
            let (client, log) = client("http://h/app", |_| Answer::Silence);
            let (time, result) = timed(client.min_open_timeout(least * MS).open(transport)).await;
            assert!(matches!(result.unwrap_err(), Error::TimedOut(time) if time == most * MS), "{transport}");
            assert_eq!(time, most * MS);
            assert_eq!(log.all().len(), 1, "without a look at /info");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn info_may_switch_websocket_off() {
    let (client, log) = client("http://h/app", |seen| match seen.name() {
        "info" => Answer::ok("{\"websocket\":false}"),
        _ => Answer::Parts(vec![
            (MS, head().into()),
            (MS, "o\n".into()),
            (1000 * MS, "c[3000,\"bye\"]\n".into()),
        ]),
    });
    let transports = [Transport::RawWebSocket, Transport::WebSocket, Transport::XhrStreaming];
    let mut session = client.transports(transports).connect().await.unwrap();
    assert_eq!(session.transport(), Transport::XhrStreaming);
    assert_eq!(log.names(), ["info", "xhr_streaming"]);
    assert_eq!(session.recv().await, None);
    assert_eq!(session.close_event().unwrap().code(), 3000);
}

#[tokio::test]
async fn a_client_without_transports_says_so() {
    let (client, _) = client("http://h/app", |_| Answer::ok("{\"websocket\":false}"));
    let error = client.transports([Transport::WebSocket]).connect().await.unwrap_err();
    assert_eq!(error.to_string(), "no transport is enabled");
    assert_eq!(error.close_frame().code(), 2000);
}

#[tokio::test(start_paused = true)]
async fn the_applications_codes_end_the_search() {
    for (code, is_final) in
        [(1000, true), (2000, true), (3000, true), (4999, true), (1002, false), (2010, false), (5000, false)]
    {
        let (client, log) = client("http://h/app", move |seen| match seen.name() {
            "info" => Answer::ok("{}"),
            "websocket" => Answer::at_once("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
            "eventsource" => Answer::ok(&format!("data: c[{code},\"why\"]\r\n\r\n")),
            _ => Answer::ok(&format!("c[{code},\"why\"]\n")),
        });
        let error = client.connect().await.unwrap_err();
        let (expected, asked) = if is_final { (code, 3) } else { (2000, 5) };
        assert_eq!(error.close_frame().code(), expected, "{error}");
        assert_eq!(error.close_frame().reason(), if is_final { "why" } else { "All transports failed" });
        assert_eq!(log.all().len(), asked, "{code}");
    }
}

/// A server that names another one, with which sessions are opened and messages exchanged.
#[tokio::test(start_paused = true)]
async fn a_base_url_takes_the_place_of_the_url_but_not_the_headers() {
    for (base_url, host, path) in [
        ("http://other/base/", "other", "/base/"),
        ("//other/base", "other", "/base/"),
        ("/base", "h", "/base/"),
        ("base", "h", "/base/"),
        ("http://other:81/base?p=2", "other", "/base/"),
    ] {
        let info = format!("{{\"base_url\":\"{base_url}\"}}");
        let (client, log) = client("http://h/app?q=1", move |seen| match seen.name() {
            "info" => {
                Answer::at_once(ok(&info).replace("\r\n\r\n", "\r\nSet-Cookie: node=1; Path=/\r\n\r\n"))
            }
            "xhr_send" => Answer::ok(""),
            _ => Answer::Parts(vec![(MS, head().into()), (MS, "o\n".into())]),
        });
        let client =
            client.transports([Transport::XhrStreaming]).header("authorization", "secret").cookie("a", "b");
        let session = client.connect().await.unwrap();
        session.send("x").await.unwrap();
        session.flush().await.unwrap();
        let all = log.all();
        assert_eq!(log.names(), ["info", "xhr_streaming", "xhr_send"]);
        assert!(all[0].host == "h" && all[0].target() == "/app/info?q=1" && all[0].head.contains("secret"));
        assert_eq!(all[2].body, "[\"x\"]");
        for seen in &all[1..] {
            assert_eq!(seen.host, host, "{base_url}");
            assert!(seen.target().starts_with(path), "{base_url}: {}", seen.target());
            let query = if base_url.contains('?') { "?p=2" } else { "?q=1" };
            assert!(seen.target().ends_with(query), "{base_url}: {}", seen.target());
            let is_own = host == "h";
            assert_eq!(seen.head.contains("authorization: secret"), is_own, "{base_url}: {}", seen.head);
            assert_eq!(seen.head.contains("a=b") && seen.head.contains("node=1"), is_own, "{}", seen.head);
        }
    }
}

/// A load balancer's cookie leads all attempts to the same server, whatever brought it.
#[tokio::test(start_paused = true)]
async fn a_cookie_of_a_refused_websocket_goes_with_the_next_transport() {
    let (client, log) = client("http://h/app", |seen| match seen.name() {
        "info" => Answer::at_once(ok("{}").replace("\r\n\r\n", "\r\nSet-Cookie: a=1; Path=/\r\n\r\n")),
        "websocket" => {
            Answer::at_once("HTTP/1.1 404 Not Found\r\nSet-Cookie: a=2; Path=/\r\nContent-Length: 0\r\n\r\n")
        }
        _ => Answer::Parts(vec![(MS, head().into()), (MS, "o\n".into())]),
    });
    let session = client.connect().await.unwrap();
    assert_eq!(session.transport(), Transport::XhrStreaming);
    let cookies: Vec<_> = log
        .all()
        .iter()
        .map(|seen| seen.head.lines().find_map(|line| line.strip_prefix("cookie: ").map(str::to_owned)))
        .collect();
    assert_eq!(cookies, [None, Some("a=1".to_owned()), Some("a=2".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn polls_carry_the_query_and_the_cookies_that_were_set() {
    for (transport, path, send) in
        [(Transport::XhrPolling, "xhr", "xhr_send"), (Transport::JsonpPolling, "jsonp", "jsonp_send")]
    {
        let (client, log) = client("http://h/app?q=1&x", move |seen| {
            let is_first = !seen.head.contains("a=1");
            let frame = if transport == Transport::XhrPolling { "o\n" } else { "/**/_jp.a(\"o\");\r\n" };
            match (seen.name().contains("send"), is_first) {
                (true, _) => Answer::ok("ok"),
                (_, true) => {
                    Answer::at_once(ok(frame).replace("\r\n\r\n", "\r\nSet-Cookie: a=1; Path=/\r\n\r\n"))
                }
                _ => Answer::Silence,
            }
        });
        let session = client.open(transport).await.unwrap();
        session.send("x").await.unwrap();
        session.flush().await.unwrap();
        let all = log.all();
        assert_eq!(all.len(), 3);
        assert!(all[1..].iter().all(|seen| seen.head.contains("cookie: a=1")), "{all:?}");
        let polls: Vec<_> = all.iter().filter(|seen| seen.name() == path).collect();
        let body = if transport == Transport::JsonpPolling { "d=%5B%22x%22%5D" } else { "[\"x\"]" };
        assert!(all.iter().any(|seen| seen.body == body), "{all:?}");
        assert!(polls.len() == 2 && all.iter().any(|seen| seen.name() == send), "{all:?}");
        assert!(polls.iter().all(|seen| seen.target().contains("?q=1&x")), "{polls:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_lost_after_exactly_its_time() {
    let (client, _) = client("http://h/app", |_| {
        Answer::Parts(vec![(MS, head().into()), (MS, "o\n".into()), (74_999 * MS, "h\n".into())])
    });
    let mut session = client.open(Transport::XhrStreaming).await.unwrap();
    let (time, end) = timed(session.recv()).await;
    assert_eq!((time, end), ((74_999 + 75_000) * MS, None));
    assert!(
        matches!(session.close_event().unwrap().error(), Some(Error::Silent(time)) if *time == 75_000 * MS)
    );
}

/// Unlike a stream, a poll ends with each frame, so it is never silent for long, whether or not a heartbeat came before.
#[tokio::test(start_paused = true)]
async fn a_poll_without_a_frame_is_lost_after_its_time_by_default() {
    for begun in [String::new(), head()] {
        let (client, log) = client("http://h/app", move |seen| {
            if seen.at.is_zero() { Answer::after(MS, ok("o\n")) } else { Answer::at_once(begun.as_str()) }
        });
        let mut session = client.open(Transport::XhrPolling).await.unwrap();
        let (time, end) = timed(timeout(1_000_000 * MS, session.recv())).await;
        assert_eq!((time, end), (75_000 * MS, Ok(None)));
        assert_eq!(session.close_event().unwrap().reason(), "Server silent");
        assert_eq!(log.names(), ["xhr", "xhr"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_heartbeats_may_be_silent_by_default() {
    let open = async |change: fn(Client) -> Client| {
        let (client, _) =
            client("http://h/app", |_| Answer::Parts(vec![(MS, head().into()), (MS, "o\n".into())]));
        change(client).open(Transport::XhrStreaming).await.unwrap()
    };
    let mut session = open(|client| client).await;
    timeout(1_000_000 * MS, session.recv()).await.unwrap_err();
    let mut session = open(|client| client.server_timeout(75_000 * MS)).await;
    assert_eq!(timed(session.recv()).await, (75_000 * MS, None));
    let mut session = open(|client| client.server_timeout(None)).await;
    timeout(1_000_000 * MS, session.recv()).await.unwrap_err();
}

/// A long message over a slow connection, within which there is no room for the answer to a ping.
#[tokio::test(start_paused = true)]
async fn a_part_of_a_message_is_a_sign_of_life() {
    for (pause, arrives) in [(74, true), (76, false)] {
        let (client, _) = client("http://h/app", move |seen| {
            let key = seen.head.lines().find_map(|line| line.strip_prefix("sec-websocket-key: ")).unwrap();
            let accept = tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes());
            let head = format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Accept: {accept}\r\n\r\n"
            );
            let parts = [&b"\x81\x01o"[..], b"\x81", b"\x07a[", b"\"ab\"", b"]"];
            let mut parts: Vec<_> = parts.iter().map(|part| (pause * 1000 * MS, part.to_vec())).collect();
            parts.insert(0, (MS, head.into()));
            parts[1].0 = MS;
            Answer::Parts(parts)
        });
        let mut session = client.open(Transport::WebSocket).await.unwrap();
        let (time, message) = timed(session.recv()).await;
        if arrives {
            assert_eq!((time, message), (4 * pause * 1000 * MS, Some("ab".into())));
        } else {
            assert_eq!((time, message), (75_000 * MS, None));
            assert_eq!(session.close_event().unwrap().reason(), "Server silent");
        }
    }
}

/// The times between the requests of a minute, of a session whose polls are answered so.
async fn pauses(delay: Duration, body: &'static str) -> Vec<Duration> {
    let (client, log) = client("http://h/app", move |seen| {
        if seen.at.is_zero() { Answer::after(MS, ok("o\n")) } else { Answer::after(delay, ok(body)) }
    });
    let session = client.open(Transport::XhrPolling).await.unwrap();
    tokio::time::sleep(60_000 * MS).await;
    assert!(session.close_event().is_none());
    let at: Vec<_> = log.all().iter().map(|seen| seen.at).collect();
    // The first answer has brought a frame, so the second request came at once.
    assert_eq!(at[1] - at[0], MS);
    at[1..].windows(2).map(|pair| pair[1] - pair[0]).collect()
}

#[tokio::test(start_paused = true)]
async fn empty_answers_are_asked_for_ever_more_rarely() {
    for body in ["", "\n", "x\n", "h\n", "a[]\n"] {
        let pauses = pauses(Duration::ZERO, body).await;
        assert_eq!(pauses[..6], [10 * MS, 20 * MS, 40 * MS, 80 * MS, 160 * MS, 320 * MS], "{body:?}");
        assert!(pauses.iter().all(|pause| *pause <= 5000 * MS), "{body:?}: {pauses:?}");
        assert_eq!(pauses.last(), Some(&(5000 * MS)), "{body:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn answers_that_bring_a_frame_are_followed_by_a_request_at_once() {
    for (delay, body) in [(20 * MS, "h\n"), (25_000 * MS, "h\n"), (20 * MS, "a[]\n"), (5 * MS, "a[\"x\"]\n")]
    {
        let pauses = pauses(delay, body).await;
        assert!(pauses.iter().all(|pause| *pause == delay), "{body:?}: {pauses:?}");
    }
}

/// Also a code that this client has for an event of its own, and one by which the server refuses a second receiver.
#[tokio::test(start_paused = true)]
async fn an_open_session_ends_with_the_servers_code_whatever_it_is() {
    for code in [1000, 1002, 1006, 2000, 2007, 2010, 3000, 65535] {
        for transport in [Transport::XhrPolling, Transport::XhrStreaming] {
            let (client, _) = client("http://h/app", move |seen| {
                let close = format!("c[{code},\"why\"]\n");
                match transport {
                    Transport::XhrPolling if seen.at.is_zero() => Answer::after(MS, ok("o\n")),
                    Transport::XhrPolling => Answer::ok(&close),
                    _ => Answer::Parts(vec![(MS, head().into()), (MS, format!("o\n{close}").into())]),
                }
            });
            let mut session = client.open(transport).await.unwrap();
            assert_eq!(session.recv().await, None);
            let event = session.close_event().unwrap();
            assert_eq!((event.code(), event.reason(), event.was_clean()), (code, "why", true), "{transport}");
            assert!(event.error().is_none(), "{event}");
        }
    }
}

/// One request is under way at a time, and the next takes as much of what has queued up as a request may have.
#[tokio::test(start_paused = true)]
async fn the_next_request_takes_what_has_queued_up() {
    for (messages, bytes, expected) in [
        (1000, 64 << 10, &["[\"a\"]", "[\"b\",\"cc\",\"ddd\",\"e\"]"][..]),
        (2, 64 << 10, &["[\"a\"]", "[\"b\",\"cc\"]", "[\"ddd\",\"e\"]"]),
        (1000, 3, &["[\"a\"]", "[\"b\",\"cc\"]", "[\"ddd\"]", "[\"e\"]"]),
    ] {
        for closes in [false, true] {
            let (client, log) = client("http://h/app", |seen| match seen.name() {
                "xhr_send" => Answer::after(1000 * MS, ok("")),
                _ => Answer::Parts(vec![(Duration::ZERO, head().into()), (Duration::ZERO, "o\n".into())]),
            });
            let client = client.max_batch_messages(messages).max_batch_bytes(bytes);
            let session = client.open(Transport::XhrStreaming).await.unwrap();
            session.send("a").await.unwrap();
            tokio::time::sleep(MS).await;
            for text in ["b", "cc", "ddd", "e"] {
                session.send(text).await.unwrap();
            }
            if closes {
                assert!(session.close(3000, "").await.unwrap().was_clean());
            } else {
                session.flush().await.unwrap();
            }
            let all = log.all();
            let sent: Vec<_> = all[1..].iter().map(|seen| (seen.at, seen.body.as_str())).collect();
            let times = (0..).map(|at| at * 1000 * MS);
            assert_eq!(sent, times.zip(expected.iter().copied()).collect::<Vec<_>>(), "closes: {closes}");
        }
    }
}

/// The status is the answer, and not the end of the body.
#[tokio::test(start_paused = true)]
async fn messages_are_delivered_with_the_status_of_the_answer() {
    let (client, _) = client("http://h/app", |seen| match seen.name() {
        "xhr_send" => Answer::at_once("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no"),
        _ => Answer::Parts(vec![
            (Duration::ZERO, head().into()),
            (Duration::ZERO, "o\n".into()),
            (1000 * MS, "c[3000,\"\"]\n".into()),
        ]),
    });
    let mut session = client.open(Transport::XhrStreaming).await.unwrap();
    session.send("a").await.unwrap();
    tokio::time::sleep(MS).await;
    session.send("b").await.unwrap();
    assert_eq!(session.recv().await, None);
    assert_eq!(session.unsent().uncertain.len(), 0);
    assert_eq!(session.unsent().queued, ["b"]);
}

/// The status says enough: a body that comes late does not hold it up.
#[tokio::test(start_paused = true)]
async fn a_refusal_has_what_came_of_its_body_in_time() {
    let (client, _) = client("http://h/app", |_| {
        let head = "HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\nnot ";
        Answer::Parts(vec![(MS, head.into()), (100 * MS, "you".into()), (1000 * MS, "r business".into())])
    });
    let (time, result) = timed(client.open(Transport::XhrStreaming)).await;
    let error = result.unwrap_err();
    assert_eq!(time, 251 * MS);
    assert_eq!(
        error.response().map(|response| (response.status().as_u16(), &response.body()[..])),
        Some((403, &b"not you"[..]))
    );
}

/// The receiving half may still say why, for a second.
#[tokio::test(start_paused = true)]
async fn a_refused_message_waits_for_the_reason() {
    for (says_why, delay) in [(true, 999), (false, 1001)] {
        let (client, _) = client("http://h/app", move |seen| match seen.name() {
            "xhr_send" => Answer::at_once("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
            _ => Answer::Parts(vec![
                (Duration::ZERO, head().into()),
                (Duration::ZERO, "o\n".into()),
                (delay * MS, "c[3000,\"why\"]\n".into()),
            ]),
        });
        let mut session = client.open(Transport::XhrStreaming).await.unwrap();
        session.send("x").await.unwrap();
        let (time, flushed) = timed(session.flush()).await;
        assert!(
            flushed.is_err() && session.close_event().is_some(),
            "who hears of the end can ask for the reason"
        );
        assert_eq!(time, delay.min(1000) * MS);
        assert_eq!(session.recv().await, None);
        let event = session.close_event().unwrap();
        assert_eq!(event.was_clean(), says_why, "{event}");
        assert_eq!(session.unsent().uncertain, ["x"]);
    }
}

/// A request that is not answered, one that is refused while the session closes, and none.
#[tokio::test(start_paused = true)]
async fn a_close_takes_no_longer_than_it_may() {
    for (answer, close, time, was_clean) in [
        (None, 5000, 5000, false),
        (None, 100, 100, false),
        (Some(50), 5000, 50, true),
        (Some(5001), 5000, 5000, false),
    ] {
        let (client, _) = client("http://h/app", move |seen| match (seen.name(), answer) {
            ("xhr_send", Some(delay)) => Answer::after(delay * MS, ok("")),
            ("xhr_send", None) => Answer::Silence,
            _ => Answer::Parts(vec![(Duration::ZERO, head().into()), (Duration::ZERO, "o\n".into())]),
        });
        let session = client.close_timeout(close * MS).open(Transport::XhrStreaming).await.unwrap();
        session.send("x").await.unwrap();
        tokio::task::yield_now().await;
        let (took, event) = timed(session.close(3000, "bye")).await;
        let event = event.unwrap();
        assert_eq!((took, event.was_clean()), (time * MS, was_clean), "{event}");
        assert_eq!(session.unsent().uncertain.is_empty(), was_clean);
    }
    // The second that a refused message waits for its reason is no longer than that.
    let (client, _) = client("http://h/app", move |seen| match seen.name() {
        "xhr_send" => Answer::at_once("HTTP/1.1 500 Oh No\r\nContent-Length: 0\r\n\r\n"),
        _ => Answer::Parts(vec![(Duration::ZERO, head().into()), (Duration::ZERO, "o\n".into())]),
    });
    let session = client.close_timeout(300 * MS).open(Transport::XhrStreaming).await.unwrap();
    session.send("x").await.unwrap();
    let (took, event) = timed(session.close(3000, "bye")).await;
    assert_eq!(took, 300 * MS);
    assert!(event.unwrap().reason().contains("500"), "the reason is not lost");
}

#[tokio::test(start_paused = true)]
async fn a_sink_flushes_and_closes_what_came_last() {
    use futures_util::SinkExt;

    let (client, log) = client("http://h/app", move |seen| match seen.name() {
        "xhr_send" => Answer::after(1000 * MS, ok("")),
        _ => Answer::Parts(vec![(Duration::ZERO, head().into()), (Duration::ZERO, "o\n".into())]),
    });
    let mut session = client.open(Transport::XhrStreaming).await.unwrap();
    session.feed("a".into()).await.unwrap();
    timeout(10 * MS, SinkExt::flush(&mut session)).await.unwrap_err();
    session.feed("b".into()).await.unwrap();
    let (time, flushed) = timed(SinkExt::flush(&mut session)).await;
    flushed.unwrap();
    assert_eq!(time, 1990 * MS, "both requests are answered");
    session.feed("c".into()).await.unwrap();
    timeout(10 * MS, SinkExt::flush(&mut session)).await.unwrap_err();
    let (time, closed) = timed(SinkExt::close(&mut session)).await;
    closed.unwrap();
    assert_eq!(time, 990 * MS);
    assert_eq!(session.close_event().unwrap().code(), 1000);
    assert_eq!(log.names(), ["xhr_streaming", "xhr_send", "xhr_send", "xhr_send"]);
}

#[tokio::test]
async fn what_cannot_be_sent_is_told_before_anything_is() {
    let bad: [fn(Client) -> Client; 6] = [
        |client| client.header("a b", "c"),
        |client| client.header("a", "b\n"),
        |client| client.cookie("", ""),
        |client| client.cookie("a=b", "c"),
        |client| client.cookie("a", "b; Domain=h"),
        |client| client.subprotocols(["a\u{7f}"]),
    ];
    for change in bad {
        let (client, log) = client("http://h/app", |_| Answer::Silence);
        let client = change(client);
        assert!(matches!(client.open(Transport::XhrPolling).await.unwrap_err(), Error::InvalidRequest(_)));
        assert!(matches!(client.connect().await.unwrap_err(), ConnectError::Info(Error::InvalidRequest(_))));
        assert!(log.all().is_empty());
    }
}

/// That none is missing is checked with the public API.
#[test]
fn the_readme_has_the_defaults() {
    let readme = include_str!("../../README.md");
    let default = Client::new("http://h").unwrap();
    let bytes = |bytes: usize| match bytes {
        0x10_0000.. => format!("{} MiB", bytes >> 20),
        _ => format!("{} KiB", bytes >> 10),
    };
    let seconds = |time: Duration| format!("{} s", time.as_secs());
    let Silence::Default(silence) = default.transport.silence else {
        panic!("{:?}", default.transport.silence)
    };
    assert!(
        default.headers.is_empty() && default.cookies.is_empty() && default.transport.subprotocols.is_none()
    );
    assert_eq!((default.min_open_timeout, default.transports.as_slice()), (Duration::ZERO, ORDER));
    let driver = &default.driver;
    let rows = [
        ("`transports`", "WebSocket, XHR streaming, EventSource, XHR polling".to_owned()),
        ("`header`, `cookie`", "none".to_owned()),
        ("`subprotocols`", "none".to_owned()),
        ("`min_open_timeout`", format!("0; {} for `open`", seconds(OPEN_TIMEOUT))),
        ("`server_timeout`", seconds(silence)),
        ("`close_timeout`", seconds(driver.close_timeout)),
        ("`max_frame_bytes`", bytes(default.transport.max_frame_bytes)),
        ("`receive_queue_bytes`", bytes(default.receive_queue_bytes)),
        ("`send_queue_bytes`", bytes(default.send_queue_bytes)),
        (
            "`max_batch_bytes`, `max_batch_messages`",
            format!("{}, {}", bytes(driver.max_batch_bytes), driver.max_batch_messages),
        ),
        ("`lone_surrogates`", format!("{:?}", default.transport.limits.lone_surrogates).to_lowercase()),
        ("`inspect_frames`", "none".to_owned()),
        ("`tls_config`", "the system's roots".to_owned()),
    ];
    for (name, default) in &rows {
        let row = format!("| {name} | {default} | ");
        assert!(readme.contains(&row), "the README has no row {row:?}");
    }
}

/// An attempt each second, so that the connection is always in use.
#[cfg(feature = "http2")]
#[tokio::test(start_paused = true)]
async fn a_dead_connection_in_http_2_is_given_up() {
    let (client, dialed) = crate::memory::dead_http2("http://h/app");
    let mut attempts = tokio::task::JoinSet::new();
    for _ in 0..60 {
        let client = client.clone();
        attempts.spawn(async move { client.connect().await.unwrap_err() });
        tokio::time::sleep(1000 * MS).await;
    }
    assert_eq!(dialed.load(std::sync::atomic::Ordering::Relaxed), 2, "a new one after 40 seconds");
}

/// The library counts a connection as idle since its last request began, and drops it from its pool though a stream is open.
#[cfg(all(feature = "http2", feature = "test"))]
#[tokio::test(start_paused = true)]
async fn a_session_in_http_2_keeps_its_connection() {
    let (client, dialed) = crate::memory::live_http2("http://h/app");
    let session = client.transports([Transport::XhrStreaming]).connect().await.unwrap();
    for _ in 0..10 {
        session.send("a").await.unwrap();
        session.flush().await.unwrap();
        tokio::time::sleep(60_000 * MS).await;
    }
    assert!(session.close_event().is_none());
    assert_eq!(
        dialed.load(std::sync::atomic::Ordering::Relaxed),
        2,
        "one for `/info`, and one for the session"
    );
}
