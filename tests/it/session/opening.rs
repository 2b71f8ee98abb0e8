//! From the first request to the session: extractors, limits, ids.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{FromRequestParts, State},
    http::{Request, StatusCode, header, request::Parts},
};
use axum_sockjs::{Options, Session, SockJs, Transport};
use futures_util::FutureExt as _;
use tokio::{sync::Notify, task::yield_now, time::Instant};

use crate::support::{
    apps::open_to_all,
    in_process::{
        ANOTHER, Client, Endpoint, Stage, call, forgotten, http_transports, receiving_url, text, transports,
        wrapped,
    },
    settle, soon,
};

#[tokio::test(start_paused = true)]
async fn endpoints_do_not_share_their_sessions() {
    let greeting = |text: &'static str| {
        SockJs::new(move |session: Session| async move {
            session.try_send(text).unwrap();
            session.closed().await;
        })
    };
    let (left, right) = (greeting("left"), greeting("right"));
    let (left_handle, right_handle) = (left.handle(), right.handle());
    let app = Router::new().nest_service("/left", left).nest_service("/right", right);
    let [left, right] = ["/left", "/right"].map(|prefix| Client::new(&app, prefix, "same"));
    assert_eq!((left.poll().await, right.poll().await), ("o".to_owned(), "o".to_owned()));
    assert_eq!((left_handle.len(), right_handle.len()), (1, 1));
    assert_eq!(left.poll().await, r#"a["left"]"#);
    assert_eq!(left_handle.close_all(3000, ""), 1);
    assert_eq!(left.poll().await, r#"c[3000,""]"#);
    assert_eq!(right.poll().await, r#"a["right"]"#);
    assert_eq!((left_handle.len(), right_handle.len()), (0, 1));
}

/// An extractor that takes as long as the test lets it, then lets in whom it likes.
#[derive(Clone, Default)]
struct Gate {
    opened: Arc<Notify>,
    asked: Arc<AtomicUsize>,
}

struct Admitted;

impl FromRequestParts<Gate> for Admitted {
    type Rejection = (StatusCode, [(&'static str, &'static str); 1], &'static str);

    async fn from_request_parts(parts: &mut Parts, gate: &Gate) -> Result<Self, Self::Rejection> {
        gate.asked.fetch_add(1, Ordering::SeqCst);
        gate.opened.notified().await;
        match parts.headers.get("x-secret") {
            Some(_) => Ok(Self),
            None => Err((StatusCode::UNAUTHORIZED, [("www-authenticate", "Secret")], "log in")),
        }
    }
}

impl Gate {
    fn endpoint(&self, options: Options) -> Endpoint {
        let handler = |_: State<Self>, _: Admitted, session: Session| async move {
            session.try_send("welcome").ok();
            session.closed().await;
        };
        Endpoint::of(SockJs::new(handler).options(open_to_all(options)).with_state(self.clone()))
    }
}

fn with_secret(transport: Transport) -> Request<Body> {
    let (method, name) = receiving_url(transport);
    let request = Request::builder().method(method).uri(format!("/app/000/a/{name}"));
    request.header("x-secret", "1").header("origin", "http://other").body(Body::empty()).expect("a request")
}

#[tokio::test(start_paused = true)]
async fn while_extractors_run_there_is_no_session_yet() {
    for transport in http_transports() {
        let gate = Gate::default();
        let endpoint = gate.endpoint(Options::new());
        let client = endpoint.client("a");
        let app = endpoint.app.clone();
        let opening = tokio::spawn(async move { text(call(&app, with_secret(transport)).await).await });
        settle().await;
        assert_eq!(gate.asked.load(Ordering::SeqCst), 1);
        for second in http_transports() {
            assert_eq!(client.frame(second).await, ANOTHER, "{second} while {transport} opens");
        }
        assert_eq!(client.send(r#"["early"]"#).await, StatusCode::NOT_FOUND);
        assert_eq!((endpoint.handle.len(), endpoint.handle.close_all(3000, "")), (0, 0));
        assert_eq!(endpoint.handle.stats().transport(transport).opening, 1);
        gate.opened.notify_waiters();
        settle().await;
        assert_eq!(endpoint.handle.len(), 1);
        endpoint.handle.close_all(3000, "");
        let body = opening.await.unwrap();
        assert!(body.contains(&wrapped(transport, "o")), "{body}");
        soon("the end of all", forgotten(endpoint.handle)).await;
        assert_eq!(gate.asked.load(Ordering::SeqCst), 1, "{transport}: only the opening request is asked");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rejection_answers_the_opening_request() {
    for transport in transports() {
        let gate = Gate::default();
        let endpoint = gate.endpoint(Options::new());
        let client = endpoint.test_client().header("origin", "http://other");
        for _ in 0..2 {
            gate.opened.notify_one();
            let refusal = client.open(transport).await.unwrap_err();
            assert_eq!(refusal.status(), StatusCode::UNAUTHORIZED, "{transport}");
            assert_eq!(refusal.header(header::WWW_AUTHENTICATE), "Secret");
            let no_store = refusal.header(header::CACHE_CONTROL).contains("no-store");
            assert_eq!(no_store, transport != Transport::RawWebSocket, "{transport}");
            let cross_origin = !transport.is_legacy() && !transport.is_socket();
            let origin = if cross_origin { "http://other" } else { "" };
            assert_eq!(refusal.header(header::ACCESS_CONTROL_ALLOW_ORIGIN), origin, "{transport}");
            assert_eq!(refusal.text(), "log in");
            assert!(endpoint.handle.is_empty());
            assert_eq!(endpoint.handle.stats().total().opening, 0);
        }
        gate.opened.notify_one();
        let mut session = client.header("x-secret", "1").open(transport).await.unwrap();
        assert_eq!(session.recv().await, "welcome", "{transport}");
    }
}

#[tokio::test(start_paused = true)]
async fn extractors_have_their_time_and_no_more() {
    for transport in transports() {
        let gate = Gate::default();
        // No other of the endpoint's times is as long.
        let endpoint = gate.endpoint(Options::new().open_timeout(Duration::from_secs(7)));
        let client = endpoint.test_client().header("x-secret", "1");
        let start = Instant::now();
        let refusal = client.open(transport).await.unwrap_err();
        assert_eq!(start.elapsed(), Duration::from_secs(7), "{transport}");
        // An EventSource may ask again at once after a 503.
        match refusal.close_frame() {
            Some(frame) => assert_eq!((transport, frame.code()), (Transport::EventSource, 1013)),
            None => assert_eq!((refusal.status().as_u16(), refusal.header("retry-after")), (503, "5")),
        }
        assert!(endpoint.handle.is_empty());
        gate.opened.notify_one();
        let mut session = client.open(transport).await.unwrap();
        assert_eq!(session.recv().await, "welcome", "{transport}");
        assert_eq!(endpoint.handle.len(), 1, "{transport}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_while_extractors_run_frees_its_id() {
    let gate = Gate::default();
    let endpoint = gate.endpoint(Options::new().max_sessions(1));
    assert!(call(&endpoint.app, with_secret(Transport::XhrPolling)).now_or_never().is_none());
    gate.opened.notify_one();
    assert_eq!(text(call(&endpoint.app, with_secret(Transport::XhrPolling)).await).await, "o\n");
}

#[tokio::test(start_paused = true)]
async fn an_extractor_that_panics_frees_the_id() {
    struct Fragile;
    impl<S: Sync> FromRequestParts<S> for Fragile {
        type Rejection = StatusCode;

        async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
            yield_now().await;
            assert!(parts.headers.contains_key("x-secret"), "an extractor's own bug");
            Ok(Self)
        }
    }
    let endpoint = Endpoint::new(
        |_: Fragile, session: Session| async move { drop(session.closed().await) },
        Options::new().max_sessions(1),
    );
    let client = endpoint.client("a");
    assert!(tokio::spawn(async move { client.poll().await }).await.unwrap_err().is_panic());
    assert!(endpoint.handle.is_empty());
    assert_eq!(text(call(&endpoint.app, with_secret(Transport::XhrPolling)).await).await, "o\n");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_has_gone_takes_no_place() {
    let stage = Stage::new(Options::new().max_sessions(1));
    let client = stage.endpoint.client("a");
    drop(client.receive(Transport::XhrStreaming).await);
    assert_eq!(client.poll().await, "o");
}
