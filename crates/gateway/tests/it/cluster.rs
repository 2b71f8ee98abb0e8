//! Several gateways, each of which answers for the sessions of all.

use sockjs_client::{Client, Transport};

use crate::support::{Running, ask, backend::Backend};

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
    let info: serde_json::Value = serde_json::from_str(&get(&first.url("/chat/info")).await).unwrap();
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

async fn get(url: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut tcp = tokio::net::TcpStream::connect(host).await.unwrap();
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    tcp.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).await.unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}
