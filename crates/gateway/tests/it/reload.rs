//! A configuration that changes while sessions go on.

use sockjs_client::{Client, Transport};

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

#[tokio::test]
async fn certificates_for_backends_are_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let issue = || {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(["gateway.test".to_owned()]).unwrap();
        std::fs::write(file("certificate"), params.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(file("key"), key.serialize_pem()).unwrap();
    };
    issue();
    let toml = format!(
        "[[route]]\npath = '/chat'\nbackends = ['wss://127.0.0.1:1']\n\
         [route.backend_tls]\nca = '{}'\ncertificate = '{0}'\nkey = '{}'",
        file("certificate"),
        file("key")
    );
    let gateway = Running::start(&toml).await;
    let reload = || gateway.handle.reload(config(&toml)).map(|report| report.to_string());
    issue();
    assert_eq!(reload().unwrap(), "no setting has changed");
    std::fs::write(file("key"), "no key").unwrap();
    assert!(reload().unwrap_err().to_string().contains(&file("key")));
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
async fn what_takes_a_restart_is_named() {
    let backend = Backend::start("a").await;
    let gateway = Running::start(&route(&backend, "")).await;
    let next = format!("http2 = false\nadmin = '127.0.0.1:1'\n{}", route(&backend, ""));
    let report = gateway.handle.reload(config(&next)).unwrap();
    assert_eq!(report.needs_restart, ["http2", "admin"], "{report}");
}
