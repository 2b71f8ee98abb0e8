//! What a session promises, on every transport that can keep the promise.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use axum::{
    body::Body,
    extract::FromRequestParts,
    http::{StatusCode, request::Parts},
    response::IntoResponse as _,
};
use axum_sockjs::{CloseFrame, CloseReason, Options, Overflow, Session};
use futures_util::{FutureExt as _, SinkExt as _, future::join_all};
use tokio::task::coop;

use crate::support::{
    PATIENCE,
    apps::{self, Endpoint, Reporting, Stage},
    client::{Client, Down, Frame, Kind, WAYS, Way, http_ways, on_each},
    fresh_id,
    http::{Request, Response},
    log::Log,
    pass, until, within,
};

/// Long enough for nothing to end by itself while a test runs.
const NEVER: Duration = Duration::from_secs(600);

/// Streams end with every frame, as polls do.
fn one_frame_per_response() -> Options {
    Options::new().response_limit(1)
}

/// The end of a session, as its application sees it.
async fn end_of(session: &mut Session) -> CloseReason {
    assert_eq!(within("the end of the messages", session.recv()).await, None);
    within("the reason of the end", session.closed()).await
}

fn sockets() -> impl Iterator<Item = &'static Way> {
    WAYS.iter().filter(|way| way.kind == Kind::Socket)
}

// Taking turns.

#[tokio::test]
async fn a_handler_that_sends_without_end_starves_nobody() {
    on_each(WAYS, async |way| {
        let endpoint = Endpoint::start_on_one_thread(
            |session: Session| async move { while session.send("tick").await.is_ok() {} },
            Options::new().send_overflow(Overflow::DropOldest).disconnect_delay(NEVER),
        );
        let mut client = Client::open(&endpoint, way).await;
        assert!(client.messages(3).await.iter().all(|message| message == "tick"));
        client.send(&["hello"]).await;
        until("it to be taken", || endpoint.handle.stats().total().messages_received == 1).await;
        client.abort(false);
        // Between two polls, nobody misses the client before the delay is over.
        if way.kind == Kind::Poll {
            endpoint.handle.close_all(3000, "");
        }
        until("the handler's end", || endpoint.handle.stats().handlers == 0).await;
        endpoint.is_left_empty().await;
    })
    .await;
}

#[tokio::test]
async fn calls_that_need_not_wait_let_others_run() {
    on_each(WAYS, async |way| {
        let mut stage = Stage::start(Options::new()).await;
        let mut client = Client::open(&stage.endpoint, way).await;
        let mut session = stage.session().await;
        let numbers: Vec<String> = (0..500).map(|number| number.to_string()).collect();
        client.send(&numbers).await;
        until("all of them", || stage.endpoint.handle.stats().total().messages_received == 500).await;

        // Another task that is ready runs before so many calls have returned.
        let other = || tokio::spawn(async {});
        let ran = other();
        let mut received = Vec::new();
        for _ in &numbers {
            received.push(session.recv().await.unwrap());
            if ran.is_finished() {
                break;
            }
        }
        assert!(received.len() < numbers.len(), "nobody else has run on {}", way.transport);
        let ran = other();
        let mut sent = 0;
        while !ran.is_finished() {
            assert!(sent < 500, "nobody else has run on {}", way.transport);
            // By turns as a `Sink`.
            if sent % 2 == 0 {
                session.send("s").await.unwrap();
            } else {
                session.feed("s".into()).await.unwrap();
            }
            sent += 1;
        }

        // A call that is dropped instead of having its turn has done nothing.
        while coop::has_budget_remaining() {
            coop::consume_budget().await;
        }
        assert!(session.recv().now_or_never().is_none());
        assert!(session.send("dropped").now_or_never().is_none());
        session.try_send("now").unwrap();
        while received.len() < numbers.len() {
            received.push(session.recv().await.unwrap());
        }
        assert!(received.iter().zip(&numbers).all(|(message, number)| message == number));
        let got = client.messages(sent + 1).await;
        assert!(got.len() == sent + 1 && got[..sent].iter().all(|message| message == "s"), "{got:?}");
        assert_eq!(got[sent], "now");
    })
    .await;
}

// Opening.

#[tokio::test]
async fn the_open_frame_is_with_the_client_before_the_application_works() {
    on_each(WAYS, async |way| {
        let (confirm, confirmed) = mpsc::channel();
        let confirmed = Arc::new(Mutex::new(confirmed));
        let endpoint = Endpoint::start_on_one_thread(
            move |session: Session| async move {
                // Work that holds up the whole server, until the client has its `o`.
                let confirmed = confirmed.lock().unwrap().recv_timeout(2 * PATIENCE);
                session.send(confirmed.unwrap_or("the client has seen nothing")).await.unwrap();
                session.closed().await;
            },
            Options::new(),
        );
        let mut client = Client::open(&endpoint, way).await;
        confirm.send("seen").unwrap();
        assert_eq!(client.messages(1).await, ["seen"]);
    })
    .await;
}

// Messages.

#[tokio::test]
async fn messages_arrive_in_order_and_once_both_ways() {
    const COUNT: usize = 300;
    let text = |from: &str, number: usize| {
        let size = [0, 1, 10, 100, 1000, 5000][number % 6];
        format!("{from} {number} {}", "é\"".repeat(size / 2))
    };
    let from_client: Vec<String> = (0..COUNT).map(|number| text("client", number)).collect();
    let from_server: Vec<String> = (0..COUNT).map(|number| text("server", number)).collect();
    on_each(WAYS, async |way| {
        // Small queues, so that both sides have to wait for each other, and short responses.
        let options = Options::new()
            .response_limit(4096)
            .receive_queue_messages(20)
            .receive_queue_bytes(10_000)
            .send_queue_bytes(10_000);
        let mut stage = Stage::start(options).await;
        let Client { mut up, mut down, .. } = Client::open(&stage.endpoint, way).await;
        let mut session = stage.session().await;
        let sender = session.sender();

        let client_sends = async {
            let mut rest = &from_client[..];
            for size in [1, 2, 3, 5, 8, 13].into_iter().cycle() {
                let (batch, behind) = rest.split_at(size.min(rest.len()));
                up.send(batch).await;
                rest = behind;
                if rest.is_empty() {
                    break;
                }
            }
        };
        let client_receives = async { assert!(down.messages(COUNT).await == from_server) };
        let server_sends = async {
            for message in &from_server {
                sender.send(message).await.unwrap();
            }
        };
        let server_receives = async {
            for message in &from_client {
                assert_eq!(session.recv().await.unwrap(), message.as_str());
            }
        };
        within("all messages", async {
            tokio::join!(client_sends, client_receives, server_sends, server_receives)
        })
        .await;
        // Nothing comes twice.
        assert!(session.try_recv().is_none());
        session.send("last").await.unwrap();
        assert_eq!(down.messages(1).await, ["last"]);
    })
    .await;
}

#[tokio::test]
async fn waiting_messages_leave_together_within_the_response_limit() {
    on_each(WAYS.iter().filter(|way| way.framed), async |way| {
        let mut stage = Stage::start(Options::new().response_limit(4096)).await;
        let mut client = Client::open(&stage.endpoint, way).await;
        let session = stage.session().await;
        // Nothing is awaited in between, so no receiver gets to run either.
        let send = |range: std::ops::Range<usize>, size: usize| {
            let messages: Vec<String> = range.map(|number| format!("{number:0size$}")).collect();
            messages.iter().for_each(|message| session.try_send(message).unwrap());
            messages
        };
        let few = send(0..10, 10);
        assert_eq!(client.frame().await, Frame::messages(&few));

        let many = send(10..30, 1000);
        let mut received = Vec::new();
        while received.len() < many.len() {
            let Frame::Messages(messages) = client.frame().await else { panic!("no messages") };
            assert!(messages.len() <= 4, "{} messages of 1003 bytes in a frame", messages.len());
            if way.kind != Kind::Stream {
                // A frame is as full as it may be; that of a stream holds what is left of the response.
                assert_eq!(messages.len(), 4);
            }
            received.extend(messages);
        }
        assert_eq!(received, many);
    })
    .await;
}

#[tokio::test]
async fn every_code_point_and_lone_surrogates_survive() {
    let all: Vec<char> = ('\0'..=char::MAX).collect();
    let escaped = |text: &str| {
        let units = text.encode_utf16().map(|unit| format!("\\u{unit:04X}"));
        format!("[\"{}\"]", units.collect::<String>())
    };
    on_each(WAYS, async |way| {
        let endpoint = Endpoint::start(apps::echo, Options::new()).await;
        let mut client = Client::open(&endpoint, way).await;
        for (number, part) in all.chunks(16 << 10).enumerate() {
            let text: String = part.iter().collect();
            client.send(&[&text]).await;
            assert!(client.messages(1).await == [text.as_str()], "from {:?}", part[0]);
            // The basic plane, and some of what takes two escapes.
            if way.framed && number <= 4 {
                client.up.send_payload(escaped(&text)).await;
                assert!(client.messages(1).await == [text.as_str()], "escaped, from {:?}", part[0]);
            }
        }
        if way.framed {
            // JavaScript can send these, and UTF-8 cannot hold them.
            client.up.send_payload(r#"["a\ud800","\uDFFFb\udc00\ud800","\ud83d\ude00"]"#).await;
            assert_eq!(client.messages(3).await, ["a\u{fffd}", "\u{fffd}b\u{fffd}\u{fffd}", "😀"]);
        }
    })
    .await;
}

// Heartbeats and time-outs.

#[tokio::test]
async fn an_idle_receiver_gets_heartbeats_and_keeps_its_session() {
    on_each(WAYS, async |way| {
        let options = Options::new().heartbeat(Duration::from_millis(20));
        // A stream and a socket have a receiver all the time, a poll only nearly so.
        let options = match way.kind {
            Kind::Poll => options.disconnect_delay(NEVER),
            Kind::Stream | Kind::Socket => options.disconnect_delay(Duration::from_millis(50)),
        };
        let mut stage = Stage::start(options).await;
        let mut client = Client::open(&stage.endpoint, way).await;
        let session = stage.session().await;
        for _ in 0..6 {
            assert_eq!(client.frame().await, Frame::Heartbeat);
        }
        assert_eq!(session.close_reason(), None);
    })
    .await;
}

/// Between bursts a socket gives its buffers back, and is read by new ones.
#[tokio::test]
async fn a_session_that_was_silent_after_a_burst_goes_on() {
    on_each(WAYS, async |way| {
        let options = Options::new().heartbeat(Duration::from_millis(20)).disconnect_delay(NEVER);
        let endpoint = Endpoint::start(apps::echo, options).await;
        let mut client = Client::open(&endpoint, way).await;
        let large = "x".repeat(64 << 10);
        for message in [large.as_str(), "small", &large] {
            client.send(&[message]).await;
            let mut frame = client.frame().await;
            while frame == Frame::Heartbeat {
                frame = client.frame().await;
            }
            assert!(frame == Frame::messages(&[message]), "the message comes whole");
            for _ in 0..2 {
                assert_eq!(client.frame().await, Frame::Heartbeat);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_session_without_a_receiver_times_out_and_its_id_is_free() {
    on_each(http_ways(), async |way| {
        let options = one_frame_per_response().disconnect_delay(NEVER);
        let mut stage = Stage::start(options).await;
        let id = fresh_id();
        let mut client = Client::open_as(&stage.endpoint, way, &id).await;
        let mut session = stage.session().await;
        client.send(&["the last words"]).await;
        assert_eq!(within("a message", session.recv()).await.unwrap(), "the last words");
        pass(NEVER).await;
        assert_eq!(end_of(&mut session).await, CloseReason::TimedOut);
        assert_eq!(client.up.post(b"[\"too late\"]").await.status, 404);

        let mut again = Client::open_as(&stage.endpoint, way, &id).await;
        let another = stage.session().await;
        assert_ne!(another.id(), session.id());
        another.send("anew").await.unwrap();
        assert_eq!(again.messages(1).await, ["anew"]);
    })
    .await;
}

// Receivers.

/// Lets two receivers of one session race, both of which have sent their request; gives the first frame,
/// and the receiver that still waits.
async fn race(mut one: Down, mut two: Down) -> (Frame, Down) {
    one.request().await;
    two.request().await;
    tokio::select! {
        frame = one.frame() => (frame, two),
        frame = two.frame() => (frame, one),
    }
}

const ANOTHER: &str = "Another connection still open";
const INTERRUPTED: &str = "Connection interrupted";

/// Asks for the next frame on another connection as soon as the last one is there, which is before the end
/// of its response can be.
async fn hammer(way: &'static Way) {
    const ROUNDS: usize = 2000;
    let mut stage = Stage::start(one_frame_per_response()).await;
    let id = fresh_id();
    let client = Client::open_as(&stage.endpoint, way, &id).await;
    let session = stage.session().await;
    let sending = tokio::spawn(async move {
        for number in 0..ROUNDS {
            session.send(number.to_string()).await.expect("the session is open");
        }
        session
    });
    let mut receivers = [client.down, Down::new(stage.endpoint.server.addr, way, &id)];
    let mut next = 0;
    for turn in [1, 0].into_iter().cycle() {
        let Frame::Messages(messages) = receivers[turn].frame().await else {
            panic!("no messages after {next} of them");
        };
        for message in messages {
            assert_eq!(message, next.to_string());
            next += 1;
        }
        if next == ROUNDS {
            break;
        }
    }
    let session = sending.await.expect("all messages were sent");
    assert_eq!(session.close_reason(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_lets_go_before_its_last_byte_leaves() {
    on_each(http_ways(), hammer).await;
}

/// Returns when the server has attached the client's receiver to its session. A stream and a socket are
/// attached as soon as they are open; of a poll, only the answer to another receiver tells.
async fn wait_attached(client: Client, endpoint: &Endpoint, id: &str) -> Client {
    if client.way.kind != Kind::Poll {
        return client;
    }
    let another = Down::new(endpoint.server.addr, client.way, id);
    let (refused, down) = race(client.down, another).await;
    assert_eq!(refused, Frame::Close(2010, ANOTHER.to_owned()));
    Client { down, ..client }
}

/// Cuts off one session's receiver.
async fn cut_off(way: &'static Way, with_reset: bool) {
    let mut stage = Stage::start(Options::new().disconnect_delay(NEVER)).await;
    let id = fresh_id();
    let mut client = Client::open_as(&stage.endpoint, way, &id).await;
    let mut session = stage.session().await;
    session.send("possibly lost").await.expect("the session is open");
    assert_eq!(client.messages(1).await, ["possibly lost"]);
    wait_attached(client, &stage.endpoint, &id).await.abort(with_reset);
    if way.kind != Kind::Socket {
        // Comes at once, perhaps before the server has seen the end of the former connection.
        let mut next = Down::new(stage.endpoint.server.addr, way, &id);
        for _ in 0..2 {
            assert_eq!(next.frame().await, Frame::Close(1002, INTERRUPTED.to_owned()));
        }
    }
    assert_eq!(end_of(&mut session).await, CloseReason::ConnectionLost);
    stage.endpoint.is_left_empty().await;
    assert!(stage.has_no_more(), "another session has been opened");
}

async fn cut_off_200_times(way: &'static Way) {
    // Some at a time, so that the servers have something else to do too.
    for _ in 0..20 {
        join_all((0..10).map(|number| cut_off(way, number % 2 == 0))).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_is_cut_off_ends_its_session() {
    on_each(WAYS, cut_off_200_times).await;
}

// Closing.

#[tokio::test]
async fn what_was_sent_before_a_close_arrives_before_it() {
    on_each(WAYS, async |way| {
        let mut stage = Stage::start(Options::new().response_limit(4096)).await;
        let mut client = Client::open(&stage.endpoint, way).await;
        let mut session = stage.session().await;
        // Many responses' worth.
        let messages: Vec<String> = (0..100).map(|number| format!("{number:0500}")).collect();
        messages.iter().for_each(|message| session.try_send(message).unwrap());
        session.close(3001, "Good bye");
        assert_eq!(client.messages(messages.len()).await, messages);
        assert_eq!(client.frame().await, Frame::close(way, 3001, "Good bye"));
        let expected = CloseReason::Server(CloseFrame::new(3001, "Good bye"));
        assert_eq!(end_of(&mut session).await, expected);
    })
    .await;
}

#[tokio::test]
async fn a_handler_that_returns_has_hung_up() {
    on_each(WAYS, async |way| {
        let endpoint = Endpoint::start(
            |session: Session| async move { session.send("that was all").await.unwrap() },
            Options::new(),
        )
        .await;
        let mut client = Client::open(&endpoint, way).await;
        assert_eq!(client.messages(1).await, ["that was all"]);
        assert_eq!(client.frame().await, Frame::close(way, 1000, "Normal closure"));
        endpoint.is_left_empty().await;
    })
    .await;
}

#[tokio::test]
async fn a_panic_closes_that_session_only_and_is_logged() {
    let log = Log::start(tracing::Level::ERROR);
    on_each(WAYS, async |way| {
        let endpoint = Endpoint::start(
            async |mut session: Session| {
                while let Some(message) = session.recv().await {
                    assert_ne!(message, "panic", "as asked for by {}", session.transport());
                    session.send(message).await.unwrap();
                }
            },
            Options::new(),
        )
        .await;
        let mut bystander = Client::open(&endpoint, way).await;
        let mut client = Client::open(&endpoint, way).await;
        client.send(&["before"]).await;
        assert_eq!(client.messages(1).await, ["before"]);
        client.send(&["panic"]).await;
        assert_eq!(client.frame().await, Frame::close(way, 1011, "Internal error"));
        bystander.send(&["unharmed"]).await;
        assert_eq!(bystander.messages(1).await, ["unharmed"]);
        assert_eq!(endpoint.handle.len(), 1);
        let text = format!("as asked for by {}", way.transport);
        let logged = log.text();
        assert_eq!(logged.matches(&text).count(), 1, "{logged}");
    })
    .await;
    assert_eq!(log.text().matches(" ERROR ").count(), WAYS.len());
}

#[tokio::test]
async fn a_panic_before_the_first_await_is_a_close_too() {
    on_each(WAYS, async |way| {
        let endpoint = Endpoint::start(async |_session: Session| panic!("at once"), Options::new()).await;
        let mut client = Client::open(&endpoint, way).await;
        assert_eq!(client.frame().await, Frame::close(way, 1011, "Internal error"));
        endpoint.is_left_empty().await;
    })
    .await;
}

// What the application sees of the end: one reason, once.

#[tokio::test]
async fn the_application_sees_a_shutdown_and_new_sessions_open_after_it() {
    on_each(WAYS, async |way| {
        let mut reporting = Reporting::start(Options::new()).await;
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push(Client::open(&reporting.endpoint, way).await);
        }
        assert_eq!(reporting.endpoint.handle.close_all(4100, "restarting"), 3);
        for client in &mut clients {
            assert_eq!(client.frame().await, Frame::close(way, 4100, "restarting"));
            assert_eq!(reporting.end().await, CloseReason::Shutdown(CloseFrame::new(4100, "restarting")));
        }
        assert_eq!(reporting.endpoint.handle.close_all(4100, "restarting"), 0);
        assert!(reporting.endpoint.handle.is_empty() && reporting.has_no_more());
        let mut client = Client::open(&reporting.endpoint, way).await;
        client.send(&["back again"]).await;
        assert_eq!(client.messages(1).await, ["back again"]);
    })
    .await;
}

#[cfg(feature = "websocket")]
mod of_sockets {
    use tokio_tungstenite::tungstenite::Message as WsMessage;

    use super::*;
    use crate::support::ws;

    #[tokio::test]
    async fn a_broken_rule_ends_the_connection_as_soon_as_the_client_has_answered() {
        on_each(sockets().filter(|way| way.framed), async |way| {
            let endpoint = Endpoint::start(apps::echo, Options::new().disconnect_delay(NEVER)).await;
            let mut client = Client::open(&endpoint, way).await;
            client.up.send_payload("nonsense").await;
            let Frame::Goodbye(..) = client.frame().await else { panic!("no close frame") };
            // The library has answered that; the server ends the connection.
            assert_eq!(client.frame().await, Frame::Gone);
        })
        .await;
    }

    #[tokio::test]
    async fn what_a_client_says_before_it_hangs_up_is_heard_however_fast_it_is() {
        on_each(sockets(), async |way| {
            let mut stage = Stage::start(Options::new()).await;
            let target =
                if way.framed { Endpoint::path("id", "websocket") } else { "/app/websocket".to_owned() };
            // All of it is there before the server has begun to read.
            let bytes = [
                ws::handshake(target).to_bytes(),
                ws::frame(ws::FIN | ws::TEXT, if way.framed { b"[\"a\"]" } else { b"a" }),
                ws::frame(ws::FIN | ws::CLOSE, &ws::close_payload(1000, "done")),
            ];
            let mut connection = stage.endpoint.server.connect().await;
            connection.write(bytes.concat()).await;
            assert_eq!(connection.head().await.status, 101);
            let mut session = stage.session().await;
            assert_eq!(within("a message", session.recv()).await.expect("it was accepted"), "a");
            assert_eq!(end_of(&mut session).await, CloseReason::Client(Some(CloseFrame::new(1000, "done"))));
        })
        .await;
    }

    #[tokio::test]
    async fn the_client_sees_how_the_application_closes() {
        on_each(sockets(), async |way| {
            let mut stage = Stage::start(Options::new().disconnect_delay(NEVER)).await;
            let long = "é".repeat(100);
            let cut = "é".repeat(61);
            for (code, reason, wire_code, wire_reason) in [
                (1000, "Normal closure", 1000, "Normal closure"),
                (3000, "", 3000, ""),
                (4999, long.as_str(), 4999, cut.as_str()),
                // No WebSocket may say these, but SockJS frames may.
                (0, "zero", 1000, "zero"),
                (1005, "none", 1000, "none"),
                (60_000, "large", 1000, "large"),
            ] {
                let mut client = Client::open(&stage.endpoint, way).await;
                let mut session = stage.session().await;
                session.close(code, reason.to_owned());
                if way.framed {
                    assert_eq!(client.frame().await, Frame::Close(code, reason.to_owned()));
                }
                assert_eq!(client.frame().await, Frame::Goodbye(wire_code, wire_reason.to_owned()));
                // The library has answered that; the server ends the connection.
                assert_eq!(client.frame().await, Frame::Gone);
                let expected = CloseReason::Server(CloseFrame::new(code, reason.to_owned()));
                assert_eq!(end_of(&mut session).await, expected);
            }
        })
        .await;
    }

    #[tokio::test]
    async fn the_server_waits_for_the_answer_to_its_close_and_then_ends_the_connection() {
        on_each(sockets(), async |way| {
            let mut stage = Stage::start(Options::new().disconnect_delay(NEVER)).await;
            let target =
                if way.framed { Endpoint::path("id", "websocket") } else { "/app/websocket".to_owned() };
            let mut connection = ws::upgraded(stage.endpoint.server.addr, &target).await;
            let session = stage.session().await;
            session.close(3001, "Good bye");
            assert_eq!(ws::read_close(&mut connection).await, Some(CloseFrame::new(3001, "Good bye")));
            // What was on its way meanwhile is read and thrown away.
            connection.write(ws::frame(ws::FIN | ws::TEXT, b"[\"crossing\"]")).await;
            connection.write(ws::frame(ws::FIN | ws::CLOSE, &ws::close_payload(3001, ""))).await;
            connection.expect_end().await;
        })
        .await;
    }

    #[tokio::test]
    async fn a_close_that_nobody_answers_ends_with_the_delay() {
        on_each(sockets(), async |way| {
            let mut stage = Stage::start(Options::new().disconnect_delay(Duration::from_millis(50))).await;
            let target =
                if way.framed { Endpoint::path("id", "websocket") } else { "/app/websocket".to_owned() };
            let mut connection = ws::upgraded(stage.endpoint.server.addr, &target).await;
            stage.session().await.close(3001, "Good bye");
            assert_eq!(ws::read_close(&mut connection).await, Some(CloseFrame::new(3001, "Good bye")));
            connection.expect_end().await;
        })
        .await;
    }

    #[tokio::test]
    async fn binary_messages_travel_on_the_raw_socket_only() {
        on_each(sockets(), async |way| {
            let mut stage = Stage::start(Options::new()).await;
            let target =
                if way.framed { Endpoint::path("id", "websocket") } else { "/app/websocket".to_owned() };
            let mut socket = ws::open(stage.endpoint.server.addr, &target).await;
            let mut session = stage.session().await;
            let data = vec![0_u8, 255, 128];
            if way.framed {
                session.send(data.clone()).await.unwrap_err();
                session.try_send(data).unwrap_err();
                assert_eq!(session.close_reason(), None);
            } else {
                session.send(data.clone()).await.unwrap();
                let received = ws::next(&mut socket).await;
                assert!(
                    matches!(&received, Some(WsMessage::Binary(bytes)) if bytes[..] == data),
                    "{received:?}"
                );
                ws::send(&mut socket, data.clone()).await;
                let message = within("a message", session.recv()).await.unwrap();
                assert!(message.is_binary() && message.as_bytes() == data);
            }
        })
        .await;
    }
}

// HTTP itself.

#[tokio::test]
async fn http_1_0_brings_the_same_bytes_and_then_the_end() {
    on_each(http_ways(), async |way| {
        let endpoint = Endpoint::start(apps::echo, one_frame_per_response()).await;
        let id = fresh_id();
        let same_id = fresh_id();
        let mut bodies = Vec::new();
        for _ in 0..2 {
            let chunked = endpoint.server.ask(&way.receiving(&same_id)).await;
            let mut connection = endpoint.server.connect().await;
            let response = connection.ask(&way.receiving(&id).http10()).await;
            assert_eq!(response.header("transfer-encoding"), None);
            connection.expect_end().await;
            assert_eq!(response.text(), chunked.text());
            bodies.push(response.body);
            for id in [&id, &same_id] {
                let response = endpoint.server.ask(&way.sending(id, r#"["hello"]"#).http10()).await;
                way.expect_taken(&response);
            }
        }
        assert_ne!(bodies[0], bodies[1], "first the open frame, then a message");
    })
    .await;
}

/// The values of all lines of `Connection`, as one list.
fn connection_options(response: &Response) -> Vec<String> {
    let lines = response.headers("connection").into_iter();
    lines.flat_map(|line| line.split(',')).map(|option| option.trim().to_lowercase()).collect()
}

#[tokio::test]
async fn http_1_0_is_told_that_a_stream_ends_with_its_connection() {
    let wishes = ["keep-alive", "Keep-Alive", "KEEP-ALIVE", "keep-alive, x-other", "close", ""];
    on_each(http_ways(), async |way| {
        let endpoint = Endpoint::start(apps::echo, one_frame_per_response()).await;
        for wish in wishes {
            let request = way.receiving(&fresh_id()).http10();
            let request = if wish.is_empty() { request } else { request.header("Connection", wish) };
            let mut connection = endpoint.server.connect().await;
            let response = connection.ask(&request).await;
            assert_eq!(response.version, "1.0", "{wish:?}: {response}");
            assert!(way.kind == Kind::Stream || response.header("content-length").is_some(), "{response}");
            let keeps = way.kind == Kind::Poll && wish.to_lowercase().starts_with("keep-alive");
            let options = connection_options(&response);
            match way.kind {
                Kind::Stream => assert_eq!(options, ["close"], "{wish:?}: {response}"),
                _ => assert_eq!(options == ["keep-alive"], keeps, "{wish:?}: {response}"),
            }
            if keeps {
                assert_eq!(connection.ask(&Request::get("/app")).await.text(), "Welcome to SockJS!\n");
            } else {
                connection.expect_end().await;
            }
        }
        // A second receiver is refused by a stream, too.
        let id = fresh_id();
        let endpoint = Endpoint::start(apps::echo, Options::new()).await;
        let mut first = endpoint.server.connect().await;
        first.send(&way.receiving(&id)).await;
        if way.kind == Kind::Stream {
            first.head().await;
            let second = way.receiving(&id).http10().header("Connection", "keep-alive");
            let mut connection = endpoint.server.connect().await;
            let refusal = connection.ask(&second).await;
            assert_eq!(connection_options(&refusal), ["close"], "{refusal}");
            connection.expect_end().await;
        }
        // HTTP/1.1 has chunks, and keeps its connection.
        let mut connection = endpoint.server.connect().await;
        connection.send(&way.receiving(&fresh_id()).header("Connection", "keep-alive")).await;
        let options = connection_options(&connection.head().await);
        assert!(!options.contains(&"close".to_owned()), "{options:?}");
    })
    .await;
}

/// A rejection of the application whose body has no length.
#[tokio::test]
async fn http_1_0_is_told_that_a_rejection_of_unknown_length_ends_with_its_connection() {
    struct Never;
    impl<S: Sync> FromRequestParts<S> for Never {
        type Rejection = axum::response::Response;

        async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
            let pieces = ["not ", "you"].map(Ok::<_, Infallible>);
            let body = Body::from_stream(futures_util::stream::iter(pieces));
            Err((StatusCode::UNAUTHORIZED, body).into_response())
        }
    }
    let endpoint = Endpoint::start(async |_: Never, _: Session| {}, Options::new()).await;
    on_each(http_ways(), async |way| {
        let mut connection = endpoint.server.connect().await;
        let request = way.receiving(&fresh_id());
        let response = connection.ask(&request.clone().http10().header("Connection", "Keep-Alive")).await;
        assert_eq!((response.status, response.text()), (401, "not you"), "{response}");
        assert_eq!(connection_options(&response), ["close"], "{response}");
        connection.expect_end().await;
        assert_eq!(connection_options(&endpoint.server.ask(&request).await), [""; 0]);
    })
    .await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    on_each(http_ways(), async |way| {
        let endpoint = Endpoint::start(apps::echo, one_frame_per_response()).await;
        let id = fresh_id();
        let requests = [
            way.receiving(&id),
            way.sending(&id, "[\"one\"]"),
            way.receiving(&id),
            way.sending(&id, "[\"two\"]"),
            way.sending(&id, "[]"),
            way.receiving(&id),
        ];
        let bytes: Vec<u8> = requests.iter().flat_map(|request| request.to_bytes()).collect();
        let mut connection = endpoint.server.connect().await;
        connection.write(bytes).await;
        let mut answers = Vec::new();
        for request in &requests {
            answers.push(connection.answer(&request.method).await);
        }
        assert!(answers[0].text().contains('o'), "{}", answers[0]);
        assert!(answers[2].text().contains("one"), "{}", answers[2]);
        assert!(answers[5].text().contains("two"), "{}", answers[5]);
        for taken in [1, 3, 4] {
            way.expect_taken(&answers[taken]);
        }
    })
    .await;
}
