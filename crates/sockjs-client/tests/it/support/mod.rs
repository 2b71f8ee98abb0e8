//! What several tests need.

pub(crate) mod proxy;
pub(crate) mod raw;

use std::{future::Future, net::SocketAddr, time::Duration};

use axum::Router;
use axum_sockjs::{Handler, Options, Origins, Session, SockJs};
use sockjs_client::{Client, Transport};
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    time::timeout,
};

/// Every transport that opens sessions by a SockJS URL.
pub(crate) const FRAMED: [Transport; 6] = [
    Transport::WebSocket,
    Transport::XhrStreaming,
    Transport::EventSource,
    Transport::HtmlFile,
    Transport::XhrPolling,
    Transport::JsonpPolling,
];

/// The transports that receive by requests.
pub(crate) const HTTP: [Transport; 5] = [
    Transport::XhrStreaming,
    Transport::EventSource,
    Transport::HtmlFile,
    Transport::XhrPolling,
    Transport::JsonpPolling,
];

/// A frame as a transport has it in the body of a response.
pub(crate) fn framed(transport: Transport, frame: &str) -> String {
    let quoted = frame.replace('\\', "\\\\").replace('"', "\\\"");
    match transport {
        Transport::EventSource => format!("data: {frame}\r\n\r\n"),
        Transport::HtmlFile => format!("<script>\np(\"{quoted}\");\n</script>\r\n"),
        Transport::JsonpPolling => format!("/**/_jp.a(\"{quoted}\");\r\n"),
        _ => format!("{frame}\n"),
    }
}

/// A server in a runtime of its own, so that all of its connections break when the value is dropped.
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    runtime: Option<Runtime>,
}

impl Server {
    pub(crate) async fn of(app: Router) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.spawn(TcpListener::bind("127.0.0.1:0")).await.unwrap().unwrap();
        let addr = listener.local_addr().unwrap();
        runtime.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { addr, runtime: Some(runtime) }
    }

    /// A server with one endpoint, at `/app`.
    pub(crate) async fn new<T: 'static>(handler: impl Handler<T, ()>, options: Options) -> Self {
        let options = options.origins(Origins::any()).legacy_transports(true);
        Self::of(Router::new().nest_service("/app", SockJs::new(handler).options(options))).await
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&format!("http://{}/app", self.addr)).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

pub(crate) async fn echo(mut session: Session) {
    while let Some(message) = session.recv().await {
        session.send(message).await.ok();
    }
}

/// Waits no longer than a test may hang.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match timeout(Duration::from_secs(30), future).await {
        Ok(value) => value,
        Err(_) => panic!("{what} did not come"),
    }
}
