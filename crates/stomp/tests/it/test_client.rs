//! The client that applications test with.

use std::{panic::AssertUnwindSafe, time::Duration};

use axum::{Json, Router};
use axum_stomp::{
    Command, Credentials, Frame, Login, Origins, Rejection, SendTo, SendToUser, Stomp, StompOptions, User,
    Version,
    broker::memory::{MemoryBroker, QueueMode},
    test::{TestClient, TestSession},
};
use futures_util::FutureExt as _;
use sockjs_client::Transport;
use tokio::time::Instant;

async fn connect(credentials: Option<Credentials>) -> Result<Login, Rejection> {
    match credentials {
        Some(Credentials { login, passcode: None }) if login == "eve" => Err(Rejection::new("eve")),
        Some(Credentials { login, .. }) => Ok(Login::new(login)),
        None => Ok(Login::anonymous()),
    }
}

fn client() -> TestClient {
    let server = Stomp::new()
        .broker(MemoryBroker::builder().queue_mode(QueueMode::Competing).build())
        .options(StompOptions::new().connect_timeout(Duration::from_secs(3)))
        .on_connect(connect)
        .message("/all", async |Json(text): Json<String>| SendTo::new("/topic/all", Json(text)))
        .message("/job", async |text: String| SendTo::new("/queue/jobs", text))
        .message("/me", async |User(name): User| SendToUser::new("/queue/me", name))
        .message("/fail", async || Err::<(), _>("boom"))
        .subscribe("/hello", async || "hello")
        .build();
    // So are all transports there.
    let options = server.sockjs_options().origins(Origins::any());
    let app: Router = server.sockjs_with(options).into_router("/stomp");
    TestClient::new(app, "/stomp")
}

/// The sentence of the panic.
async fn panics(future: impl Future<Output = ()>) -> String {
    let panic = AssertUnwindSafe(future).catch_unwind().await.expect_err("it is to panic");
    let text = panic.downcast::<String>().expect("a sentence");
    assert!(text.starts_with(file!()), "{text}");
    text.split_once(": ").expect("a line, and a sentence").1.to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_client_speaks_every_version_over_every_transport() {
    for transport in Transport::ALL.iter().copied() {
        for version in Version::ALL {
            let client = client().transport(transport).version(version);
            let mut one = client.clone().login("anna", "x").connect().await;
            assert_eq!(
                (one.user(), one.connected().headers.get("version")),
                (Some("anna"), Some(version.as_str()))
            );
            let mut other = client.connect().await;
            let all = other.subscribe("/topic/*").await;
            one.send("/app/all", Json("hello")).await;
            let message = other.message().await;
            assert_eq!((message.subscription(), message.destination()), (&*all, "/topic/all"), "{transport}");
            assert_eq!(
                (message.json::<String>(), message.header("content-type")),
                ("hello".into(), "application/json")
            );
            // What comes before a receipt is kept, and can be taken out of turn.
            one.subscribe("/user/queue/me").await;
            one.send("/app/me", "").await;
            let hello = one.subscribe("/app/hello").await;
            assert_eq!(one.message_of(&hello).await.text(), "hello");
            assert_eq!(one.message().await.text(), "anna");
            other.unsubscribe(all).await;
            one.send_and_wait("/app/all", Json("nobody")).await;
            other.expect_nothing(Duration::from_secs(1)).await;
            assert_eq!(one.disconnect().await.code(), 1000);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn messages_are_acknowledged_in_every_version() {
    async fn consume(client: &TestClient) -> TestSession {
        let mut consumer = client.connect().await;
        let frame =
            Frame::new(Command::Subscribe).header("destination", "/queue/jobs").header("ack", "client");
        consumer.subscribe_with(frame).await;
        consumer
    }

    for version in Version::ALL {
        let client = client().version(version);
        let mut one = consume(&client).await;
        one.send("/app/job", "1").await;
        one.send("/app/job", "2").await;
        let first = one.message().await;
        one.ack(&first).await;
        let second = one.message().await;
        if version != Version::V1_0 {
            one.nack(&second).await;
            assert_eq!(one.message().await.header("redelivered"), "true");
        }
        one.abort();
        let again = consume(&client).await.message().await;
        assert_eq!((again.text(), again.header("redelivered")), ("2", "true"), "{version}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_refused_gets_the_error() {
    let client = client();
    let refused = client.clone().header("login", "eve").try_connect().await.unwrap_err();
    assert_eq!(refused.headers.get("message"), Some("access refused"));
    let text = panics(async { drop(client.clone().header("login", "eve").connect().await) }).await;
    assert!(text.starts_with("the server refuses the client: ") && text.contains("access refused"), "{text}");
    // Without a CONNECT, and on a paused clock.
    let (mut session, start) = (client.open().await, Instant::now());
    assert_eq!(session.error().await.headers.get("message"), Some("no CONNECT in time"));
    assert_eq!((session.closed().await.code(), start.elapsed().as_secs()), (1002, 3));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_come_is_a_sentence() {
    let client = client().patience(Duration::from_secs(5));
    let mut session = client.connect().await;
    let text = panics(async { drop(session.message().await) }).await;
    assert_eq!(text, "no MESSAGE within 5s: the session is open");
    session.subscribe("/topic/all").await;
    session.send("/app/all", Json("x")).await;
    let text = panics(session.expect_nothing(Duration::from_secs(1))).await;
    assert!(text.ends_with(" came, and nothing was to come"), "{text}");
    session.send("/app/all", Json("x")).await;
    let text = panics(async { drop(session.error().await) }).await;
    assert!(text.ends_with(" came, and ERROR was to come"), "{text}");
    // Without a receipt the failure is told elsewhere; with one the session ends.
    session.send("/app/fail", "").await;
    let text = panics(session.send_and_wait("/app/fail", "")).await;
    assert!(text.contains("internal error") && text.ends_with(" came, and RECEIPT was to come"), "{text}");
    let text = panics(async { drop(session.recv().await) }).await;
    assert!(text.starts_with("no frame: the session has ended: 1002"), "{text}");
    let text = panics(session.send("/app/all", "")).await;
    assert!(text.starts_with("cannot send: "), "{text}");
}
