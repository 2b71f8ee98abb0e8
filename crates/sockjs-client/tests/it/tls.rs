//! TLS, and HTTP/2 where the server offers it.

use std::sync::{Arc, Mutex};

use axum::{Router, extract::Request, http::Version, middleware};
use axum_server::tls_rustls::RustlsConfig;
use axum_sockjs::{Options, Origins, SockJs};
use sockjs_client::{Client, Error, Transport};

use crate::support::{echo, soon};

/// A server whose certificate is its own, and the versions of HTTP that it is asked in.
struct Server {
    url: String,
    certificate: rcgen::CertifiedKey<rcgen::KeyPair>,
    versions: Arc<Mutex<Vec<(String, Version)>>>,
    handle: axum_server::Handle<std::net::SocketAddr>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.handle.shutdown();
    }
}

async fn server(alpn: &[&[u8]]) -> Server {
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.cert.der().clone()],
            rustls::pki_types::PrivateKeyDer::try_from(certificate.signing_key.serialize_der()).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let versions = Arc::new(Mutex::new(Vec::new()));
    let note = {
        let versions = versions.clone();
        move |request: Request, next: middleware::Next| {
            let name = request.uri().path().rsplit_once('/').unwrap().1.to_owned();
            versions.lock().unwrap().push((name, request.version()));
            next.run(request)
        }
    };
    let endpoint = SockJs::new(echo).options(Options::new().origins(Origins::any()));
    let app = Router::new().nest_service("/app", endpoint).layer(middleware::from_fn(note));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("https://localhost:{}/app", listener.local_addr().unwrap().port());
    let handle = axum_server::Handle::new();
    let server = axum_server::from_tcp_rustls(listener, RustlsConfig::from_config(Arc::new(config)));
    tokio::spawn(server.unwrap().handle(handle.clone()).serve(app.into_make_service()));
    Server { url, certificate, versions, handle }
}

fn trusting(server: &Server) -> Client {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(server.certificate.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Client::new(&server.url).unwrap().tls_config(config)
}

#[tokio::test]
async fn each_transport_works_over_tls() {
    let server = server(&[b"h2", b"http/1.1"]).await;
    let client = trusting(&server);
    for transport in
        [Transport::WebSocket, Transport::RawWebSocket, Transport::XhrStreaming, Transport::XhrPolling]
    {
        let mut session = soon("a session", client.open(transport)).await.unwrap();
        session.send("a").await.unwrap();
        assert_eq!(soon("a message", session.recv()).await.unwrap(), "a", "{transport}");
    }
    // A WebSocket begins in HTTP/1.1, everything else is in HTTP/2 where that is built in.
    let http = if cfg!(feature = "http2") { Version::HTTP_2 } else { Version::HTTP_11 };
    for (name, version) in server.versions.lock().unwrap().iter() {
        assert_eq!(*version, if name == "websocket" { Version::HTTP_11 } else { http }, "{name}");
    }
}

#[tokio::test]
async fn a_server_without_http_2_is_spoken_to_in_http_1() {
    let server = server(&[b"http/1.1"]).await;
    let mut session = soon("a session", trusting(&server).open(Transport::XhrStreaming)).await.unwrap();
    session.send("a").await.unwrap();
    assert_eq!(soon("a message", session.recv()).await.unwrap(), "a");
    assert!(server.versions.lock().unwrap().iter().all(|(_, version)| *version == Version::HTTP_11));
}

#[tokio::test]
async fn a_certificate_that_nobody_trusts_is_refused() {
    let server = server(&[b"http/1.1"]).await;
    let stranger = Client::new(&server.url).unwrap();
    for transport in [Transport::WebSocket, Transport::XhrPolling] {
        let error = soon("an error", stranger.open(transport)).await.unwrap_err();
        assert!(matches!(error, Error::Connect(_)) && error.to_string().contains("certificate"), "{error}");
    }
    assert!(server.versions.lock().unwrap().is_empty());
}
