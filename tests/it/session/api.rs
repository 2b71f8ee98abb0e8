//! The crate's API as an application uses it: handlers and their extractors, ways to mount, options.

use std::{
    collections::HashMap,
    convert::Infallible,
    fmt::Debug,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Extension, Router,
    body::Body,
    extract::{
        ConnectInfo, MatchedPath, NestedPath, OriginalUri, Path, Query, RawPathParams, State,
        rejection::{MatchedPathRejection, NestedPathRejection, PathRejection, RawPathParamsRejection},
    },
    http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, Version, header, request::Parts},
    response::Response,
    routing::get as on_get,
};
use axum_sockjs::{
    ClientScript, CloseFrame, CloseReason, Cookie, Cors, Message, Options, ResponseFuture, SendError, Sender,
    Session, SockJs, SockJsHandle, SockJsLayer, SockJsMiddleware, Transport,
};
use bytes::Bytes;
use http_body_util::{Empty, Full};
use tokio::sync::mpsc;
use tower::{Layer as _, Service, ServiceBuilder, ServiceExt};

use crate::session::service::{Client, call, get, header, http_transports, receiving_url, soon, text};
use crate::support::apps::open_to_all;
#[cfg(feature = "websocket")]
use crate::support::{server::Server, ws};

async fn echo(mut session: Session) {
    while let Some(message) = session.recv().await {
        session.send(message).await.ok();
    }
}

async fn info(app: &Router, prefix: &str) -> serde_json::Value {
    let response = get(app, &format!("{prefix}/info")).await;
    assert_eq!(response.status(), StatusCode::OK, "{prefix}/info");
    serde_json::from_str(&text(response).await).expect("the answer is JSON")
}

/// Opens a session, and expects its one message.
async fn expect_message(client: &Client, expected: &str) {
    assert_eq!(client.poll().await, "o");
    assert_eq!(client.poll().await, format!("a[{expected:?}]"));
}

// Handlers and extractors.

#[derive(Debug, Clone)]
struct App {
    name: &'static str,
}

type Params = Query<HashMap<String, String>>;

async fn none(session: Session) {
    session.send("none").await.ok();
}

async fn one(State(app): State<App>, session: Session) {
    session.send(app.name).await.ok();
}

async fn three(method: Method, headers: HeaderMap, uri: Uri, session: Session) {
    let cookie = headers.get("x-test").and_then(|value| value.to_str().ok()).unwrap_or("no header");
    session.send(format!("{method} {cookie} {uri}")).await.ok();
}

#[expect(clippy::too_many_arguments, reason = "this is about as many as there may be")]
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

/// The answer to a poll's request, made by hand.
async fn open_with(app: &Router, uri: &str, change: impl FnOnce(&mut Request<Body>)) -> Response {
    let mut request = Request::post(uri).body(Body::empty()).expect("a request");
    change(&mut request);
    call(app, request).await
}

#[tokio::test(start_paused = true)]
async fn handlers_take_none_to_eight_extractors() {
    let app = Router::new()
        .nest_service("/none", SockJs::new(none))
        .nest_service("/one", SockJs::new(one).with_state(App { name: "app" }))
        .nest_service("/three", SockJs::new(three))
        .nest(
            "/room/{id}",
            Router::new().nest_service("/eight", SockJs::new(eight).with_state(App { name: "app" })),
        )
        .layer(Extension("extended"));
    expect_message(&Client::new(&app, "/none", "x"), "none").await;
    expect_message(&Client::new(&app, "/one", "x"), "app").await;

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

// The session.

/// The application's side of each session that opens.
fn captured() -> (SockJs, mpsc::UnboundedReceiver<Session>) {
    let (sender, sessions) = mpsc::unbounded_channel();
    let endpoint = SockJs::new(move |session: Session| async move { drop(sender.send(session)) });
    (endpoint.options(open_to_all(Options::new())), sessions)
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
    assert_ne!(Message::from("a"), Message::from(b"a".to_vec()));
    let error: Box<dyn std::error::Error + Send + Sync> = SendError::Full("a".into()).into();
    assert_eq!(error.to_string(), "the queue to the client is full");
    assert_eq!(
        Transport::ALL.map(Transport::name).join(" "),
        Transport::ALL.map(|t| t.to_string()).join(" ")
    );
}

#[test]
fn types_can_be_kept_and_shared() {
    fn shared<T: Send + Sync + Debug + 'static>() {}
    fn cloned<T: Send + Sync + Clone + Debug + 'static>() {}
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

// What extractors must not show.

const SECRET: &str = "s3cret%2Did";

/// Everything that a handler can learn of its request, as one text.
#[expect(clippy::too_many_arguments, reason = "every extractor that shows a part of the URL")]
async fn show_all(
    uri: Uri,
    original: OriginalUri,
    params: Result<RawPathParams, RawPathParamsRejection>,
    map: Result<Path<HashMap<String, String>>, PathRejection>,
    matched: Result<MatchedPath, MatchedPathRejection>,
    nested: Result<NestedPath, NestedPathRejection>,
    request: (Method, Version, HeaderMap, Params),
    parts: Parts,
    session: Session,
) {
    let matched = matched.map(|path| path.as_str().to_owned());
    let nested = nested.map(|path| path.as_str().to_owned());
    let session_text = format!("{session:?} {:?} {}", session.sender(), session.id());
    let seen = format!(
        "{uri:?} {original:?} {params:?} {map:?} {matched:?} {nested:?} {request:?} {parts:?} {session_text}"
    );
    session.send(seen).await.ok();
}

/// Whether a text tells the session id, or the name beside it in the URL.
fn tells_the_secret(seen: &str) -> bool {
    seen.contains("s3cret") || seen.contains("the-server")
}

/// An endpoint in an app.
struct Mount {
    /// Where it then is.
    prefix: &'static str,
    /// The paths that greet: axum leaves one of the two out here and there.
    greetings: &'static [&'static str],
    app: Router,
}

fn mounts(endpoint: impl Fn() -> SockJs) -> Vec<Mount> {
    let mount = |prefix, greetings, app| Mount { prefix, greetings, app };
    let nest = |path| Router::new().nest_service(path, endpoint());
    let outer = |path, inner| Router::new().nest(path, inner);
    let fallback = || Router::new().fallback_service(endpoint());
    let layered = |prefix| {
        let plain = Router::new().route("/", on_get("home")).route("/page", on_get("page"));
        plain.layer(endpoint().layer(prefix))
    };
    let around = |prefix| {
        let plain = Router::new().route("/page", on_get("page"));
        Router::new().fallback_service(endpoint().layer(prefix).layer(plain))
    };
    vec![
        mount("/app", &["/app", "/app/"], nest("/app")),
        mount("/a/b", &["/a/b", "/a/b/"], nest("/a/b")),
        mount("/a/b", &["/a/b/"], nest("/a/b/")),
        mount("/room/5%2F6", &["/room/5%2F6", "/room/5%2F6/"], nest("/room/{id}")),
        mount("/outer/app", &["/outer/app", "/outer/app/"], outer("/outer", nest("/app"))),
        mount("/room/5/app", &["/room/5/app", "/room/5/app/"], outer("/room/{id}", nest("/app"))),
        mount("", &["/"], fallback()),
        mount("/outer", &["/outer"], outer("/outer", fallback())),
        mount("/layer", &["/layer", "/layer/"], layered("/layer")),
        mount("/layer", &["/layer", "/layer/"], layered("/layer/")),
        mount("", &["/"], layered("")),
        mount("", &["/"], layered("/")),
        mount("/front", &["/front", "/front/"], around("/front")),
        mount("/a/front", &["/a/front", "/a/front/"], Router::new().nest("/a", around("/front"))),
    ]
}

#[tokio::test(start_paused = true)]
async fn no_extractor_shows_the_session_id() {
    let endpoint = || SockJs::new(show_all).options(open_to_all(Options::new()));
    for Mount { prefix, app, .. } in mounts(endpoint) {
        for transport in http_transports() {
            let (method, name) = receiving_url(transport);
            let uri = format!("{prefix}/the-server/{SECRET}-{transport}/{name}");
            let mut seen = String::new();
            // Enough for a poll's three frames; a stream says it all in one answer.
            for _ in 0..3 {
                let request = Request::builder().method(method).uri(&uri).body(Body::empty()).unwrap();
                seen += &text(call(&app, request).await).await;
            }
            assert!(seen.contains("OriginalUri"), "the handler has run: {seen}");
            assert!(!tells_the_secret(&seen), "{prefix}, {transport}: {seen}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_extractor_shows_the_session_id_where_no_router_is_around() {
    for prefix in ["", "/front", "/a/b"] {
        let identified = Arc::new(Mutex::new(String::new()));
        let identify = {
            let identified = Arc::clone(&identified);
            move |uri: Uri, original: OriginalUri, parts: Parts| {
                *identified.lock().unwrap() += &format!("{uri:?} {original:?} {parts:?}");
                async {}
            }
        };
        let endpoint = SockJs::new(show_all).options(open_to_all(Options::new())).identity(identify);
        let service = endpoint.layer(prefix).layer(Router::new());
        let mut seen = String::new();
        for _ in 0..3 {
            let uri = format!("{prefix}/the-server/{SECRET}/xhr?t=1");
            let poll = Request::post(uri).body(Body::empty()).unwrap();
            seen += &text(service.clone().oneshot(poll).await.unwrap()).await;
        }
        let shown = format!("OriginalUri({}?t=1)", if prefix.is_empty() { "/" } else { prefix });
        let identified = identified.lock().unwrap();
        assert!(seen.contains(&shown) && identified.contains(&shown), "{prefix}: {seen}");
        assert!(!tells_the_secret(&seen) && !tells_the_secret(&identified), "{prefix}: {seen}");
    }
}

#[cfg(feature = "websocket")]
#[tokio::test]
async fn no_extractor_shows_the_session_id_of_a_websocket() {
    for Mount { prefix, app, .. } in mounts(|| SockJs::new(show_all)) {
        let server = Server::start(app).await;
        let socket = ws::open(server.addr, &format!("{prefix}/the-server/{SECRET}/websocket")).await;
        let seen = until_closed(socket).await;
        assert!(seen.contains("OriginalUri"), "the handler has run: {seen}");
        assert!(!tells_the_secret(&seen), "{prefix}: {seen}");
    }
}

/// All that a WebSocket brings until its end.
#[cfg(feature = "websocket")]
async fn until_closed(mut socket: ws::Socket) -> String {
    use futures_util::StreamExt as _;
    let mut seen = String::new();
    while let Some(Ok(message)) = crate::support::within("a message or the end", socket.next()).await {
        seen += &message.to_string();
    }
    seen
}

#[cfg(feature = "websocket")]
#[tokio::test]
async fn a_websockets_handler_has_extractors_too() {
    let handler = |ConnectInfo(peer): ConnectInfo<SocketAddr>, method: Method, uri: Uri, session: Session| async move {
        assert_eq!(session.peer_addr(), Some(peer));
        session.send(format!("{method} {uri} {} {}", session.transport(), peer.ip())).await.unwrap();
    };
    let app = Router::new().nest_service("/app", SockJs::new(handler)).nest_service(
        "/closed",
        SockJs::new(|_: Extension<App>, session: Session| async move { drop(session) }),
    );
    let server = Server::start(app).await;
    for (path, expected) in [
        ("/app/000/x/websocket?a=b", "oa[\"GET /?a=b websocket 127.0.0.1\"]c[1000,\"Normal closure\"]"),
        ("/app/websocket?a=b", "GET /?a=b websocket-raw 127.0.0.1"),
    ] {
        let seen = until_closed(ws::open(server.addr, path).await).await;
        assert!(seen.starts_with(expected), "{path}: {seen}");
    }
    for path in ["/closed/000/x/websocket", "/closed/websocket"] {
        let response = server.ask(&ws::handshake(path)).await;
        assert_eq!(response.status, 500, "{path}: the rejection is the answer");
        assert!(response.text().contains("Extension"), "{path}");
    }
}

// Mounting.

#[tokio::test(start_paused = true)]
async fn an_endpoint_works_wherever_it_is_mounted() {
    for (number, Mount { prefix, greetings, app }) in mounts(|| SockJs::new(echo)).into_iter().enumerate() {
        let what = format!("mount {number}, at {prefix:?}");
        for uri in greetings {
            let response = get(&app, uri).await;
            assert_eq!(response.status(), StatusCode::OK, "{what}: {uri}");
            assert_eq!(text(response).await, "Welcome to SockJS!\n", "{what}: {uri}");
        }
        assert_eq!(info(&app, prefix).await["origins"][0], "*:*", "{what}");
        for missing in ["/nothing", "//", "//info", "/a/b/c", "/x/y/xhr/"] {
            let response = get(&app, &format!("{prefix}{missing}")).await;
            assert_eq!(response.status(), StatusCode::NOT_FOUND, "{what}: {missing}");
        }
        for id in ["x", "a%2Fb", "%61%2e", "é"] {
            let id = id.replace('é', "%C3%A9");
            let client = Client::new(&app, prefix, &id);
            assert_eq!(client.poll().await, "o", "{what}: {id}");
            let payload = format!("[{id:?}]");
            assert_eq!(client.send(&payload).await, StatusCode::NO_CONTENT, "{what}: {id}");
            assert_eq!(client.poll().await, format!("a{payload}"), "{what}: {id}");
        }
        // The id as it stands in the URL is the key.
        assert_eq!(Client::new(&app, prefix, "a%2fb").send("[]").await, StatusCode::NOT_FOUND, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_layer_takes_its_prefix_and_nothing_else() {
    let inner = tower::service_fn(|request: Request<Body>| async move {
        // A body of another type, and an error type of the service's own.
        if request.uri().path() == "/error" {
            return Err("the service's own error");
        }
        Ok(Response::new(Full::new(Bytes::from(format!("inner {}", request.uri())))))
    });
    let service = ServiceBuilder::new()
        .layer(SockJs::new(none).layer("/prefix"))
        .layer(SockJs::new(echo).layer("/prefix-2/b/"))
        .service(inner);
    let ask = |uri: &str| service.clone().oneshot(Request::get(uri).body(Body::empty()).unwrap());
    for uri in
        ["/", "/prefixed", "/prefi", "/prefixed/info?a=b", "/x/prefix", "/prefix-2", "/PREFIX", "//prefix"]
    {
        assert_eq!(text(ask(uri).await.unwrap()).await, format!("inner {uri}"), "{uri}");
    }
    for uri in ["/prefix", "/prefix/", "/prefix?a=b", "/prefix-2/b", "/prefix-2/b/"] {
        assert_eq!(text(ask(uri).await.unwrap()).await, "Welcome to SockJS!\n", "{uri}");
    }
    for uri in ["/prefix//info", "/prefix/prefix", "/prefix/prefix/info"] {
        assert_eq!(ask(uri).await.unwrap().status(), StatusCode::NOT_FOUND, "{uri}");
    }
    assert_eq!(ask("/error").await.unwrap_err(), "the service's own error");
    let app = Router::new().fallback_service(
        SockJs::new(none).layer("/prefix").layer(Router::new().route("/prefix/info", on_get("hidden"))),
    );
    expect_message(&Client::new(&app, "/prefix", "x"), "none").await;
    assert_eq!(info(&app, "/prefix").await["cookie_needed"], false, "the endpoint comes first");
}

#[test]
#[should_panic(expected = "must begin with `/`")]
fn a_layers_prefix_begins_with_a_slash() {
    drop(SockJs::new(none).layer("prefix"));
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_is_a_plain_service() {
    let endpoint = SockJs::new(echo);
    let poll = || Request::post("/000/x/xhr").body(Empty::<Bytes>::new()).unwrap();
    let answer = text(endpoint.clone().oneshot(poll()).await.unwrap()).await;
    assert_eq!(answer, "o\n");
    // Any body will do; a clone is the same endpoint.
    let send = Request::post("/000/x/xhr_send").body(Full::new(Bytes::from(r#"["a"]"#))).unwrap();
    assert_eq!(endpoint.clone().oneshot(send).await.unwrap().status(), StatusCode::NO_CONTENT);
    let mut endpoint = endpoint;
    let ready: &mut SockJs = ServiceExt::<Request<Empty<Bytes>>>::ready(&mut endpoint).await.unwrap();
    assert_eq!(text(ready.call(poll()).await.unwrap()).await, "a[\"a\"]\n");
    let absolute = Request::get("http://host/info?t=1").body(Body::empty()).unwrap();
    assert_eq!(endpoint.oneshot(absolute).await.unwrap().status(), StatusCode::OK);
}

// The handle.

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

// Options.

fn with_options(options: Options) -> Router {
    Router::new().nest_service("/app", SockJs::new(echo).options(open_to_all(options)))
}

#[tokio::test(start_paused = true)]
async fn each_transport_can_be_switched_off() {
    let urls = [
        (Transport::WebSocket, "GET", "000/x/websocket"),
        (Transport::RawWebSocket, "GET", "websocket"),
        (Transport::XhrStreaming, "POST", "000/a/xhr_streaming"),
        (Transport::EventSource, "GET", "000/b/eventsource"),
        (Transport::HtmlFile, "GET", "000/c/htmlfile?c=cb"),
        (Transport::XhrPolling, "POST", "000/d/xhr"),
        (Transport::JsonpPolling, "GET", "000/e/jsonp?c=cb"),
    ];
    let has_sockets = cfg!(feature = "websocket");
    for off in Transport::ALL {
        let app = with_options(Options::new().disable(off));
        for (transport, method, url) in urls {
            let request = Request::builder().method(method).uri(format!("/app/{url}"));
            let status = call(&app, request.body(Body::empty()).unwrap()).await.status().as_u16();
            let socket = matches!(transport, Transport::WebSocket | Transport::RawWebSocket);
            let expected = match () {
                () if transport == off || socket && !has_sockets => 404,
                // A handshake without its headers.
                () if socket => 400,
                () => 200,
            };
            assert_eq!(status, expected, "{transport} without {off}");
        }
        let websocket = has_sockets && off != Transport::WebSocket;
        assert_eq!(info(&app, "/app").await["websocket"], websocket, "without {off}");
        let on_again = with_options(Options::new().disable(off).enable(off));
        assert_eq!(info(&on_again, "/app").await["websocket"], has_sockets);
    }
}

#[tokio::test(start_paused = true)]
async fn the_sending_urls_are_there_while_someone_needs_them() {
    let by_xhr =
        [Transport::XhrStreaming, Transport::EventSource, Transport::HtmlFile, Transport::XhrPolling];
    let (mut off, by_jsonp) = (Options::new(), Transport::JsonpPolling);
    for transport in by_xhr {
        off = off.disable(transport);
    }
    let methods = |app: Router| async move {
        let mut statuses = Vec::new();
        for name in ["xhr_send", "jsonp_send"] {
            // 405 says that there is such a path.
            statuses.push(get(&app, &format!("/app/000/x/{name}")).await.status().as_u16());
        }
        statuses
    };
    assert_eq!(methods(with_options(off.clone())).await, [404, 405]);
    assert_eq!(methods(with_options(Options::new().disable(by_jsonp))).await, [405, 404]);
    for transport in by_xhr {
        assert_eq!(methods(with_options(off.clone().enable(transport))).await, [405, 405], "{transport}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cookie_of_ones_own_is_set_on_session_urls() {
    let cookie = Cookie::custom(|headers: &HeaderMap| {
        let node = headers.get("x-node")?.to_str().ok()?;
        HeaderValue::try_from(format!("node={node}; Path=/; Secure")).ok()
    });
    let app = with_options(Options::new().cookie(cookie));
    assert_eq!(info(&app, "/app").await["cookie_needed"], true);
    for (method, uri, has_cookie) in [
        ("POST", "/app/000/x/xhr", true),
        ("POST", "/app/000/x/xhr_send", true),
        ("OPTIONS", "/app/000/x/xhr", true),
        ("GET", "/app/000/y/eventsource", true),
        ("OPTIONS", "/app/000/y/eventsource", true),
        ("GET", "/app/000/z/jsonp?c=cb", true),
        ("GET", "/app/info", false),
        ("GET", "/app", false),
        ("GET", "/app/iframe.html", false),
        ("GET", "/app/nothing", false),
    ] {
        let request = || Request::builder().method(method).uri(uri);
        let answer = call(&app, request().header("x-node", "7").body(Body::empty()).unwrap()).await;
        let expected = if has_cookie { "node=7; Path=/; Secure" } else { "" };
        assert_eq!(header(&answer, header::SET_COOKIE), expected, "{method} {uri}");
        let answer = call(&app, request().body(Body::empty()).unwrap()).await;
        assert_eq!(header(&answer, header::SET_COOKIE), "", "{method} {uri}: the application wants none");
    }
    for (cookie, needed) in [(Cookie::off(), false), (Cookie::jsessionid().into(), true)] {
        let app = with_options(Options::new().cookie(cookie));
        assert_eq!(info(&app, "/app").await["cookie_needed"], needed);
    }
}

#[tokio::test(start_paused = true)]
async fn cors_can_be_left_to_others() {
    for (cors, ours) in [(Cors::BuiltIn, true), (Cors::External, false)] {
        let app = with_options(Options::new().cors(cors));
        for (method, uri, status) in [
            ("GET", "/app/info", [200, 200]),
            ("OPTIONS", "/app/info", [204, 405]),
            ("POST", "/app/000/x/xhr", [200, 200]),
            ("OPTIONS", "/app/000/x/xhr", [204, 405]),
            ("OPTIONS", "/app/000/x/xhr_send", [204, 405]),
            ("OPTIONS", "/app/000/x/xhr_streaming", [204, 405]),
            ("OPTIONS", "/app/000/z/eventsource", [204, 405]),
            ("POST", "/app/000/y/xhr_send", [404, 404]),
            ("GET", "/app/000/z/eventsource", [200, 200]),
        ] {
            let request = Request::builder().method(method).uri(uri).header("origin", "http://other");
            let response = call(&app, request.body(Body::empty()).unwrap()).await;
            assert_eq!(response.status().as_u16(), status[usize::from(!ours)], "{cors:?}: {method} {uri}");
            let names = response.headers().keys();
            let count = names.filter(|name| name.as_str().starts_with("access-control-")).count();
            assert_eq!(count > 0, ours, "{cors:?}: {method} {uri}: {:?}", response.headers());
            let varies = response.headers().get_all(header::VARY).iter().any(|value| value == "Origin");
            assert_eq!(varies, ours, "{cors:?}: {method} {uri}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn urls_can_be_told_to_clients() {
    assert!(info(&with_options(Options::new()), "/app").await.get("base_url").is_none());
    let app =
        with_options(Options::new().base_url("https://node7.example/app").client_url("/js/sockjs.js?v=1"));
    assert_eq!(info(&app, "/app").await["base_url"], "https://node7.example/app");
    for page in ["/app/iframe.html", "/app/iframe-1.6.1.html"] {
        let page = text(get(&app, page).await).await;
        assert!(page.contains(r#"<script src="/js/sockjs.js?v=1"></script>"#), "{page}");
    }
}

#[test]
fn an_endpoint_shows_its_options() {
    let endpoint = SockJs::new(none).options(Options::new().base_url("/x"));
    let text = format!("{endpoint:?} {:?}", endpoint.clone().layer("/prefix"));
    assert!(text.contains("base_url: /x") && text.contains("/prefix"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn the_client_script_is_served_where_the_iframe_page_loads_it() {
    const SCRIPT: &str = "window.SockJS = function () {};";
    let script = ClientScript::from_bytes(SCRIPT);
    let versioned = format!("/app/sockjs-{}.min.js", script.version());
    let app = with_options(Options::new().client_script(script.clone()));
    assert!(text(get(&app, "/app/iframe.html").await).await.contains("<script src=\"sockjs.min.js\">"));
    for (path, cached) in
        [("/app/sockjs.min.js", "public, no-cache"), (&*versioned, "public, max-age=31536000")]
    {
        let response = get(&app, path).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(header(&response, "content-type"), "text/javascript; charset=UTF-8");
        assert_eq!(header(&response, "x-content-type-options"), "nosniff");
        assert_eq!(header(&response, "cache-control"), cached);
        let etag = header(&response, "etag").to_owned();
        assert_eq!(text(response).await, SCRIPT);

        let again = Request::get(path).header(header::IF_NONE_MATCH, etag).body(Body::empty()).unwrap();
        let response = call(&app, again).await;
        assert_eq!(response.status(), StatusCode::NOT_MODIFIED, "{path}");
        assert_eq!(text(response).await, "");

        let posted = call(&app, Request::post(path).body(Body::empty()).unwrap()).await;
        assert_eq!(posted.status(), StatusCode::METHOD_NOT_ALLOWED);
    }
    for missing in ["/app/sockjs-0123456789abcdef.min.js", "/app/sockjs-.min.js", "/app/sockjs.js"] {
        assert_eq!(get(&app, missing).await.status(), StatusCode::NOT_FOUND, "{missing}");
    }
    // Another file has another name, and without the option there is none.
    assert_ne!(ClientScript::from_bytes("other").version(), script.version());
    let app = with_options(Options::new());
    assert_eq!(get(&app, "/app/sockjs.min.js").await.status(), StatusCode::NOT_FOUND);
}

#[test]
fn a_client_script_comes_from_a_file_or_says_why_not() {
    let this_file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/session/api.rs");
    let script = ClientScript::from_file(this_file).unwrap();
    assert_eq!(script.version(), ClientScript::from_bytes(include_bytes!("api.rs").as_slice()).version());
    assert!(ClientScript::from_file("no/such/file.js").is_err());
}
