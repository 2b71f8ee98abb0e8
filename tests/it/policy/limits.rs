//! Every limit, at, under and over its bound, on each transport that it concerns: over real sockets,
//! or in process where it is about how many there are.
//!
//! What happens to clients that are slow or dead is in `session::slow`.

use std::{sync::Arc, time::Duration};

use axum::{Router, body::Body};
use axum_sockjs::{
    CloseFrame, CloseReason, Message, Options, Overflow, RejectionCause, SendError, Session, SockJs,
    Transport,
};
use sockjs_client::test::{Refusal, TestClient};
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

use crate::support::{
    NEVER,
    apps::{self, Endpoint, Reporting, Stage, open_to_all},
    client::{Client, Frame, Kind, WAYS, Way, http_ways, on_each, ways},
    fresh_id,
    http::{Connection, Request, Response},
    in_process::{self, transports},
    server::Server,
    settle, until, within,
};

/// Short enough to wait for.
const SHORT: Duration = Duration::from_millis(200);

fn array(messages: &[&str]) -> String {
    serde_json::to_string(messages).expect("strings are JSON")
}

async fn receive(session: &mut Session) -> Message {
    within("a message", session.recv()).await.expect("the session is open")
}

/// Sends payloads within a limit, whose messages come back, and one beyond: a socket is closed with 1009, a
/// request is told 413 and its session goes on.
async fn within_and_beyond(way: &'static Way, options: Options, within_limit: &[&[&str]], beyond: &[&str]) {
    let mut reporting = Reporting::start(options).await;
    let mut client = Client::open(&reporting.endpoint, way).await;
    for messages in within_limit {
        client.send(messages).await;
        assert_eq!(client.messages(messages.len()).await, *messages, "{}", way.transport);
    }
    let payload = if way.framed { array(beyond) } else { beyond.concat() };
    if way.kind == Kind::Socket {
        client.up.send_payload(&payload).await;
        let Frame::Goodbye(1009, _) = client.frame().await else { panic!("no 1009 on {}", way.transport) };
        assert!(matches!(reporting.end().await, CloseReason::ProtocolError(frame) if frame.code() == 1009));
    } else {
        assert_eq!(client.up.post(payload.as_bytes()).await.status, 413, "{}", way.transport);
        client.send(&["on"]).await;
        assert_eq!(client.messages(1).await, ["on"], "the session and its connection are still good");
        let stats = reporting.endpoint.handle.stats();
        let taken: usize = within_limit.iter().map(|messages| messages.len()).sum();
        assert_eq!(stats.total().messages_received, taken as u64 + 1, "nothing of what was refused");
    }
}

#[tokio::test]
async fn max_message_bytes() {
    on_each(WAYS, async |way| {
        // The bound counts UTF-8, not letters, nor escapes on the wire.
        let options = Options::new().max_message_bytes(10);
        let at = ["123456789", "1234567890", "12345678é", "\"\"\"\"\"\n\n\n\n\n"];
        within_and_beyond(way, options, &at.each_ref().map(std::slice::from_ref), &["12345678901"]).await;
    })
    .await;
}

#[tokio::test]
async fn max_body_bytes() {
    on_each(WAYS.iter().filter(|way| way.framed), async |way| {
        // `["…"]` takes four bytes, of which a request's last may be in another piece; those of a form are counted
        // as they are decoded.
        let text = |body: usize| "x".repeat(body - 4);
        let (under, at, over) = (text(99), text(100), text(102));
        within_and_beyond(
            way,
            Options::new().max_body_bytes(100).max_message_bytes(96),
            &[&[&under], &[&at]],
            &[&over],
        )
        .await;
    })
    .await;
}

#[tokio::test]
async fn max_batch_messages() {
    let options = || Options::new().max_batch_messages(3);
    let at: [&[&str]; 2] = [&["a", "b"], &["a", "b", "c"]];
    let beyond = ["a", "b", "c", "d", "e", "f", "g"];
    on_each(ways(Kind::Socket).filter(|way| way.framed), async |way| {
        within_and_beyond(way, options(), &at, &beyond).await;
    })
    .await;
    // A request has as many batches as it needs.
    on_each(http_ways(), async |way| {
        let reporting = Reporting::start(options()).await;
        let mut client = Client::open(&reporting.endpoint, way).await;
        for messages in at.into_iter().chain([&beyond[..]]) {
            client.send(messages).await;
            assert_eq!(client.messages(messages.len()).await, *messages, "{}", way.transport);
        }
    })
    .await;
}

/// A session whose application does not read takes what its queue holds and no more: a request waits and is
/// then told to come back later, a socket is not read.
async fn fills_up(way: &'static Way, options: Options, texts: &[&str], beyond: &str) {
    let mut stage = Stage::start(options.receive_timeout(SHORT)).await;
    let mut client = Client::open(&stage.endpoint, way).await;
    let mut session = stage.session().await;
    let handle = stage.endpoint.handle.clone();
    let taken = || handle.stats().total().messages_received;
    for text in texts {
        client.send(&[text]).await;
    }
    until("the queue to be full", || taken() == texts.len() as u64).await;
    if way.kind == Kind::Socket {
        client.send(&[beyond]).await;
        tokio::time::sleep(SHORT).await;
    } else {
        let payload = array(&[beyond]);
        let answer = client.up.post(payload.as_bytes()).await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")), "{}", way.transport);
    }
    assert_eq!(taken(), texts.len() as u64, "nothing beyond the bound");
    for text in texts {
        assert_eq!(receive(&mut session).await, *text);
    }
    if way.kind == Kind::Socket {
        assert_eq!(receive(&mut session).await, beyond, "it had to wait");
    }
    client.send(&["on"]).await;
    assert_eq!(receive(&mut session).await, "on");
    assert_eq!(session.close_reason(), None);
}

#[tokio::test]
async fn receive_queue_messages() {
    on_each(WAYS, async |way| {
        fills_up(way, Options::new().receive_queue_messages(3), &["a", "b", "c"], "d").await;
    })
    .await;
}

#[tokio::test]
async fn receive_queue_bytes_and_receive_timeout() {
    on_each(WAYS, async |way| {
        // Each of these takes 100 bytes and 128 for its place.
        let text = "x".repeat(100);
        fills_up(way, Options::new().receive_queue_bytes(2 * 228), &[&text, &text], "").await;
    })
    .await;
}

/// A sending request of which the server waits for the body, and that body.
async fn without_body(endpoint: &Endpoint, way: &Way, id: &str, payload: &str) -> (Connection, Vec<u8>) {
    let mut head = way.sending(id, payload).header("Expect", "100-continue").to_bytes();
    let end = head.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head has an end") + 4;
    let body = head.split_off(end);
    let mut connection = endpoint.server.connect().await;
    connection.write(head).await;
    assert_eq!(connection.head().await.status, 100, "the server asks for the body");
    (connection, body)
}

/// Sends something that is one request too many; its client can go on.
async fn one_too_many(endpoint: &Endpoint, client: &mut Client) {
    let refused = || endpoint.handle.stats().rejected[&RejectionCause::SendsFull];
    let before = refused();
    let answer = client.up.post(br#"["one too many"]"#).await;
    let told = (answer.status, answer.header("retry-after"), answer.text());
    assert_eq!(
        told,
        (429, Some("5"), "Too many requests send to one session.\n"),
        "{}",
        client.way.transport
    );
    assert_eq!(refused() - before, 1);
}

/// Sends until it is taken: nobody says when the server sees that another client has gone.
async fn send_when_there_is_room(client: &mut Client, payload: &str) {
    within("room for one more", async {
        loop {
            let answer = client.up.post(payload.as_bytes()).await;
            if answer.status != 429 {
                return client.way.expect_taken(&answer);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn max_pending_sends_by_bodies_that_do_not_come() {
    on_each(http_ways(), async |way| {
        let mut stage = Stage::start(Options::new().max_pending_sends(2).disconnect_delay(NEVER)).await;
        let id = fresh_id();
        let mut client = Client::open_as(&stage.endpoint, way, &id).await;
        let mut session = stage.session().await;
        let (mut late, body) = without_body(&stage.endpoint, way, &id, r#"["late"]"#).await;
        client.send(&["beside one"]).await;
        let (lost, _) = without_body(&stage.endpoint, way, &id, r#"["lost"]"#).await;
        one_too_many(&stage.endpoint, &mut client).await;
        Client::open(&stage.endpoint, way).await.send(&["to another session"]).await;

        lost.abort();
        send_when_there_is_room(&mut client, r#"["in its place"]"#).await;
        late.write(body).await;
        way.expect_taken(&late.answer("POST").await);
        for text in ["beside one", "in its place", "late"] {
            assert_eq!(receive(&mut session).await, text);
        }
        assert_eq!((session.try_recv(), session.close_reason()), (None, None), "nothing of the others");
    })
    .await;
}

#[tokio::test]
async fn max_pending_sends_by_messages_that_wait() {
    on_each(http_ways(), async |way| {
        let options = Options::new()
            .max_pending_sends(2)
            .receive_queue_messages(1)
            .receive_timeout(NEVER)
            .disconnect_delay(NEVER);
        let mut stage = Stage::start(options).await;
        let id = fresh_id();
        let mut client = Client::open_as(&stage.endpoint, way, &id).await;
        let mut session = stage.session().await;
        client.send(&["first"]).await;
        let mut waiting = Vec::new();
        for payload in [r#"["second"]"#, r#"["third"]"#] {
            let (mut connection, body) = without_body(&stage.endpoint, way, &id, payload).await;
            connection.write(body).await;
            waiting.push(connection);
        }
        one_too_many(&stage.endpoint, &mut client).await;
        assert_eq!(receive(&mut session).await, "first");
        let mut rest = [receive(&mut session).await, receive(&mut session).await];
        rest.sort_by_key(|message| message.as_str().map(str::to_owned));
        assert_eq!(rest, ["second", "third"]);
        for connection in &mut waiting {
            way.expect_taken(&connection.answer("POST").await);
        }

        // Who goes away gives back its place, and its messages have come whole or not at all.
        client.send(&["fourth"]).await;
        for _ in 0..2 {
            let (mut connection, body) = without_body(&stage.endpoint, way, &id, r#"["lost", "too"]"#).await;
            connection.write(body).await;
            waiting.push(connection);
        }
        one_too_many(&stage.endpoint, &mut client).await;
        waiting.drain(..).for_each(Connection::abort);
        assert_eq!(receive(&mut session).await, "fourth");
        let sent = async { send_when_there_is_room(&mut client, r#"["fifth"]"#).await };
        let received = async {
            let mut lost = 0;
            loop {
                match receive(&mut session).await.as_str() {
                    Some("fifth") => break lost,
                    Some("lost") => assert_eq!(receive(&mut session).await, "too"),
                    other => panic!("{other:?}"),
                }
                lost += 1;
            }
        };
        let ((), lost) = tokio::join!(sent, received);
        assert!(lost <= 2);
    })
    .await;
}

/// Sends messages of 64 KiB to a client that reads none, until `done`.
async fn flood(session: &Session, mut done: impl FnMut(Result<(), SendError>) -> bool) {
    let message = Message::from("x".repeat(64 << 10));
    within("what happens to a full queue", async {
        while !done(session.try_send(message.clone())) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn send_queue_bytes_and_send_overflow() {
    const BOUND: usize = 1 << 20;
    let options = |policy| {
        // A stream does not come to its end by itself.
        Options::new()
            .send_queue_bytes(BOUND)
            .send_overflow(policy)
            .response_limit(1 << 30)
            .write_timeout(NEVER)
    };
    for transport in transports() {
        let open = async |policy| {
            let mut stage = in_process::Stage::new(options(policy));
            let (client, session) = stage.open(transport).await;
            client.stop_reading();
            (stage.endpoint.handle, client, session)
        };
        let (handle, _client, session) = open(Overflow::Wait).await;
        flood(&session, |sent| matches!(sent, Err(SendError::Full(_)))).await;
        assert_eq!((session.close_reason(), session.dropped_messages()), (None, 0));
        let waiting = session.sender();
        let mut waiting = tokio::spawn(async move { waiting.send("x".repeat(BOUND)).await });
        assert!(tokio::time::timeout(SHORT, &mut waiting).await.is_err(), "it waits");
        session.close(3000, "");
        assert!(matches!(within("its end", waiting).await.unwrap(), Err(SendError::Closed(_))));
        assert!(handle.stats().send_queue_peak_bytes <= BOUND);

        let (handle, _client, session) = open(Overflow::Close).await;
        flood(&session, |sent| matches!(sent, Err(SendError::Closed(_)))).await;
        assert_eq!(session.close_reason(), Some(CloseReason::SendQueueFull));
        assert!(handle.stats().send_queue_peak_bytes <= BOUND);

        let (handle, _client, session) = open(Overflow::DropOldest).await;
        flood(&session, |sent| {
            sent.unwrap();
            session.dropped_messages() == 100
        })
        .await;
        assert_eq!(session.close_reason(), None);
        assert_eq!(handle.stats().total().messages_dropped, 100);
        assert!(handle.stats().send_queue_peak_bytes <= BOUND);
    }
}

/// What a client gets to see whose queue overflowed, once it reads.
#[tokio::test]
async fn who_could_not_keep_up_is_told() {
    on_each(http_ways(), async |way| {
        let options =
            Options::new().send_queue_bytes(1000).send_overflow(Overflow::Close).disconnect_delay(NEVER);
        let mut stage = Stage::start(options).await;
        let mut client = Client::open(&stage.endpoint, way).await;
        let session = stage.session().await;
        // Together, before anything can leave.
        for _ in 0..10 {
            session.try_send("x".repeat(500)).ok();
        }
        assert_eq!(session.close_reason(), Some(CloseReason::SendQueueFull));
        let frame = loop {
            match client.frame().await {
                Frame::Messages(_) => {}
                other => break other,
            }
        };
        assert_eq!(frame, Frame::Close(1008, "Client too slow".to_owned()));
        // Its own messages are swallowed meanwhile: the close frame is what it has to see.
        client.send(&["late"]).await;
    })
    .await;
}

/// Expects the answer of an endpoint without room; an `EventSource` may ask again at once after a 503.
fn expect_overload(way: &Way, answer: &Response, status: u16) {
    assert_eq!(answer.header("retry-after"), Some("5"), "{}: {answer}", way.transport);
    if way.transport == Transport::EventSource {
        assert_eq!(answer.status, 200);
        assert!(answer.text().ends_with("data: c[1013,\"Try again later\"]\r\n\r\n"), "{answer}");
    } else {
        assert_eq!(answer.status, status, "{}: {answer}", way.transport);
    }
}

fn is_overload(answer: &Response) -> bool {
    answer.header("retry-after").is_some()
}

/// The answer to who opens a session this way, of a stream its head, and its connection.
async fn opening(server: &Server, way: &Way) -> (Response, Connection) {
    let request = way.opening(&fresh_id());
    let mut connection = server.connect().await;
    connection.send(&request).await;
    let mut answer = connection.head().await;
    if is_overload(&answer) {
        answer.body = connection.body(&answer).await;
    }
    (answer, connection)
}

/// As [`expect_overload`].
fn expect_refusal(transport: Transport, refusal: &Refusal, status: u16) {
    if transport == Transport::EventSource {
        assert_eq!(refusal.close_frame().map(CloseFrame::code), Some(1013), "{refusal}");
    } else {
        assert_eq!(refusal.status(), status, "{transport}");
        assert_eq!((refusal.header("retry-after"), refusal.header("set-cookie")), ("5", ""), "{transport}");
    }
}

#[tokio::test(start_paused = true)]
async fn max_sessions() {
    for transport in transports() {
        let mut stage = in_process::Stage::new(Options::new().max_sessions(2));
        let (mut first, session) = stage.open(transport).await;
        let (_second, _other) = stage.open(transport).await;
        let client = stage.endpoint.test_client();
        expect_refusal(transport, &client.open(transport).await.unwrap_err(), 503);
        session.send("a").await.unwrap();
        assert_eq!(first.recv().await, "a", "those that are there are served");
        session.close(3000, "");
        assert_eq!(first.closed().await.code(), 3000);
        if !transport.is_socket() {
            // It is remembered for its delay.
            expect_refusal(transport, &client.open(transport).await.unwrap_err(), 503);
            in_process::pass(in_process::DELAY).await;
        }
        let (third, lost) = stage.open(transport).await;
        settle().await;
        third.abort();
        assert_eq!(lost.closed().await, CloseReason::ConnectionLost);
        in_process::pass(in_process::DELAY).await;
        let _fourth = stage.open(transport).await;
    }
}

/// Opens sessions by one poll each, in process.
async fn open_many(endpoint: &SockJs, count: usize) {
    for number in 0..count {
        let poll = http::Request::post(format!("/000/{number}/xhr")).body(Body::empty()).expect("a request");
        let answer = endpoint.clone().oneshot(poll).await.expect("it always answers");
        assert_eq!(answer.status(), 200, "session {number}");
    }
}

#[tokio::test]
async fn max_sessions_can_be_switched_off() {
    let options = Options::new().max_sessions(None).disconnect_delay(NEVER);
    let endpoint =
        SockJs::new(|session: Session| async move { drop(session.closed().await) }).options(options);
    open_many(&endpoint, 65_540).await;
    assert_eq!(endpoint.handle().len(), 65_540);
}

/// Handlers that go on after their sessions count against a limit, here of three, but hold no session's id.
async fn lingering_handlers_count(options: Options, status: u16) {
    on_each(WAYS, async |way| {
        let may_return = Arc::new(Semaphore::new(0));
        let gate = Arc::clone(&may_return);
        let linger = async move |session: Session| {
            session.closed().await;
            drop(session);
            gate.acquire().await.expect("it is never closed").forget();
        };
        let endpoint = Endpoint::start(linger, options.clone().disconnect_delay(SHORT)).await;
        let counts = || {
            let stats = endpoint.handle.stats();
            let total = stats.total();
            (total.open() + total.closing + total.closed, stats.handlers)
        };
        let id = fresh_id();
        for handlers in 1..=3 {
            Client::open_as(&endpoint, way, &id).await.abort(false);
            until(format!("the end on {}", way.transport), || counts() == (0, handlers)).await;
        }
        assert!(endpoint.handle.is_empty());
        let (refused, _) = opening(&endpoint.server, way).await;
        expect_overload(way, &refused, status);
        assert_eq!(counts(), (0, 3));
        may_return.add_permits(1);
        let opened = within("a place", async {
            loop {
                match opening(&endpoint.server, way).await {
                    (answer, _) if is_overload(&answer) => {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                    (_, connection) => break connection,
                }
            }
        })
        .await;
        let (refused, _) = opening(&endpoint.server, way).await;
        expect_overload(way, &refused, status);
        drop(opened);
        may_return.add_permits(3);
        until("an empty endpoint", || counts() == (0, 0)).await;
    })
    .await;
}

#[tokio::test]
async fn max_sessions_counts_handlers_that_go_on() {
    lingering_handlers_count(Options::new().max_sessions(3), 503).await;
}

#[tokio::test]
async fn max_sessions_per_peer_counts_handlers_that_go_on() {
    lingering_handlers_count(Options::new().max_sessions_per_peer(3), 429).await;
}

#[tokio::test(start_paused = true)]
async fn max_sessions_per_peer_by_address() {
    for transport in transports() {
        let stage = in_process::Stage::new(Options::new().max_sessions_per_peer(2));
        let from = |peer: [u8; 4], port| stage.endpoint.test_client().peer((peer, port)).open(transport);
        let _open = [from([192, 0, 2, 1], 1).await.unwrap(), from([192, 0, 2, 1], 2).await.unwrap()];
        expect_refusal(transport, &from([192, 0, 2, 1], 3).await.unwrap_err(), 429);
        let _other = from([192, 0, 2, 2], 1).await.unwrap();
        let rejected = stage.endpoint.handle.stats().rejected;
        assert_eq!(rejected[&RejectionCause::PeerFull], 1, "{transport}");
    }
}

#[tokio::test(start_paused = true)]
async fn max_sessions_per_peer_by_a_key_on_every_transport() {
    for transport in transports() {
        let options = Options::new().max_sessions_per_peer(2).peer_key(|headers, addr| {
            assert!(addr.is_some(), "the server tells addresses");
            Some(headers.get("x-user")?.to_str().ok()?.to_owned())
        });
        let mut stage = in_process::Stage::new(options);
        // Who has no key is not limited.
        let anyone = stage.endpoint.test_client();
        let [anna, bert] = ["anna", "bert"].map(|user| anyone.clone().header("x-user", user));
        let mut opened = Vec::new();
        for client in [&anna, &anna, &bert, &anyone, &anyone, &anyone] {
            opened.push((client.open(transport).await.unwrap(), stage.session().await));
        }
        expect_refusal(transport, &anna.open(transport).await.unwrap_err(), 429);
        opened.push((bert.open(transport).await.unwrap(), stage.session().await));
        drop(opened.swap_remove(0));
        in_process::pass(in_process::DELAY).await;
        let _again = anna.open(transport).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn endpoints_that_share_limits_have_so_many_sessions_together() {
    for transport in transports() {
        for (options, status) in
            [(Options::new().max_sessions(2), 503), (Options::new().max_sessions_per_peer(2), 429)]
        {
            let options = open_to_all(options).disconnect_delay(in_process::DELAY);
            let old: SockJs = SockJs::new(apps::echo).options(options.clone());
            let new: SockJs = SockJs::new(apps::echo).options(options).share_limits(&old.handle());
            let [old, new] = [old, new].map(|endpoint| TestClient::new(endpoint, "/"));
            let first = old.open(transport).await.unwrap();
            let _second = new.open(transport).await.unwrap();
            expect_refusal(transport, &old.open(transport).await.unwrap_err(), status);
            expect_refusal(transport, &new.open(transport).await.unwrap_err(), status);
            first.abort();
            in_process::pass(in_process::DELAY).await;
            let _third = new.open(transport).await.unwrap();
            expect_refusal(transport, &new.open(transport).await.unwrap_err(), status);
        }
    }
}

#[test]
#[should_panic(expected = "before it has a handle")]
fn limits_are_not_shared_once_there_is_a_handle() {
    let (old, new): (SockJs, SockJs) = (SockJs::new(apps::echo), SockJs::new(apps::echo));
    let _handle = new.handle();
    drop(new.share_limits(&old.handle()));
}

#[tokio::test]
async fn session_and_server_ids() {
    on_each(WAYS.iter().filter(|way| way.framed), async |way| {
        let endpoint = Endpoint::start(apps::echo, Options::new()).await;
        for (server, session, found) in
            [(127, 1, true), (1, 127, true), (128, 128, true), (129, 1, false), (1, 129, false)]
        {
            let (server, id) = ("1".repeat(server), format!("{:x<session$}", fresh_id()));
            let id = if session == 1 { &id[id.len() - 1..] } else { &id[..] };
            let target = format!("/app/{server}/{id}/{}", way.receive);
            let request = match way.kind {
                #[cfg(feature = "websocket")]
                Kind::Socket => crate::support::ws::handshake(target),
                _ if way.method == "POST" => Request::post(target),
                _ => Request::get(target),
            };
            let mut connection = endpoint.server.connect().await;
            connection.send(&request).await;
            let status = connection.head().await.status;
            assert_eq!(status != 404, found, "{} {}: {status}", server.len(), id.len());
        }
    })
    .await;
}

/// The bounds are the endpoint's own: another one beside it is not touched.
#[tokio::test]
async fn limits_are_per_endpoint() {
    let full = SockJs::new(apps::echo).options(Options::new().max_sessions(0));
    let free = SockJs::new(apps::echo);
    let server = Server::start(Router::new().nest_service("/full", full).nest_service("/app", free)).await;
    assert_eq!(server.post("/full/000/a/xhr", "").await.status, 503);
    assert_eq!(server.post("/app/000/a/xhr", "").await.text(), "o\n");
}
