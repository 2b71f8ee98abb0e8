//! Ways to mount an endpoint.

use std::{collections::BTreeSet, convert::Infallible};

use axum::{
    Router,
    body::Body,
    extract::{FromRequestParts, State},
    http::{Request, StatusCode, request::Parts},
    response::Response,
    routing::get as on_get,
};
use axum_sockjs::{Options, Session, SockJs, Transport};
use bytes::Bytes;
use http_body_util::{Empty, Full};
use sockjs_client::test::TestClient;
use tower::{Layer as _, Service, ServiceBuilder, ServiceExt};

use crate::support::{
    apps::{echo, open_to_all},
    in_process::{Client, DELAY, Endpoint, Stage, TICK, call, expect_message, get, none, pass, text},
    mounts::{Mount, mounts},
    settle,
};

#[tokio::test(start_paused = true)]
async fn an_endpoint_works_wherever_it_is_mounted() {
    for (number, Mount { prefix, greetings, app }) in mounts(|| SockJs::new(echo)).into_iter().enumerate() {
        let what = format!("mount {number}, at {prefix:?}");
        for uri in greetings {
            let response = get(&app, uri).await;
            assert_eq!(response.status(), StatusCode::OK, "{what}: {uri}");
            assert_eq!(text(response).await, "Welcome to SockJS!\n", "{what}: {uri}");
        }
        assert_eq!(TestClient::new(app.clone(), prefix).info().await["origins"][0], "*:*", "{what}");
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
async fn routes_answer_as_a_nested_service_does() {
    // What differs from one response to the next.
    async fn comparable(method: &str, response: Response) -> String {
        let (mut parts, body) = response.into_parts();
        // axum adds it to a service's response, and drops the body after HEAD. It leaves both to hyper for a handler's.
        parts.headers.remove("content-length");
        let text = if method == "HEAD" { String::new() } else { text(Response::new(body)).await };
        let text = text.split_once(r#""entropy""#).map_or(&*text, |(before, _)| before);
        format!("{} {:?} {text}", parts.status, parts.headers)
    }
    let endpoint = || SockJs::new(echo).options(open_to_all(Options::new()));
    let nested = Router::new().nest_service("/echo", endpoint());
    let routed = Router::new().merge(endpoint().into_router("/echo"));
    let mut statuses = BTreeSet::new();
    for method in ["GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE"] {
        for path in [
            "",
            "/",
            "//",
            "?t=1",
            "/info",
            "/info/",
            "//info",
            "/info?t=1",
            "/iframe.html",
            "/iframe-1.html?t=1",
            "/iframe",
            "/websocket",
            "/websocket/",
            "/000/x/websocket",
            "/000/x/xhr",
            "/000/x/xhr_send",
            "/000/x/jsonp",
            "/000/x/jsonp_send",
            "/000/x/nothing",
            "/000//xhr",
            "/000/x/xhr/",
            "/a",
            "/a/b/c/d",
            "ed",
        ] {
            let ask = async |app: &Router| {
                let request = Request::builder().method(method).uri(format!("/echo{path}"));
                comparable(method, call(app, request.body(Body::empty()).unwrap()).await).await
            };
            let (expected, answer) = (ask(&nested).await, ask(&routed).await);
            assert_eq!(answer, expected, "{method} {path}");
            statuses.insert(answer.split(' ').next().unwrap().to_owned());
        }
    }
    // The list is worth something.
    assert!(statuses.len() > 4, "{statuses:?}");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_gets_the_state_of_its_router() {
    async fn name(State(name): State<String>, session: Session) {
        session.send(name).await.ok();
    }
    async fn owner(State(_): State<String>) {}
    let endpoint = SockJs::new(name).identity(owner);
    let handle = endpoint.handle();
    let routes = Router::new()
        .route("/page", on_get(|State(name): State<String>| async { name }))
        .merge(endpoint.into_router("/app"));
    // The same routes may get several states; the sessions are still those of one endpoint.
    for state in ["one", "two"] {
        let app = Router::new().nest("/a", routes.clone()).with_state(state.to_owned());
        assert_eq!(text(get(&app, "/a/page").await).await, state);
        expect_message(&app, "/a/app", state).await;
    }
    assert_eq!(handle.stats().total().opened, 2);
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
    expect_message(&app, "/prefix", "none").await;
    assert_eq!(
        TestClient::new(app, "/prefix").info().await["cookie_needed"],
        false,
        "the endpoint comes first"
    );
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

/// An extractor that waits for ever.
struct Never;

impl<S: Sync> FromRequestParts<S> for Never {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Infallible> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_handle_knows_the_paths_of_its_sessions() {
    let mut stage = Stage::new(Options::new());
    let (mut down, _session) = stage.open_by_hand(Transport::XhrPolling).await;
    let handle = stage.endpoint.handle.clone();
    let successor = Endpoint::new(echo, Options::new()).handle;
    let own =
        ["/000/session1/xhr", "/other/session1/xhr_send", "/~000/session1/eventsource", "/0/session1/x"];
    for path in own {
        assert!(handle.has_session_at(path), "{path}");
        assert!(!successor.has_session_at(path), "{path}");
    }
    for path in [
        "",
        "/",
        "/info",
        "/websocket",
        "/000/session1",
        "/000/session1/xhr/",
        "//000/session1/xhr",
        "000/session1/xhr",
        "/app/000/session1/xhr",
        "/~tag/000/session1/xhr",
        "/000/session2/xhr",
        "/000/session%31/xhr",
        "/session1/000/xhr",
    ] {
        assert!(!handle.has_session_at(path), "{path}");
    }
    handle.close_all(4001, "moved");
    assert!(handle.is_empty() && handle.has_session_at(own[0]), "its client has to be told");
    assert_eq!(down.frame().await, r#"c[4001,"moved"]"#);
    pass(DELAY - TICK).await;
    assert!(handle.has_session_at(own[0]), "it may ask again");
    pass(TICK).await;
    assert!(!handle.has_session_at(own[0]));
}

#[tokio::test(start_paused = true)]
async fn a_handle_knows_the_path_of_a_session_that_opens() {
    let endpoint = Endpoint::new(async |_: Never, _: Session| {}, Options::new());
    let (handle, client) = (endpoint.handle.clone(), endpoint.client("id"));
    assert!(!handle.has_session_at("/000/id/xhr"));
    let opening = tokio::spawn(async move { client.poll().await });
    settle().await;
    assert!(handle.is_empty() && handle.has_session_at("/000/id/xhr"));
    opening.abort();
    settle().await;
    assert!(!handle.has_session_at("/000/id/xhr"));
}
