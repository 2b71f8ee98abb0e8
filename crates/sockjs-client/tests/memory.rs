//! What sessions leave behind: nothing.
//!
//! The client and its server run in one thread, whose memory is counted. A test of its own, since the allocator is
//! replaced.

#![allow(clippy::unwrap_used, reason = "a test fails so")]

use std::time::Duration;

use axum::Router;
use axum_sockjs::{Options, Origins, Session, SockJs};
use futures_util::{SinkExt as _, StreamExt as _};
use sockjs_client::{Transport, test::TestClient};
use tokio::{runtime::Builder, time::sleep};

/// More than this would be a leak: a session takes tens of kilobytes while it is open.
const ROUND: i64 = 4 << 10;

const SESSIONS: usize = 20;

async fn echo(mut session: Session) {
    while let Some(message) = session.recv().await {
        session.send(message).await.ok();
    }
}

/// How sessions end: by this side, with a cut, and in the middle of their opening.
async fn churn(client: &TestClient, transport: Transport) {
    for number in 0..SESSIONS {
        let mut session = client.open(transport).await.unwrap();
        session.send("hello").await;
        assert_eq!(session.recv().await, "hello");
        if number % 2 == 0 {
            assert_eq!(session.close(1000, "").await.code(), 1000);
        } else {
            session.abort();
        }
        let mut opening = Box::pin(client.open(transport));
        for _ in 0..number {
            // One step further than the last time.
            if futures_util::poll!(&mut opening).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    // Until the server has forgotten the last one.
    sleep(Duration::from_secs(60)).await;
}

#[test]
fn sessions_that_have_ended_leave_no_memory() {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let options = Options::new().origins(Origins::any()).legacy_transports(true);
    let app = Router::new().nest_service("/app", SockJs::new(echo).options(options));
    let client = TestClient::new(app, "/app");
    for &transport in Transport::ALL {
        // What is made once: tables of the libraries, room in the maps of the server.
        runtime.block_on(churn(&client, transport));
        let left = allocation_counter::measure(|| runtime.block_on(churn(&client, transport)));
        assert!(left.count_total > 1000, "the memory of this thread is not counted");
        assert!(
            left.bytes_current.abs() < ROUND,
            "{transport}: {} bytes of {SESSIONS} sessions",
            left.bytes_current
        );
    }
}

/// A binary message of a raw WebSocket arrives in the read buffer, between what others have sent.
#[test]
fn binary_messages_keep_no_buffer() {
    const MESSAGES: usize = 1000;
    async fn upgrade(upgrade: axum::extract::WebSocketUpgrade) -> axum::response::Response {
        use axum::extract::ws::Message;
        upgrade.on_upgrade(|socket| async move {
            let (mut socket, mut answers) = socket.split();
            tokio::spawn(async move { while answers.next().await.is_some() {} });
            for _ in 0..MESSAGES {
                for _ in 0..70 {
                    socket.send(Message::Ping(vec![0; 125].into())).await.unwrap();
                }
                socket.send(Message::Binary(vec![0].into())).await.unwrap();
            }
            std::future::pending::<()>().await;
        })
    }
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let client = TestClient::new(Router::new().route("/app/websocket", axum::routing::any(upgrade)), "/app");
    let mut session = runtime.block_on(client.open(Transport::RawWebSocket)).unwrap();
    let mut kept = Vec::with_capacity(MESSAGES);
    let left = allocation_counter::measure(|| {
        runtime.block_on(async {
            for _ in 0..MESSAGES {
                kept.push(session.recv().await);
            }
        });
    });
    let each = left.bytes_current / MESSAGES as i64;
    assert!(each < 1000, "{each} bytes for each message");
}
