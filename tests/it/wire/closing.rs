//! The end of a session on every transport.

use axum::BoxError;
use axum_sockjs::{CloseFrame, CloseReason, Options, Session};

use crate::support::{
    apps::{Endpoint, Reporting, Stage, end_of},
    client::{Client, Frame, WAYS, on_each},
    log::Log,
};

#[tokio::test]
async fn what_was_sent_before_a_close_arrives_before_it() {
    on_each(WAYS, async |way| {
        let mut stage = Stage::start(Options::new().response_limit(4096)).await;
        let mut client = Client::open(&stage.endpoint, way).await;
        let mut session = stage.session().await;
        // Many responses' worth.
        let messages: Vec<String> = (0..100).map(|number| format!("{number:0500}")).collect();
        messages.iter().for_each(|message| session.try_send(message).unwrap());
        session.close(3001, "Good bye");
        assert_eq!(client.messages(messages.len()).await, messages);
        assert_eq!(client.frame().await, Frame::close(way, 3001, "Good bye"));
        let expected = CloseReason::Server(CloseFrame::new(3001, "Good bye"));
        assert_eq!(end_of(&mut session).await, expected);
    })
    .await;
}

#[tokio::test]
async fn a_handler_that_returns_has_hung_up() {
    on_each(WAYS, async |way| {
        let endpoint = Endpoint::start(
            |session: Session| async move { session.send("that was all").await.unwrap() },
            Options::new(),
        )
        .await;
        let mut client = Client::open(&endpoint, way).await;
        assert_eq!(client.messages(1).await, ["that was all"]);
        assert_eq!(client.frame().await, Frame::close(way, 1000, "Normal closure"));
        endpoint.is_left_empty().await;
    })
    .await;
}

#[tokio::test]
async fn an_error_closes_behind_what_was_sent() {
    on_each(WAYS, async |way| {
        async fn chat(mut session: Session) -> Result<(), BoxError> {
            while let Some(message) = session.recv().await {
                if message == "ban me" {
                    for number in 0..100 {
                        session.send(format!("{number:0500}")).await?;
                    }
                    return Err(CloseFrame::new(4003, "banned").into());
                }
                session.send(message.as_str().unwrap_or_default().parse::<u32>()?.to_string()).await?;
            }
            Ok(())
        }
        let endpoint = Endpoint::start(chat, Options::new().response_limit(4096)).await;
        let mut banned = Client::open(&endpoint, way).await;
        let mut wrong = Client::open(&endpoint, way).await;
        banned.send(&["1"]).await;
        assert_eq!(banned.messages(1).await, ["1"]);
        banned.send(&["ban me"]).await;
        assert_eq!(banned.messages(100).await.last().unwrap().len(), 500);
        assert_eq!(banned.frame().await, Frame::close(way, 4003, "banned"));
        wrong.send(&["not a number"]).await;
        assert_eq!(wrong.frame().await, Frame::close(way, 1011, "Internal error"));
        endpoint.is_left_empty().await;
    })
    .await;
}

#[tokio::test]
async fn a_panic_closes_that_session_only_and_is_logged() {
    let log = Log::start(tracing::Level::ERROR);
    on_each(WAYS, async |way| {
        let endpoint = Endpoint::start(
            async |mut session: Session| {
                while let Some(message) = session.recv().await {
                    assert_ne!(message, "panic", "as asked for by {}", session.transport());
                    session.send(message).await.unwrap();
                }
            },
            Options::new(),
        )
        .await;
        let mut bystander = Client::open(&endpoint, way).await;
        let mut client = Client::open(&endpoint, way).await;
        client.send(&["before"]).await;
        assert_eq!(client.messages(1).await, ["before"]);
        client.send(&["panic"]).await;
        assert_eq!(client.frame().await, Frame::close(way, 1011, "Internal error"));
        bystander.send(&["unharmed"]).await;
        assert_eq!(bystander.messages(1).await, ["unharmed"]);
        assert_eq!(endpoint.handle.len(), 1);
        let text = format!("as asked for by {}", way.transport);
        let logged = log.text();
        assert_eq!(logged.matches(&text).count(), 1, "{logged}");
    })
    .await;
    assert_eq!(log.text().matches(" ERROR ").count(), WAYS.len());
}

#[tokio::test]
async fn a_panic_before_the_first_await_is_a_close_too() {
    on_each(WAYS, async |way| {
        let endpoint = Endpoint::start(async |_session: Session| panic!("at once"), Options::new()).await;
        let mut client = Client::open(&endpoint, way).await;
        assert_eq!(client.frame().await, Frame::close(way, 1011, "Internal error"));
        endpoint.is_left_empty().await;
    })
    .await;
}

#[tokio::test]
async fn close_all_is_seen_by_each_handler_and_new_sessions_open_after_it() {
    on_each(WAYS, async |way| {
        let mut reporting = Reporting::start(Options::new()).await;
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push(Client::open(&reporting.endpoint, way).await);
        }
        assert_eq!(reporting.endpoint.handle.close_all(4100, "restarting"), 3);
        for client in &mut clients {
            assert_eq!(client.frame().await, Frame::close(way, 4100, "restarting"));
            assert_eq!(reporting.end().await, CloseReason::Server(CloseFrame::new(4100, "restarting")));
        }
        assert_eq!(reporting.endpoint.handle.close_all(4100, "restarting"), 0);
        assert!(reporting.endpoint.handle.is_empty() && reporting.has_no_more());
        let mut client = Client::open(&reporting.endpoint, way).await;
        client.send(&["back again"]).await;
        assert_eq!(client.messages(1).await, ["back again"]);
    })
    .await;
}
