//! Handlers, their extractors, and the session that they get.

use std::{
    collections::HashMap,
    convert::Infallible,
    fmt::Debug,
    future::poll_fn,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    BoxError, Extension, Router,
    body::Body,
    extract::{ConnectInfo, OriginalUri, Path, Query, State},
    http::{HeaderMap, Method, Request, StatusCode, Uri},
    response::Response,
};
use axum_sockjs::{
    CloseFrame, CloseReason, Cookie, Cors, Message, Options, ResponseFuture, SendError, Sender, Session,
    SockJs, SockJsHandle, SockJsLayer, SockJsMiddleware, Transport,
};
use sockjs_client::test::TestClient;
use tower::Service;

use crate::support::{
    apps::open_to_all,
    in_process::{Client, Endpoint, Stage, expect_message, none, transports},
};

#[derive(Debug, Clone)]
struct App {
    name: &'static str,
}

type Params = Query<HashMap<String, String>>;

async fn one(State(app): State<App>, session: Session) {
    session.send(app.name).await.ok();
}

async fn three(method: Method, headers: HeaderMap, uri: Uri, session: Session) {
    let cookie = headers.get("x-test").and_then(|value| value.to_str().ok()).unwrap_or("no header");
    session.send(format!("{method} {cookie} {uri}")).await.ok();
}

#[expect(clippy::too_many_arguments, reason = "every extractor of a kind of its own")]
async fn eight(
    State(app): State<App>,
    method: Method,
    OriginalUri(original): OriginalUri,
    headers: HeaderMap,
    Path(room): Path<u32>,
    Query(query): Params,
    Extension(tag): Extension<&'static str>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    session: Session,
) {
    assert_eq!(session.peer_addr(), Some(peer));
    assert_eq!(session.sender().peer_addr(), Some(peer));
    let (host, user) = (headers["host"].to_str().expect("a host of text"), &query["user"]);
    let text = format!("{} {method} {original} {host} {room} {user} {tag} {peer}", app.name);
    session.send(text).await.ok();
}

#[expect(clippy::too_many_arguments, reason = "these are as many as there may be")]
async fn sixteen(
    first: Method,
    _: Method,
    _: Method,
    _: Method,
    _: Method,
    _: Method,
    _: Method,
    _: Method,
    _: Method,
    _: Method,
    _: Method,
    _: Method,
    _: Method,
    _: Method,
    _: Method,
    last: Uri,
    session: Session,
) {
    session.send(format!("{first} {last}")).await.ok();
}

#[expect(clippy::too_many_arguments, reason = "these are as many as there may be")]
async fn whoever(
    _: Method,
    _: Method,
    _: Method,
    _: Method,
    _: Method,
    _: Method,
    _: Method,
    _: Method,
    _: Method,
    _: Method,
    _: Method,
    _: Method,
    _: Method,
    _: Method,
    _: Method,
    uri: Uri,
) -> Uri {
    uri
}

#[tokio::test(start_paused = true)]
async fn handlers_take_none_to_sixteen_extractors() {
    let eight = SockJs::new(eight).with_state(App { name: "app" });
    let app = Router::new()
        .nest_service("/none", SockJs::new(none))
        .nest_service("/one", SockJs::new(one).with_state(App { name: "app" }))
        .nest_service("/three", SockJs::new(three))
        .nest_service("/sixteen", SockJs::new(sixteen).identity(whoever))
        .nest("/room/{id}", Router::new().nest_service("/eight", eight))
        .layer(Extension("extended"));
    expect_message(&app, "/none", "none").await;
    expect_message(&app, "/one", "app").await;
    expect_message(&app, "/sixteen", "POST /").await;

    // Legacy transports have a parameter of their own in the query.
    for transport in transports().filter(|transport| !transport.is_legacy()) {
        let is_xhr = matches!(transport, Transport::XhrStreaming | Transport::XhrPolling);
        let method = if is_xhr { Method::POST } else { Method::GET };
        let client = TestClient::new(app.clone(), "/three?t=1").header("x-test", "header");
        let mut three = client.open(transport).await.unwrap();
        assert_eq!(three.recv().await, *format!("{method} header /?t=1"), "{transport}");

        let client = TestClient::new(app.clone(), "/room/7/eight?user=ann").peer(([192, 0, 2, 1], 4000));
        let mut eight = client.open(transport).await.unwrap();
        let told = format!("app {method} /room/7/eight?user=ann app.test 7 ann extended 192.0.2.1:4000");
        assert_eq!(eight.recv().await, *told, "{transport}");
    }
}

#[tokio::test(start_paused = true)]
async fn closures_are_handlers_and_may_capture() {
    let greeting = Arc::new("hello".to_owned());
    let endpoint = SockJs::new(move |Query(query): Params, session: Session| async move {
        session.send(format!("{greeting} {}", query.len())).await.ok();
    });
    let app = Router::new().nest_service("/app", endpoint);
    expect_message(&app, "/app", "hello 0").await;
    expect_message(&app, "/app", "hello 0").await;

    let asynchronous = SockJs::new(async |session: Session| session.send("hello").await.unwrap());
    let app = Router::new().nest_service("/app", asynchronous);
    expect_message(&app, "/app", "hello").await;
}

/// A handler that waits for much would look at all of it for each message that leaves.
#[tokio::test(start_paused = true)]
async fn a_handler_is_polled_only_when_it_was_woken() {
    let polls = Arc::new(AtomicUsize::new(0));
    let count = || polls.swap(0, Ordering::Relaxed);
    for transport in transports() {
        let polls = polls.clone();
        let echo = move |mut session: Session| async move {
            let mut echo = pin!(async {
                while let Some(message) = session.recv().await {
                    session.send(message).await.ok();
                }
            });
            poll_fn(|cx| {
                polls.fetch_add(1, Ordering::Relaxed);
                echo.as_mut().poll(cx)
            })
            .await;
        };
        let endpoint = Endpoint::new(echo, Options::new());
        let mut client = endpoint.open(transport).await;
        client.send("echo").await;
        assert_eq!(client.recv().await, "echo", "{transport}");
        assert!(count() > 0, "{transport}");
        let [sender] = &endpoint.handle.senders()[..] else { panic!("{transport}: one session") };
        for text in ["one", "two", "three"] {
            sender.send(text).await.unwrap();
            assert_eq!(client.recv().await, text, "{transport}");
        }
        assert_eq!(count(), 0, "{transport}");
        client.send("again").await;
        assert_eq!(client.recv().await, "again", "{transport}");
        assert!(count() > 0, "{transport}");
    }
}

#[tokio::test(start_paused = true)]
async fn handlers_may_return_nothing_a_result_or_never() {
    async fn boxed(session: Session) -> Result<(), BoxError> {
        session.send("boxed").await?;
        Err(CloseFrame::new(4001, "log in again").into())
    }
    let parsed = |session: Session| async move {
        session.send("parsed").await.ok();
        "x".parse::<u8>().map(drop)
    };
    let forever = |session: Session| async move {
        session.send("forever").await.ok();
        loop {
            std::future::pending::<()>().await;
        }
    };
    let app = Router::new()
        .nest_service("/boxed", SockJs::new(boxed))
        .nest_service("/parsed", SockJs::new(parsed))
        .nest_service("/forever", SockJs::new(forever));
    for (name, end) in [
        ("boxed", Some(r#"4001 "log in again""#)),
        ("parsed", Some(r#"1011 "Internal error""#)),
        ("forever", None),
    ] {
        let client = TestClient::new(app.clone(), name);
        for transport in [Transport::XhrStreaming, Transport::XhrPolling] {
            let mut session = client.open(transport).await.unwrap();
            assert_eq!(session.recv().await, name, "{transport}");
            match end {
                Some(end) => assert_eq!(session.closed().await.to_string(), end, "{transport}"),
                None => session.heartbeat().await,
            }
        }
    }
}

axum_sockjs::debug_handler! {
    state = App;

    /// What may stand in the signature of a handler.
    #[doc(alias = "attribute")]
    pub(super) async fn checked(
        State(App { name }): State<App>,
        #[allow(unused_variables, reason = "an argument may have attributes")] uri: Uri,
        _: Result<Query<HashMap<String, String>>, axum::extract::rejection::QueryRejection>,
        mut session: Session,
    ) -> Result<(), SendError> {
        assert_eq!(session.try_recv(), None);
        session.try_send(name)
    }
}

axum_sockjs::debug_handler! { async fn checked_too(session: Session) { session.send("too").await.ok(); } }

// A handler may have any name.
axum_sockjs::debug_handler! { async fn check(session: Session) { drop(session); } }

#[tokio::test(start_paused = true)]
async fn a_handler_that_is_checked_is_as_it_was() {
    let app = Router::new()
        .nest_service("/app", SockJs::new(checked).with_state(App { name: "checked" }))
        .nest_service("/check", SockJs::new(check))
        .nest_service("/too", SockJs::new(checked_too));
    expect_message(&app, "/app", "checked").await;
    expect_message(&app, "/too", "too").await;
}

#[tokio::test(start_paused = true)]
async fn a_rejection_of_axum_is_the_answer_too() {
    let endpoint = SockJs::new(|_: Extension<App>, session: Session| async move { drop(session) });
    let client = TestClient::new(endpoint.options(open_to_all(Options::new())), "/");
    for transport in transports() {
        let refusal = client.open(transport).await.unwrap_err();
        assert_eq!(refusal.status(), StatusCode::INTERNAL_SERVER_ERROR, "{transport}");
        assert!(refusal.text().contains("Extension"), "{transport}: {refusal}");
    }
}

#[tokio::test(start_paused = true)]
async fn state_may_come_late_and_options_early() {
    let endpoint: SockJs<App> = SockJs::new(one).options(Options::new().max_sessions(1));
    let handle = endpoint.handle();
    let endpoint = endpoint.with_state(App { name: "late" });
    let client = TestClient::new(endpoint, "/");
    let mut late = client.open(Transport::XhrPolling).await.unwrap();
    assert_eq!(late.recv().await, "late");
    let refusal = client.open(Transport::XhrPolling).await.unwrap_err();
    assert_eq!(refusal.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(handle.len(), 0, "the handler has returned");
}

#[tokio::test(start_paused = true)]
async fn a_session_tells_its_transport_and_an_id_of_its_own() {
    let mut stage = Stage::new(Options::new());
    let mut open = Vec::new();
    for transport in transports() {
        let (client, session) = stage.open(transport).await;
        assert_eq!((session.transport(), session.sender().transport()), (transport, transport));
        assert_eq!(session.sender().id(), session.id());
        assert!(open.iter().all(|(_, other): &(_, Session)| other.id() != session.id()));
        let debug = format!("{session:?} {:?}", session.sender());
        let has = |what: String| debug.contains(&what);
        assert!(has(session.id().to_string()) && has(format!("{transport:?}")), "{debug}");
        open.push((client, session));
    }
}

#[tokio::test(start_paused = true)]
async fn the_id_of_a_session_is_not_made_from_the_protocols() {
    let mut stage = Stage::new(Options::new());
    let app =
        Router::new().nest("/one", stage.endpoint.app.clone()).nest("/same", stage.endpoint.app.clone());
    // One that would be a fine UUID itself.
    let id = "c0ffee00-0000-4000-8000-000000000000";
    assert_eq!(Client::new(&app, "/one/app", id).poll().await, "o");
    let first = stage.session().await;
    assert_ne!(first.id().to_string(), id);
    assert_eq!(first.peer_addr(), None, "this server tells none");
    let second = Client::new(&app, "/same/app", id);
    first.send("one endpoint at two places").await.unwrap();
    assert_eq!(second.poll().await, r#"a["one endpoint at two places"]"#);
}

#[tokio::test(start_paused = true)]
async fn messages_compare_with_text_and_end_reasons_read_well() {
    let reasons = [
        (CloseReason::Client(None), "closed by the client"),
        (CloseReason::Client(Some(CloseFrame::new(1001, "away"))), "closed by the client: 1001 \"away\""),
        (CloseReason::ConnectionLost, "connection lost"),
        (CloseReason::TimedOut, "timed out"),
        (CloseReason::Server(CloseFrame::new(3000, "")), "closed by the server: 3000 \"\""),
        (CloseReason::ProtocolError(CloseFrame::new(1007, "no")), "protocol error: 1007 \"no\""),
        (CloseReason::Shutdown(CloseFrame::new(4000, "x")), "endpoint shut down: 4000 \"x\""),
    ];
    for (reason, text) in reasons {
        assert_eq!(reason.to_string(), text);
    }
    assert_eq!(Message::from("a"), "a");
    assert_ne!(Message::from("a"), Message::binary(b"a".to_vec()));
    let error: Box<dyn std::error::Error + Send + Sync> = SendError::Full("a".into()).into();
    assert_eq!(error.to_string(), "the queue to the client is full");
    assert_eq!(
        Transport::ALL.iter().map(|t| t.name()).collect::<Vec<_>>().join(" "),
        Transport::ALL.iter().map(Transport::to_string).collect::<Vec<_>>().join(" ")
    );
}

#[test]
fn types_can_be_kept_and_shared() {
    fn shared<T: Send + Sync + Debug + 'static>() {}
    fn cloned<T: Send + Sync + Clone + Debug + 'static>() {}
    fn is_error<T: std::error::Error + Send + Sync + 'static>() {}
    fn sent<T: Send + Debug + 'static>() {}
    fn service<T: Service<Request<Body>, Response = Response, Error = Infallible, Future: Send>>() {}
    cloned::<SockJs>();
    cloned::<SockJs<Arc<Mutex<App>>>>();
    cloned::<SockJsHandle>();
    cloned::<SockJsLayer>();
    cloned::<SockJsMiddleware<Router>>();
    cloned::<Options>();
    cloned::<Cookie>();
    cloned::<Cors>();
    cloned::<CloseFrame>();
    cloned::<CloseReason>();
    cloned::<Message>();
    cloned::<SendError>();
    is_error::<CloseFrame>();
    cloned::<Sender>();
    cloned::<Transport>();
    shared::<Session>();
    sent::<ResponseFuture>();
    service::<SockJs>();
    service::<SockJsMiddleware<Router>>();
    // What a session's methods return can be awaited in a task of its own.
    fn in_a_task<F: Future + Send>(_: impl FnOnce(Session) -> F) {}
    in_a_task(|mut session| async move {
        session.recv().await;
        session.send("").await.ok();
        session.closed().await
    });
}

#[tokio::test(start_paused = true)]
async fn a_handle_counts_the_open_sessions() {
    let mut stage = Stage::new(Options::new());
    let handle = stage.endpoint.handle.clone();
    assert!(handle.is_empty());
    let mut open = Vec::new();
    for (transport, count) in transports().zip(1..) {
        open.push(stage.open(transport).await);
        assert_eq!((handle.len(), handle.clone().len()), (count, count));
    }
    let count = open.len();
    assert!(format!("{handle:?}").contains(&format!("len: {count}")), "{handle:?}");
    open[0].1.close(3000, "");
    assert_eq!(handle.len(), count - 1);
    drop(open);
    assert!(handle.is_empty());
}
