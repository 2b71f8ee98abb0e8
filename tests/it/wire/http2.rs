//! HTTP/2: streaming and polling as over HTTP/1.1, and WebSocket by extended `CONNECT` (RFC 8441).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{net::Ipv4Addr, time::Duration};

use axum::{Router, body::Bytes};
use axum_sockjs::{CloseFrame, CloseReason, Options, Session, SockJs, SockJsHandle};
use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response, StatusCode, body::Incoming, client::conn::http2::SendRequest, ext::Protocol,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};

use crate::support::as_time_passes;

type Client = SendRequest<Full<Bytes>>;

/// An echo server, a client connected to it, and where the server tells how its sessions ended.
async fn echo_server() -> (Client, SockJsHandle, mpsc::UnboundedReceiver<CloseReason>) {
    let (ends, ended) = mpsc::unbounded_channel();
    let echo = move |mut session: Session| async move {
        while let Some(message) = session.recv().await {
            session.send(message).await.ok();
        }
        ends.send(session.closed().await).ok();
    };
    let sockjs = SockJs::new(echo)
        .options(Options::new().pong_timeout(Duration::from_secs(600)).subprotocols(["chat"]));
    let handle = sockjs.handle();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let app = Router::new().nest_service("/echo", sockjs);
    tokio::spawn(async move { axum::serve(listener, app).await });

    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (client, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    (client, handle, ended)
}

async fn request(client: &mut Client, method: Method, path: &str, body: &'static str) -> Response<Incoming> {
    let request = Request::builder().method(method).uri(format!("http://localhost{path}"));
    client.send_request(request.body(Full::from(body)).unwrap()).await.unwrap()
}

async fn text(response: Response<Incoming>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().into()).unwrap()
}

#[tokio::test]
async fn polling_works() {
    let (mut client, ..) = echo_server().await;
    assert_eq!(text(request(&mut client, Method::POST, "/echo/000/a/xhr", "").await).await, "o\n");
    let sent = request(&mut client, Method::POST, "/echo/000/a/xhr_send", r#"["x"]"#).await;
    assert_eq!(sent.status(), StatusCode::NO_CONTENT);
    assert_eq!(text(request(&mut client, Method::POST, "/echo/000/a/xhr", "").await).await, "a[\"x\"]\n");
}

#[tokio::test]
async fn the_scheme_of_a_request_counts() {
    let (mut client, ..) = echo_server().await;
    for (scheme, origin, status) in [
        ("https", "https://localhost", StatusCode::OK),
        ("https", "http://localhost", StatusCode::FORBIDDEN),
        // A proxy may have ended the TLS.
        ("http", "https://localhost", StatusCode::OK),
    ] {
        let request = Request::get(format!("{scheme}://localhost/echo/info")).header("origin", origin);
        let response = client.send_request(request.body(Full::default()).unwrap()).await.unwrap();
        assert_eq!(response.status(), status, "{origin} by {scheme}");
    }
}

#[tokio::test]
async fn streams_flow_and_a_reset_stream_ends_the_session() {
    let (mut client, handle, mut ended) = echo_server().await;
    let mut stream = request(&mut client, Method::GET, "/echo/000/a/eventsource", "").await.into_body();
    let mut frame = async || stream.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(frame().await, "\r\n");
    assert_eq!(frame().await, "data: o\r\n\r\n");
    request(&mut client, Method::POST, "/echo/000/a/xhr_send", r#"["x"]"#).await;
    assert_eq!(frame().await, "data: a[\"x\"]\r\n\r\n");
    drop(stream);
    assert_eq!(ended.recv().await, Some(CloseReason::ConnectionLost));
    assert!(handle.is_empty());
}

/// Opens a WebSocket; `Err` is the answer when it is refused.
async fn websocket(
    client: &mut Client,
    path: &str,
    protocol: &'static str,
) -> Result<WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>, Response<Incoming>> {
    let request = Request::builder()
        .method(Method::CONNECT)
        .uri(format!("http://localhost{path}"))
        .extension(Protocol::from_static(protocol))
        .header("sec-websocket-version", "13")
        .body(Full::default())
        .unwrap();
    let response = client.send_request(request).await.unwrap();
    if response.status() != StatusCode::OK {
        return Err(response);
    }
    let io = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    Ok(WebSocketStream::from_raw_socket(io, Role::Client, None).await)
}

#[tokio::test]
async fn websockets_open_by_extended_connect() {
    let (mut client, _, mut ended) = echo_server().await;
    let mut framed = websocket(&mut client, "/echo/000/a/websocket", "websocket").await.unwrap();
    assert_eq!(framed.next().await.unwrap().unwrap(), Message::text("o"));
    framed.send(Message::text(r#"["x"]"#)).await.unwrap();
    assert_eq!(framed.next().await.unwrap().unwrap(), Message::text(r#"a["x"]"#));
    framed.close(None).await.unwrap();
    assert_eq!(ended.recv().await, Some(CloseReason::Client(None)));

    let mut raw = websocket(&mut client, "/echo/websocket", "websocket").await.unwrap();
    raw.send(Message::binary(&b"\x00\xff"[..])).await.unwrap();
    assert_eq!(raw.next().await.unwrap().unwrap(), Message::binary(&b"\x00\xff"[..]));
    drop(raw);
    assert_eq!(ended.recv().await, Some(CloseReason::ConnectionLost));
}

#[tokio::test]
async fn an_extended_connect_agrees_on_a_sub_protocol() {
    let (mut client, ..) = echo_server().await;
    for path in ["/echo/000/a/websocket", "/echo/websocket"] {
        for (offer, agreed) in [("chat, superchat", Some("chat")), ("superchat", None)] {
            let request = Request::builder()
                .method(Method::CONNECT)
                .uri(format!("http://localhost{path}"))
                .extension(Protocol::from_static("websocket"))
                .header("sec-websocket-version", "13")
                .header("sec-websocket-protocol", offer);
            let response = client.send_request(request.body(Full::default()).unwrap()).await.unwrap();
            let header = response.headers().get("sec-websocket-protocol").map(|name| name.to_str().unwrap());
            assert_eq!((response.status(), header), (StatusCode::OK, agreed), "{path} {offer}");
        }
    }
}

#[tokio::test]
async fn an_unfinished_message_has_a_minute_here_too() {
    for (path, unfinished) in [
        ("/echo/000/a/websocket", &b"\x01\x82\0\0\0\0[\""[..]),
        ("/echo/websocket", b"\x01\x80\0\0\0\0"),
        ("/echo/websocket", b"\x81\x85\0\0\0\0[\"a\""),
        ("/echo/000/a/websocket", b"\x8a"),
    ] {
        let (mut client, _, mut ended) = echo_server().await;
        let mut socket = websocket(&mut client, path, "websocket").await.unwrap();
        if path.contains("000") {
            socket.next().await.unwrap().unwrap();
        }
        socket.get_mut().write_all(unfinished).await.unwrap();
        socket.get_mut().flush().await.unwrap();
        tokio::spawn(async move { while let Some(Ok(_)) = socket.next().await {} });
        let slow = CloseReason::ProtocolError(CloseFrame::new(1008, "Message too slow"));
        assert_eq!(as_time_passes("its end", ended.recv()).await, Some(slow), "{unfinished:?}");
    }
}

#[tokio::test]
async fn other_requests_for_a_websocket_are_refused() {
    let (mut client, ..) = echo_server().await;
    let status = request(&mut client, Method::GET, "/echo/000/a/websocket", "").await.status();
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let refused = websocket(&mut client, "/echo/000/a/websocket", "connect-udp").await.unwrap_err();
    assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED);
    let refused = websocket(&mut client, "/echo/000/a/xhr", "websocket").await.unwrap_err();
    assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED);
}
