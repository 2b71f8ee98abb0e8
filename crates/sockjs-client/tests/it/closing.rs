//! How sessions end.

use axum_sockjs::{Options, Session};
use sockjs_client::{Error, Transport};

use crate::support::{FRAMED, Server, echo, soon};

#[tokio::test]
async fn the_servers_code_arrives_behind_its_messages() {
    async fn goodbye(session: Session) {
        session.send("last").await.ok();
        session.close(4001, "Go away!");
    }
    let server = Server::new(goodbye, Options::new()).await;
    for transport in FRAMED.into_iter().chain([Transport::RawWebSocket]) {
        let mut session = soon("a session", server.client().open(transport)).await.unwrap();
        assert_eq!(soon("a message", session.recv()).await.unwrap(), "last", "{transport}");
        assert_eq!(soon("the end", session.recv()).await, None, "{transport}");
        let event = session.close_event().unwrap();
        assert!(
            event.was_clean() && event.code() == 4001 && event.reason() == "Go away!",
            "{transport}: {event}"
        );
    }
}

#[tokio::test]
async fn a_server_that_goes_away_is_lost() {
    for transport in FRAMED.into_iter().chain([Transport::RawWebSocket]) {
        let server = Server::new(echo, Options::new()).await;
        let mut session = soon("a session", server.client().open(transport)).await.unwrap();
        drop(server);
        assert_eq!(soon("the end", session.recv()).await, None, "{transport}");
        let event = session.close_event().unwrap();
        assert!(!event.was_clean() && event.code() == 1006, "{transport}: {event}");
    }
}

#[tokio::test]
async fn a_refusal_is_an_error_with_the_answer() {
    let server = Server::new(echo, Options::new().max_sessions(0)).await;
    for transport in FRAMED {
        let error = soon("an answer", server.client().open(transport)).await.unwrap_err();
        let closed = matches!(&error, Error::Closed(frame) if frame.code() == 1013);
        assert!(
            closed || error.response().is_some_and(|response| response.status() == 503),
            "{transport}: {error}"
        );
    }
    let missing = sockjs_client::Client::new(&format!("http://{}/missing", server.addr)).unwrap();
    let error = soon("an answer", missing.connect()).await.unwrap_err();
    assert_eq!(error.close_frame().code(), 404);
    assert_eq!(error.close_frame().reason(), "Cannot connect to server");
    drop(server);
    let error = soon("an answer", missing.connect()).await.unwrap_err();
    assert_eq!(error.close_frame().code(), 1002, "{error}");
    let _ = Transport::WebSocket;
}
