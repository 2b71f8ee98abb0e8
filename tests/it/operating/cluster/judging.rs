//! The owner judges a request as if the client had come to it.

use std::net::{Ipv4Addr, SocketAddr};

use axum::{
    body::Body,
    extract::{ConnectInfo, OriginalUri},
    http::{HeaderMap, StatusCode, request::Parts},
};
use axum_sockjs::{Cookie, Options, Origins, Session, SockJs, Transport};
use http_body_util::BodyExt as _;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::{below, receive, send};
use crate::support::{
    apps::{echo, open_to_all},
    client::{Frame, Kind, http_ways, on_each},
    fresh_id,
    http::{Connection, Request},
    nodes::{Plan, connect_from},
    within,
};

/// What an extractor sees, but for what differs by itself.
fn seen(parts: &Parts) -> String {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    let original = parts.extensions.get::<OriginalUri>().map(|OriginalUri(uri)| uri);
    let mut headers: Vec<_> =
        parts.headers.iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
    headers.sort();
    format!("{} {} {original:?} {peer:?} {headers:?}", parts.method, parts.uri)
}

struct Seen(String);

impl<S: Sync> axum::extract::FromRequestParts<S> for Seen {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(seen(parts)))
    }
}

#[tokio::test]
async fn extractors_see_the_clients_request() {
    let tell = |Seen(seen): Seen, session: Session| async move {
        session.send(seen).await.ok();
        session.closed().await;
    };
    let nodes = Plan::new(move |options| SockJs::new(tell).options(open_to_all(options))).start_three();
    let path = nodes[0].path().await;
    on_each(http_ways(), async |way| {
        let mut all = Vec::new();
        for node in &nodes {
            let id = fresh_id();
            let mut request = below(&path, way.receiving(&id))
                .header("Cookie", "a=b; c=d")
                .header("X-Forwarded-For", "192.0.2.1")
                .header("Te", "trailers")
                .header("Keep-Alive", "timeout=5")
                .header("Connection", "x-hop, keep-alive")
                .header("X-Hop", "1")
                .header("X-Thing", "first")
                .header("X-Thing", "second");
            let separator = if request.target.contains('?') { '&' } else { '?' };
            request.target = format!("{}{separator}token=%22a%20b", request.target);
            let mut connection = connect_from(Ipv4Addr::new(127, 0, 0, 7), node.addr()).await;
            connection.send(&request).await;
            let head = connection.head().await;
            assert_eq!(head.status, 200, "{head}");
            let seen = if way.kind == Kind::Poll {
                connection.body(&head).await;
                let mut connection = node.server.connect().await;
                let answer = connection.ask(&below(&path, way.receiving(&id))).await;
                way.read(answer.text())
            } else {
                connection.text_chunk().await;
                super::next(&mut connection, way).await;
                super::next(&mut connection, way).await
            };
            let Frame::Messages(seen) = seen else { panic!("{seen:?}") };
            // What is about the client's connection does not leave the edge.
            let mut seen = seen[0].clone();
            for hop in [
                r#""connection: \"x-hop, keep-alive\"", "#,
                r#""keep-alive: \"timeout=5\"", "#,
                r#", "te: \"trailers\"""#,
            ] {
                seen = seen.replace(hop, "");
            }
            all.push(seen.replace(r#", "x-hop: \"1\"""#, ""));
        }
        assert!(all[0].contains("127.0.0.7") && all[0].contains("token=%22a%20b"), "{}", all[0]);
        assert!(!all[0].contains('~') && !all[0].contains("sockjs-forwarded"), "{}", all[0]);
        assert_eq!(all[0], all[1]);
        assert_eq!(all[0], all[2]);
    })
    .await;
}

#[tokio::test]
async fn a_client_of_http_2_is_seen_as_one() {
    let tell = |Seen(seen): Seen, session: Session| async move {
        session.send(seen).await.ok();
        session.closed().await;
    };
    let nodes = Plan::new(move |options| SockJs::new(tell).options(open_to_all(options))).start_three();
    let path = nodes[0].path().await;
    let way = http_ways().find(|way| way.transport == Transport::XhrPolling).unwrap();
    for node in &nodes {
        let stream = TcpStream::connect(node.addr()).await.unwrap();
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (mut client, connection) = handshake.await.unwrap();
        tokio::spawn(connection);
        let url = format!("https://public.example:8443{path}/000/{}/xhr", fresh_id());
        let mut frames = Vec::new();
        for _ in 0..2 {
            // HTTP/2 may split its cookies.
            let request = http::Request::post(&url).header("cookie", "a=b").header("cookie", "c=d");
            let response = client.send_request(request.body(Body::empty()).unwrap()).await.unwrap();
            assert_eq!(response.status(), 200);
            let body = response.into_body().collect().await.unwrap().to_bytes();
            frames.push(way.read(std::str::from_utf8(&body).unwrap()));
        }
        let Some(Frame::Messages(seen)) = frames.pop() else { panic!("{frames:?}") };
        assert_eq!(frames, [Frame::Open]);
        // The scheme and the host are the client's, and so is the address.
        let url = "https://public.example:8443/";
        assert!(seen[0].starts_with(&format!("POST {url} Some({url}app) Some(127.0.0.1)")), "{}", seen[0]);
        // Between nodes it is one cookie.
        let cookies = match node.addr() == nodes[0].addr() {
            true => r#"cookie: \"a=b\"", "cookie: \"c=d\""#,
            false => r#"cookie: \"a=b; c=d\""#,
        };
        assert!(seen[0].contains(cookies), "{}", seen[0]);
    }
}

#[tokio::test]
async fn a_query_token_passes_with_the_base_url() {
    struct Token;
    impl<S: Sync> axum::extract::FromRequestParts<S> for Token {
        type Rejection = (StatusCode, &'static str);
        async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
            let is_right =
                parts.uri.query().is_some_and(|query| query.split('&').any(|pair| pair == "token=a%22b"));
            is_right.then_some(Self).ok_or((StatusCode::UNAUTHORIZED, "log in"))
        }
    }
    let checked = |_: Token, session: Session| echo(session);
    let nodes = Plan::new(move |options| SockJs::new(checked).options(open_to_all(options))).start_three();
    let url = nodes[0].base_url("?token=a%22b&t=1700000000000").await;
    let (path, query) = url.strip_prefix("http://public.example").unwrap().split_once('?').unwrap();
    assert_eq!(query, "token=a%22b");
    on_each(http_ways(), async |way| {
        let id = fresh_id();
        let refused = nodes[1].server.ask(&below(path, way.receiving(&id))).await;
        assert_eq!((refused.status, refused.text()), (401, "log in"));
        let mut request = below(path, way.receiving(&id));
        let separator = if request.target.contains('?') { '&' } else { '?' };
        request.target = format!("{}{separator}{query}&t=1", request.target);
        let mut connection = nodes[1].server.connect().await;
        connection.send(&request).await;
        assert_eq!(connection.head().await.status, 200);
        assert_eq!(nodes[0].handle.len(), 1);
        nodes[0].handle.close_all(3000, "next");
    })
    .await;
}

#[tokio::test]
async fn a_session_belongs_to_its_user_at_any_node() {
    async fn user(headers: HeaderMap) -> Option<String> {
        Some(headers.get("cookie")?.to_str().ok()?.to_owned())
    }
    let nodes = Plan::new(|options| {
        SockJs::new(echo).options(open_to_all(options).cookie(Cookie::jsessionid())).identity(user)
    })
    .start_three();
    let path = nodes[0].path().await;
    on_each(http_ways(), async |way| {
        let id = fresh_id();
        let by = |user: &str, request: Request| below(&path, request).header("Cookie", user);
        let mut connection = nodes[1].server.connect().await;
        connection.send(&by("JSESSIONID=ada", way.receiving(&id))).await;
        let head = connection.head().await;
        assert_eq!(head.status, 200);
        // The owner's cookie, once.
        assert_eq!(head.header("set-cookie"), Some("JSESSIONID=ada; path=/"));
        for node in &nodes {
            let foreign = node.server.ask(&by("JSESSIONID=eve", way.sending(&id, "[\"a\"]"))).await;
            assert_eq!(foreign.status, 404);
            let foreign = node.server.ask(&by("JSESSIONID=eve", way.receiving(&id))).await;
            assert_eq!(foreign.status, 404);
            let own = node.server.ask(&by("JSESSIONID=ada", way.sending(&id, "[\"a\"]"))).await;
            way.expect_taken(&own);
        }
        nodes[0].handle.close_all(3000, "next");
    })
    .await;
}

#[tokio::test]
async fn the_clients_address_is_counted() {
    let nodes = Plan::new(|options: Options| {
        SockJs::new(echo).options(open_to_all(options.max_sessions_per_peer(2)))
    })
    .start_three();
    let path = nodes[0].path().await;
    let way = http_ways().find(|way| way.transport == Transport::XhrStreaming).unwrap();
    let mut kept: Vec<Connection> = Vec::new();
    let mut open = async |client: [u8; 4], edge: usize| {
        let mut connection = connect_from(client.into(), nodes[edge].addr()).await;
        connection.send(&below(&path, way.receiving(&fresh_id()))).await;
        let status = connection.head().await.status;
        kept.push(connection);
        status
    };
    assert_eq!(open([127, 0, 0, 2], 0).await, 200);
    assert_eq!(open([127, 0, 0, 2], 1).await, 200);
    assert_eq!(open([127, 0, 0, 2], 2).await, 429);
    assert_eq!(open([127, 0, 0, 3], 2).await, 200);
    assert_eq!(open([127, 0, 0, 3], 1).await, 200);
    assert_eq!(open([127, 0, 0, 3], 0).await, 429);
}

#[tokio::test]
async fn each_node_counts_and_closes_its_own_sessions() {
    async fn user(headers: HeaderMap) -> Option<String> {
        Some(headers.get("x-user")?.to_str().ok()?.to_owned())
    }
    let nodes = Plan::new(|options| {
        SockJs::new(echo)
            .options(open_to_all(options))
            .identity(user)
            .max_sessions_per_identity(|user: &Option<String>| user.is_some().then_some(2))
    })
    .start_three();
    let way = http_ways().find(|way| way.transport == Transport::XhrPolling).unwrap();
    for owner in &nodes {
        let path = owner.path().await;
        let open = async |edge: usize| {
            let request = below(&path, way.receiving(&fresh_id())).header("X-User", "ada");
            nodes[edge].server.ask(&request).await.status
        };
        assert_eq!([open(0).await, open(1).await, open(2).await], [200, 200, 429]);
    }
    let ada = Some("ada".to_owned());
    nodes[0].handle.senders_of(&ada).iter().for_each(|tab| tab.close(4001, "logged out"));
    assert_eq!(nodes.each_ref().map(|node| node.handle.len()), [0, 2, 2]);
    assert_eq!(nodes[1].handle.close_where(4001, "logged out", |_| true), 2);
    assert_eq!(nodes.each_ref().map(|node| node.handle.len()), [0, 0, 2]);
}

#[tokio::test]
async fn origins_are_judged_by_edge_and_owner() {
    let nodes = Plan::new(|options: Options| {
        let origins = Origins::list(["http://page.example"]).unwrap();
        SockJs::new(echo).options(options.origins(origins))
    })
    .start_three();
    let path = nodes[0].path().await;
    let way = http_ways().find(|way| way.transport == Transport::XhrPolling).unwrap();
    for node in &nodes {
        let id = fresh_id();
        let from = |origin: &str| below(&path, way.receiving(&id)).header("Origin", origin);
        assert_eq!(node.server.ask(&from("http://evil.example")).await.status, 403);
        let answer = node.server.ask(&from("http://page.example")).await;
        assert_eq!((answer.status, answer.text()), (200, "o\n"));
        assert_eq!(answer.header("access-control-allow-origin"), Some("http://page.example"));
        assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
        // The endpoint's own, by `Host`, which the owner gets as it came.
        let own = below(&path, way.receiving(&fresh_id())).header("Origin", "http://localhost");
        let own = node.server.ask(&own).await;
        assert_eq!(own.status, 200, "{own}");
    }
    assert_eq!(send(&nodes[2], &path, way, "none", "[]").await.0, 404);
    assert!(matches!(receive(&nodes[1], &path, way, &fresh_id()).await.0, Frame::Open));
}

#[tokio::test]
async fn an_origin_that_one_of_both_refuses_is_refused() {
    let of = |allowed: &'static [&'static str]| {
        let plan = Plan::new(move |options: Options| {
            SockJs::new(echo).options(options.origins(Origins::list(allowed).unwrap()))
        });
        plan.start()
    };
    let owner = of(&["http://both.example", "http://owner.example"]);
    let edge = of(&["http://both.example", "http://edge.example"]);
    let path = owner.path().await;
    let way = http_ways().find(|way| way.transport == Transport::XhrPolling).unwrap();
    let id = fresh_id();
    let from = |origin: &str| below(&path, way.receiving(&id)).header("Origin", origin);
    assert_eq!(edge.server.ask(&from("http://both.example")).await.status, 200);
    // Alone and over a link.
    for _ in 0..2 {
        for origin in ["http://owner.example", "http://edge.example"] {
            for request in [way.receiving(&id), way.sending(&id, "[\"a\"]")] {
                let request = below(&path, request).header("Origin", origin);
                assert_eq!(edge.server.ask(&request).await.status, 403, "{origin}");
            }
        }
        let request = below(&path, way.sending(&id, "[\"a\"]")).header("Origin", "http://both.example");
        within("a link", async {
            loop {
                let before = owner.forwarded();
                way.expect_taken(&edge.server.ask(&request).await);
                if owner.forwarded() == before {
                    break;
                }
            }
        })
        .await;
    }
}
