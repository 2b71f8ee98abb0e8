//! The chat of the README, with its page: `cargo run --example broadcast [IP:PORT]`, then open
//! <http://127.0.0.1:8081> in some tabs.

mod app;

use axum::{response::Html, routing::get, serve::ListenerExt};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8081".to_owned());
    let app = app::app().route("/", get(Html(include_str!("index.html"))));
    let listener = tokio::net::TcpListener::bind(addr).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener.tap_io(|tcp| _ = tcp.set_nodelay(true)), app).await
}

#[cfg(test)]
mod tests {
    use axum_sockjs::{Message, Transport};
    use sockjs_client::test::TestClient;

    use super::app::app;

    #[tokio::test(start_paused = true)]
    async fn all_in_the_chat_hear_what_one_says() {
        let client = TestClient::new(app(), "/chat");
        let mut ada = client.open(Transport::WebSocket).await.unwrap();
        let mut bob = client.open(Transport::XhrPolling).await.unwrap();
        ada.send("hello").await;
        bob.send("hello, Ada").await;
        for everyone in [&mut ada, &mut bob] {
            assert_eq!(everyone.recv().await, "websocket: hello");
            assert_eq!(everyone.recv().await, "xhr-polling: hello, Ada");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_sends_no_text_is_closed() {
        let client = TestClient::new(app(), "/chat");
        let mut session = client.open(Transport::RawWebSocket).await.unwrap();
        session.send(Message::binary(vec![0, 255])).await;
        assert_eq!(session.closed().await.to_string(), r#"1003 "Text only""#);
    }

    /// First the connection fills, then the queue to this client.
    #[tokio::test(start_paused = true)]
    async fn a_client_that_would_miss_lines_of_the_chat_is_closed() {
        let client = TestClient::new(app(), "/chat");
        let mut ada = client.open(Transport::WebSocket).await.unwrap();
        for transport in [Transport::WebSocket, Transport::XhrStreaming, Transport::XhrPolling] {
            let mut bob = client.open(transport).await.unwrap();
            bob.stop_reading();
            let long = "x".repeat(60_000);
            for _ in 0..30 {
                ada.send(long.as_str()).await;
                ada.recv().await;
            }
            bob.resume_reading();
            assert_eq!(bob.closed().await.to_string(), r#"1008 "Client too slow""#, "{transport}");
        }
    }
}
