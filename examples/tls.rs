//! HTTPS without a proxy: `wss:` WebSockets, and streaming, polling and WebSockets over HTTP/2.
//!
//! `cargo run --example tls --features http2 [CERTIFICATE.pem KEY.pem]`, then connect sockjs-client to
//! `https://localhost:8443/echo`. Without files the certificate is self-signed, for `localhost`, and your
//! browser will ask whether to trust it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use axum::{Router, http::uri::Scheme, response::Redirect, routing::get};
use axum_server::tls_rustls::RustlsConfig;
use axum_sockjs::{Options, Session, SockJs};

async fn echo(mut session: Session) {
    while let Some(message) = session.recv().await {
        if session.send(message).await.is_err() {
            break;
        }
    }
}

async fn certificate(mut files: impl Iterator<Item = String>) -> std::io::Result<RustlsConfig> {
    if let (Some(certificate), Some(key)) = (files.next(), files.next()) {
        return RustlsConfig::from_pem_file(certificate, key).await;
    }
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()])
        .map_err(std::io::Error::other)?;
    RustlsConfig::from_pem(own.cert.pem().into(), own.signing_key.serialize_pem().into()).await
}

fn app() -> Router {
    // HTTP/1.1 does not say the scheme: a page of `http://localhost:8443` would be taken for one of this server.
    let options = Options::new().scheme(Scheme::HTTPS);
    Router::new()
        .route("/", get(|| async { Redirect::temporary("/echo") }))
        .nest_service("/echo", SockJs::new(echo).options(options))
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    rustls::crypto::ring::default_provider().install_default().ok();
    let config = certificate(std::env::args().skip(1)).await?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 8443))?;
    listener.set_nonblocking(true)?;
    println!("listening on https://localhost:{}/echo", listener.local_addr()?.port());
    let mut server = axum_server::from_tcp_rustls(listener, config)?;
    // Browsers open WebSockets over HTTP/2 only where the server says that it knows how (RFC 8441).
    server.http_builder().http2().enable_connect_protocol();
    // Answers clients that send a request and nothing more. Who goes while a poll or a stream waits is then found by the
    // heartbeats: see SECURITY.md.
    server.http_builder().http1().half_close(true);
    server.serve(app().into_make_service_with_connect_info::<SocketAddr>()).await
}

#[cfg(test)]
mod tests {
    use axum_sockjs::Transport;
    use sockjs_client::test::TestClient;

    #[tokio::test(start_paused = true)]
    async fn a_page_without_tls_is_of_another_server() {
        let client = || TestClient::new(super::app(), "/echo");
        for transport in [Transport::WebSocket, Transport::XhrStreaming, Transport::XhrPolling] {
            let own = client().header("origin", "https://app.test");
            let mut session = own.open(transport).await.unwrap();
            session.send("hello").await;
            assert_eq!(session.recv().await, "hello", "{transport}");

            let refusal = client().header("origin", "http://app.test").open(transport).await.unwrap_err();
            assert_eq!(refusal.status(), 403, "{transport}");
        }
    }
}
