//! The gateway beside two backends, and a page to look at: `cargo run --release -p sockjs-gateway --example
//! gateway_demo`, then open <http://127.0.0.1:8081>.
//!
//! The backends are plain WebSocket servers (`backend.rs`, `chat.rs`); between them and the unmodified sockjs-client of the
//! page is the gateway, with the configuration that the page shows. The page lets its visitor choose the transport, lists
//! what passes on each side of the gateway, and does to the backends what otherwise happens at night: it kills them, lets
//! them refuse or be slow, and drains them by a reload.
//!
//! The page is that of another server than the gateway, as it is where the gateway has a port or a name of its own: its
//! origin is in the configuration. The client's script comes from a local `npm install sockjs-client`, here or in
//! `tests/node` or `tests/browser`, or else from the CDN.

mod backend;
mod chat;
mod log;
mod page;
mod stage;

use std::{
    error::Error,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use axum_sockjs_serve::terminated;
use clap::Parser;
use sockjs_gateway::{Config, Gateway};
use tokio::{net::TcpListener, sync::oneshot};
use tracing_subscriber::EnvFilter;

use self::stage::{Setting, Stage};

/// The gateway beside two backends, and a page to look at.
#[derive(Parser)]
struct Arguments {
    /// Where the page is.
    #[arg(value_name = "IP:PORT", default_value = "127.0.0.1:8081")]
    page: SocketAddr,
    /// Where the gateway is.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8080")]
    gateway: SocketAddr,
}

/// The client's script from a local npm install, if there is one. In a configuration it may be relative to the current
/// directory.
fn local_client() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().ok()?;
    let folders = ["node_modules", "tests/node/node_modules", "tests/browser/node_modules"];
    let files = folders.map(|folder| root.join(folder).join("sockjs-client/dist/sockjs.min.js"));
    let file = files.into_iter().find(|file| file.is_file())?;
    let here = std::env::current_dir().ok();
    Some(here.and_then(|here| file.strip_prefix(here).map(Path::to_owned).ok()).unwrap_or(file))
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let listener =
        TcpListener::bind(arguments.page).await.map_err(|error| format!("{}: {error}", arguments.page))?;
    let page = listener.local_addr()?;
    let client_script = local_client();
    let has_script = client_script.is_some();
    let stage = Stage::new(Setting { listen: arguments.gateway, page, client_script }).await?;

    let gateway = Gateway::new(Config::parse(&stage.config())?).await?;
    let port = gateway.addresses()[0].port();
    let site = page::router(Arc::new(stage), gateway.handle(), port, has_script);
    let (stop, stopped) = oneshot::channel::<()>();
    let site = axum::serve(listener, site).with_graceful_shutdown(async { _ = stopped.await });
    let site = tokio::spawn(site.into_future());
    println!("open http://{page}");
    let report = gateway.serve(terminated()).await;
    drop(stop);
    // A browser keeps its connections.
    site.abort();
    println!("{report}");
    Ok(())
}
