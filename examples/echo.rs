//! Echoes every message, over every transport: `cargo run --example echo`, then open <http://127.0.0.1:8081>.
//! This is the first program of the README.

use axum::{Router, response::Html, routing::get, serve::ListenerExt};
use axum_sockjs::{Session, SockJs};

async fn echo(mut session: Session) {
    while let Some(message) = session.recv().await {
        session.send(message).await.ok();
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let app = Router::new().route("/", get(Html(PAGE))).nest_service("/echo", SockJs::new(echo));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8081").await?;
    println!("open http://{}", listener.local_addr()?);
    axum::serve(listener.tap_io(|tcp| _ = tcp.set_nodelay(true)), app).await
}

const PAGE: &str = r#"<!doctype html>
<form><input placeholder="say something" autofocus></form>
<pre></pre>
<script src="https://cdn.jsdelivr.net/npm/sockjs-client@1.6.1/dist/sockjs.min.js"></script>
<script>
  const input = document.querySelector("input");
  const show = (line) => document.querySelector("pre").append(line, "\n");
  const socket = new SockJS("/echo");
  socket.onopen = () => show(`connected by ${socket.transport}`);
  socket.onmessage = ({ data }) => show(`the server says: ${data}`);
  socket.onclose = ({ code, reason }) => show(`closed: ${code} ${reason}`);
  document.querySelector("form").onsubmit = () => {
    if (socket.readyState === SockJS.OPEN) {
      socket.send(input.value);
      input.value = "";
    } // Otherwise the line stays in the input.
    return false;
  };
</script>"#;

#[cfg(test)]
mod tests {
    use axum_sockjs::{SockJs, Transport};
    use sockjs_client::test::TestClient;

    #[tokio::test(start_paused = true)]
    async fn what_is_said_comes_back() {
        let client = TestClient::new(SockJs::new(super::echo), "/");
        for transport in [Transport::WebSocket, Transport::XhrStreaming, Transport::XhrPolling] {
            let mut session = client.open(transport).await.unwrap();
            session.send("hello").await;
            assert_eq!(session.recv().await, "hello");
        }
    }
}
