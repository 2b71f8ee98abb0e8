//! A server for conformance tests: STOMP over WebSocket at `/ws`, over SockJS at `/sockjs`, and over TCP.
//!
//! Clients may send anywhere, and queues are competing. A client that gives a `login` has to be guest, with the passcode
//! guest. When it serves, it prints one line.
//!
//! | destination | answer |
//! |---|---|
//! | SEND `/app/echo` | the body, to `/user/queue/echo` of this session only |
//! | SEND `/app/whoami` | the name of the user, or nothing, there as well |
//! | SEND `/app/broadcast/{room}` | the body, to `/topic/room/{room}` |
//! | SEND `/app/slow` | none; it takes 400 ms |
//! | SEND `/app/fail` | fails with "boom" |
//! | SUBSCRIBE `/app/hello` | `hello` |

use std::{error::Error, io, net::SocketAddr, num::NonZero, time::Duration};

use axum::{BoxError, Router};
use axum_sockjs::{ClientScript, Origins};
use axum_stomp::{
    ByteString, Bytes, ClientSend, Credentials, Encoded, Headers, Login, OnError, Path, Payload, Rejection,
    SendTo, SendToUser, Stomp, StompOptions, User,
    broker::memory::{MemoryBroker, QueueMode},
};
use clap::Parser;
use tokio::net::TcpListener;

/// A STOMP server for conformance tests.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where WebSocket and SockJS clients connect.
    #[arg(long, default_value = "127.0.0.1:8082")]
    addr: SocketAddr,
    /// Where TCP clients connect.
    #[arg(long, default_value = "127.0.0.1:61613")]
    tcp: SocketAddr,
    /// How long a body may be, in bytes.
    #[arg(long)]
    max_body: Option<usize>,
    /// The script of sockjs-client, for the iframe pages.
    #[arg(long, value_name = "FILE", value_parser = |file: &str| ClientScript::from_file(file))]
    client: Option<ClientScript>,
    /// How many threads work; unless given, one for each processor.
    #[arg(long)]
    workers: Option<NonZero<usize>>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(workers) = arguments.workers {
        runtime.worker_threads(workers.get());
    }
    Ok(runtime.enable_all().build()?.block_on(serve(arguments))?)
}

async fn serve(arguments: Arguments) -> io::Result<()> {
    let mut options = StompOptions::new().client_send(ClientSend::HANDLERS.broker(true).users(true));
    if let Some(bytes) = arguments.max_body {
        // A client that reads slowly gets some of the longest messages.
        options = options.max_body_bytes(bytes).outbound_bytes(bytes.saturating_mul(4).max(512 << 10));
    }
    let server = Stomp::new()
        .options(options)
        .broker(MemoryBroker::builder().queue_mode(QueueMode::Competing).build())
        .on_connect(connect)
        .on_error(|error, _| OnError::tell(error.to_string()))
        .message("/echo", echo)
        .message("/whoami", whoami)
        .message("/broadcast/{room}", broadcast)
        .message("/slow", slow)
        .message("/fail", fail)
        .subscribe("/hello", hello)
        .build();
    let mut options = server.sockjs_options().origins(Origins::any());
    if let Some(client) = arguments.client {
        options = options.client_script(client);
    }
    let sockjs = server.sockjs_with(options);
    let app = Router::new().route_service("/ws", sockjs.raw_websocket()).merge(sockjs.into_router("/sockjs"));
    let (http, tcp) = (TcpListener::bind(arguments.addr).await?, TcpListener::bind(arguments.tcp).await?);
    println!("ready: http {}, tcp {}", http.local_addr()?, tcp.local_addr()?);
    let http = axum::serve(http, app.into_make_service_with_connect_info::<SocketAddr>());
    tokio::select! {
        result = http.into_future() => result,
        result = server.tcp(tcp, ()).into_future() => result,
    }
}

async fn connect(credentials: Option<Credentials>) -> Result<Login, Rejection> {
    let Some(Credentials { login, passcode }) = credentials else { return Ok(Login::anonymous()) };
    if (&*login, passcode.as_deref()) != ("guest", Some("guest")) {
        return Err(Rejection::new("wrong login or passcode"));
    }
    Ok(Login::new(login))
}

async fn echo(headers: Headers, body: Bytes) -> SendToUser<Encoded> {
    let mut answer = Encoded::new(body);
    if let Some(content_type) = headers.get_shared("content-type") {
        answer = answer.content_type(content_type.clone());
    }
    SendToUser::new("/queue/echo", answer).this_session_only()
}

async fn whoami(user: Option<User>) -> SendToUser<ByteString> {
    let name = user.map_or_else(ByteString::new, |User(name)| name);
    SendToUser::new("/queue/echo", name).this_session_only()
}

async fn broadcast(Path(room): Path<String>, body: Bytes) -> SendTo<impl Payload> {
    SendTo::new(format!("/topic/room/{room}"), Encoded::new(body))
}

async fn slow() {
    tokio::time::sleep(Duration::from_millis(400)).await;
}

async fn fail() -> Result<(), BoxError> {
    Err("boom".into())
}

async fn hello() -> &'static str {
    "hello"
}
