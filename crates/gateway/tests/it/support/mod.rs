//! What the tests share.

pub(crate) mod backend;

use std::net::SocketAddr;

use sockjs_client::{Client, Session, Transport};
use sockjs_gateway::{Config, Gateway, Handle};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
};

/// A gateway that serves until it is dropped or stopped.
pub(crate) struct Running {
    pub(crate) handle: Handle,
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<String>,
}

impl Running {
    /// At a port of the system's choice.
    pub(crate) async fn start(toml: &str) -> Self {
        Self::start_config(config(toml)).await
    }

    pub(crate) async fn start_config(config: Config) -> Self {
        let gateway = Gateway::new(config).await.unwrap();
        let (handle, address) = (gateway.handle(), gateway.addresses()[0]);
        let (stop, stopped) = oneshot::channel();
        let serving =
            tokio::spawn(async move { gateway.serve(async { _ = stopped.await }).await.to_string() });
        Self { handle, address, stop: Some(stop), serving }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) async fn connect(&self, path: &str, transport: Transport) -> Session {
        Client::new(&self.url(path)).unwrap().open(transport).await.unwrap()
    }

    pub(crate) async fn stop(mut self) -> String {
        self.stop.take().unwrap().send(()).unwrap();
        (&mut self.serving).await.unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

pub(crate) fn config(toml: &str) -> Config {
    Config::parse(&format!("listen = \"127.0.0.1:0\"\n{toml}")).unwrap_or_else(|error| panic!("{error}"))
}

/// What a session answers to a text.
pub(crate) async fn ask(session: &mut Session, text: &str) -> String {
    session.send(text).await.unwrap();
    let answer = session.recv().await;
    answer.unwrap_or_else(|| panic!("{:?}", session.close_event())).as_str().unwrap().to_owned()
}

/// The whole answer to a request: its first line, further headers, and its body.
pub(crate) async fn exchange(address: SocketAddr, line: &str, headers: &[&str], body: &str) -> String {
    let mut tcp = TcpStream::connect(address).await.unwrap();
    let mut request = format!("{line} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    if !headers.iter().any(|header| header.starts_with("Host:")) {
        request += &format!("Host: {address}\r\n");
    }
    headers.iter().for_each(|header| request += &format!("{header}\r\n"));
    request += &format!("\r\n{body}");
    tcp.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).await.unwrap();
    answer
}
