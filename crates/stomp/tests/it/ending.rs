//! How sessions end, and that each of their events is told once.

use std::{
    num::NonZero,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum_stomp::{Access, ByteString, Event, Session, Stomp, StompOptions, User, outbox::Overflow};
use sockjs_client::Transport;
use tokio::time::{Instant, sleep, timeout};

use crate::support::{Client, Scene, Way, settle, soon};

const WHOLE: [&str; 4] =
    ["connected", "subscribed /topic/a", "subscribed /user/queue/b", "unsubscribed /topic/a"];

fn stomp() -> Stomp {
    Stomp::new()
        .on_connect(async || User("anna".into()))
        .message("/slow", async || sleep(Duration::from_secs(100)).await)
        .message("/never", async || std::future::pending::<()>().await)
}

async fn with_subscriptions(scene: &Scene, way: Way) -> Client {
    let mut client = scene.connect(way).await;
    client.subscribe("a", "/topic/a").await;
    client.subscribe("b", "/user/queue/b").await;
    client
}

/// The events of one session that has ended, and nothing is left of it.
async fn ended(scene: &Scene, what: &str, reason: &str) {
    let events = scene.events.after_ends(1).await;
    let mut expected: Vec<_> = WHOLE.iter().map(|event| (*event).to_owned()).collect();
    expected.extend(["unsubscribed /user/queue/b".to_owned(), format!("disconnected: {reason}")]);
    assert_eq!(events, expected, "{what}");
    assert!(scene.registry().is_empty() && scene.registry().users().is_empty(), "{what}");
    assert_eq!(scene.messenger().send("/topic/a", "x").await.expect("it is sent").delivered, 0, "{what}");
    assert_eq!(
        scene.messenger().send_to_user("anna", "/queue/b", "x").await.expect("it is sent").delivered,
        0,
        "{what}"
    );
}

#[tokio::test(start_paused = true)]
async fn by_disconnect() {
    for way in Way::all() {
        let scene = Scene::new(stomp());
        let mut client = with_subscriptions(&scene, way).await;
        client.send("DISCONNECT\nreceipt:r\n\n^").await;
        client.receipt("r").await;
        client.closed().await.is(1000);
        ended(&scene, &way.to_string(), "client").await;
    }
}

#[tokio::test(start_paused = true)]
async fn by_the_end_of_the_connection() {
    for way in Way::all() {
        let scene = Scene::new(stomp());
        let client = with_subscriptions(&scene, way).await;
        sleep(Duration::from_secs(1)).await;
        client.abort();
        ended(&scene, &way.to_string(), "connection-lost").await;
    }
    for way in [Way::SOCKET, Way::SockJs(Transport::RawWebSocket), Way::Stream] {
        let scene = Scene::new(stomp());
        with_subscriptions(&scene, way).await.close().await;
        ended(&scene, &way.to_string(), "connection-lost").await;
    }
}

#[tokio::test(start_paused = true)]
async fn by_an_error() {
    for way in Way::all() {
        let scene = Scene::new(stomp());
        let mut client = with_subscriptions(&scene, way).await;
        client.send("SEND\n\n^").await;
        client.error().await;
        ended(&scene, &way.to_string(), "error").await;
    }
}

#[tokio::test(start_paused = true)]
async fn by_the_application() {
    for way in Way::all() {
        let scene = Scene::new(stomp());
        let mut client = with_subscriptions(&scene, way).await;
        let session = scene.session();
        scene.messenger().send("/topic/a", "last").await.unwrap();
        session.close("bye\nnow");
        session.close("again");
        assert!(session.is_closed());
        assert_eq!(client.body().await, "last", "{way}");
        assert_eq!(client.refusal().await, "bye\nnow: ", "{way}");
        ended(&scene, &way.to_string(), "server").await;
    }
}

#[tokio::test(start_paused = true)]
async fn by_the_application_while_a_handler_runs() {
    for way in Way::all() {
        let scene = Scene::new(stomp());
        let mut client = with_subscriptions(&scene, way).await;
        client.send("SEND\ndestination:/app/never\n\n^").await;
        settle().await;
        sleep(Duration::from_millis(10)).await;
        scene.session().close("bye");
        assert_eq!(client.refusal().await, "bye: ", "{way}");
        ended(&scene, &way.to_string(), "server").await;
    }
}

#[tokio::test(start_paused = true)]
async fn by_the_end_of_the_task() {
    for transport in [Transport::XhrPolling, Transport::RawWebSocket] {
        let scene = Scene::new(stomp());
        let _client = with_subscriptions(&scene, Way::SockJs(transport)).await;
        // There is no way to the task but the runtime's: see the stream.
        let session = scene.session();
        assert!(!session.is_closed());
    }
    let scene = Scene::new(stomp());
    let (client, server) = tokio::io::duplex(1000);
    let stomp = scene.server.clone();
    let task = tokio::spawn(async move { stomp.serve_stream(server, None, ()).await });
    let mut client = Client::of_stream(client);
    client.connect("accept-version:1.2\n").await;
    client.subscribe("a", "/topic/a").await;
    client.subscribe("b", "/user/queue/b").await;
    task.abort();
    client.closed().await;
    ended(&scene, "aborted", "cancelled").await;
}

#[tokio::test(start_paused = true)]
async fn by_a_shutdown_of_the_endpoint() {
    for transport in Transport::ALL {
        let events = Arc::new(std::sync::Mutex::new(Vec::new()));
        let told = events.clone();
        let server = Stomp::<()>::new()
            .on_event(move |event, _| {
                if let Event::Disconnected(_, reason) = event {
                    told.lock().unwrap().push(reason.to_string());
                }
            })
            .build();
        let sockjs = server.sockjs_with(server.sockjs_options().origins(axum_sockjs::Origins::any()));
        let handle = sockjs.handle();
        let client = sockjs_client::test::TestClient::new(sockjs.into_router("/stomp"), "/stomp");
        let mut client = Client::of_sockjs(client.open(*transport).await.unwrap());
        client.connect("accept-version:1.2\n").await;
        let _ = soon("the shutdown", handle.shutdown(1001, "Bye", Duration::from_secs(5))).await;
        while client.next().await.is_some() {}
        settle().await;
        let events = events.lock().unwrap().clone();
        assert!(events.len() == 1 && events[0].starts_with("connection lost: "), "{transport} {events:?}");
        assert!(server.registry().is_empty(), "{transport}");
    }
}

#[tokio::test(start_paused = true)]
async fn by_slowness() {
    for overflow in [Overflow::Close, Overflow::DropOldest] {
        let scene =
            Scene::new(stomp().options(StompOptions::new().overflow(overflow).outbound_bytes(100_000)));
        let client = with_subscriptions(&scene, Way::Stream).await;
        // It does not read.
        for _ in 0..400 {
            scene.messenger().send("/topic/a", "x".repeat(1000)).await.unwrap();
        }
        let start = Instant::now();
        ended(&scene, "slow", "too-slow").await;
        let waited = start.elapsed().as_secs();
        assert_eq!(waited, if overflow == Overflow::Close { 0 } else { 10 }, "{overflow:?}");
        drop(client);
    }
}

/// What a client has sent before it has left is processed, although its connection is known to be lost.
#[tokio::test(start_paused = true)]
async fn what_was_sent_before_the_end_is_processed() {
    for way in Way::all() {
        let (sender, mut said) = tokio::sync::mpsc::unbounded_channel();
        let stomp = stomp().message("/say", move |text: ByteString| {
            let sender = sender.clone();
            async move {
                sleep(Duration::from_secs(1)).await;
                sender.send(text.to_string()).unwrap();
                axum_stomp::SendTo::new("/topic/a", text)
            }
        });
        let scene = Scene::new(stomp);
        let mut client = with_subscriptions(&scene, way).await;
        let say = |text: &str| format!("SEND\ndestination:/app/say\n\n{text}^");
        client.send(&[say("one"), say("two"), "DISCONNECT\n\n^".to_owned()].concat()).await;
        client.send("\n").await;
        settle().await;
        client.abort();
        for text in ["one", "two"] {
            assert_eq!(soon("what was said", said.recv()).await.as_deref(), Some(text), "{way}");
        }
        ended(&scene, &way.to_string(), "client").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_never_returns_keeps_no_subscriptions_of_a_client_that_has_left() {
    for way in Way::all().filter(|way| *way != Way::Stream) {
        let scene = Scene::new(stomp());
        let mut client = with_subscriptions(&scene, way).await;
        client.send("SEND\ndestination:/app/never\n\n^").await;
        sleep(Duration::from_secs(1)).await;
        client.abort();
        ended(&scene, &way.to_string(), "connection-lost").await;
    }
    // The loss of a stream is seen when it is written to.
    let scene = Scene::new(stomp());
    let mut client = scene.connect_with(Way::Stream, "accept-version:1.2\nheart-beat:0,10000\n").await;
    client.subscribe("a", "/topic/a").await;
    client.subscribe("b", "/user/queue/b").await;
    client.send("SEND\ndestination:/app/never\n\n^").await;
    sleep(Duration::from_secs(1)).await;
    client.abort();
    ended(&scene, "stream", "connection-lost").await;
}

#[tokio::test(start_paused = true)]
async fn no_handler_begins_behind_the_end() {
    let send = |to: &str| format!("SEND\ndestination:/app/{to}\n\n^");
    let within = |to: &str| format!("SEND\ndestination:/app/{to}\ntransaction:t\n\n^");
    let transaction =
        format!("BEGIN\ntransaction:t\n\n^{}{}COMMIT\ntransaction:t\n\n^", within("slow"), within("mark"));
    for frames in [
        transaction,
        send("judged"),
        "SUBSCRIBE\nid:j\ndestination:/app/judged\n\n^".to_owned(),
        [send("beside"), send("beside")].concat(),
    ] {
        let calls = Arc::new(AtomicUsize::new(0));
        let mark = {
            let calls = calls.clone();
            move || {
                calls.fetch_add(1, Ordering::Relaxed);
                std::future::ready(())
            }
        };
        let beside = {
            let calls = calls.clone();
            async move || {
                calls.fetch_add(1, Ordering::Relaxed);
                sleep(Duration::from_secs(100)).await;
            }
        };
        let stomp = stomp()
            .options(StompOptions::new().max_parallel_handlers(NonZero::new(1).unwrap()))
            .authorize(async move |access: Access| {
                if access.destination.ends_with("/judged") {
                    sleep(Duration::from_secs(100)).await;
                }
            })
            .message("/mark", mark.clone())
            .message("/judged", mark.clone())
            .subscribe("/judged", mark)
            .message_parallel("/beside", beside);
        let scene = Scene::new(stomp);
        let mut client = with_subscriptions(&scene, Way::SOCKET).await;
        client.send(&frames).await;
        sleep(Duration::from_secs(1)).await;
        let before = calls.load(Ordering::Relaxed);
        client.abort();
        ended(&scene, &frames, "connection-lost").await;
        sleep(Duration::from_secs(300)).await;
        assert_eq!(calls.load(Ordering::Relaxed), before, "{frames}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_the_reason_whoever_sees_it_first() {
    for way in Way::all() {
        let scene = Scene::new(stomp());
        let mut client = with_subscriptions(&scene, way).await;
        // Nothing is read meanwhile.
        client.send("SEND\ndestination:/app/slow\n\n^").await;
        sleep(Duration::from_secs(1)).await;
        client.abort();
        // A message finds the connection closed.
        while !scene.session_has_ended() {
            scene.messenger().send("/topic/a", "x").await.unwrap();
            sleep(Duration::from_millis(1)).await;
        }
        ended(&scene, &way.to_string(), "connection-lost").await;
    }
}

#[tokio::test(start_paused = true)]
async fn listeners_that_panic_end_nothing() {
    let stomp = stomp().on_event(|_, _| panic!("a bug"));
    let scene = Scene::new(stomp);
    let mut client = with_subscriptions(&scene, Way::SOCKET).await;
    client.send("DISCONNECT\n\n^").await;
    client.closed().await.is(1000);
    ended(&scene, "panics", "client").await;
}

#[tokio::test(start_paused = true)]
async fn a_session_may_be_closed_before_the_client_is_connected() {
    let stomp = Stomp::new().on_event(|event, _| {
        if let Event::Connected(session) = event {
            Session::close(session, "full");
        }
    });
    let scene = Scene::new(stomp);
    for (number, way) in Way::all().enumerate() {
        let mut client = scene.open(way).await;
        client.send("CONNECT\n\n^SEND\ndestination:/app/a\n\n^").await;
        assert_eq!(client.refusal().await, "full: ", "{way}");
        assert_eq!(scene.events.after_ends(number + 1).await.len(), 2 * (number + 1));
    }
}

#[tokio::test(start_paused = true)]
async fn disconnect_waits_for_handlers_beside_others() {
    let stomp = Stomp::new().message_parallel("/slow", async || sleep(Duration::from_secs(100)).await);
    let scene = Scene::new(stomp);
    let mut client = scene.connect(Way::SOCKET).await;
    client.send("SEND\ndestination:/app/slow\nreceipt:1\n\n^DISCONNECT\nreceipt:2\n\n^").await;
    let start = Instant::now();
    client.receipt("1").await;
    client.receipt("2").await;
    assert_eq!(start.elapsed().as_secs(), 100);
    client.closed().await.is(1000);
    assert!(timeout(Duration::from_secs(1), scene.events.after_ends(1)).await.is_ok());
}
