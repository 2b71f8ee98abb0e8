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
