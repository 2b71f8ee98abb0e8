//! Dials on real sockets, and the requests that backends see.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use axum::{body::to_bytes, extract::ConnectInfo, response::IntoResponse as _};
use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, request::Parts};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinHandle,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, RootCertStore,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
        server::WebPkiClientVerifier,
    },
};
use tokio_tungstenite::tungstenite::{Message, handshake::derive_accept_key};

use super::{
    connector::{Connector, ConnectorError},
    dial_error::DialError,
    opening::{Opening, Scheme},
    socket::BackendSocket,
};
use crate::config::{
    backend::{Backend, BackendTls, Balance, Binary, Check, Cookies, Health, Host, Pass, Upstream},
    identity::Identity,
};

pub(crate) fn upstream(url: &str) -> Upstream {
    Upstream {
        backends: vec![Backend { url: url.parse().unwrap(), drain: false }],
        balance: Balance::RoundRobin,
        pass: Pass {
            headers: vec![http::header::ORIGIN],
            cookies: Cookies::None,
            query: true,
            host: Host::Backend,
        },
        set: HeaderMap::new(),
        binary: Binary::Refuse,
        tls: BackendTls::default(),
        connect_timeout: Duration::from_secs(20),
        open_timeout: Duration::from_secs(30),
        max_message_bytes: 1 << 20,
        ping_interval: None,
        pong_timeout: Duration::from_secs(10),
        close_timeout: Duration::from_secs(5),
        health: Health {
            check: Check::Tcp,
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            fall: 2,
            rise: 2,
        },
    }
}

pub(crate) fn connector(upstream: &Upstream) -> Connector {
    Connector::new(upstream, &upstream.backends[0]).unwrap()
}

pub(crate) fn parts(request: http::request::Builder) -> Parts {
    let mut parts = request.body(()).unwrap().into_parts().0;
    parts.extensions.insert(ConnectInfo(SocketAddr::from(([192, 0, 2, 7], 1234))));
    parts
}

pub(crate) fn websocket() -> http::request::Builder {
    Request::get("/").header("upgrade", "websocket").header("host", "gateway.example")
}

pub(crate) fn opening<'a>(parts: &'a Parts, subprotocols: &'a [String]) -> Opening<'a> {
    Opening { parts, subprotocols, scheme: Scheme::Http, is_from_trusted_proxy: false }
}

/// Reads the head of a request.
pub(crate) async fn head(io: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(io.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

pub(crate) fn accept(head: &str, more: &str) -> String {
    let key = head.lines().find_map(|line| line.strip_prefix("Sec-Websocket-Key: ")).unwrap();
    let accept = derive_accept_key(key.as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{more}\r\n"
    )
}

/// A backend that answers one request, and what it was asked.
async fn backend(answer: impl FnOnce(&str) -> String + Send + 'static) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let serves = tokio::spawn(async move {
        let mut io = listener.accept().await.unwrap().0;
        let head = head(&mut io).await;
        io.write_all(answer(&head).as_bytes()).await.unwrap();
        // Until the gateway closes.
        io.read_to_end(&mut Vec::new()).await.ok();
        head
    });
    (format!("ws://{addr}/ws"), serves)
}

async fn dial(
    upstream: &Upstream,
    subprotocols: &[&str],
    request: http::request::Builder,
) -> Result<BackendSocket, DialError> {
    let subprotocols: Vec<String> = subprotocols.iter().map(|&name| name.to_owned()).collect();
    connector(upstream).dial(&opening(&parts(request), &subprotocols)).await
}

async fn refused(answer: &'static str) -> DialError {
    let (url, _serves) = backend(move |_| answer.to_owned()).await;
    dial(&upstream(&url), &[], websocket()).await.unwrap_err()
}

#[tokio::test]
async fn answers_other_than_a_websocket_are_told_apart() {
    for (answer, status, is_refusal, told) in [
        ("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nSet-Cookie: a=b\r\n\r\n", 401, true, 401),
        ("HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\n\r\nsecret", 403, true, 403),
        ("HTTP/1.1 404 Not Found\r\n\r\n", 404, true, 502),
        ("HTTP/1.1 302 Found\r\nLocation: http://elsewhere\r\n\r\n", 302, false, 502),
        ("HTTP/1.1 500 Internal Server Error\r\n\r\n", 500, false, 502),
        ("HTTP/1.1 503 Service Unavailable\r\n\r\n", 503, false, 502),
        ("HTTP/1.1 200 OK\r\n\r\n", 200, false, 502),
    ] {
        let error = refused(answer).await;
        assert_eq!(error.is_refusal(), is_refusal, "{answer}");
        assert_eq!(
            error.to_string(),
            format!("the backend answered {}", StatusCode::from_u16(status).unwrap())
        );
        let response = error.into_response();
        assert_eq!(response.status(), told, "{answer}");
        assert_eq!(response.headers().contains_key("www-authenticate"), status == 401);
        assert!(!response.headers().contains_key("set-cookie"));
        let body = to_bytes(response.into_body(), 1_000).await.unwrap();
        assert!(body.ends_with(b"\n") && !body.windows(6).any(|part| part == b"secret"));
    }
}

#[tokio::test]
async fn what_is_no_answer_to_a_handshake_is_a_failure() {
    for answer in [
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "\u{1}\u{2}\u{3}",
        "",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: AAAA\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ] {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let serves = tokio::spawn(async move {
            let mut io = listener.accept().await.unwrap().0;
            head(&mut io).await;
            io.write_all(answer.as_bytes()).await.unwrap();
        });
        let error = dial(&upstream(&url), &[], websocket()).await.unwrap_err();
        assert!(matches!(error, DialError::Handshake(_)) && !error.is_refusal(), "{answer:?}: {error}");
        assert_eq!(error.into_response().status(), 502);
        serves.await.unwrap();
    }
    let (url, _serves) =
        backend(|head| accept(head, "Sec-WebSocket-Extensions: permessage-deflate\r\n")).await;
    let error = dial(&upstream(&url), &[], websocket()).await.unwrap_err();
    assert!(matches!(error, DialError::Handshake(_)), "{error}");
}

#[tokio::test]
async fn a_backend_that_is_not_there_may_be_another() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = dial(&upstream(&url), &[], websocket()).await.unwrap_err();
    assert!(matches!(error, DialError::Connect(_)) && !error.is_refusal(), "{error}");
    assert_eq!(error.into_response().status(), 502);
}

#[tokio::test]
async fn a_name_may_have_addresses_where_nobody_listens() {
    // The system may have `::1` for it, too.
    let (url, _serves) = backend(|head| accept(head, "")).await;
    dial(&upstream(&url.replace("127.0.0.1", "localhost")), &[], websocket()).await.unwrap();
}

#[tokio::test]
async fn a_silent_backend_times_out() {
    // Time stands still only while everybody waits, and the sockets are on this machine.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let upstream = Upstream { connect_timeout: Duration::from_millis(50), ..upstream(&url) };
    let error = dial(&upstream, &[], websocket()).await.unwrap_err();
    assert!(matches!(error, DialError::TimedOut) && !error.is_refusal(), "{error}");
    assert_eq!(error.into_response().status(), 504);
    assert!(matches!(connector(&upstream).probe(&Check::Tcp, Duration::from_secs(20)).await, Ok(())));
    let error = connector(&upstream)
        .probe(&Check::Http("/".to_owned()), Duration::from_millis(50))
        .await
        .unwrap_err();
    assert!(matches!(error, DialError::TimedOut), "{error}");
}

#[tokio::test]
async fn an_answer_that_never_ends_times_out() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let serves = tokio::spawn(async move {
        let mut io = listener.accept().await.unwrap().0;
        head(&mut io).await;
        io.write_all(b"HTTP/1.1 101 Switching Protocols\r\nA: ").await.unwrap();
        // Until the gateway closes.
        while io.write_all(b"b").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let upstream = Upstream { connect_timeout: Duration::from_millis(100), ..upstream(&url) };
    let error = dial(&upstream, &[], websocket()).await.unwrap_err();
    assert!(matches!(error, DialError::TimedOut), "{error}");
    serves.await.unwrap();
}

#[tokio::test]
async fn a_proxy_before_the_backend_may_keep_alive() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let serves = tokio::spawn(async move {
        let mut io = listener.accept().await.unwrap().0;
        let head = head(&mut io).await;
        let answer = accept(&head, "").replace("Connection: Upgrade", "Connection: keep-alive, Upgrade");
        // A message comes with it.
        io.write_all(&[answer.as_bytes(), &[0x81, 2, b'h', b'i']].concat()).await.unwrap();
        io.read_to_end(&mut Vec::new()).await.ok();
    });
    let mut socket = dial(&upstream(&url), &[], websocket()).await.unwrap();
    assert_eq!(socket.stream.next().await.unwrap().unwrap(), Message::text("hi"));
    drop(socket);
    serves.await.unwrap();
}

#[tokio::test]
async fn a_subprotocol_is_agreed_on_by_all_three() {
    let offers = || websocket().header("sec-websocket-protocol", "v10.stomp, v12.stomp");
    for (known, request, confirms, agrees) in [
        (&["v12.stomp"][..], offers(), "Sec-WebSocket-Protocol: v12.stomp\r\n", true),
        (&["v12.stomp"], offers(), "Sec-WebSocket-Protocol: v10.stomp\r\n", false),
        (&["v12.stomp"], offers(), "", false),
        (&[], offers(), "Sec-WebSocket-Protocol: v12.stomp\r\n", false),
        (&["a", "b"], Request::post("/"), "Sec-WebSocket-Protocol: b\r\n", true),
    ] {
        let (url, serves) = backend(move |head| accept(head, confirms)).await;
        let result = dial(&upstream(&url), known, request).await;
        if agrees {
            result.unwrap();
        } else {
            assert!(matches!(result.unwrap_err(), DialError::Subprotocol), "{known:?} {confirms}");
        }
        let head = serves.await.unwrap();
        assert_eq!(head.contains("Sec-Websocket-Protocol:"), !known.is_empty(), "{head}");
    }
}

/// The head of the request that a backend sees, as header lines in lower case.
async fn seen(
    change: impl FnOnce(&mut Upstream),
    opening: impl FnOnce(&mut Opening<'_>),
    request: http::request::Builder,
) -> (String, Vec<String>) {
    let (url, serves) = backend(|head| accept(head, "")).await;
    let mut upstream = upstream(&format!("{url}?key=1"));
    change(&mut upstream);
    let parts = parts(request);
    let mut with = self::opening(&parts, &[]);
    opening(&mut with);
    drop(connector(&upstream).dial(&with).await.unwrap());
    let head = serves.await.unwrap();
    let mut lines = head.trim_end().lines();
    let first = lines.next().unwrap().to_owned();
    let of_handshake = ["connection", "upgrade", "sec-websocket-version", "sec-websocket-key"];
    let lower = |line: &str| {
        line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).unwrap()
    };
    let lines = lines.map(lower).filter(|(name, _)| !of_handshake.contains(&name.as_str()));
    let mut lines: Vec<String> = lines.map(|(name, value)| format!("{name}: {value}")).collect();
    lines.retain(|line| !line.starts_with("host: 127.0.0.1:"));
    lines.sort();
    (first, lines)
}

#[tokio::test]
async fn a_query_that_is_too_long_does_not_change_the_path() {
    let url = |upstream: &mut Upstream| {
        let url = format!("{}&more={}", upstream.backends[0].url, "a".repeat(200));
        upstream.backends[0].url = url.parse().unwrap();
    };
    let asks = |length: usize| websocket().uri(format!("/?{}", "b".repeat(length)));
    let (first, _) = seen(url, |_| {}, asks(65_000)).await;
    assert!(first.starts_with("GET /ws?key=1&more=aaa") && first.len() > 65_200, "{}", first.len());
    // The library takes URLs of 64 KiB.
    let (first, _) = seen(url, |_| {}, asks(65_500)).await;
    assert!(first.starts_with("GET /ws?key=1&more=aaa") && first.len() < 300, "{}", first.len());
}

fn browser() -> http::request::Builder {
    Request::builder()
        .uri("/?room=1&t=5")
        .header("host", "gateway.example")
        .header("upgrade", "websocket")
        .header("connection", "upgrade, x-hop")
        .header("origin", "https://page.example")
        .header("authorization", "Bearer secret")
        .header("cookie", "sid=1; other=2")
        .header("cookie", "user=3")
        .header("x-hop", "1")
        .header("x-forwarded-for", "203.0.113.1")
        .header("x-forwarded-proto", "https")
        .header("x-forwarded-host", "site.example")
        .header("forwarded", "for=203.0.113.1")
        .header("x-real-ip", "203.0.113.1")
        .header("sec-websocket-extensions", "permessage-deflate")
}

#[tokio::test]
async fn nothing_passes_but_the_origin_and_the_query_if_they_may() {
    let (first, lines) = seen(|_| {}, |_| {}, browser()).await;
    assert_eq!(first, "GET /ws?key=1&room=1&t=5 HTTP/1.1");
    assert_eq!(
        lines,
        [
            "origin: https://page.example",
            "x-forwarded-for: 192.0.2.7",
            "x-forwarded-host: gateway.example",
            "x-forwarded-proto: http"
        ]
    );
}

#[tokio::test]
async fn what_is_named_passes_and_what_is_set_wins() {
    let change = |upstream: &mut Upstream| {
        upstream.pass.headers = [
            "authorization",
            "cookie",
            "x-hop",
            "forwarded",
            "x-real-ip",
            "sec-websocket-extensions",
            "origin",
            "upgrade",
            "x-forwarded-for",
        ]
        .map(HeaderName::from_static)
        .to_vec();
        upstream.pass.cookies = Cookies::Named(vec!["user".to_owned(), "sid".to_owned()]);
        upstream.pass.query = false;
        upstream.pass.host = Host::Client;
        upstream.set.insert("origin", HeaderValue::from_static("https://set.example"));
        upstream.set.append("x-key", HeaderValue::from_static("a"));
        upstream.set.append("x-key", HeaderValue::from_static("b"));
        upstream.set.insert("sec-websocket-version", HeaderValue::from_static("8"));
        upstream.set.insert("x-forwarded-proto", HeaderValue::from_static("wss"));
    };
    let (first, lines) = seen(change, |_| {}, browser()).await;
    assert_eq!(first, "GET /ws?key=1 HTTP/1.1");
    assert_eq!(
        lines,
        [
            "authorization: Bearer secret",
            "cookie: sid=1; user=3",
            "host: gateway.example",
            "origin: https://set.example",
            "x-forwarded-for: 192.0.2.7",
            "x-forwarded-host: gateway.example",
            "x-forwarded-proto: wss",
            "x-key: a",
            "x-key: b"
        ]
    );
}

#[tokio::test]
async fn a_trusted_proxy_is_believed() {
    let change = |upstream: &mut Upstream| upstream.pass.headers = vec![http::header::FORWARDED];
    let trust = |opening: &mut Opening<'_>| opening.is_from_trusted_proxy = true;
    let (_, lines) = seen(change, trust, browser().header("x-forwarded-for", "203.0.113.2")).await;
    assert_eq!(
        lines,
        [
            "forwarded: for=203.0.113.1",
            "x-forwarded-for: 203.0.113.1, 203.0.113.2, 192.0.2.7",
            "x-forwarded-host: site.example",
            "x-forwarded-proto: https"
        ]
    );
    let bare = Request::get("/").header("host", "a");
    let (_, lines) =
        seen(|_| {}, |opening| (opening.is_from_trusted_proxy, opening.scheme) = (true, Scheme::Https), bare)
            .await;
    assert_eq!(lines, ["x-forwarded-for: 192.0.2.7", "x-forwarded-host: a", "x-forwarded-proto: https"]);
}

#[tokio::test]
async fn health_checks_over_http_want_success() {
    for (answer, is_well) in [
        ("HTTP/1.1 204 No Content\r\n\r\n", true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\npart", true),
        ("HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", false),
        ("HTTP/1.1 503 Service Unavailable\r\n\r\n", false),
        ("no HTTP\r\n\r\n", false),
    ] {
        let (url, serves) = backend(move |_| answer.to_owned()).await;
        let check = Check::Http("/health?x=1".to_owned());
        let result = connector(&upstream(&url)).probe(&check, Duration::from_secs(20)).await;
        assert_eq!(result.is_ok(), is_well, "{answer}: {result:?}");
        let head = serves.await.unwrap();
        assert!(head.starts_with("GET /health?x=1 HTTP/1.1\r\n"), "{head}");
        assert!(head.to_ascii_lowercase().contains("\r\nhost: 127.0.0.1:"), "{head}");
    }
}

#[tokio::test]
async fn a_health_check_by_websocket_opens_and_closes() {
    let (url, serves) = backend(|head| accept(head, "")).await;
    connector(&upstream(&url)).probe(&Check::WebSocket, Duration::from_secs(20)).await.unwrap();
    assert!(serves.await.unwrap().starts_with("GET /ws HTTP/1.1\r\n"));
    let (url, _serves) = backend(|_| "HTTP/1.1 404 Not Found\r\n\r\n".to_owned()).await;
    let error =
        connector(&upstream(&url)).probe(&Check::WebSocket, Duration::from_secs(20)).await.unwrap_err();
    assert!(matches!(error, DialError::Status { .. }));
}

/// An authority, and a certificate of it for a name, in files.
struct Certificates {
    folder: PathBuf,
    ca: rcgen::Certificate,
    leaf: rcgen::Certificate,
    key: rcgen::KeyPair,
}

impl Certificates {
    fn new(test: &str, name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("sockjs-gateway-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let ca_key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca = params.self_signed(&ca_key).unwrap();
        let issuer = rcgen::Issuer::new(params, ca_key);
        let key = rcgen::KeyPair::generate().unwrap();
        let leaf =
            rcgen::CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        let this = Self { folder, ca, leaf, key };
        std::fs::write(this.file("ca.pem"), this.ca.pem()).unwrap();
        std::fs::write(this.file("leaf.pem"), this.leaf.pem()).unwrap();
        std::fs::write(this.file("key.pem"), this.key.serialize_pem()).unwrap();
        this
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// With `asks`, clients have to show a certificate of the same authority.
    fn acceptor(&self, asks: bool) -> TlsAcceptor {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if asks {
            let mut roots = RootCertStore::empty();
            roots.add(self.ca.der().clone()).unwrap();
            builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap(),
            )
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        TlsAcceptor::from(Arc::new(builder.with_single_cert(vec![self.leaf.der().clone()], key).unwrap()))
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

/// An echo of one message over TLS.
async fn echo(io: impl AsyncRead + AsyncWrite + Unpin) {
    let mut socket = tokio_tungstenite::accept_async(io).await.unwrap();
    let message = socket.next().await.unwrap().unwrap();
    socket.send(message).await.unwrap();
}

#[tokio::test]
async fn tls_checks_the_name_and_the_authority() {
    let certificates = Certificates::new("tls", "localhost");
    let others = Certificates::new("tls-others", "localhost");
    let ca = |of: &Certificates| Some(of.file("ca.pem"));
    for (tls, asks, is_well) in [
        (
            BackendTls { ca: ca(&certificates), server_name: Some("localhost".to_owned()), identity: None },
            false,
            true,
        ),
        // The URL has an address, for which the certificate does not stand.
        (BackendTls { ca: ca(&certificates), server_name: None, identity: None }, false, false),
        (
            BackendTls { ca: ca(&others), server_name: Some("localhost".to_owned()), identity: None },
            false,
            false,
        ),
        (BackendTls { ca: None, server_name: Some("localhost".to_owned()), identity: None }, false, false),
        (
            BackendTls {
                ca: ca(&certificates),
                server_name: Some("localhost".to_owned()),
                identity: Some(Identity {
                    certificate: certificates.file("leaf.pem"),
                    key: certificates.file("key.pem"),
                }),
            },
            true,
            true,
        ),
    ] {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("wss://{}", listener.local_addr().unwrap());
        let acceptor = certificates.acceptor(asks);
        let serves = tokio::spawn(async move {
            let tcp = listener.accept().await.unwrap().0;
            if let Ok(io) = acceptor.accept(tcp).await {
                echo(io).await;
            }
        });
        let mut upstream = upstream(&url);
        upstream.tls = tls;
        let connector = match Connector::new(&upstream, &upstream.backends[0]) {
            // A machine without authorities of its own.
            Err(ConnectorError::NoSystemRoots(_)) if upstream.tls.ca.is_none() => continue,
            connector => connector.unwrap(),
        };
        match connector.dial(&opening(&parts(websocket()), &[])).await {
            Ok(mut socket) => {
                assert!(is_well, "{:?}", upstream.tls);
                socket.stream.send(Message::text("hello")).await.unwrap();
                assert_eq!(socket.stream.next().await.unwrap().unwrap(), Message::text("hello"));
            }
            Err(error) => {
                assert!(!is_well && matches!(error, DialError::Tls(_)), "{error}");
                assert_eq!(error.into_response().status(), 502);
            }
        }
        serves.await.unwrap();
    }
}

#[test]
fn a_file_that_cannot_be_used_is_named() {
    let certificates = Certificates::new("files", "localhost");
    std::fs::write(certificates.file("empty.pem"), "").unwrap();
    let fails = |tls: BackendTls| {
        let upstream = Upstream { tls, ..upstream("wss://localhost") };
        Connector::new(&upstream, &upstream.backends[0]).unwrap_err().to_string()
    };
    let ca = |name| BackendTls { ca: Some(certificates.file(name)), ..BackendTls::default() };
    for name in ["missing.pem", "empty.pem", "key.pem"] {
        let error = fails(ca(name));
        assert!(error.contains(name), "{error}");
    }
    let identity =
        Some(Identity { certificate: certificates.file("ca.pem"), key: certificates.file("key.pem") });
    let error = fails(BackendTls { identity, ..ca("ca.pem") });
    assert!(error.contains("ca.pem cannot be shown"), "{error}");
    let error = fails(BackendTls { server_name: Some("no name".to_owned()), ..ca("ca.pem") });
    assert!(error.contains("no name"), "{error}");
    let plain = upstream("http://localhost");
    assert!(matches!(Connector::new(&plain, &plain.backends[0]), Err(ConnectorError::Target(_))));
}

#[test]
fn dials_can_move_between_threads() {
    fn is_send<T: Send>(_: impl FnOnce(&'static Connector, &'static Opening<'static>) -> T) {}
    is_send(|connector, opening| connector.dial(opening));
    is_send(|connector, _| connector.probe(&Check::WebSocket, Duration::from_secs(1)));
}
