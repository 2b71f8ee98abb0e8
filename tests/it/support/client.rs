//! One client for every transport: a new transport is one more row in [`WAYS`].

use std::net::SocketAddr;

use axum_sockjs::Transport;
#[cfg(feature = "websocket")]
use futures_util::{
    SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
#[cfg(feature = "websocket")]
use tokio_tungstenite::tungstenite::{Message as WsMessage, Utf8Bytes};

use super::{
    apps::Endpoint,
    fresh_id,
    http::{Connection, Request, Response},
};
#[cfg(feature = "websocket")]
use super::{within, ws};

/// How one transport looks from outside.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) transport: Transport,
    pub(crate) kind: Kind,
    /// Whether its messages travel in SockJS frames.
    pub(crate) framed: bool,
    pub(crate) method: &'static str,
    /// The end of its URL, with the query it needs.
    pub(crate) receive: &'static str,
    /// The end of the URL that takes messages; a socket has none.
    send: &'static str,
    /// Takes a frame out of what is around it, to the byte.
    unwrap: fn(&str) -> Option<String>,
}

/// How the frames of a transport travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Socket,
    /// Many to a response, each in one chunk or, if it is long, several.
    Stream,
    /// One to a response.
    Poll,
}

/// Every transport.
pub(crate) static WAYS: &[Way] = &[
    #[cfg(feature = "websocket")]
    Way {
        transport: Transport::WebSocket,
        kind: Kind::Socket,
        framed: true,
        method: "GET",
        receive: "websocket",
        send: "",
        unwrap: bare,
    },
    #[cfg(feature = "websocket")]
    Way {
        transport: Transport::RawWebSocket,
        kind: Kind::Socket,
        framed: false,
        method: "GET",
        receive: "",
        send: "",
        unwrap: bare,
    },
    Way {
        transport: Transport::XhrStreaming,
        kind: Kind::Stream,
        framed: true,
        method: "POST",
        receive: "xhr_streaming",
        send: "xhr_send",
        unwrap: line,
    },
    Way {
        transport: Transport::EventSource,
        kind: Kind::Stream,
        framed: true,
        method: "GET",
        receive: "eventsource",
        send: "xhr_send",
        unwrap: event,
    },
    Way {
        transport: Transport::HtmlFile,
        kind: Kind::Stream,
        framed: true,
        method: "GET",
        receive: "htmlfile?c=callback",
        send: "xhr_send",
        unwrap: script,
    },
    Way {
        transport: Transport::XhrPolling,
        kind: Kind::Poll,
        framed: true,
        method: "POST",
        receive: "xhr",
        send: "xhr_send",
        unwrap: line,
    },
    Way {
        transport: Transport::JsonpPolling,
        kind: Kind::Poll,
        framed: true,
        method: "GET",
        receive: "jsonp?c=callback",
        send: "jsonp_send",
        unwrap: call,
    },
];

impl Way {
    /// Reads the chunks of the next frame of a stream; `None` at its end.
    async fn streamed(&self, connection: &mut Connection) -> Option<String> {
        let mut frame = Vec::new();
        loop {
            let chunk = connection.chunk().await;
            if chunk.is_empty() {
                assert!(frame.is_empty(), "{} ended within a frame", self.transport);
                return None;
            }
            frame.extend(chunk);
            match std::str::from_utf8(&frame) {
                Ok(text) if (self.unwrap)(text).is_some() => return Some(text.to_owned()),
                _ => {}
            }
        }
    }

    /// The request that receives, of an HTTP transport.
    pub(crate) fn receiving(&self, id: &str) -> Request {
        let request = Request::new(self.method, Endpoint::path(id, self.receive));
        if self.method == "POST" { request.body("") } else { request }
    }

    /// The request that opens a session, on the transports that have ids under this one.
    pub(crate) fn opening(&self, id: &str) -> Request {
        match self.kind {
            #[cfg(feature = "websocket")]
            Kind::Socket if self.framed => ws::handshake(Endpoint::path(id, self.receive)),
            #[cfg(feature = "websocket")]
            Kind::Socket => ws::handshake("/app/websocket"),
            _ => self.receiving(id),
        }
    }

    /// The request that sends a payload, of an HTTP transport.
    pub(crate) fn sending(&self, id: &str, payload: impl AsRef<[u8]>) -> Request {
        let payload = payload.as_ref();
        let request = Request::post(Endpoint::path(id, self.send));
        if self.send == "jsonp_send" {
            request
                .header("Content-Type", "application/x-www-form-urlencoded")
                .body(format!("d={}", percent_encode(payload)))
        } else {
            request.header("Content-Type", "text/plain").body(payload)
        }
    }

    /// Expects the answer to a sending request whose messages were taken.
    pub(crate) fn expect_taken(&self, response: &Response) {
        let taken = if self.send == "jsonp_send" { (200, "ok") } else { (204, "") };
        assert_eq!((response.status, response.text()), taken, "{}: {response}", self.transport);
    }

    /// Reads a frame out of what this transport wraps it in.
    pub(crate) fn read(&self, text: &str) -> Frame {
        let frame = self.try_read(text);
        frame.unwrap_or_else(|| panic!("not in the way of {}: {text:?}", self.transport))
    }

    /// The same, if all of it is there.
    pub(crate) fn try_read(&self, text: &str) -> Option<Frame> {
        (self.unwrap)(text).map(|frame| Frame::parse(&frame))
    }
}

/// The transports made of HTTP requests.
pub(crate) fn http_ways() -> impl Iterator<Item = &'static Way> {
    WAYS.iter().filter(|way| way.kind != Kind::Socket)
}

#[cfg(feature = "websocket")]
pub(crate) fn sockets() -> impl Iterator<Item = &'static Way> {
    ways(Kind::Socket)
}

pub(crate) fn ways(kind: Kind) -> impl Iterator<Item = &'static Way> {
    WAYS.iter().filter(move |way| way.kind == kind)
}

/// One that polls.
pub(crate) fn poll_way() -> &'static Way {
    ways(Kind::Poll).next().expect("there is one")
}

/// Runs `check` for each transport; when one fails, the output names it.
pub(crate) async fn on_each(ways: impl IntoIterator<Item = &'static Way>, check: impl AsyncFn(&'static Way)) {
    struct Name(Transport);
    impl Drop for Name {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("failed on the transport {}", self.0);
            }
        }
    }
    for way in ways {
        let _name = Name(way.transport);
        check(way).await;
    }
}

#[cfg(feature = "websocket")]
fn bare(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn line(text: &str) -> Option<String> {
    Some(text.strip_suffix('\n')?.to_owned())
}

/// What sockjs-client makes of an event: it undoes percent-encoding.
fn event(text: &str) -> Option<String> {
    let mut encoded = text.strip_prefix("data: ")?.strip_suffix("\r\n\r\n")?;
    let mut frame = String::new();
    while let Some((before, behind)) = encoded.split_once('%') {
        frame.push_str(before);
        frame.push(char::from(u8::from_str_radix(behind.get(..2)?, 16).ok()?));
        encoded = &behind[2..];
    }
    Some(frame + encoded)
}

fn script(text: &str) -> Option<String> {
    let literal = text.strip_prefix("<script>\np(")?.strip_suffix(");\n</script>\r\n")?;
    // Every string literal that the server makes is JSON too.
    serde_json::from_str(literal).ok()
}

fn call(text: &str) -> Option<String> {
    serde_json::from_str(text.strip_prefix("/**/callback(")?.strip_suffix(");\r\n")?).ok()
}

/// What a client receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    Open,
    /// `h`, or on the raw WebSocket a ping.
    Heartbeat,
    Messages(Vec<String>),
    Close(u16, String),
    /// A WebSocket's own close frame; 1005 stands for one without a code.
    Goodbye(u16, String),
    /// The connection is at its end, or has broken.
    #[cfg(feature = "websocket")]
    Gone,
}

impl Frame {
    pub(crate) fn messages(messages: &[impl AsRef<str>]) -> Self {
        Self::Messages(messages.iter().map(|message| message.as_ref().to_owned()).collect())
    }

    /// What a close looks like on this transport.
    pub(crate) fn close(way: &Way, code: u16, reason: impl Into<String>) -> Self {
        if way.framed { Self::Close(code, reason.into()) } else { Self::Goodbye(code, reason.into()) }
    }

    pub(crate) fn parse(frame: &str) -> Self {
        let parsed = match frame {
            "o" => Some(Self::Open),
            "h" => Some(Self::Heartbeat),
            _ => match frame.split_at_checked(1) {
                Some(("a", array)) => serde_json::from_str(array).ok().map(Self::Messages),
                Some(("c", array)) => {
                    serde_json::from_str(array).ok().map(|(code, reason)| Self::Close(code, reason))
                }
                _ => None,
            },
        };
        parsed.unwrap_or_else(|| panic!("no SockJS frame: {frame:?}"))
    }
}

/// A client of one session.
pub(crate) struct Client {
    pub(crate) way: &'static Way,
    pub(crate) up: Up,
    pub(crate) down: Down,
}

/// The half that sends.
pub(crate) struct Up {
    way: &'static Way,
    link: UpLink,
}

enum UpLink {
    Requests(Requests),
    #[cfg(feature = "websocket")]
    Socket(SplitSink<ws::Socket, WsMessage>),
}

/// The half that receives.
pub(crate) struct Down {
    pub(crate) way: &'static Way,
    link: DownLink,
}

enum DownLink {
    Requests(Requests),
    #[cfg(feature = "websocket")]
    Socket(SplitStream<ws::Socket>),
}

/// Requests of one session, one after the other, on one connection for as long as it lasts.
struct Requests {
    addr: SocketAddr,
    id: String,
    connection: Option<Connection>,
    /// A response is being waited for, or its body read.
    running: bool,
}

impl Requests {
    fn new(addr: SocketAddr, id: &str) -> Self {
        Self { addr, id: id.to_owned(), connection: None, running: false }
    }

    async fn connection(&mut self) -> &mut Connection {
        if self.connection.is_none() {
            self.connection = Some(Connection::open(self.addr).await);
        }
        self.connection.as_mut().expect("it is there now")
    }
}

impl Client {
    /// Opens a session: `o` has come when this returns, or on the raw WebSocket the handshake is done.
    pub(crate) async fn open(endpoint: &Endpoint, way: &'static Way) -> Self {
        Self::open_as(endpoint, way, &fresh_id()).await
    }

    /// Opens a session under an id, on the transports that have one.
    pub(crate) async fn open_as(endpoint: &Endpoint, way: &'static Way, id: &str) -> Self {
        let mut client = Self::unopened(endpoint, way, id).await;
        if way.framed {
            assert_eq!(client.frame().await, Frame::Open, "{}", way.transport);
        }
        client
    }

    /// A client that has not asked for anything; a WebSocket has done its handshake.
    pub(crate) async fn unopened(endpoint: &Endpoint, way: &'static Way, id: &str) -> Self {
        let addr = endpoint.server.addr;
        #[cfg(feature = "websocket")]
        if way.kind == Kind::Socket {
            let target =
                if way.framed { Endpoint::path(id, way.receive) } else { "/app/websocket".to_owned() };
            let (sink, stream) = ws::open(addr, &target).await.split();
            return Self {
                way,
                up: Up { way, link: UpLink::Socket(sink) },
                down: Down { way, link: DownLink::Socket(stream) },
            };
        }
        Self {
            way,
            up: Up { way, link: UpLink::Requests(Requests::new(addr, id)) },
            down: Down::new(addr, way, id),
        }
    }

    /// Sends a batch of messages; it has been taken when this returns, except on a WebSocket.
    pub(crate) async fn send(&mut self, messages: &[impl AsRef<str>]) {
        self.up.send(messages).await;
    }

    /// The next frame.
    pub(crate) async fn frame(&mut self) -> Frame {
        self.down.frame().await
    }

    /// Receives this many messages, in however many frames they come.
    pub(crate) async fn messages(&mut self, count: usize) -> Vec<String> {
        self.down.messages(count).await
    }

    /// Pings over a WebSocket, and waits for the answer, which comes when all before it has been read.
    #[cfg(feature = "websocket")]
    pub(crate) async fn ping(&mut self) {
        self.up.send_ws(WsMessage::Ping("ping".into())).await;
        let DownLink::Socket(stream) = &mut self.down.link else { panic!("only a socket pings") };
        let answer = within("a pong", stream.next()).await;
        assert!(matches!(answer, Some(Ok(WsMessage::Pong(_)))), "{answer:?} where a pong was expected");
    }

    /// Breaks the receiving connection off: with a reset, or as a process that ends does.
    pub(crate) fn abort(self, with_reset: bool) {
        match (self.up.link, self.down.link) {
            #[cfg(feature = "websocket")]
            (UpLink::Socket(sink), DownLink::Socket(stream)) => {
                let socket = sink.reunite(stream).expect("both halves are of one socket").into_inner();
                if with_reset {
                    super::http::reset(socket);
                }
            }
            (_, DownLink::Requests(Requests { connection: Some(connection), .. })) if with_reset => {
                connection.abort();
            }
            _ => {}
        }
    }
}

impl Up {
    pub(crate) async fn send(&mut self, messages: &[impl AsRef<str>]) {
        if self.way.framed {
            let messages: Vec<&str> = messages.iter().map(AsRef::as_ref).collect();
            let payload = serde_json::to_string(&messages).expect("strings are JSON");
            self.send_payload(payload).await;
        } else {
            for message in messages {
                self.send_payload(message.as_ref()).await;
            }
        }
    }

    /// Sends what is a JSON array, or, on the raw WebSocket, one message.
    pub(crate) async fn send_payload(&mut self, payload: impl AsRef<str>) {
        let payload = payload.as_ref();
        match &mut self.link {
            UpLink::Requests(_) => {
                let response = self.post(payload.as_bytes()).await;
                self.way.expect_taken(&response);
            }
            #[cfg(feature = "websocket")]
            UpLink::Socket(sink) => {
                let message = WsMessage::Text(Utf8Bytes::from(payload));
                within("a message sent", sink.send(message)).await.expect("the socket is open");
            }
        }
    }

    /// Posts bytes in the way of the transport, and gives the answer, whatever it is.
    pub(crate) async fn post(&mut self, payload: &[u8]) -> Response {
        match &mut self.link {
            UpLink::Requests(requests) => {
                let request = self.way.sending(&requests.id, payload);
                requests.connection().await.ask(&request).await
            }
            #[cfg(feature = "websocket")]
            UpLink::Socket(_) => panic!("a socket does not post"),
        }
    }

    /// Sends a message of any kind on a WebSocket.
    #[cfg(feature = "websocket")]
    pub(crate) async fn send_ws(&mut self, message: WsMessage) {
        match &mut self.link {
            UpLink::Socket(sink) => {
                within("a message sent", sink.send(message)).await.expect("the socket is open");
            }
            UpLink::Requests(_) => panic!("only a socket sends WebSocket messages"),
        }
    }
}

impl Down {
    /// A receiver for a session that is there already, of an HTTP transport.
    pub(crate) fn new(addr: SocketAddr, way: &'static Way, id: &str) -> Self {
        Self { way, link: DownLink::Requests(Requests::new(addr, id)) }
    }

    /// Sends the receiving request, if none is running. A stream is read up to its prelude.
    pub(crate) async fn request(&mut self) {
        let way = self.way;
        let requests = self.requests();
        if requests.running {
            return;
        }
        let request = way.receiving(&requests.id);
        let connection = requests.connection().await;
        connection.send(&request).await;
        if way.kind == Kind::Stream {
            let head = connection.head().await;
            assert_eq!(head.status, 200, "{}: {head}", way.transport);
            assert!(!connection.chunk().await.is_empty(), "{} begins with a prelude", way.transport);
        }
        requests.running = true;
    }

    pub(crate) async fn frame(&mut self) -> Frame {
        let text = match &mut self.link {
            DownLink::Requests(_) => self.frame_as_it_comes().await,
            #[cfg(feature = "websocket")]
            DownLink::Socket(stream) => match socket_frame(stream, self.way.framed).await {
                Ok(text) => text,
                Err(other) => return other,
            },
        };
        self.way.read(&text)
    }

    pub(crate) async fn messages(&mut self, count: usize) -> Vec<String> {
        let mut all = Vec::new();
        while all.len() < count {
            match self.frame().await {
                Frame::Messages(messages) => all.extend(messages),
                other => panic!("{other:?} where a message was expected, after {} of them", all.len()),
            }
        }
        all
    }

    /// The next frame with all that its transport puts around it, from a request or from the one that runs.
    pub(crate) async fn frame_as_it_comes(&mut self) -> String {
        loop {
            self.request().await;
            let way = self.way;
            let requests = self.requests();
            let connection = requests.connection().await;
            if way.kind == Kind::Poll {
                let response = connection.answer(way.method).await;
                assert_eq!(response.status, 200, "{}: {response}", way.transport);
                requests.running = false;
                return response.text().to_owned();
            }
            if let Some(frame) = way.streamed(connection).await {
                return frame;
            }
            requests.running = false;
        }
    }

    fn requests(&mut self) -> &mut Requests {
        match &mut self.link {
            DownLink::Requests(requests) => requests,
            #[cfg(feature = "websocket")]
            DownLink::Socket(_) => panic!("a socket sends no requests"),
        }
    }
}

/// The next text of a WebSocket, or what else came.
#[cfg(feature = "websocket")]
async fn socket_frame(stream: &mut SplitStream<ws::Socket>, framed: bool) -> Result<String, Frame> {
    loop {
        return match within("a WebSocket message", stream.next()).await {
            Some(Ok(WsMessage::Text(text))) if framed => Ok(text.as_str().to_owned()),
            Some(Ok(WsMessage::Text(text))) => Err(Frame::messages(&[text.as_str()])),
            Some(Ok(WsMessage::Ping(_))) if !framed => Err(Frame::Heartbeat),
            Some(Ok(WsMessage::Close(None))) => Err(Frame::Goodbye(1005, String::new())),
            Some(Ok(WsMessage::Close(Some(frame)))) => {
                Err(Frame::Goodbye(frame.code.into(), frame.reason.as_str().to_owned()))
            }
            Some(Ok(WsMessage::Binary(data))) => panic!("binary data: {data:?}"),
            Some(Ok(_)) => continue,
            None | Some(Err(_)) => Err(Frame::Gone),
        };
    }
}

/// Percent-encodes all but letters and digits.
pub(crate) fn percent_encode(bytes: &[u8]) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(bytes.len() * 3);
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() {
            encoded.push(char::from(byte));
        } else {
            let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
            encoded.extend(['%', char::from(digits[0]), char::from(digits[1])]);
        }
    }
    encoded
}

/// The most messages of a batch, by default.
pub(crate) const BATCH: usize = 1000;

/// The payload of a batch.
pub(crate) fn array(messages: &[String]) -> Vec<u8> {
    serde_json::to_vec(messages).expect("strings are JSON")
}

#[test]
fn every_transport_has_a_row() {
    let rows: Vec<Transport> = WAYS.iter().map(|way| way.transport).collect();
    let all: Vec<Transport> = Transport::ALL
        .iter()
        .copied()
        .filter(|transport| {
            cfg!(feature = "websocket")
                || !matches!(transport, Transport::WebSocket | Transport::RawWebSocket)
        })
        .collect();
    assert_eq!(rows, all);
}
