//! What the log says of a session.

use axum::{body::Body, http::Request};
use axum_sockjs::{Options, Session};
use tokio::{sync::mpsc, time::sleep};

use crate::support::{
    in_process::{DELAY, Endpoint, Stage, call, pass, text},
    log::Log,
};

#[tokio::test(start_paused = true)]
async fn a_limit_per_peer_without_peers_is_logged_once() {
    let limited = || Options::new().max_sessions_per_peer(1);
    let header = |name: &'static str| {
        limited().peer_key(move |headers, _| Some(headers.get(name)?.to_str().ok()?.to_owned()))
    };
    // A router that is asked like this knows no addresses.
    for (options, lines) in
        [(limited(), 1), (header("x-real-ip"), 1), (header("host"), 0), (Options::new(), 0)]
    {
        let log = Log::start(tracing::Level::WARN);
        let stage = Stage::new(options);
        for id in ["a", "b", "c"] {
            let request = Request::post(format!("/app/000/{id}/xhr")).header("Host", id);
            let response = call(&stage.endpoint.app, request.body(Body::empty()).unwrap()).await;
            assert_eq!(text(response).await, "o\n", "it is let in");
        }
        let text = log.text();
        let (all, named) = (text.lines().count(), text.matches("Options::peer_key").count());
        assert_eq!((all, named), (lines, lines), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_panic_is_logged_with_its_connection() {
    let log = Log::start(tracing::Level::ERROR);
    let (sender, mut ids) = mpsc::unbounded_channel();
    let handler = move |session: Session| async move {
        sender.send(session.id()).ok();
        session.closed().await;
        sleep(DELAY * 2).await;
        panic!("while cleaning up");
    };
    let endpoint = Endpoint::new(handler, Options::new());
    assert_eq!(endpoint.client("a").poll().await, "o");
    let id = ids.recv().await.unwrap().to_string();
    pass(DELAY * 4).await;
    assert!(log.text().contains(&id), "{}", log.text());
}
