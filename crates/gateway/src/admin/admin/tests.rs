use std::sync::atomic::Ordering;

use axum::body::Body;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::{
    admin::testing::{DOWN, Gateway, WELL},
    pool::{
        members::Members,
        pool::Pool,
        testing::{Answer, Scripted, members, upstream},
    },
};

struct Answered {
    status: u16,
    response: Response,
    text: String,
}

impl Answered {
    fn header(&self, name: &str) -> &str {
        self.response.headers().get(name).map_or("", |value| value.to_str().expect("it is text"))
    }

    fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), "application/json");
        serde_json::from_str(&self.text).expect("it is JSON")
    }
}

async fn ask(gateway: &Arc<Gateway>, method: &str, path: &str, body: &str) -> Answered {
    let gateway = Arc::clone(gateway);
    let router = router(move || gateway.shown());
    let request = Request::builder().method(method).uri(path).body(Body::from(body.to_owned()));
    let response = router.oneshot(request.expect("a request")).await.expect("it answers");
    let (parts, body) = response.into_parts();
    let text = body.collect().await.expect("it has a body").to_bytes();
    Answered {
        status: parts.status.as_u16(),
        response: Response::from_parts(parts, Body::empty()),
        text: String::from_utf8(text.to_vec()).expect("it is text"),
    }
}

async fn gateway() -> Arc<Gateway> {
    Arc::new(Gateway::new().await)
}

#[tokio::test(start_paused = true)]
async fn it_is_healthy_while_it_answers() {
    let gateway = gateway().await;
    let answer = ask(&gateway, "GET", "/healthz", "").await;
    assert_eq!((answer.status, answer.text.as_str()), (200, "ok\n"));
    assert_eq!(answer.header("cache-control"), "no-store");
    gateway.is_stopping.store(true, Ordering::Relaxed);
    assert_eq!(ask(&gateway, "GET", "/healthz", "").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn it_is_ready_while_a_route_takes_sessions() {
    let gateway = gateway().await;
    let readyz = async |query: &str| {
        let answer = ask(&gateway, "GET", &format!("/readyz{query}"), "").await;
        assert_eq!(answer.header("cache-control"), "no-store");
        (answer.status, if answer.status == 404 { Value::Null } else { answer.json() })
    };
    assert_eq!(readyz("").await, (200, json!({"ready": true, "routes": {"/chat": true}})));

    // One route without a backend takes the sessions of no other one.
    let dead = Scripted::new();
    let other = Pool::new("/a b", members(&upstream(&["ws://dead/"]), &[&dead]));
    dead.answer_dials(Answer::Fail);
    for _ in 0..3 {
        other.open(&()).await.expect_err("it is dead");
    }
    *gateway.other.lock().expect("nobody panics") = Some(other);
    let reasons = ["the route /a b has no backend that is up"];
    let routes = json!({"/chat": true, "/a b": false});
    assert_eq!(readyz("").await, (200, json!({"ready": true, "routes": routes, "reasons": reasons})));
    let chat = json!({"ready": true, "routes": {"/chat": true}});
    assert_eq!(readyz("?route=/chat").await, (200, chat.clone()));
    let dead = json!({"ready": false, "routes": {"/a b": false}, "reasons": reasons});
    for query in ["?route=/a%20b", "?route=%2Fa+b"] {
        assert_eq!(readyz(query).await, (503, dead.clone()));
    }
    assert_eq!(readyz("?route=/none").await.0, 404);

    // A route that was removed does not count.
    gateway.chat.replace(Members::none());
    assert_eq!(readyz("").await, (503, dead));
    assert_eq!(readyz("?route=/chat").await.0, 404);

    gateway.chat.replace(members(&upstream(&[WELL]), &[&Scripted::new()]));
    assert_eq!(readyz("?route=/chat").await, (200, chat));
    gateway.is_stopping.store(true, Ordering::Relaxed);
    let reasons = ["the gateway is stopping", "the route /a b has no backend that is up"];
    let routes = json!({"/chat": false, "/a b": false});
    assert_eq!(readyz("").await, (503, json!({"ready": false, "routes": routes, "reasons": reasons})));
    assert_eq!(readyz("?route=/chat").await.0, 503);
}

#[tokio::test(start_paused = true)]
async fn the_backends_are_shown_without_what_is_secret() {
    let gateway = gateway().await;
    tokio::time::advance(Duration::from_secs(7)).await;
    let answer = ask(&gateway, "GET", "/backends", "").await;
    assert!(!answer.text.contains("secret"), "{}", answer.text);
    let nothing = json!({"messages": 0, "bytes": 0});
    let down = json!({
        "url": DOWN, "up": false, "up_or_down_seconds": 7, "admission": "open", "sessions": 0, "dialling": 0,
        "dials": {"opened": 0, "refused": 0, "unavailable": 0, "failed": 3, "timed-out": 0, "abandoned": 0, "out-of-files": 0}, "lost": 0,
        "to_backend": nothing, "from_backend": nothing,
        "last_error": {"text": "failed", "seconds_ago": 7},
    });
    let well = json!({
        "url": WELL, "up": true, "up_or_down_seconds": 7, "admission": "open", "sessions": 2, "dialling": 0,
        "dials": {"opened": 3, "refused": 0, "unavailable": 0, "failed": 0, "timed-out": 0, "abandoned": 0, "out-of-files": 0}, "lost": 0,
        "to_backend": nothing, "from_backend": nothing, "last_error": null,
    });
    let routes = json!([{"path": "/chat", "ready": true, "backends": [down, well]}]);
    assert_eq!(answer.json(), json!({ "routes": routes }));

    let mut draining = upstream(&[WELL]);
    draining.backends[0].drain = true;
    let replacement = members(&draining, &[&Scripted::new()]);
    gateway.chat.replace(replacement);
    tokio::time::advance(Duration::from_secs(3)).await;
    let answer = ask(&gateway, "GET", "/backends", "").await;
    let backend = &answer.json()["routes"][0]["backends"][0];
    assert_eq!((&backend["admission"], &backend["admission_seconds"]), (&json!("draining"), &json!(3)));
    assert_eq!((&backend["up_or_down_seconds"], &backend["sessions"]), (&json!(10), &json!(2)));

    let (_, documented) =
        include_str!("../../../docs/operating.md").split_once("```json\n").expect("it is shown");
    let (documented, _) = documented.split_once("```").expect("it ends");
    let documented: Value = serde_json::from_str(documented).expect("it is JSON");
    let keys = |of: &Value| of.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    let of = |backends: &Value, names: &[&str]| {
        let backend = &backends["routes"][0]["backends"][0];
        keys(names.iter().fold(backend, |value, name| &value[name]))
    };
    let real = answer.json();
    for names in [&[][..], &["dials"], &["to_backend"], &["from_backend"]] {
        assert_eq!(of(&documented, names), of(&real, names), "{names:?}");
    }
    assert_eq!(keys(&documented["routes"][0]), keys(&real["routes"][0]));
}

#[tokio::test(start_paused = true)]
async fn the_metrics_are_those_of_now() {
    let gateway = gateway().await;
    let answer = ask(&gateway, "GET", "/metrics", "").await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, "text/plain; version=0.0.4; charset=utf-8")
    );
    let sessions = format!("sockjs_gateway_backend_sessions{{route=\"/chat\",backend=\"{WELL}\"}} 2");
    assert!(answer.text.lines().any(|line| line == sessions), "{}", answer.text);
    gateway.backends[1].answer_dials(Answer::Refuse);
    assert!(gateway.chat.open(&()).await.is_err());
    let answer = ask(&gateway, "GET", "/metrics", "").await;
    let dials =
        format!("sockjs_gateway_dials_total{{route=\"/chat\",backend=\"{WELL}\",outcome=\"refused\"}} 1");
    assert!(answer.text.lines().any(|line| line == dials), "{}", answer.text);
}

#[tokio::test(start_paused = true)]
async fn nothing_but_get_and_head_of_what_there_is_without_a_body() {
    let gateway = gateway().await;
    for path in ["/healthz", "/readyz", "/metrics", "/backends"] {
        let answer = ask(&gateway, "HEAD", path, "").await;
        assert_eq!((answer.status, answer.text.as_str()), (200, ""), "{path}");
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "X"] {
            let answer = ask(&gateway, method, path, "").await;
            assert_eq!((answer.status, answer.header("allow")), (405, "GET,HEAD"), "{method} {path}");
        }
        let answer = ask(&gateway, "GET", path, "x").await;
        assert_eq!((answer.status, answer.header("cache-control")), (413, "no-store"), "{path}");
    }
    for path in ["/", "/metrics/", "/chat", "/healthz/x"] {
        assert_eq!(ask(&gateway, "GET", path, "").await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn it_serves_until_it_is_stopped() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("it has one");
    let shown = Gateway::new().await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving =
        tokio::spawn(serve(listener, move || shown.shown(), async { stopped.await.unwrap_or_default() }));
    let mut tcp = tokio::net::TcpStream::connect(address).await.expect("it accepts");
    let request = "GET /readyz HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n";
    tcp.write_all(request.as_bytes()).await.expect("it reads");
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).await.expect("it answers");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("\"ready\": true"), "{answer}");
    stop.send(()).expect("it serves");
    serving.await.expect("it does not panic");
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
