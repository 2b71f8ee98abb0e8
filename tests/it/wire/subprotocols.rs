//! Sub-protocols of WebSockets, and the raw WebSocket at a route of its own.

use axum::{
    Router,
    extract::{OriginalUri, Path, State},
    http::Uri,
};
use axum_sockjs::{Options, Session, SockJs, Transport};

use tokio::sync::mpsc;

use crate::support::{
    apps::{self, open_to_all},
    fresh_id,
    http::Request,
    server::Server,
    within, ws,
};

/// Asks for a WebSocket: the status, and the sub-protocol of the answer.
async fn negotiate(server: &Server, target: &str, offers: &[&str]) -> (u16, Option<String>) {
    let request = offers
        .iter()
        .fold(ws::handshake(target), |request, offer| request.header("Sec-WebSocket-Protocol", *offer));
    let mut connection = server.connect().await;
    connection.send(&request).await;
    let head = connection.head().await;
    if head.status == 101 {
        // The application runs by then.
        connection.readable().await;
    }
    (head.status, head.header("sec-websocket-protocol").map(str::to_owned))
}

#[tokio::test]
async fn the_endpoint_chooses_among_the_offers() {
    let (seen, mut told) = mpsc::unbounded_channel();
    let tell = move |session: Session| async move {
        seen.send(session.subprotocol().map(str::to_owned)).ok();
    };
    let endpoint = |options| SockJs::new(tell.clone()).options(open_to_all(options));
    let known = endpoint(Options::new().subprotocols(["chat", "superchat"]));
    let chosen = endpoint(Options::new().choose_subprotocol(|offered, request| {
        assert!(!request.uri.path().contains("websocket"), "no session id: {}", request.uri);
        offered.iter().find(|name| request.uri.query() == Some(name)).copied()
    }));
    let app = Router::new()
        .route_service("/route", known.raw_websocket())
        .nest_service("/known", known)
        .nest_service("/chosen", chosen)
        .nest_service("/none", endpoint(Options::new()));
    let server = Server::start(app).await;
    for (offers, agreed) in [
        (&["chat, superchat"][..], Some("chat")),
        (&["other", "superchat,chat"], Some("chat")),
        (&["superchat"], Some("superchat")),
        (&["other"], None),
        (&[], None),
    ] {
        let framed = format!("/known/000/{}/websocket", fresh_id());
        for target in [&*framed, "/known/websocket", "/route"] {
            let (status, header) = negotiate(&server, target, offers).await;
            assert_eq!((status, header.as_deref()), (101, agreed), "{target} {offers:?}");
            let told = within("the application", told.recv()).await.flatten();
            assert_eq!(told.as_deref(), agreed, "{target} {offers:?}");
        }
    }
    for (target, agreed) in [
        ("/chosen/000/session/websocket?b", Some("b")),
        ("/chosen/websocket?c", None),
        ("/none/websocket", None),
    ] {
        assert_eq!(negotiate(&server, target, &["a, b"]).await, (101, agreed.map(str::to_owned)), "{target}");
    }
}

#[tokio::test]
async fn the_raw_websocket_is_at_any_route() {
    async fn show(
        Path((room, user)): Path<(String, u8)>,
        uri: Uri,
        OriginalUri(original): OriginalUri,
        session: Session,
    ) {
        session.send(format!("{room} {user} {uri} {original} {}", session.transport())).await.ok();
    }
    let sockjs = SockJs::new(show).options(Options::new().disable(Transport::RawWebSocket));
    let handle = sockjs.handle();
    let app = Router::new().nest("/a", Router::new().route_service("/{room}/{user}", sockjs.raw_websocket()));
    let server = Server::start(app).await;
    let mut socket = ws::open(server.addr, "/a/red/7?q").await;
    assert_eq!(ws::text(&mut socket).await, "red 7 /red/7?q /a/red/7?q websocket-raw");
    assert_eq!(ws::expect_end(&mut socket).await, Some((1000, "Normal closure".to_owned())));
    assert_eq!(handle.stats().transport(Transport::RawWebSocket).opened, 1);

    let greet =
        |State(text): State<&'static str>, session: Session| async move { drop(session.send(text).await) };
    let routes = SockJs::new(greet).raw_websocket().into_router("/ws");
    let with_state = Server::start(routes.with_state("the state")).await;
    assert_eq!(ws::text(&mut ws::open(with_state.addr, "/ws").await).await, "the state");

    // What is no handshake has the same answers as at `/websocket`.
    for (request, status) in [
        (Request::get("/a/red/7"), 400),
        (Request::post("/a/red/7").body("x"), 405),
        (Request::new("OPTIONS", "/a/red/7"), 405),
        (ws::handshake("/a/red/7").header("Origin", "https://elsewhere.example"), 403),
    ] {
        assert_eq!(server.ask(&request).await.status, status);
    }
}

#[tokio::test]
async fn the_handshake_of_hixie_76_agrees_on_a_sub_protocol_too() {
    let hixie = |options: Options| SockJs::new(apps::echo).options(open_to_all(options.hixie76(true)));
    let app = Router::new()
        .nest_service("/known", hixie(Options::new().subprotocols(["chat"])))
        .nest_service("/none", hixie(Options::new()));
    let server = Server::start(app).await;
    for (target, offer, agreed) in [
        ("/known/websocket", "chat", Some("chat")),
        ("/known/websocket", "other", None),
        // Its clients expect what they asked for.
        ("/none/websocket", "chat", Some("chat")),
    ] {
        let request = Request::get(target)
            .header("Upgrade", "WebSocket")
            .header("Connection", "Upgrade")
            .header("Sec-WebSocket-Key1", "4 @1  46546xW%0l 1 5")
            .header("Sec-WebSocket-Key2", "12998 5 Y3 1  .P00")
            .header("Sec-WebSocket-Protocol", offer);
        let mut connection = server.connect().await;
        connection.send(&request).await;
        let head = connection.head().await;
        assert_eq!((head.status, head.header("sec-websocket-protocol")), (101, agreed), "{target} {offer}");
    }
}
