use std::sync::atomic::Ordering;

use axum::body::Body;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::{
    admin::testing::{DOWN, Gateway, WELL},
    pool::testing::{Answer, Scripted, members, upstream},
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
async fn it_is_ready_while_sessions_may_come() {
    let gateway = gateway().await;
    let answer = ask(&gateway, "GET", "/readyz", "").await;
    assert_eq!((answer.status, answer.json()), (200, json!({"ready": true})));

    gateway.is_stopping.store(true, Ordering::Relaxed);
    gateway.chat.replace(members(&upstream(&[&format!("{DOWN}?token=secret")]), &[&Scripted::new()]));
    let answer = ask(&gateway, "GET", "/readyz", "").await;
    let reasons = ["the gateway is stopping", "the route /chat has no backend that is up"];
    assert_eq!((answer.status, answer.json()), (503, json!({"ready": false, "reasons": reasons})));
    assert_eq!(answer.header("cache-control"), "no-store");
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
        "dials": {"opened": 0, "refused": 0, "unavailable": 0, "failed": 3, "timed-out": 0, "abandoned": 0}, "lost": 0,
        "to_backend": nothing, "from_backend": nothing,
        "last_error": {"text": "failed", "seconds_ago": 7},
    });
    let well = json!({
        "url": WELL, "up": true, "up_or_down_seconds": 7, "admission": "open", "sessions": 2, "dialling": 0,
        "dials": {"opened": 3, "refused": 0, "unavailable": 0, "failed": 0, "timed-out": 0, "abandoned": 0}, "lost": 0,
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
