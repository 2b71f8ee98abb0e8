//! What a backend has to do with the opening of a session.

use sockjs_client::{Client, Transport};

use crate::support::{Running, ask, backend::Backend, exchange};

const TRANSPORTS: [Transport; 5] = [
    Transport::WebSocket,
    Transport::RawWebSocket,
    Transport::XhrStreaming,
    Transport::EventSource,
    Transport::XhrPolling,
];

#[tokio::test]
async fn a_session_is_one_connection_to_the_backend() {
    let backend = Backend::start("a").await;
    let url = backend.url("/ws?version=3");
    let gateway = Running::start(&format!("[[route]]\npath = '/chat'\nbackends = ['{url}']")).await;
    for (place, transport) in TRANSPORTS.into_iter().enumerate() {
        let mut session = gateway.connect("/chat", transport).await;
        assert_eq!(ask(&mut session, "hello").await, "hello");
        assert_eq!(ask(&mut session, "uri").await, "/ws?version=3");
        assert_eq!(ask(&mut session, "header x-forwarded-for").await, "127.0.0.1");
        assert_eq!(ask(&mut session, "header x-forwarded-proto").await, "http");
        assert_eq!(ask(&mut session, "header x-forwarded-host").await, gateway.address.to_string());
        assert_eq!(ask(&mut session, "header host").await, backend.address.to_string());
        assert_eq!(backend.opened(), place + 1, "{transport}");
        session.send("close 3001 bye").await.unwrap();
        let event = session.closed().await;
        assert_eq!((event.code(), event.reason()), (3001, "bye"), "{transport}");
    }
}

#[tokio::test]
async fn a_refusal_of_the_backend_is_the_answer_to_the_opening_request() {
    let backend = Backend::start("a").await;
    for (status, answered) in [(401, 401), (403, 403), (404, 502), (500, 502), (302, 502)] {
        let url = backend.url(&format!("/refuse/{status}"));
        let gateway = Running::start(&format!("[[route]]\npath = '/chat'\nbackends = ['{url}']")).await;
        for transport in TRANSPORTS {
            let error = Client::new(&gateway.url("/chat")).unwrap().open(transport).await.unwrap_err();
            let response = error.response().unwrap_or_else(|| panic!("{transport}: {error}"));
            assert_eq!(response.status(), answered, "{status} over {transport}");
            let authenticate = response.headers().get("www-authenticate");
            assert_eq!(authenticate.is_some(), status == 401 || status == 403, "{status} over {transport}");
        }
        assert_eq!(gateway.handle.sessions(), 0);
    }
    assert_eq!(backend.opened(), 0);
}

#[tokio::test]
async fn paths_have_their_own_backends_and_nothing_else_is_served() {
    let (a, b) = (Backend::start("a").await, Backend::start("b").await);
    let toml = format!(
        "[[route]]\npath = '/chat'\nbackends = ['{}']\n[[route]]\npath = '/more/chat'\nbackends = ['{}']",
        a.url("/"),
        b.url("/"),
    );
    let gateway = Running::start(&toml).await;
    for (path, name) in [("/chat", "a"), ("/more/chat", "b")] {
        let mut session = gateway.connect(path, Transport::XhrPolling).await;
        assert_eq!(ask(&mut session, "name").await, name);
    }
    for path in ["", "/chatter", "/other"] {
        let error = Client::new(&gateway.url(path)).unwrap().open(Transport::XhrPolling).await.unwrap_err();
        assert_eq!(error.response().unwrap().status(), 404, "{path}");
    }
}

#[tokio::test]
async fn only_what_the_configuration_names_passes_to_a_backend() {
    let backend = Backend::start("a").await;
    let url = backend.url("/");
    let toml = format!(
        "[[route]]\npath = '/none'\nbackends = ['{url}']\n\
         [[route]]\npath = '/some'\nbackends = ['{url}']\n\
         pass_headers = ['authorization', 'origin']\npass_cookies = ['session']\nsubprotocols = ['v12.stomp']\n\
         [route.set_headers]\nx-key = 'k'"
    );
    let gateway = Running::start(&toml).await;
    for transport in TRANSPORTS {
        let client = |path: &str| {
            Client::new(&gateway.url(path))
                .unwrap()
                .header("authorization", "Bearer t")
                .header("x-forwarded-for", "6.6.6.6")
                .header("x-key", "mine")
                .cookie("session", "s")
                .cookie("other", "o")
        };
        let mut session = client("/none").open(transport).await.unwrap();
        for header in ["authorization", "cookie", "x-key", "sec-websocket-protocol"] {
            assert_eq!(ask(&mut session, &format!("header {header}")).await, "", "{transport}: {header}");
        }
        assert_eq!(ask(&mut session, "header x-forwarded-for").await, "127.0.0.1");
        let mut session = client("/some").subprotocols(["x", "v12.stomp"]).open(transport).await.unwrap();
        for (header, value) in [
            ("authorization", "Bearer t"),
            ("cookie", "session=s"),
            ("x-key", "k"),
            ("sec-websocket-protocol", "v12.stomp"),
        ] {
            assert_eq!(ask(&mut session, &format!("header {header}")).await, value, "{transport}: {header}");
        }
    }
}

#[tokio::test]
async fn only_a_trusted_proxy_says_which_host_was_asked_for() {
    let backend = Backend::start("a").await;
    for (trusted, status) in [("127.0.0.1", "200"), ("192.0.2.1", "403")] {
        let gateway = Running::start(&format!(
            "trusted_proxies = ['{trusted}']\n[[route]]\npath = '/chat'\nbackends = ['{}']",
            backend.url("/")
        ))
        .await;
        let claim = ["Origin: http://evil.test", "X-Forwarded-Host: evil.test"];
        let as_gateway = [&claim[..], &["Sockjs-Forwarded: 0.a"]].concat();
        for headers in [&claim[..], &as_gateway] {
            let answer = exchange(gateway.address, "GET /chat/info", headers, "").await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{trusted} {headers:?}: {answer}");
        }
    }
}

#[tokio::test]
async fn a_client_does_not_say_its_own_scheme() {
    let backend = Backend::start("a").await;
    let gateway =
        Running::start(&format!("[[route]]\npath = '/chat'\nbackends = ['{}']", backend.url("/"))).await;
    let post = async |url: &str, body: &str| {
        let answer = exchange(gateway.address, &format!("POST {url}"), &[], body).await;
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    };
    for (id, base) in [("plain", "http://bank.example"), ("tls", "https://bank.example")] {
        let url = format!("{base}/chat/000/{id}");
        assert!(post(&format!("{url}/xhr"), "").await.contains("o\n"), "{base}");
        for (header, value) in [("proto", "http"), ("host", "bank.example")] {
            post(&format!("{url}/xhr_send"), &format!("[\"header x-forwarded-{header}\"]")).await;
            let answer = post(&format!("{url}/xhr"), "").await;
            assert!(answer.contains(&format!("a[\"{value}\"]\n")), "{base}: {answer}");
        }
    }
}
