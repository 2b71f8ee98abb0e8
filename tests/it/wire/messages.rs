//! Opening and messages on every transport.

use std::sync::{Arc, Mutex, mpsc};

use axum_sockjs::{Options, Overflow, Session};
use futures_util::{FutureExt as _, SinkExt as _};
use tokio::task::coop;

use crate::support::{
    NEVER, PATIENCE,
    apps::{self, Endpoint, Stage},
    client::{Client, Frame, Kind, WAYS, on_each},
    until, within,
};

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
