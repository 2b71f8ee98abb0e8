//! Handlers: their order, replies and failures.

use std::{
    num::NonZero,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use axum::{BoxError, Json};
use axum_stomp::{
    ByteString, OnError, Path, Payload, Rejection, SendTo, SendToUser, Session, Stomp, StompOptions,
};
use tokio::time::{Instant, sleep};

use crate::support::{Scene, Way};

fn send(path: &str, receipt: &str) -> String {
    let receipt = if receipt.is_empty() { String::new() } else { format!("receipt:{receipt}\n") };
    format!("SEND\ndestination:/app{path}\n{receipt}\n5^")
}

#[tokio::test(start_paused = true)]
async fn one_after_the_other_unless_a_handler_may_run_beside_others() {
    let running = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let counted = |seconds: u64| {
        let (running, most) = (running.clone(), most.clone());
        move || {
            let (running, most) = (running.clone(), most.clone());
            async move {
                most.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
                sleep(Duration::from_secs(seconds)).await;
                running.fetch_sub(1, SeqCst);
            }
        }
    };
    let stomp = Stomp::new()
        .options(StompOptions::new().max_parallel_handlers(NonZero::new(3).unwrap()))
        .message("/one", counted(10))
        .message_parallel("/beside", counted(10))
        .message_parallel("/panic", async || -> () { panic!("a bug") });
    let scene = Scene::new(stomp);
    for way in [Way::SOCKET, Way::POLLING, Way::Stream] {
        let mut client = scene.connect(way).await;
        most.store(0, SeqCst);
        let start = Instant::now();
        client.send(&[send("/one", "1"), send("/one", "2")].concat()).await;
        client.receipt("1").await;
        client.receipt("2").await;
        assert_eq!((start.elapsed().as_secs(), most.swap(0, SeqCst)), (20, 1), "{way}");

        let all: String = (1..=6).map(|receipt| send("/beside", &receipt.to_string())).collect();
        let start = Instant::now();
        client.send(&all).await;
        for _ in 1..=6 {
            assert_eq!(client.frame().await.command, axum_stomp::Command::Receipt);
        }
        assert_eq!((start.elapsed().as_secs(), most.load(SeqCst)), (20, 3), "{way}");
        client.send(&send("/panic", "7")).await;
        let error = client.error().await;
        assert_eq!(error.headers.get("receipt-id"), Some("7"), "{way}");
        assert_eq!(error.headers.get("message"), Some("internal error"), "{way}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_told_and_the_session_lives_unless_a_receipt_is_asked_for() {
    let stomp = Stomp::new()
        .message("/fail", async || Err::<(), _>(BoxError::from("the database")))
        .message("/reject", async || Err::<(), _>(Rejection::new("too late")))
        .message("/json", async |_: Json<String>| ())
        .message("/reply", async || SendTo::new("/nowhere/a", "x"))
        .message("/panic", async || -> () { panic!("a bug") });
    let scene = Scene::new(stomp);
    for way in Way::all() {
        let mut client = scene.connect(way).await;
        client.send(&send("/fail", "")).await;
        client.subscribe("e", "/user/queue/errors").await;
        for (path, text) in [
            ("/fail", "internal error"),
            ("/reject", "too late"),
            ("/json", "the JSON of the body is not what is expected: line 1, column 1"),
            ("/reply", "internal error"),
            ("/panic", "internal error"),
        ] {
            client.send(&send(path, "")).await;
            let message = client.message().await;
            assert_eq!(message.headers.get("message"), Some(text), "{way} {path}");
            assert_eq!(message.body, text, "{way} {path}");
        }
        client.ask("UNSUBSCRIBE\nid:none", "").await;
        client.send(&send("/panic", "r")).await;
        let error = client.error().await;
        assert_eq!(error.headers.get("receipt-id"), Some("r"), "{way}");
        assert_eq!(error.headers.get("message"), Some("internal error"), "{way}");
    }
}

#[tokio::test(start_paused = true)]
async fn on_error_decides() {
    let stomp = Stomp::new()
        .message("/{what}", async |Path(what): Path<String>| Err::<(), _>(BoxError::from(what)))
        .on_error(|error, failed| match &*error.to_string() {
            "tell" => OnError::tell("told"),
            "close" => OnError::close("closed"),
            "ignore" => OnError::Ignore,
            "reply" => OnError::reply(SendToUser::new("/queue/a", failed.route().to_owned())),
            "panic" => panic!("a bug"),
            _ => OnError::Default,
        });
    let scene = Scene::new(stomp);
    for way in Way::all() {
        let mut client = scene.connect(way).await;
        client.subscribe("e", "/user/queue/errors").await;
        client.subscribe("a", "/user/queue/a").await;
        client.send(&send("/tell", "")).await;
        assert_eq!(client.body().await, "told", "{way}");
        client.send(&send("/ignore", "1")).await;
        client.receipt("1").await;
        client.send(&send("/reply", "2")).await;
        assert_eq!(client.body().await, "/{what}", "{way}");
        client.receipt("2").await;
        for other in ["/panic", "/other"] {
            client.send(&send(other, "")).await;
            assert_eq!(client.body().await, "internal error", "{way}");
        }
        client.send(&send("/close", "")).await;
        assert_eq!(client.refusal().await, "closed: ", "{way}");
        let mut client = scene.connect(way).await;
        client.send(&send("/tell", "3")).await;
        let error = client.error().await;
        assert_eq!(
            (error.headers.get("message"), error.headers.get("receipt-id")),
            (Some("told"), Some("3"))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_subscription_may_be_answered_once() {
    let stomp = Stomp::new()
        .subscribe("/hello/{name}", async |Path(name): Path<String>| name.with_header("own", "a:b"))
        .subscribe("/nothing", async || ())
        .subscribe("/fail", async || Err::<String, _>(Rejection::new("no")));
    let scene = Scene::new(stomp);
    for (number, way) in Way::all().enumerate() {
        let mut client = scene.connect(way).await;
        for _ in 0..2 {
            client.send("SUBSCRIBE\nid:a\ndestination:/app/hello/anna\nreceipt:r\n\n^").await;
            let message = client.message().await;
            let get = |name| message.headers.get(name);
            assert_eq!(get("destination"), Some("/app/hello/anna"), "{way}");
            assert_eq!((get("subscription"), get("own")), (Some("a"), Some("a:b")), "{way}");
            assert_eq!(message.body, "anna", "{way}");
            client.receipt("r").await;
        }
        client.ask("SUBSCRIBE\nid:a\ndestination:/app/nothing", "").await;
        client.ask("UNSUBSCRIBE\nid:a", "").await;
        client.subscribe("e", "/user/queue/errors").await;
        client.send("SUBSCRIBE\nid:b\ndestination:/app/fail\n\n^").await;
        assert_eq!(client.body().await, "no", "{way}");
        client.send("SUBSCRIBE\nid:b\ndestination:/app/fail\nreceipt:r\n\n^").await;
        assert_eq!(client.refusal().await, "no: ", "{way}");
        scene.events.after_ends(number + 1).await;
    }
    // They are no subscriptions that events tell of.
    let subscribed = scene.events.all().into_iter().filter(|event| event.starts_with("subscribed"));
    assert!(
        subscribed.clone().count() == Way::all().count()
            && subscribed.into_iter().all(|event| event.ends_with("errors"))
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_handler_sends_comes_before_its_receipt_and_in_order() {
    let stomp = Stomp::new().message("/count", async |session: Session| {
        let reply = |number: usize| SendToUser::new("/queue/a", number.to_string()).this_session_only();
        assert!(!session.is_closed());
        (0..100).map(reply).collect::<Vec<_>>()
    });
    let scene = Scene::new(stomp);
    for way in Way::all() {
        let mut client = scene.connect(way).await;
        client.subscribe("a", "/user/queue/a").await;
        client.send(&send("/count", "r")).await;
        for number in 0..100 {
            assert_eq!(client.body().await, number.to_string(), "{way}");
        }
        client.receipt("r").await;
    }
}

#[tokio::test(start_paused = true)]
async fn attributes_last_as_long_as_the_session() {
    #[derive(Clone, Default)]
    struct Count(u32);

    let stomp = Stomp::new().message("/count", async |session: Session, _: ByteString| {
        let count = session.attributes(|attributes| {
            let count = attributes.get_or_insert_default::<Count>();
            count.0 += 1;
            count.0
        });
        SendToUser::new("/queue/a", count.to_string())
    });
    let scene = Scene::new(stomp);
    for _ in 0..2 {
        let mut client = scene.connect(Way::SOCKET).await;
        client.subscribe("a", "/user/queue/a").await;
        for count in 1..4 {
            client.send(&send("/count", "")).await;
            assert_eq!(client.body().await, count.to_string());
        }
    }
}
