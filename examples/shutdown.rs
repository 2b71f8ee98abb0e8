//! Stops without losing anybody: `cargo run --example shutdown [IP:PORT]`, then `kill` it, or press Ctrl-C.
//!
//! Every client gets what was sent to it and a close event with 4001 "restarting"; who comes now is told to
//! come back later. Then the process ends, and says what was lost.

use std::{error::Error, future::IntoFuture, time::Duration};

use axum::{Router, serve::ListenerExt};
use axum_sockjs::{Session, SockJs};
use tokio::{net::TcpListener, sync::oneshot, time::sleep};

/// For clients to fetch what they have coming, and for handlers to finish. Keep it below the time after which
/// your supervisor kills: 90 s for systemd, 30 s for Kubernetes, 10 s for Docker.
const GRACE: Duration = Duration::from_secs(8);

/// For what is left of HTTP then: whoever exits at once cuts off what is on its way, as a client's last send that another
/// node of a cluster has forwarded. axum waits for every request, without a limit: a client that stops in the middle
/// of one, or does not read its answer, would hold the process up for as long as it likes.
const LAST_BYTES: Duration = Duration::from_secs(1);

async fn echo(mut session: Session) {
    while let Some(message) = session.recv().await {
        if session.send(message).await.is_err() {
            break;
        }
    }
}

/// Waits for SIGTERM or Ctrl-C.
async fn asked_to_stop() {
    let interrupted = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminated = signal(SignalKind::terminate()).expect("a handler for SIGTERM can be set");
        tokio::select! {
            _ = interrupted => {}
            _ = terminated.recv() => {}
        }
    }
    #[cfg(not(unix))]
    interrupted.await.ok();
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8081".to_owned());
    let sockjs = SockJs::new(echo);
    let handle = sockjs.handle();
    let app = Router::new().nest_service("/echo", sockjs);
    let listener = TcpListener::bind(addr).await?;
    println!("listening on http://{}/echo", listener.local_addr()?);

    let (all_told, told) = oneshot::channel();
    let stop = async move {
        asked_to_stop().await;
        // The server goes on accepting meanwhile: clients that poll come by new requests.
        println!("{}", handle.shutdown(4001, "restarting", GRACE).await);
        all_told.send(()).ok();
    };
    let listener = listener.tap_io(|tcp| _ = tcp.set_nodelay(true));
    let serve = axum::serve(listener, app).with_graceful_shutdown(stop).into_future();
    let last_bytes = async {
        told.await.ok();
        sleep(LAST_BYTES).await;
    };
    tokio::select! {
        served = serve => served?,
        () = last_bytes => println!("connections were cut off in the middle of a request or an answer"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use axum_sockjs::{SockJs, Transport};
    use sockjs_client::test::TestClient;

    #[tokio::test(start_paused = true)]
    async fn every_client_is_told_and_nobody_comes_any_more() {
        let sockjs = SockJs::new(super::echo);
        let handle = sockjs.handle();
        let client = TestClient::new(sockjs, "/");
        let mut sessions = Vec::new();
        for transport in [Transport::WebSocket, Transport::XhrStreaming, Transport::XhrPolling] {
            let mut session = client.open(transport).await.unwrap();
            session.send("sent before").await;
            sessions.push(session);
        }
        let report = handle.shutdown(4001, "restarting", super::GRACE).await;
        assert_eq!((report.closed, report.lost, report.handlers_running), (3, 0, 0));
        for mut session in sessions {
            assert_eq!(session.recv().await, "sent before");
            assert_eq!(session.closed().await.to_string(), r#"4001 "restarting""#);
        }
        assert_eq!(client.open(Transport::WebSocket).await.unwrap_err().status(), 503);
    }
}
