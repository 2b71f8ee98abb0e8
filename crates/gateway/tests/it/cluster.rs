//! Several gateways, each of which answers for the sessions of all.

use sockjs_client::{Client, Transport};

use crate::support::{Running, ask, backend::Backend, exchange};

const SECRET: &str = "a secret of the tests, 32 bytes or more";
const PUBLIC: &str = "http://chat.example";

async fn node(backend: &Backend) -> Running {
    Running::start(&format!(
        "[cluster]\naddress = '127.0.0.1:0'\nsecret = '{SECRET}'\npublic_url = '{PUBLIC}'\n\
         [[route]]\npath = '/chat'\nbackends = ['{}']\nheartbeat = '60s'",
        backend.url("/"),
    ))
    .await
}

/// A client whose requests go to another gateway than that which has told it where to go.
#[tokio::test]
async fn a_gateway_forwards_what_is_for_another_one() {
    let (a, b) = (Backend::start("a").await, Backend::start("b").await);
    let (first, second) = (node(&a).await, node(&b).await);
    let info = exchange(first.address, "GET /chat/info", &[], "").await;
    let info: serde_json::Value = serde_json::from_str(info.split_once("\r\n\r\n").unwrap().1).unwrap();
    let tagged = info["base_url"].as_str().unwrap();
    let below = tagged.strip_prefix(PUBLIC).unwrap();
    for transport in [Transport::XhrPolling, Transport::XhrStreaming, Transport::EventSource] {
        let mut session = Client::new(&second.url(below)).unwrap().open(transport).await.unwrap();
        assert_eq!(ask(&mut session, "name").await, "a", "{transport}");
        assert_eq!(ask(&mut session, "header x-forwarded-for").await, "127.0.0.1");
        assert_eq!((first.handle.sessions(), second.handle.sessions()), (1, 0));
        session.send("close 3001 bye").await.unwrap();
        assert_eq!(session.closed().await.code(), 3001);
    }
}

#[tokio::test]
async fn what_no_gateway_has_forwarded_is_refused() {
    let backend = Backend::start("a").await;
    let gateway = node(&backend).await;
    for (header, status) in [("X-Else: 0.a", "200"), ("Sockjs-Forwarded: 0.a", "404")] {
        let answer = exchange(gateway.address, "GET /chat/info", &[header], "").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{header}: {answer}");
    }
}
