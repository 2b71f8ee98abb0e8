//! A monitoring dashboard: the server side of what is a Spring application with `enableSimpleBroker("/monitoring")` and
//! `addEndpoint("/test").setAllowedOrigins("*").withSockJS()`.
//!
//! `cargo run --release -p axum-stomp --example dashboard [IP:PORT]`, then open <http://127.0.0.1:8080>. The page is a
//! React app, to be built once: see README.md. Ctrl-C says goodbye to every session before it stops the server.

mod measure;
pub(crate) mod monitor;
pub(crate) mod page;

use std::{io, net::SocketAddr, path::Path};

use axum_sockjs_serve::{Server, terminated};
use clap::Parser;
use monitor::Monitor;
use tokio::net::TcpListener;

#[derive(Parser)]
struct Args {
    /// Where to listen.
    #[arg(value_name = "IP:PORT", default_value = "127.0.0.1:8080")]
    addr: SocketAddr,
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let Args { addr } = Args::parse();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/dashboard");
    let monitor = Monitor::new();
    let sockjs = monitor.sockjs();
    let handle = sockjs.handle();
    let measuring = tokio::spawn(monitor.run(handle.clone()));

    let app = page::routes(&folder).merge(sockjs.into_router("/test"));
    let listener = TcpListener::bind(addr).await?;
    println!("open http://{}", listener.local_addr()?);
    if !page::is_built(&folder) {
        println!("The page is not built yet. In another terminal: {}", page::BUILD);
    }
    let report = Server::new().endpoint(handle).serve(listener, app, terminated()).await;
    measuring.abort();
    println!("{report}");
    Ok(())
}
