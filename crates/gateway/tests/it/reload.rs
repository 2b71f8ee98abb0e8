//! A configuration that changes while sessions go on.

use std::{net::SocketAddr, sync::Arc};

use futures_util::StreamExt as _;
use sockjs_client::{Client, Transport};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{
    TlsAcceptor, TlsConnector,
    rustls::{
        ClientConfig, RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer},
    },
};

use crate::support::{Running, ask, backend::Backend, config, exchange};

fn route(backend: &Backend, more: &str) -> String {
    format!("[[route]]\npath = '/chat'\nbackends = ['{}']\n{more}\n", backend.url("/"))
}

const TRANSPORTS: [Transport; 4] =
    [Transport::WebSocket, Transport::XhrStreaming, Transport::EventSource, Transport::XhrPolling];

#[tokio::test]
async fn sessions_outlive_each_kind_of_change() {
    let (a, b) = (Backend::start("a").await, Backend::start("b").await);
    let gateway = Running::start(&route(&a, "")).await;
    let mut sessions = Vec::new();
    for (step, (toml, name, report)) in [
        (route(&a, ""), Some("a"), "no setting has changed"),
        (route(&b, ""), Some("b"), "routes changed: /chat"),
        (route(&b, "heartbeat = '7s'"), Some("b"), "routes changed: /chat"),
        (route(&a, "heartbeat = '8s'\nbinary = 'base64'"), Some("a"), "routes changed: /chat"),
        (
            "[[route]]\npath = '/other'\nbackends = ['ws://127.0.0.1:1']".to_owned(),
            None,
            "routes added: /other; routes removed: /chat",
        ),
        (route(&b, ""), Some("b"), "routes added: /chat; routes removed: /other"),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(gateway.handle.reload(config(&toml)).unwrap().to_string(), report, "{step}");
        for transport in TRANSPORTS {
            let opened = Client::new(&gateway.url("/chat")).unwrap().open(transport).await;
            match (opened, name) {
                (Ok(session), Some(name)) => sessions.push((session, name)),
                (Err(error), None) => assert_eq!(error.response().unwrap().status(), 404, "{step}"),
                (opened, _) => panic!("{step}: {opened:?}"),
            }
        }
        for (session, name) in &mut sessions {
            assert_eq!(ask(session, "name").await, *name, "{step} {}", session.transport());
        }
        assert_eq!(gateway.handle.sessions(), sessions.len(), "{step}");
    }
    let report = gateway.stop().await;
    assert!(report.contains("0 connections cut off"), "{report}");
    for (session, _) in &mut sessions {
        assert_eq!(session.closed().await.code(), 1001, "{}", session.transport());
    }
}

#[tokio::test]
async fn a_removed_route_has_its_sessions_and_no_other_path() {
    let backend = Backend::start("a").await;
    let at = |path: &str| route(&backend, "").replace("/chat", path);
    let gateway = Running::start(&at("/a")).await;
    let mut sessions = Vec::new();
    // Below it, beside it, and above it.
    for path in ["/a", "/a/b", "/a/c", "/a"] {
        gateway.handle.reload(config(&at(path))).unwrap();
        for transport in TRANSPORTS {
            sessions.push(gateway.connect(path, transport).await);
        }
        for session in &mut sessions {
            assert_eq!(ask(session, "name").await, "a", "{path}");
        }
    }
    assert_eq!(gateway.handle.sessions(), 16);
}

#[tokio::test]
async fn files_are_read_again_though_their_names_stay() {
    let backend = Backend::start("a").await;
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("sockjs.min.js");
    let toml = route(&backend, &format!("client_script = '{}'", script.display()));
    std::fs::write(&script, "first()").unwrap();
    let gateway = Running::start(&toml).await;
    let mut session = gateway.connect("/chat", Transport::XhrPolling).await;
    let reload = || gateway.handle.reload(config(&toml)).map(|report| report.to_string());
    let served = async || exchange(gateway.address, "GET /chat/sockjs.min.js", &[], "").await;
    assert_eq!(reload().unwrap(), "no setting has changed");
    assert!(served().await.ends_with("first()"));

    std::fs::write(&script, "second()").unwrap();
    assert_eq!(reload().unwrap(), "routes changed: /chat");
    assert!(served().await.ends_with("second()"));

    std::fs::remove_file(&script).unwrap();
    let error = reload().unwrap_err().to_string();
    assert!(error.contains("/chat") && error.contains("sockjs.min.js"), "{error}");
    assert!(served().await.ends_with("second()"));
    assert_eq!(ask(&mut session, "name").await, "a");
}

/// A certificate for `backend.test`, and its key.
fn certificate() -> (rcgen::Certificate, rcgen::KeyPair) {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(["backend.test".to_owned()]).unwrap();
    (params.self_signed(&key).unwrap(), key)
}

/// A WebSocket server with this certificate.
async fn tls_backend(certificate: &rcgen::Certificate, key: &rcgen::KeyPair) -> SocketAddr {
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(tls) = acceptor.accept(tcp).await else { return };
                let Ok(mut socket) = tokio_tungstenite::accept_async(tls).await else { return };
                while let Some(Ok(_)) = socket.next().await {}
            });
        }
    });
    address
}

#[tokio::test]
async fn certificates_for_backends_are_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    let ((first, key), (other, _)) = (certificate(), certificate());
    let toml = format!(
        "[[route]]\npath = '/chat'\nbackends = ['wss://{}']\n[route.health]\ncheck = 'off'\n\
         [route.backend_tls]\nca = '{}'\nserver_name = 'backend.test'",
        tls_backend(&first, &key).await,
        ca.display()
    );
    std::fs::write(&ca, first.pem()).unwrap();
    let gateway = Running::start(&toml).await;
    let opened = async || Client::new(&gateway.url("/chat")).unwrap().open(Transport::XhrPolling).await;
    drop(opened().await.unwrap());
    for (trusted, opens) in [(&other, false), (&first, true)] {
        std::fs::write(&ca, trusted.pem()).unwrap();
        assert_eq!(gateway.handle.reload(config(&toml)).unwrap().to_string(), "no setting has changed");
        match opened().await {
            Ok(_) => assert!(opens),
            Err(error) => assert_eq!((opens, error.response().unwrap().status().as_u16()), (false, 502)),
        }
    }
    std::fs::write(&ca, "no certificate").unwrap();
    assert!(gateway.handle.reload(config(&toml)).unwrap_err().to_string().contains("ca.pem"));
    drop(opened().await.unwrap());
}

#[tokio::test]
async fn limits_are_those_of_a_route_over_all_of_its_endpoints() {
    let backend = Backend::start("a").await;
    for (word, status) in [("max_sessions", 503), ("max_sessions_per_peer", 429)] {
        let gateway = Running::start(&route(&backend, &format!("{word} = 4"))).await;
        let mut sessions = Vec::new();
        for transport in TRANSPORTS {
            sessions.push(gateway.connect("/chat", transport).await);
        }
        let other = "[[route]]\npath = '/other'\nbackends = ['ws://127.0.0.1:1']".to_owned();
        // Other settings, another key of its peers, and a time without the route.
        for toml in [
            route(&backend, &format!("{word} = 4\nheartbeat = '7s'")),
            format!("trusted_proxies = ['192.0.2.1']\n{}", route(&backend, &format!("{word} = 4"))),
            other,
            route(&backend, &format!("{word} = 4")),
        ] {
            gateway.handle.reload(config(&toml)).unwrap();
            if toml.contains("/other") {
                continue;
            }
            // `EventSource` shows no status to its page: it gets a close frame.
            for transport in TRANSPORTS.into_iter().filter(|&transport| transport != Transport::EventSource) {
                let refused = Client::new(&gateway.url("/chat")).unwrap().open(transport).await.unwrap_err();
                // An EventSource would come back at once after a status.
                match refused.response() {
                    Some(response) => assert_eq!(response.status(), status, "{word} {transport}"),
                    None => assert_eq!(
                        (refused.close_frame().code(), transport),
                        (1013, Transport::EventSource),
                        "{word}"
                    ),
                }
            }
        }
        gateway.handle.reload(config(&route(&backend, &format!("{word} = 5")))).unwrap();
        sessions.push(gateway.connect("/chat", Transport::XhrPolling).await);
        let refused =
            Client::new(&gateway.url("/chat")).unwrap().open(Transport::XhrPolling).await.unwrap_err();
        assert_eq!(refused.response().unwrap().status(), status);
        for session in &mut sessions {
            assert_eq!(ask(session, "name").await, "a");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_made_changes_nothing() {
    let backend = Backend::start("a").await;
    let gateway = Running::start(&route(&backend, "")).await;
    let wrong = route(&backend, "client_script = '/does/not/exist.js'");
    let error = gateway.handle.reload(config(&wrong)).unwrap_err().to_string();
    assert!(error.contains("/does/not/exist.js"), "{error}");
    let mut session = gateway.connect("/chat", Transport::XhrPolling).await;
    assert_eq!(ask(&mut session, "name").await, "a");
}

#[tokio::test]
async fn settings_of_the_process_count_at_once_or_are_named() {
    let backend = Backend::start("a").await;
    let gateway = Running::start(&route(&backend, "")).await;
    let next = format!(
        "http2 = false\nadmin = '127.0.0.1:1'\ngrace = '7s'\ntrusted_proxies = ['192.0.2.1']\n{}",
        route(&backend, "")
    );
    let report = gateway.handle.reload(config(&next)).unwrap();
    let said = "routes changed: /chat; settings changed: trusted_proxies; only a restart changes: http2, admin, grace";
    assert_eq!(report.to_string(), said);
    let again = gateway.handle.reload(config(&next)).unwrap();
    assert_eq!(again.to_string(), "only a restart changes: http2, admin, grace");
    let back = gateway.handle.reload(config(&route(&backend, ""))).unwrap();
    assert_eq!(back.to_string(), "routes changed: /chat; settings changed: trusted_proxies");
}

#[tokio::test]
async fn a_certificate_may_come_from_other_files() {
    let backend = Backend::start("a").await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let issue = |name: &str| {
        let (certificate, key) = certificate();
        std::fs::write(file(&format!("{name}.c")), certificate.pem()).unwrap();
        std::fs::write(file(&format!("{name}.k")), key.serialize_pem()).unwrap();
        certificate.der().clone()
    };
    let named = |name: &str| {
        let tls = format!(
            "[tls]\ncertificate = '{}'\nkey = '{}'",
            file(&format!("{name}.c")).display(),
            file(&format!("{name}.k")).display()
        );
        config(&format!("{tls}\n{}", route(&backend, "")))
    };
    let old = issue("old");
    let gateway = Running::start_config(named("old")).await;
    assert_eq!(shown_certificate(gateway.address, &old).await, old);
    let error = gateway.handle.reload(named("new")).unwrap_err().to_string();
    assert!(error.contains("new.c"), "{error}");
    let new = issue("new");
    std::fs::remove_file(file("old.c")).unwrap();
    assert_eq!(gateway.handle.reload(named("new")).unwrap().to_string(), "settings changed: tls");
    assert_eq!(shown_certificate(gateway.address, &new).await, new);
}

/// The certificate of a server, which has to be this one.
async fn shown_certificate(
    address: SocketAddr,
    trusted: &CertificateDer<'static>,
) -> CertificateDer<'static> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tcp = TcpStream::connect(address).await.unwrap();
    let name = "backend.test".try_into().unwrap();
    let tls = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
    tls.get_ref().1.peer_certificates().unwrap()[0].clone()
}
