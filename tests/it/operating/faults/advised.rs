//! What a server has to ask hyper for: half-closed connections, and a time limit for heads.

use std::{net::SocketAddr, time::Duration};

use axum::http::HeaderMap;
use axum_sockjs::{CloseReason, Options, Session};
use tokio::{sync::mpsc, time::sleep};

use crate::support::{
    NEVER,
    apps::Endpoint,
    client::{Client, Frame, Kind, WAYS, on_each, ways},
    fresh_id,
    http::{Connection, Request},
    pass,
    scene::neighbours_way,
    server::Server,
    until, within,
};

/// Serves as SECURITY.md advises where there is no proxy, with a longer time for heads.
fn serve_as_advised(app: axum::Router) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port of loopback is free");
    listener.set_nonblocking(true).expect("a listener takes options");
    let addr = listener.local_addr().expect("a bound listener has an address");
    let mut server = axum_server::from_tcp(listener).expect("a listener that does not block");
    server
        .http_builder()
        .http1()
        .timer(hyper_util::rt::TokioTimer::new())
        .header_read_timeout(NEVER)
        .half_close(true);
    tokio::spawn(server.serve(app.into_make_service_with_connect_info::<SocketAddr>()));
    addr
}

/// An endpoint served so, and how its sessions end. The handler closes at once where it is told to.
fn advised_endpoint(options: Options) -> (Endpoint, mpsc::UnboundedReceiver<CloseReason>) {
    let (sender, ends) = mpsc::unbounded_channel();
    let handler = move |headers: HeaderMap, session: Session| async move {
        if headers.contains_key("x-close") {
            session.close(3000, "Go away!");
        }
        sender.send(session.closed().await).ok();
    };
    let endpoint = axum_sockjs::SockJs::new(handler).options(crate::support::apps::open_to_all(options));
    let handle = endpoint.handle();
    let addr = serve_as_advised(axum::Router::new().nest_service("/app", endpoint));
    (Endpoint { server: Server::at(addr), handle }, ends)
}

/// hyper's default is to give such a request up when it sees the end in time, and to answer it else. It sees it more often
/// with the client on another thread.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sends_a_request_and_nothing_more_is_answered_where_half_close_is_on() {
    let (endpoint, _ends) = advised_endpoint(Options::new().disconnect_delay(NEVER));
    let close = |request: Request| request.header("X-Close", "1");
    let closed = r#"c[3000,"Go away!"]"#;
    for _ in 0..100 {
        let id = fresh_id();
        for (request, expected) in [
            (Request::get("/app"), "Welcome to SockJS!\n".to_owned()),
            (Request::get("/app/info"), "\"cookie_needed\":false".to_owned()),
            (Request::get("/app/iframe.html"), "<!DOCTYPE html>".to_owned()),
            (close(Request::get(Endpoint::path(&id, "eventsource"))), format!("data: {closed}\r\n\r\n")),
            (Request::get(Endpoint::path(&id, "eventsource")), format!("data: {closed}\r\n\r\n")),
            (Request::post(Endpoint::path(&fresh_id(), "xhr")), "o\n".to_owned()),
            (Request::post(Endpoint::path(&id, "xhr")), format!("{closed}\n")),
            (Request::get(Endpoint::path(&fresh_id(), "jsonp?c=x")), "/**/x(\"o\");\r\n".to_owned()),
            (Request::get("/app/nothing"), String::new()),
        ] {
            let mut connection = endpoint.server.connect().await;
            connection.send(&request).await;
            connection.finish_writing().await;
            let answer = connection.answer(&request.method).await;
            assert!([200, 404].contains(&answer.status), "{answer}");
            assert!(answer.text().contains(&expected), "{}: {answer}", request.target);
        }
    }
}

#[tokio::test]
async fn a_poll_that_waits_is_answered_behind_a_half_close_where_that_is_on() {
    for way in ways(Kind::Poll) {
        let (sessions, mut opened) = mpsc::unbounded_channel();
        let hand_over = move |session: Session| async move { drop(sessions.send(session)) };
        let options = crate::support::apps::open_to_all(Options::new());
        let endpoint = axum_sockjs::SockJs::new(hand_over).options(options);
        let handle = endpoint.handle();
        let server = Server::at(serve_as_advised(axum::Router::new().nest_service("/app", endpoint)));
        let id = fresh_id();
        assert_eq!(way.read(server.ask(&way.receiving(&id)).await.text()), Frame::Open);
        let session = within("a session", opened.recv()).await.unwrap();
        let mut connection = server.connect().await;
        connection.send(&way.receiving(&id)).await;
        connection.finish_writing().await;
        until("a poll that waits", || handle.stats().total().attached == 1).await;
        session.send("late").await.unwrap();
        let answer = connection.answer(way.method).await;
        assert_eq!(way.read(answer.text()), Frame::messages(&["late"]), "{}", way.transport);
    }
}

/// The price: hyper does not look for the end of a connection on which it answers.
#[tokio::test]
async fn with_half_close_a_client_that_goes_is_found_by_the_heartbeats() {
    const HEARTBEAT: u64 = 10;
    const DELAY: u64 = 3;
    on_each(WAYS, async |way| {
        let options = Options::new()
            .heartbeat(Duration::from_secs(HEARTBEAT))
            .disconnect_delay(Duration::from_secs(DELAY));
        let (endpoint, mut ends) = advised_endpoint(options);
        let mut client = Client::open(&endpoint, way).await;
        if way.kind == Kind::Poll {
            client.down.request().await;
        }
        until("its receiver", || endpoint.handle.stats().total().attached == 1).await;
        drop(client);
        if way.kind == Kind::Socket {
            // It is hyper's no more.
            assert_eq!(within("the end", ends.recv()).await, Some(CloseReason::ConnectionLost));
            return;
        }
        let mut passed = 0;
        let end = loop {
            pass(Duration::from_secs(1)).await;
            passed += 1;
            if let Ok(end) = tokio::time::timeout(Duration::from_millis(20), ends.recv()).await {
                break end.unwrap();
            }
            assert!(passed < 10 * HEARTBEAT, "{}: nobody has noticed", way.transport);
        };
        let (expected, after) = match way.kind {
            // It is answered by the heartbeat, and the client does not come back.
            Kind::Poll => (CloseReason::TimedOut, HEARTBEAT + DELAY..=HEARTBEAT + DELAY + 5),
            // The kernel takes what the first one writes, and hears that there is nobody.
            _ => (CloseReason::ConnectionLost, HEARTBEAT + 1..=2 * HEARTBEAT + 5),
        };
        assert_eq!(end, expected, "{}", way.transport);
        assert!(after.contains(&passed), "{}: {passed} s, not {after:?}", way.transport);
    })
    .await;
}

/// One byte of a head after the other keeps a connection, and nothing else: no session, no task but hyper's.
/// With a time limit for heads, which a server has to ask hyper for, not even that.
#[tokio::test]
async fn a_head_that_drips_holds_no_session_and_can_be_timed_out() {
    let options = Options::new().heartbeat(None).disconnect_delay(NEVER);
    let endpoint = axum_sockjs::SockJs::new(crate::support::apps::echo).options(options);
    let handle = endpoint.handle();
    let addr = serve_as_advised(axum::Router::new().nest_service("/app", endpoint));
    for way in WAYS {
        let mut connection = Connection::open(addr).await;
        let head = way.receiving(&fresh_id()).to_bytes();
        let mut bytes = head.chunks(1).take(head.len() - 1).cycle();
        let mut written = 0;
        while connection.try_write(bytes.next().unwrap()).await.is_ok() {
            assert_eq!(handle.len(), 0);
            written += 1;
            assert!(written < 100, "the server goes on waiting for a head that drips");
            sleep(Duration::from_millis(1)).await;
            pass(NEVER / 10).await;
        }
    }
    // Who is quick is served meanwhile, and a stream outlives that time.
    let mut connection = Connection::open(addr).await;
    let way = neighbours_way();
    let id = fresh_id();
    connection.send(&way.receiving(&id)).await;
    connection.head().await;
    connection.chunk().await;
    assert_eq!(way.read(&connection.text_chunk().await), Frame::Open);
    pass(2 * NEVER).await;
    let taken = Connection::open(addr).await.ask(&way.sending(&id, "[\"late\"]")).await;
    way.expect_taken(&taken);
    assert_eq!(way.read(&connection.text_chunk().await), Frame::messages(&["late"]));
}
