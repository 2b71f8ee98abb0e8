//! The test client, under a paused clock.

#![allow(clippy::unwrap_used, reason = "a test fails so")]

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    extract::{ConnectInfo, FromRequestParts, Query, Request},
    http::{HeaderMap, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use axum_sockjs::{CloseKind, Cookie, Handler, Options, Origins, Session, SockJs};
use futures_util::FutureExt as _;
use sockjs_client::{
    Frame, Message, Transport,
    test::{TestClient, TestSession},
};
use tokio::time::Instant;

const HEARTBEAT: Duration = Duration::from_secs(25);

fn client<T: 'static>(handler: impl Handler<T, ()>, options: Options) -> TestClient {
    let options = options.origins(Origins::any()).legacy_transports(true);
    TestClient::new(Router::new().nest_service("/app", SockJs::new(handler).options(options)), "/app")
}

async fn echo(mut session: Session) {
    while let Some(message) = session.recv().await {
        session.send(message).await.ok();
    }
}

/// What a future panics with.
async fn sentence(future: impl Future) -> String {
    let panic = std::panic::AssertUnwindSafe(future).catch_unwind().await;
    let panic = panic.err().expect("it was to panic");
    *panic.downcast::<String>().expect("a panic with a text")
}

#[tokio::test(start_paused = true)]
async fn each_transport_opens_echoes_and_closes() {
    for &transport in Transport::ALL {
        let began = Instant::now();
        let mut session = client(echo, Options::new()).open(transport).await.unwrap();
        assert_eq!(session.transport(), transport);
        session.send("a").await;
        assert_eq!(session.recv().await, "a");
        assert_eq!(session.last_frame(), Some(&Frame::Messages(vec!["a".into()])));
        assert_eq!(began.elapsed(), Duration::ZERO, "{transport}");
        session.send_json(&[1, 2]).await;
        assert_eq!(session.recv_json().await, serde_json::json!([1, 2]));
        session.expect_nothing(Duration::from_secs(3)).await;
        session.expect_silence(Duration::from_secs(3)).await;
        assert_eq!(began.elapsed(), Duration::from_secs(6));
        let event = session.close(3000, "bye").await;
        assert_eq!((event.code(), event.reason()), (3000, "bye"));
    }
}

#[tokio::test(start_paused = true)]
async fn heartbeats_are_exact_and_instant() {
    for &transport in Transport::ALL.iter().filter(|transport| transport.is_framed()) {
        let mut session = client(echo, Options::new()).open(transport).await.unwrap();
        let began = Instant::now();
        for beat in 1..=3 {
            session.heartbeat().await;
            assert_eq!(began.elapsed(), beat * HEARTBEAT, "{transport}");
        }
        session.send("a").await;
        assert_eq!(session.recv().await, "a");
    }
}

#[tokio::test(start_paused = true)]
async fn the_service_sees_headers_cookies_query_and_peer() {
    #[derive(serde::Deserialize)]
    struct Visitor {
        name: String,
    }
    async fn tell(
        headers: HeaderMap,
        Query(visitor): Query<Visitor>,
        ConnectInfo(peer): ConnectInfo<SocketAddr>,
        session: Session,
    ) {
        let value = |name| headers.get(name).map_or("-", |value| value.to_str().unwrap_or("?")).to_owned();
        let text =
            format!("{} {} {} {peer}", visitor.name, value(header::AUTHORIZATION), value(header::COOKIE));
        session.send(text).await.ok();
        session.closed().await;
    }
    let app = Router::new().nest_service("/app", SockJs::new(tell));
    let client = TestClient::new(app, "app?name=Ada")
        .header("authorization", "Bearer 1")
        .cookie("user", "7")
        .peer(([192, 0, 2, 1], 99));
    for transport in [Transport::WebSocket, Transport::XhrStreaming, Transport::XhrPolling] {
        let mut session = client.open(transport).await.unwrap();
        assert_eq!(session.recv().await, "Ada Bearer 1 user=7 192.0.2.1:99", "{transport}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cookie_that_the_service_sets_comes_back() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let note = {
        let seen = seen.clone();
        move |request: Request, next: Next| {
            let cookie =
                request.headers().get(header::COOKIE).map(|value| value.to_str().unwrap().to_owned());
            seen.lock().unwrap().push((request.uri().path().rsplit_once('/').unwrap().1.to_owned(), cookie));
            next.run(request)
        }
    };
    let endpoint = SockJs::new(echo).options(Options::new().cookie(Cookie::jsessionid()));
    let app = Router::new().nest_service("/app", endpoint).layer(axum::middleware::from_fn(note));
    let client = TestClient::new(app, "/app").cookie("user", "7");
    let mut session = client.open(Transport::XhrPolling).await.unwrap();
    session.send("a").await;
    assert_eq!(session.recv().await, "a");
    assert_eq!(client.info().await["cookie_needed"], true);
    let mut requests = seen.lock().unwrap().clone();
    requests.iter_mut().for_each(|(_, cookie)| {
        let mut pairs: Vec<_> = cookie.iter().flat_map(|cookie| cookie.split("; ")).collect();
        pairs.sort_unstable();
        *cookie = Some(pairs.join(" "));
    });
    let with = |name: &str, cookies: &str| (name.to_owned(), Some(cookies.to_owned()));
    assert_eq!(requests[0], with("xhr", "user=7"));
    assert!(requests.contains(&with("xhr_send", "JSESSIONID=dummy user=7")), "{requests:?}");
    assert!(requests.contains(&with("xhr", "JSESSIONID=dummy user=7")), "{requests:?}");
    assert!(requests.contains(&with("info", "user=7")), "cookies are each session's own: {requests:?}");
}

/// Servers want to know the origin of an event stream that comes with a cookie, and the next stream of a session has
/// the server's own.
#[tokio::test(start_paused = true)]
async fn an_event_stream_says_where_it_comes_from() {
    let endpoint = SockJs::new(echo).options(Options::new().cookie(Cookie::jsessionid()));
    let client = TestClient::new(endpoint, "/").header("authorization", "Bearer 1");
    let mut session = client.open(Transport::EventSource).await.unwrap();
    let text = "x".repeat(10_000);
    // Two streams of 128 KiB, and a part of the third.
    for _ in 0..30 {
        session.send(text.clone()).await;
        assert_eq!(session.recv().await, text);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_secret_is_shown() {
    let client = TestClient::new(SockJs::new(echo), "/?token=secret")
        .header("authorization", "secret")
        .cookie("user", "secret");
    let shown = format!("{client:?}");
    assert!(shown.contains("authorization") && !shown.contains("secret"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn the_last_header_of_a_name_counts() {
    async fn who(headers: HeaderMap, session: Session) {
        let all: Vec<_> = headers.get_all("x-user").iter().map(|value| value.to_str().unwrap()).collect();
        session.send(all.join(",")).await.ok();
        session.closed().await;
    }
    let ada = TestClient::new(SockJs::new(who), "/").header("x-user", "ada");
    for (client, user) in [(ada.clone().header("x-user", "bob"), "bob"), (ada, "ada")] {
        assert_eq!(client.open(Transport::XhrPolling).await.unwrap().recv().await, user);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_the_services_answer() {
    struct Nobody;
    impl<S: Sync> FromRequestParts<S> for Nobody {
        type Rejection = Response;
        async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
            Err((StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], "log in").into_response())
        }
    }
    async fn guarded(_: Nobody, _: Session) {}
    for transport in [Transport::WebSocket, Transport::XhrStreaming, Transport::EventSource] {
        let refusal = client(guarded, Options::new()).open(transport).await.unwrap_err();
        assert_eq!(refusal.status(), StatusCode::UNAUTHORIZED, "{transport}");
        assert_eq!(refusal.header(header::WWW_AUTHENTICATE), "Bearer");
        assert_eq!(refusal.text(), "log in");
        assert_eq!(format!("{refusal:?}"), "401 Unauthorized: log in");
    }
}

/// The application's side of a session, and the client's.
async fn both(transport: Transport) -> (TestSession, Session) {
    let (sender, mut sessions) = tokio::sync::mpsc::unbounded_channel();
    let hand_over = move |session: Session| async move { drop(sender.send(session)) };
    let session = client(hand_over, Options::new()).open(transport).await.unwrap();
    (session, sessions.recv().await.unwrap())
}

#[tokio::test(start_paused = true)]
async fn an_aborted_session_is_a_lost_connection() {
    for &transport in Transport::ALL {
        let (session, application) = both(transport).await;
        session.abort();
        let began = Instant::now();
        // A session that lives on has heartbeats for ever, so the wait has an end of its own.
        let reason =
            tokio::time::timeout(HEARTBEAT, application.closed()).await.expect("the session lives on");
        let polls = matches!(transport, Transport::XhrPolling | Transport::JsonpPolling);
        assert!(began.elapsed() <= Duration::from_secs(if polls { 5 } else { 0 }), "{transport}: {reason}");
        let kind = reason.kind();
        assert!(kind == CloseKind::ConnectionLost || polls && kind == CloseKind::TimedOut, "{reason}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stops_reading_sees_nothing_until_it_reads_again() {
    for &transport in Transport::ALL {
        let (mut session, mut application) = both(transport).await;
        session.stop_reading();
        application.send("down").await.unwrap();
        session.expect_silence(Duration::from_secs(1)).await;
        assert_eq!(session.last_frame(), Some(&Frame::Open), "{transport}");
        // The other direction goes on.
        session.session().try_send("up").unwrap();
        assert_eq!(application.recv().await.unwrap(), "up", "{transport}");
        session.resume_reading();
        assert_eq!(session.recv().await, "down", "{transport}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stops_reading_holds_up_the_handler() {
    for &transport in Transport::ALL {
        let (mut session, application) = both(transport).await;
        session.stop_reading();
        let kilobyte = "x".repeat(1024);
        let mut sent = 0;
        while tokio::time::timeout(Duration::from_secs(1), application.send(kilobyte.clone())).await.is_ok() {
            sent += 1;
            assert!(sent < 10_000, "{transport}");
        }
        assert!(sent >= 1024, "{transport}: {sent}");
        session.resume_reading();
        for _ in 0..sent {
            assert_eq!(session.recv().await, kilobyte, "{transport}");
        }
    }
}

/// More than a client holds that is not asked.
#[tokio::test(start_paused = true)]
async fn the_end_is_seen_behind_any_number_of_messages() {
    for &transport in Transport::ALL {
        let (mut session, application) = both(transport).await;
        let sending = tokio::spawn(async move {
            for n in 0..15 {
                application.send(format!("{n}{}", "x".repeat(100_000))).await.unwrap();
            }
            application.close(3000, "enough");
        });
        assert_eq!(session.closed().await.to_string(), r#"3000 "enough""#, "{transport}");
        sending.await.unwrap();
        for n in 0..15 {
            let message = session.recv().await;
            assert!(message.as_str().unwrap().starts_with(&format!("{n}x")), "{transport}");
        }
        assert_eq!(session.session().recv().await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn what_goes_wrong_is_said() {
    let (mut session, application) = both(Transport::XhrStreaming).await;
    let text = sentence(session.recv()).await;
    assert!(
        text.contains("in_process.rs")
            && text.ends_with("no message within 10s: the session is open and its last frame was o")
    );
    assert!(sentence(session.closed()).await.ends_with("the session has not ended within 10s"));
    let text = sentence(session.expect_silence(HEARTBEAT)).await;
    assert!(text.ends_with("Heartbeat came, and nothing was to come"), "{text}");
    application.send("1,2").await.unwrap();
    let text = sentence(session.recv_json()).await;
    assert!(text.contains(r#"Text("1,2") is no JSON: trailing characters"#), "{text}");
    application.send("surprise").await.unwrap();
    let text = sentence(session.expect_nothing(Duration::from_secs(1))).await;
    assert!(text.ends_with(r#"Text("surprise") came, and nothing was to come"#), "{text}");
    application.close(4000, "enough");
    let text = sentence(session.recv()).await;
    assert!(text.ends_with(r#"no message: the session has ended: 4000 "enough""#), "{text}");
    assert!(sentence(session.send("late")).await.contains("cannot send: the session has ended"));
    assert!(sentence(session.heartbeat()).await.contains("no heartbeat: the session has ended"));
    let text = sentence(session.close(1001, "")).await;
    assert!(text.ends_with("cannot close: 1001 is neither 1000 nor within 3000 to 4999"), "{text}");

    // A handler that does not receive: the queue to it is full.
    let (mut session, _application) = both(Transport::XhrStreaming).await;
    let large = Message::from("x".repeat(100_000));
    let text = sentence(async {
        for _ in 0..20 {
            session.send(large.clone()).await;
        }
    });
    assert!(text.await.contains("the server has not taken the message within 10s"));

    let never = |_: Session| async {};
    let refused = TestClient::new(Router::new(), "/nothing").open(Transport::WebSocket).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.status(), StatusCode::NOT_FOUND);
    assert_eq!(refused.to_string(), "404 Not Found at \"/nothing\": is the endpoint mounted there?");
    let (raw, _application) = both(Transport::RawWebSocket).await;
    let text = sentence(async move { { raw }.heartbeat().await }).await;
    assert!(text.ends_with("a raw WebSocket has no heartbeats"), "{text}");
    let text = sentence(async { TestClient::new(Router::new(), "http://localhost/a") }).await;
    assert!(text.contains("is a URL: the path of an endpoint begins with a slash"), "{text}");
    let text =
        sentence(client(never, Options::new()).info().map(|_| panic!("{}", "as it is".to_owned()))).await;
    assert_eq!(text, "as it is");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_never_answers_is_said() {
    let app = Router::new().fallback(|| async { std::future::pending::<StatusCode>().await });
    for &transport in Transport::ALL {
        let text = sentence(TestClient::new(app.clone(), "/").open(transport)).await;
        assert!(text.ends_with("timed out after 10s"), "{transport}: {text}");
    }
    let text = sentence(TestClient::new(app, "/").patience(Duration::from_secs(1)).info()).await;
    assert!(text.ends_with("no answer to /info within 1s"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn an_open_waits_as_long_as_the_test_says() {
    for patience in [1, 10, 30].map(Duration::from_secs) {
        let app = Router::new().fallback(std::future::pending::<StatusCode>);
        let began = Instant::now();
        let text =
            sentence(TestClient::new(app, "/app").patience(patience).open(Transport::XhrStreaming)).await;
        assert!(
            text.ends_with(&format!("no session over xhr-streaming: timed out after {patience:?}")),
            "{text}"
        );
        assert_eq!(began.elapsed(), patience);
    }
}

/// Such a handler lets no time pass, so that no time-out would come.
#[tokio::test(start_paused = true)]
async fn a_handler_that_never_stops_sending_fails_the_wait_for_its_end() {
    let flood = async |session: Session| while session.send("x").await.is_ok() {};
    let mut session = client(flood, Options::new()).open(Transport::WebSocket).await.unwrap();
    let text = sentence(session.closed()).await;
    assert!(text.ends_with("the paused clock stands still"), "{text}");
}
