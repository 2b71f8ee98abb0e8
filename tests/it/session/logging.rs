//! What the log says of a session.

use axum::{BoxError, body::Body, http::Request};
use axum_sockjs::{CloseFrame, Options, SendError, Session, Transport};
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
    endpoint.open(Transport::XhrPolling).await.abort();
    let id = ids.recv().await.unwrap().to_string();
    pass(DELAY * 4).await;
    assert!(log.text().contains(&id), "{}", log.text());
}

/// What is logged of a session whose handler ends so; its client leaves if the handler waits for that.
async fn logged<F>(handler: impl Fn(Session) -> F + Clone + Send + Sync + 'static) -> String
where
    F: Future<Output = Result<(), BoxError>> + Send + 'static,
{
    let log = Log::start(tracing::Level::DEBUG);
    let endpoint = Endpoint::new(handler, Options::new());
    endpoint.open(Transport::XhrPolling).await.abort();
    pass(DELAY * 2).await;
    let text = log.text();
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("returned an error")).collect();
    assert_eq!(lines.len(), 1, "{text}");
    assert!(lines[0].contains("session{connection="), "{text}");
    lines[0].to_owned()
}

#[tokio::test(start_paused = true)]
async fn an_error_of_a_handler_is_logged_with_its_connection_and_sources() {
    let (sender, mut ids) = mpsc::unbounded_channel();
    let line = logged(move |session: Session| {
        sender.send(session.id()).ok();
        async { Err(axum::Error::new(std::io::Error::other("the disk is full")).into()) }
    })
    .await;
    assert!(line.contains("ERROR ") && line.contains("error=the disk is full"), "{line}");
    let id = ids.recv().await.unwrap();
    assert_eq!(line.matches(&format!("connection={id}")).count(), 2, "{line}");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_fault_of_a_handler_is_logged_for_debugging() {
    let line = logged(async |_| Err(CloseFrame::new(4001, "log in again").into())).await;
    assert!(line.contains("DEBUG "), "{line}");
    // The client has left.
    let line = logged(async |session: Session| {
        session.closed().await;
        Ok(session.send("late").await?)
    })
    .await;
    assert!(line.contains("DEBUG ") && line.contains("error=the session has ended"), "{line}");
    // Even if the type of the error is lost.
    let line = logged(async |session: Session| {
        session.closed().await;
        Ok(session.send("late").await.map_err(|error| error.to_string())?)
    })
    .await;
    assert!(line.contains("DEBUG "), "{line}");
    // To tidy up is the handler's task then all the same.
    let line = logged(async |session: Session| {
        session.closed().await;
        Err("the database is away".into())
    })
    .await;
    assert!(line.contains("ERROR "), "{line}");
    // So is a session that is open while another one has ended.
    let line = logged(async |_| Err(SendError::Closed("x".into()).into())).await;
    assert!(line.contains("ERROR "), "{line}");
}
