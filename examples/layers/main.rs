//! The usual layers of tower-http around an endpoint: `cargo run --example layers`.

pub(crate) mod app;

use axum::serve::ListenerExt;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).init();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8081").await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener.tap_io(|tcp| _ = tcp.set_nodelay(true)), app::app()).await
}

#[cfg(test)]
mod tests {
    use axum_sockjs::Transport;
    use sockjs_client::test::TestClient;

    use super::app::app;

    #[tokio::test(start_paused = true)]
    async fn the_layers_let_a_session_through() {
        let page = TestClient::new(app(), "/echo").header("origin", "https://www.example.com");
        let page = page.header("accept-encoding", "gzip");
        for &transport in Transport::ALL.iter().filter(|transport| !transport.is_legacy()) {
            let mut session = page.open(transport).await.unwrap();
            // Each message comes when it is sent, and as it is.
            for n in 0..3 {
                let text = format!("{n}{}", "long".repeat(100));
                session.send(&text).await;
                assert_eq!(session.recv().await, *text, "{transport}");
            }
            // No time-out ends a poll or a stream.
            for _ in 0..6 {
                if transport.is_framed() {
                    session.heartbeat().await;
                }
            }
            session.expect_nothing(std::time::Duration::from_secs(24)).await;
        }
    }
}
