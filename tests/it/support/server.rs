//! Servers on ports that the system chooses.

use std::{
    any::Any,
    net::{Ipv4Addr, SocketAddr},
    thread,
};

use axum::{Router, serve::ListenerExt as _};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

use super::http::{Connection, Request, Response};

/// A running server; it stops accepting when dropped.
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    /// Ends the server when dropped.
    _running: Box<dyn Any + Send + Sync>,
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Server {
    /// Serves `app` on the test's own runtime.
    pub(crate) async fn start(app: Router) -> Self {
        let listener = bind().await;
        let addr = address(&listener);
        Self { addr, _running: Box::new(AbortOnDrop(tokio::spawn(serve(listener, app)))) }
    }

    /// A server that runs already, by other means.
    pub(crate) fn at(addr: SocketAddr) -> Self {
        Self { addr, _running: Box::new(()) }
    }

    /// Serves `app` on one thread of its own, which a handler that blocks holds up as a whole.
    pub(crate) fn start_on_one_thread(app: Router) -> Self {
        let (addr_sender, addr) = std::sync::mpsc::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("a runtime can be built");
            runtime.block_on(async {
                let listener = bind().await;
                addr_sender.send(address(&listener)).expect("the test waits for the address");
                tokio::select! {
                    () = serve(listener, app) => {}
                    _ = stopped => {}
                }
            });
            runtime.shutdown_background();
        });
        let addr = addr.recv_timeout(super::PATIENCE).expect("the server starts");
        Self { addr, _running: Box::new(stop) }
    }

    /// A new connection.
    pub(crate) async fn connect(&self) -> Connection {
        Connection::open(self.addr).await
    }

    /// The response to one request on a connection of its own, read whole.
    pub(crate) async fn ask(&self, request: &Request) -> Response {
        self.connect().await.ask(request).await
    }

    pub(crate) async fn get(&self, target: impl Into<String>) -> Response {
        self.ask(&Request::get(target)).await
    }

    pub(crate) async fn post(&self, target: impl Into<String>, body: impl Into<Vec<u8>>) -> Response {
        self.ask(&Request::post(target).body(body)).await
    }
}

async fn bind() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port of loopback is free")
}

fn address(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().expect("a bound listener has an address")
}

async fn serve(listener: TcpListener, app: Router) {
    // Small frames would wait for the acknowledgement of the former one.
    let listener = listener.tap_io(|io| io.set_nodelay(true).expect("a connected socket takes options"));
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).await.expect("the server runs until it is dropped");
}
