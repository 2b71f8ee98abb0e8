//! Echoes every message, over every transport: `cargo run --example echo`, then point sockjs-client at
//! `http://127.0.0.1:8081/echo`.

use axum::{Router, serve::ListenerExt};
use axum_sockjs::{Session, SockJs};
use tokio::net::TcpListener;

async fn echo(mut session: Session) {
    while let Some(message) = session.recv().await {
        if session.send(message).await.is_err() {
            break;
        }
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let app = Router::new().nest_service("/echo", SockJs::new(echo));
    let listener = TcpListener::bind("127.0.0.1:8081").await?;
    println!("listening on http://{}/echo", listener.local_addr()?);
    axum::serve(listener.tap_io(|tcp| _ = tcp.set_nodelay(true)), app).await
}
