//! Handlers, their extractors, and the session that they get.

use std::{
    collections::HashMap,
    convert::Infallible,
    fmt::Debug,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    BoxError, Extension, Router,
    body::Body,
    extract::{ConnectInfo, OriginalUri, Path, Query, State},
    http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri},
    response::Response,
};
use axum_sockjs::{
    CloseFrame, CloseReason, Cookie, Cors, Message, Options, ResponseFuture, SendError, Sender, Session,
    SockJs, SockJsHandle, SockJsLayer, SockJsMiddleware, Transport,
};
use tower::Service;

use crate::support::{
    in_process::{Client, captured, expect_message, http_transports, none, open_with, text},
    soon,
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
    let (headers, user) = (headers.len(), &query["user"]);
    let text = format!("{} {method} {original} {headers} {room} {user} {tag} {peer}", app.name);
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
    let app = Router::new()
        .nest_service("/none", SockJs::new(none))
        .nest_service("/one", SockJs::new(one).with_state(App { name: "app" }))
        .nest_service("/three", SockJs::new(three))
        .nest_service("/sixteen", SockJs::new(sixteen).identity(whoever))
        .nest(
            "/room/{id}",
            Router::new().nest_service("/eight", SockJs::new(eight).with_state(App { name: "app" })),
        )
        .layer(Extension("extended"));
    expect_message(&Client::new(&app, "/none", "x"), "none").await;
    expect_message(&Client::new(&app, "/one", "x"), "app").await;
    expect_message(&Client::new(&app, "/sixteen", "x"), "POST /").await;

    let three = Client::new(&app, "/three", "x");
    let open = open_with(&app, "/three/000/x/xhr?t=1", |request| {
        request.headers_mut().insert("x-test", HeaderValue::from_static("header"));
    });
    assert_eq!(text(open.await).await, "o\n");
    assert_eq!(three.poll().await, r#"a["POST header /?t=1"]"#);

    let eight = Client::new(&app, "/room/7/eight", "x");
    let open = open_with(&app, "/room/7/eight/000/x/xhr?user=ann", |request| {
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([192, 0, 2, 1], 4000))));
    });
    assert_eq!(text(open.await).await, "o\n");
    let expected = r#"a["app POST /room/7/eight?user=ann 0 7 ann extended 192.0.2.1:4000"]"#;
    assert_eq!(eight.poll().await, expected);
}

#[tokio::test(start_paused = true)]
async fn closures_are_handlers_and_may_capture() {
    let greeting = Arc::new("hello".to_owned());
    let endpoint = SockJs::new(move |Query(query): Params, session: Session| async move {
        session.send(format!("{greeting} {}", query.len())).await.ok();
    });
    let app = Router::new().nest_service("/app", endpoint);
    expect_message(&Client::new(&app, "/app", "x"), "hello 0").await;
    expect_message(&Client::new(&app, "/app", "y"), "hello 0").await;

    let asynchronous = SockJs::new(async |session: Session| session.send("hello").await.unwrap());
    let app = Router::new().nest_service("/app", asynchronous);
    expect_message(&Client::new(&app, "/app", "x"), "hello").await;
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
        loop {
            session.send("forever").await.ok();
            session.closed().await;
        }
    };
    let app = Router::new()
        .nest_service("/boxed", SockJs::new(boxed))
        .nest_service("/parsed", SockJs::new(parsed))
        .nest_service("/forever", SockJs::new(forever));
    for (name, end) in [
        ("boxed", Some(r#"c[4001,"log in again"]"#)),
        ("parsed", Some(r#"c[1011,"Internal error"]"#)),
        ("forever", None),
    ] {
        let client = Client::new(&app, &format!("/{name}"), "x");
        expect_message(&client, name).await;
        if let Some(end) = end {
            assert_eq!(client.poll().await, end);
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
    expect_message(&Client::new(&app, "/app", "x"), "checked").await;
    expect_message(&Client::new(&app, "/too", "x"), "too").await;
}

#[tokio::test(start_paused = true)]
async fn a_rejection_of_axum_is_the_answer_too() {
    let app = Router::new().nest_service(
        "/app",
        SockJs::new(|_: Extension<App>, session: Session| async move { drop(session) }),
    );
    let response = open_with(&app, "/app/000/x/xhr", |_| {}).await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(text(response).await.contains("Extension"));
}

#[tokio::test(start_paused = true)]
async fn state_may_come_late_and_options_early() {
    let endpoint: SockJs<App> = SockJs::new(one).options(Options::new().max_sessions(1));
    let handle = endpoint.handle();
    let endpoint = endpoint.with_state(App { name: "late" });
    let app = Router::new().nest_service("/app", endpoint);
    expect_message(&Client::new(&app, "/app", "x"), "late").await;
    assert_eq!(open_with(&app, "/app/000/y/xhr", |_| {}).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(handle.len(), 0, "the handler has returned");
}

#[tokio::test(start_paused = true)]
async fn a_session_tells_its_transport_and_an_id_of_its_own() {
    let (endpoint, mut sessions) = captured();
    let app = Router::new().nest_service("/app", endpoint);
    let mut ids = Vec::new();
    let mut open = Vec::new();
    for transport in http_transports() {
        let client = Client::new(&app, "/app", &format!("{transport}"));
        let mut receiving = client.receive(transport).await;
        assert_eq!(receiving.frame().await.as_deref(), Some("o"));
        let session = soon("a session", sessions.recv()).await.unwrap();
        assert_eq!((session.transport(), session.sender().transport()), (transport, transport));
        assert_eq!((session.sender().id(), session.peer_addr()), (session.id(), None));
        assert!(!ids.contains(&session.id()));
        ids.push(session.id());
        open.push((receiving, session));
    }
    let (_, session) = &open[0];
    let debug = format!("{session:?} {:?}", session.sender());
    assert!(debug.contains(&session.id().to_string()) && debug.contains("XhrStreaming"), "{debug}");
}

#[tokio::test(start_paused = true)]
async fn the_id_of_a_session_is_not_made_from_the_protocols() {
    let (endpoint, mut sessions) = captured();
    let app = Router::new().nest_service("/app", endpoint.clone()).nest_service("/same", endpoint);
    // One that would be a fine UUID itself.
    let id = "c0ffee00-0000-4000-8000-000000000000";
    let client = Client::new(&app, "/app", id);
    assert_eq!(client.poll().await, "o");
    let first = soon("a session", sessions.recv()).await.unwrap();
    assert_ne!(first.id().to_string(), id);
    let second = Client::new(&app, "/same", id);
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
    let (endpoint, mut sessions) = captured();
    let handle = endpoint.handle();
    let app = Router::new().nest_service("/app", endpoint.options(Options::new()));
    assert!(handle.is_empty());
    let mut open = Vec::new();
    for count in 1..=3 {
        assert_eq!(Client::new(&app, "/app", &format!("x{count}")).poll().await, "o");
        open.push(soon("a session", sessions.recv()).await.unwrap());
        assert_eq!((handle.len(), handle.clone().len()), (count, count));
    }
    assert!(format!("{handle:?}").contains("len: 3"), "{handle:?}");
    open[0].close(3000, "");
    assert_eq!(handle.len(), 2);
    drop(open);
    assert!(handle.is_empty());
}
