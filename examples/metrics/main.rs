//! The numbers of an endpoint for Prometheus: `cargo run --example metrics --features metrics`, then
//! `http://127.0.0.1:8081/metrics`. `dashboard.json` beside this file shows them in Grafana (Dashboards, New,
//! Import), from a Prometheus that scrapes this address.
//!
//! Keep `/metrics` from the world: serve it on a port of its own, or let your proxy hide it.

mod scrape;

use axum::{Router, serve::ListenerExt};
use axum_sockjs::{Session, SockJs};
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::net::TcpListener;

async fn echo(mut session: Session) {
    while let Some(message) = session.recv().await {
        if session.send(message).await.is_err() {
            break;
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let prometheus = PrometheusBuilder::new().install_recorder()?;
    let sockjs = SockJs::new(echo);
    let app = Router::new()
        .route("/metrics", scrape::route(prometheus, sockjs.handle()))
        .nest_service("/echo", sockjs);
    let listener = TcpListener::bind("127.0.0.1:8081").await?;
    println!("listening on http://{0}/echo, numbers on http://{0}/metrics", listener.local_addr()?);
    axum::serve(listener.tap_io(|tcp| _ = tcp.set_nodelay(true)), app).await?;
    Ok(())
}
