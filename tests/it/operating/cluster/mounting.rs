//! Where the endpoint of a node is, and what it says of its URL.

use axum::{
    Router,
    http::{StatusCode, uri::Scheme},
    routing::get,
};
use axum_sockjs::{Cluster, ClusterOptions, Options, Session, SockJs, SockJsHandle, Transport};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::net::TcpListener;
use tower::Layer as _;

use super::{below, plan, receive, send};
use crate::support::{
    apps::{echo, open_to_all},
    client::{Frame, http_ways, on_each},
    fresh_id,
    http::Request,
    log::Log,
    nodes::{Node, Plan, SECRET},
    server::Server,
};

/// Forwarding works below this path, which is that of the URL.
async fn works_at(nodes: &[Node], prefix: &str) {
    let info = nodes[0].server.get(format!("{prefix}/info")).await;
    let info: serde_json::Value = serde_json::from_str(info.text()).expect("the node says so");
    let url = info["base_url"].as_str().expect("the node says so");
    let path = url.strip_prefix("http://public.example").expect("the node says so");
    assert!(path.starts_with(&format!("{prefix}/~")), "{path}");
    on_each(http_ways(), async |way| {
        let id = fresh_id();
        let (frame, _connection) = receive(&nodes[1], path, way, &id).await;
        assert_eq!(frame, Frame::Open);
        assert!(send(&nodes[1], path, way, &id, "[\"a\"]").await.0 < 300);
        assert_eq!(nodes[0].handle.len(), 1);
        nodes[0].handle.close_all(3000, "next");
    })
    .await;
    nodes[0].cluster.check(nodes[1].addr(), prefix).await.expect("the node says so");
}

#[tokio::test]
async fn an_endpoint_works_wherever_it_is_mounted() {
    type App = fn(SockJs) -> Router;
    let mounts: [(&str, App); 6] = [
        ("/app", |endpoint| Router::new().nest_service("/app", endpoint)),
        ("/a/b", |endpoint| Router::new().nest("/a", Router::new().nest_service("/b", endpoint))),
        ("/a/b", |endpoint| endpoint.into_router("/a/b")),
        ("", |endpoint| Router::new().fallback_service(endpoint)),
        ("/app", |endpoint| Router::new().fallback_service(endpoint.layer("/app").layer(get("home")))),
        ("/a/b", |endpoint| {
            let inner = Router::new().fallback_service(endpoint.layer("/b").layer(get("home")));
            Router::new().nest_service("/a", inner)
        }),
    ];
    for (prefix, app) in mounts {
        let plan = plan(echo).app(app);
        works_at(&[plan.start(), plan.start()], prefix).await;
    }
}

/// A node without axum's router and server.
async fn on_plain_hyper() -> (Server, SockJsHandle) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let addr = listener.local_addr().expect("a bound listener has an address");
    let options = ClusterOptions::new(SECRET, addr).public_url("http://public.example");
    let cluster = Cluster::new(options).expect("the options can work");
    let endpoint = SockJs::new(echo).options(open_to_all(Options::new().cluster(&cluster)));
    let handle = endpoint.handle();
    let nothing = tower::service_fn(|_: hyper::Request<Incoming>| async {
        let mut response = hyper::Response::new(String::new());
        *response.status_mut() = StatusCode::NOT_FOUND;
        Ok::<_, std::convert::Infallible>(response)
    });
    let app = TowerToHyperService::new(endpoint.layer("/app").layer(nothing));
    tokio::spawn(async move {
        loop {
            let (io, _) = listener.accept().await.expect("there are connections");
            io.set_nodelay(true).expect("a connected socket takes options");
            let connection = http1::Builder::new().serve_connection(TokioIo::new(io), app.clone());
            tokio::spawn(connection.with_upgrades());
        }
    });
    (Server::at(addr), handle)
}

#[tokio::test]
async fn nodes_need_no_more_than_hyper() {
    let ((owner, handle), (edge, _)) = (on_plain_hyper().await, on_plain_hyper().await);
    let info: serde_json::Value = serde_json::from_str(owner.get("/app/info").await.text()).unwrap();
    let path = info["base_url"].as_str().unwrap().strip_prefix("http://public.example").unwrap();
    let way = http_ways().find(|way| way.transport == Transport::XhrPolling).unwrap();
    let id = fresh_id();
    assert_eq!(edge.ask(&below(path, way.receiving(&id))).await.text(), "o\n");
    assert_eq!(handle.len(), 1);
    // The first ones alone, the last ones over a link.
    for round in 0..50 {
        way.expect_taken(&edge.ask(&below(path, way.sending(&id, format!("[\"{round}\"]")))).await);
        let answer = edge.ask(&below(path, way.receiving(&id))).await;
        assert_eq!(answer.text(), format!("a[\"{round}\"]\n"));
    }
}

#[tokio::test]
async fn what_is_missing_is_said_at_the_start() {
    let line = "a node of a cluster does not know its public URL";
    type Change = fn(Options) -> Options;
    let logged = |url: Option<&str>, change: Change| {
        let log = Log::start(tracing::Level::INFO);
        let mut options = ClusterOptions::new(SECRET, "127.0.0.1:80".parse().unwrap());
        if let Some(url) = url {
            options = options.public_url(url);
        }
        let cluster = Cluster::new(options).unwrap();
        let endpoint: SockJs = SockJs::new(echo).options(change(Options::new().cluster(&cluster)));
        drop(endpoint);
        log.text()
    };
    // A path needs the rest of the URL.
    let text = logged(None, |options| options.base_url("/outside"));
    assert!(text.contains("WARN") && text.contains(line), "{text}");
    let text = logged(None, |options| options);
    assert!(text.contains("WARN") && text.contains(line), "{text}");
    assert!(text.contains("INFO") && text.contains("only processes of this machine reach"), "{text}");
    let knows: [(Option<&str>, Change); 5] = [
        (Some("http://public.example"), |options| options),
        (Some("http://public.example"), |options| options.base_url("/outside")),
        (None, |options| options.scheme(Scheme::HTTPS)),
        (None, |options| options.trust_forwarded(true)),
        (None, |options| options.base_url("https://public.example/app")),
    ];
    for (url, change) in knows {
        let text = logged(url, change);
        assert!(!text.contains("WARN"), "{text}");
    }
}

/// The `base_url` of `/info`, if there is any.
async fn base_url(node: &Node, request: Request) -> Option<String> {
    let answer = node.server.ask(&request).await;
    let info: serde_json::Value = serde_json::from_str(answer.text()).expect("the node says so");
    info.get("base_url").map(|url| {
        let url = url.as_str().expect("the node says so");
        url[..url.find("/~").expect("the node says so")].to_owned()
    })
}

fn info() -> Request {
    Request::get("/app/info")
}

fn node(change: fn(Options) -> Options) -> Node {
    Plan::new(move |options| {
        let silent = |session: Session| async move { drop(session) };
        SockJs::new(silent).options(change(open_to_all(options)))
    })
    .cluster(|options| options)
    .start()
}

#[tokio::test]
async fn the_public_url_is_known_from_where_it_can_be() {
    // HTTP/1 does not say the scheme.
    assert_eq!(base_url(&node(|options| options), info()).await, None);
    let https = node(|options| options.scheme(Scheme::HTTPS));
    assert_eq!(base_url(&https, info()).await.as_deref(), Some("https://localhost/app"));
    let behind = node(|options| options.trust_forwarded(true));
    assert_eq!(base_url(&behind, info()).await, None);
    let forwarded = info().header("Forwarded", "for=1.2.3.4;host=\"a.example:8443\";proto=https");
    assert_eq!(base_url(&behind, forwarded).await.as_deref(), Some("https://a.example:8443/app"));
    let older = info().header("X-Forwarded-Host", "b.example").header("X-Forwarded-Proto", "http");
    assert_eq!(base_url(&behind, older).await.as_deref(), Some("http://b.example/app"));
    let odd = info().header("X-Forwarded-Host", "a\"b").header("X-Forwarded-Proto", "http");
    assert_eq!(base_url(&behind, odd).await, None);
    // Without trust they are anyone's.
    let untrusted = info().header("X-Forwarded-Host", "b.example").header("X-Forwarded-Proto", "http");
    assert_eq!(base_url(&https, untrusted).await.as_deref(), Some("https://localhost/app"));
    let whole = node(|options| options.base_url("https://c.example/sockjs/"));
    assert_eq!(base_url(&whole, info()).await.as_deref(), Some("https://c.example/sockjs"));
    let path = node(|options| options.scheme(Scheme::HTTPS).base_url("/outside"));
    assert_eq!(base_url(&path, info()).await.as_deref(), Some("https://localhost/outside"));
}

#[tokio::test]
async fn the_url_keeps_the_query_and_is_json() {
    let node = node(|options| options.scheme(Scheme::HTTPS));
    for (query, kept) in [("?a='b'{}&t=17", "?a='b'{}"), ("?t=17", ""), ("?t=1&u=2", "?t=1&u=2"), ("?", "")] {
        let url = node.base_url(query).await;
        assert_eq!(url.split_once('?').map_or(String::new(), |(_, query)| format!("?{query}")), kept);
    }
    let answer = node.server.get("/app/info").await;
    assert!(answer.header("cache-control").unwrap().contains("no-store"), "{answer}");
}
