//! A server with TLS, and its clients.

#![allow(dead_code, reason = "not each test needs all of it")]

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::{Router, extract::ConnectInfo, routing::get};
use axum_sockjs::{Session, SockJs, SockJsHandle};
use axum_sockjs_serve::{Listener, Report, Server, Tls};
use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    net::{TcpListener, TcpStream},
    sync::{Notify, oneshot},
    task::JoinHandle,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Longer than anything here takes.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// A certificate and its key, in files of their own.
pub(crate) struct Files {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    folder: PathBuf,
}

impl Files {
    /// `name` is that of the test.
    pub(crate) fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
        Self { certificate, key, folder }
    }

    /// Writes a certificate for `localhost` and its key, and returns what clients see of it.
    pub(crate) fn renew(&self) -> CertificateDer<'static> {
        let (certificate, key) = generate();
        fs::write(&self.certificate, certificate.pem()).unwrap();
        fs::write(&self.key, key.serialize_pem()).unwrap();
        certificate.der().clone()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.folder);
    }
}

pub(crate) fn generate() -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    (params.self_signed(&key).unwrap(), key)
}

pub(crate) struct Running {
    /// Each is that of a listener, in order.
    pub(crate) addrs: Vec<SocketAddr>,
    pub(crate) handle: SockJsHandle,
    pub(crate) stop: oneshot::Sender<()>,
    pub(crate) server: JoinHandle<Report>,
    /// Lets `/later` answer.
    pub(crate) now: Arc<Notify>,
}

impl Running {
    /// A server whose listeners are set up by these functions: an echo at `/echo`, `/whoami`, and `/later`.
    pub(crate) async fn start(
        settings: impl FnOnce(Server) -> Server,
        listeners: &[&dyn Fn(Listener) -> Listener],
    ) -> Self {
        async fn echo(mut session: Session) {
            while let Some(message) = session.recv().await {
                session.send(message).await.ok();
            }
        }
        let now = Arc::new(Notify::new());
        let waits = Arc::clone(&now);
        let sockjs = SockJs::new(echo);
        let handle = sockjs.handle();
        let app = Router::new()
            .nest_service("/echo", sockjs)
            .route("/whoami", get(async |ConnectInfo::<SocketAddr>(addr)| addr.to_string()))
            .route(
                "/later",
                get(async move || {
                    waits.notified().await;
                    "later"
                }),
            );
        let mut addrs = Vec::new();
        let mut bound = Vec::new();
        for set_up in listeners {
            let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
            addrs.push(tcp.local_addr().unwrap());
            bound.push(set_up(Listener::new(tcp)));
        }
        let server = settings(Server::new().endpoint(handle.clone()));
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(server.serve_all(bound, app, async { _ = stopped.await }));
        Self { addrs, handle, stop, server, now }
    }

    /// A server with TLS alone.
    pub(crate) async fn with_tls(tls: &Tls) -> Self {
        Self::start(|server| server, &[&|listener| listener.tls(tls)]).await
    }

    pub(crate) async fn tcp(&self, place: usize) -> TcpStream {
        TcpStream::connect(self.addrs[place]).await.unwrap()
    }

    /// A connection to the listener at this place, whose certificate has to be this one.
    pub(crate) async fn tls(
        &self,
        place: usize,
        certificate: &CertificateDer<'static>,
        alpn: &[&str],
    ) -> TlsStream<TcpStream> {
        let tls = self.try_tls(place, certificate, alpn).await.unwrap();
        assert_eq!(tls.get_ref().1.peer_certificates().unwrap()[0], *certificate);
        tls
    }

    pub(crate) async fn try_tls(
        &self,
        place: usize,
        certificate: &CertificateDer<'static>,
        alpn: &[&str],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, self.tcp(place).await).await
    }

    pub(crate) async fn stop(self) -> Report {
        self.stop.send(()).unwrap();
        tokio::time::timeout(LONG, self.server).await.unwrap().unwrap()
    }
}

pub(crate) fn head(method: &str, path: &str, headers: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: 0\r\n\r\n")
}

pub(crate) async fn read_until(io: &mut (impl AsyncRead + Unpin), end: &str) -> String {
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(end) {
        let more = tokio::time::timeout(LONG, io.read_buf(&mut read)).await.unwrap().unwrap();
        assert_ne!(more, 0, "the connection ended: {}", String::from_utf8_lossy(&read));
    }
    String::from_utf8(read).unwrap()
}

/// Waits until the server has closed a connection, in whatever way.
pub(crate) async fn ended(io: &mut (impl AsyncRead + Unpin)) {
    let mut read = Vec::new();
    _ = tokio::time::timeout(LONG, io.read_to_end(&mut read)).await.unwrap();
}
