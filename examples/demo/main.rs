//! A page to see every transport at work: `cargo run --release --example demo`, then open
//! `http://127.0.0.1:8081`. Another address: `cargo run --release --example demo -- --addr 127.0.0.1:9000`.
//!
//! The page, `page/index.html`, chats over the transport that is chosen, opens all transports side by side,
//! and lets a proxy of the demo's own misbehave, to see how the client falls back: see `network.rs`. The
//! client script comes from a local `npm install sockjs-client`, here or in `tests/node`, or else from the
//! CDN. Ctrl-C says goodbye to every session before it stops the server.
//!
//! A browser opens no more than six connections to one port, too few for all transports at once. The demo
//! therefore listens at three further ports, which the system chooses, and tells the page which. Where the
//! page cannot reach them, it makes do with its own.

mod chat;
mod network;

use std::{
    error::Error,
    future::IntoFuture,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    process::ExitCode,
    time::Duration,
};

use axum::{
    Json, Router,
    http::header::{CACHE_CONTROL, CONTENT_TYPE},
    response::{IntoResponse, Redirect},
    routing::get,
};
use axum_sockjs::{ClientScript, Options, Origins, SockJs, SockJsHandle};
use axum_sockjs_rooms::Rooms;
use clap::Parser;
use futures_util::future::join_all;
use tokio::{net::TcpListener, sync::oneshot};

const CLIENT_URL: &str = "https://cdn.jsdelivr.net/npm/sockjs-client@1.6.1/dist/sockjs.min.js";
const FURTHER_PORTS: usize = 3;

/// How long stopping waits for clients to be told.
const GOODBYE: Duration = Duration::from_secs(10);

/// How long it then waits for what is left of HTTP: a client that stops in the middle of a request, or does not
/// read its answer, would hold it up for as long as it likes.
const LAST_BYTES: Duration = Duration::from_secs(1);

/// The files of the page: path, type, content.
const FILES: [(&str, &str, &str); 7] = [
    ("/", "text/html; charset=utf-8", include_str!("page/index.html")),
    ("/demo/style.css", "text/css; charset=utf-8", include_str!("page/style.css")),
    ("/demo/tap.js", JAVASCRIPT, include_str!("page/tap.js")),
    ("/demo/common.js", JAVASCRIPT, include_str!("page/common.js")),
    ("/demo/chat.js", JAVASCRIPT, include_str!("page/chat.js")),
    ("/demo/transports.js", JAVASCRIPT, include_str!("page/transports.js")),
    ("/demo/network.js", JAVASCRIPT, include_str!("page/network.js")),
];
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

fn page() -> Router {
    FILES.into_iter().fold(Router::new(), |router, (path, kind, content)| {
        let headers = [(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-cache")];
        router.route(path, get(move || async move { (headers, content).into_response() }))
    })
}

/// The client's script from a local npm install, if there is one.
fn local_client() -> Option<ClientScript> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    ["node_modules", "tests/node/node_modules"].into_iter().find_map(|modules| {
        ClientScript::from_file(root.join(modules).join("sockjs-client/dist/sockjs.min.js")).ok()
    })
}

#[derive(Parser)]
struct Args {
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8081")]
    addr: SocketAddr,
}

/// Serves an application at a port that the system chooses, and says where.
async fn serve_also(ip: IpAddr, app: Router) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((ip, 0)).await?;
    let addr = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(addr)
}

async fn say_goodbye(handles: [SockJsHandle; 2]) {
    for report in
        join_all(handles.iter().map(|handle| handle.shutdown(4001, "the demo stops", GOODBYE))).await
    {
        println!("{report}");
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let Args { addr } = Args::parse();
    // The page and the iframe load the client from the same place, so that both have the same version.
    let (options, client_url) = match local_client() {
        Some(script) => (Options::new().client_script(script), "/chat/sockjs.min.js"),
        None => (Options::new().client_url(CLIENT_URL), CLIENT_URL),
    };
    // Nobody logs in here, and the page shows every transport, at several ports.
    let options = options.origins(Origins::any());
    let chat = SockJs::new(chat::chat).options(options.clone()).with_state(Rooms::new());
    let ping = SockJs::new(chat::ping).options(options);
    let handles = [chat.handle(), ping.handle()];

    let pings = Router::new().nest_service("/ping", ping);
    let mut ports = Vec::new();
    for _ in 0..FURTHER_PORTS {
        ports.push(serve_also(addr.ip(), pings.clone()).await?.port());
    }
    let behind_the_proxy = serve_also(Ipv4Addr::LOCALHOST.into(), pings.clone()).await?;

    let app = page()
        .route("/sockjs.min.js", get(move || async move { Redirect::temporary(client_url) }))
        .route("/ports", get(move || async move { Json(ports) }))
        .nest_service("/chat", chat)
        .merge(pings)
        .merge(network::router(behind_the_proxy));
    let listener = TcpListener::bind(addr).await?;
    println!("open http://{}", listener.local_addr()?);
    let (all_told, told) = oneshot::channel();
    let serve = axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(async move {
            tokio::signal::ctrl_c().await.ok();
            say_goodbye(handles).await;
            all_told.send(()).ok();
        });
    let last_bytes = async {
        told.await.ok();
        tokio::time::sleep(LAST_BYTES).await;
    };
    tokio::select! {
        served = serve.into_future() => served?,
        () = last_bytes => {}
    }
    Ok(())
}
