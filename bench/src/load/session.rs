//! One session as sockjs-client holds it, over any transport.

use std::{
    collections::VecDeque,
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use super::{
    Run, Shape, Spec,
    connection::Connection,
    http,
    incoming::{Check, Incoming},
    messages::{Checker, MaskedFrame, Template, Text, shown},
    stomp,
    transport::Transport,
    websocket,
};

/// A key and its answer, from RFC 6455, section 1.3: nothing here needs it to be new.
const KEY: (&str, &str) = ("dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
const MASK: [u8; 4] = [0x5a, 0xc3, 0x17, 0x8e];

/// How messages leave.
#[derive(Debug)]
enum Outgoing {
    /// Each in its own frame, written at once.
    Frames(MaskedFrame),
    /// As they are, written at once.
    Bare(Template),
    /// All that wait, in the body of one request at a time.
    Posts { element: Template, waiting: u64, texts: Vec<String>, connection: Option<Box<Posting>> },
}

/// The connection of sending requests.
#[derive(Debug)]
struct Posting {
    connection: Connection,
    reader: http::Reader,
    outstanding: bool,
    status: u16,
}

pub(crate) struct Session {
    run: Arc<Run>,
    transport: Transport,
    target: SocketAddr,
    number: usize,
    /// The path of the session.
    path: String,
    receiving: Connection,
    /// The next connection, after an answer that ended the last one.
    reconnecting: Option<Pin<Box<dyn Future<Output = io::Result<Connection>> + Send>>>,
    reader: http::Reader,
    status: u16,
    upgraded: bool,
    /// What has arrived of the stream's next frames, or of a fragmented message.
    stream: Vec<u8>,
    consumed: usize,
    outgoing: Outgoing,
    incoming: Incoming,
    /// When the messages were sent that have not come back.
    sent_at: VecDeque<Instant>,
    sent: u64,
}

impl Session {
    pub(crate) async fn connect(run: Arc<Run>, number: usize) -> Result<Self, String> {
        let Spec { ref path, transport, body, size, shape, content, .. } = run.spec;
        let target = run.spec.target(number);
        let receiving = Connection::connect(target, number).await?;
        let text = content.outgoing(Text::new(body, size, number), size, shape, number);
        let expected = Text::new(body, size, shape.sender(number));
        let expected = content.incoming(expected, size, shape, number);
        let check = match content.is_stomp() {
            true => Check::Stomp(stomp::Checker::new(&expected)),
            false => Check::Text(Checker::new(&expected, transport.quoting())),
        };
        let posts = |element| Outgoing::Posts { element, waiting: 0, texts: Vec::new(), connection: None };
        let outgoing = match transport {
            Transport::WebSocket => Outgoing::Frames(Template::frame(&text, true, MASK)),
            Transport::RawWebSocket => Outgoing::Frames(Template::frame(&text, false, MASK)),
            Transport::Tcp => Outgoing::Bare(Template::quoted(&text, 0)),
            Transport::JsonpPolling => posts(Template::form(&text)),
            _ => posts(Template::quoted(&text, u8::from(!transport.is_plain()))),
        };
        let path = match transport {
            Transport::RawWebSocket => path.clone(),
            _ => format!("{path}/{:03}/{}", number % 1000, run.session_id(number)),
        };
        let mut session = Self {
            transport,
            target,
            number,
            path,
            receiving,
            reconnecting: None,
            reader: http::Reader::default(),
            status: 0,
            upgraded: false,
            stream: Vec::new(),
            consumed: 0,
            outgoing,
            incoming: Incoming::new(check, content.steps(shape, number)),
            sent_at: VecDeque::new(),
            sent: 0,
            run,
        };
        if transport == Transport::Tcp {
            session.incoming.start();
        }
        session.request();
        Ok(session)
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    pub(crate) fn received(&self) -> u64 {
        self.incoming.check.received()
    }

    /// Ready when the session is open.
    pub(crate) fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), String>> {
        while !self.incoming.opened {
            let received = self.poll_receive(cx)?.is_ready();
            let posted = self.poll_post(cx)?.is_ready();
            if !received && !posted {
                return Poll::Pending;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Works until nothing more is to be done before the next wake-up.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Result<(), String> {
        loop {
            let received = self.poll_receive(cx)?.is_ready();
            let posted = self.poll_post(cx)?.is_ready();
            if !received && !posted {
                return Ok(());
            }
        }
    }

    /// Sends a number of messages, as an application does that calls `send` so often.
    pub(crate) fn send(&mut self, messages: u64, now: Instant) {
        for _ in 0..messages {
            self.sent_at.push_back(now);
        }
        self.sent += messages;
        match &mut self.outgoing {
            Outgoing::Frames(frame) => {
                for _ in 0..messages {
                    self.receiving.write.extend_from_slice(frame.bytes());
                    frame.advance();
                }
            }
            Outgoing::Bare(message) => {
                for _ in 0..messages {
                    self.receiving.write.extend_from_slice(message.bytes());
                    message.advance();
                }
            }
            Outgoing::Posts { waiting, .. } => *waiting += messages,
        }
    }

    /// Connects what sends, if the transport needs a second connection for that.
    pub(crate) async fn prepare_to_send(&mut self) -> Result<(), String> {
        if let Outgoing::Posts { connection: none @ None, .. } = &mut self.outgoing {
            let connection = Connection::connect(self.target, self.number).await?;
            let reader = http::Reader::default();
            *none = Some(Box::new(Posting { connection, reader, outstanding: false, status: 0 }));
        }
        Ok(())
    }

    /// Ready when all that was sent is taken by the server; reads nothing of what it answers.
    pub(crate) fn poll_posted(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), String>> {
        while self.poll_post(cx)?.is_ready() {}
        match &self.outgoing {
            Outgoing::Posts { waiting: 0, texts, connection: Some(posting), .. }
                if texts.is_empty() && !posting.outstanding =>
            {
                Poll::Ready(Ok(()))
            }
            _ => Poll::Pending,
        }
    }

    /// Says one thing more than the messages.
    fn say(&mut self, text: String) {
        match &mut self.outgoing {
            Outgoing::Frames(_) if self.transport == Transport::RawWebSocket => {
                websocket::text(&mut self.receiving.write, text.as_bytes(), MASK);
            }
            Outgoing::Frames(_) => {
                let array = serde_json::to_vec(&[text]).expect("a string is JSON");
                websocket::text(&mut self.receiving.write, &array, MASK);
            }
            Outgoing::Bare(_) => self.receiving.write.extend_from_slice(text.as_bytes()),
            Outgoing::Posts { texts, .. } => texts.push(text),
        }
    }

    /// Closes the connection that sends, when all is taken that was said.
    pub(crate) async fn only_receive(&mut self) -> Result<(), String> {
        if matches!(self.outgoing, Outgoing::Posts { .. }) {
            poll_fn(|cx| self.poll_posted(cx)).await?;
        }
        if let Outgoing::Posts { connection, .. } = &mut self.outgoing {
            *connection = None;
        }
        Ok(())
    }

    fn request(&mut self) {
        let (method, file) = self.transport.receive();
        let path = &self.path;
        let more = match self.transport {
            Transport::Tcp => return,
            Transport::WebSocket | Transport::RawWebSocket => &format!(
                "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: {}\r\n",
                KEY.0
            ),
            _ if method == "POST" => "Content-Length: 0\r\n",
            _ => "",
        };
        let request = format!(
            "{method} {path}/{file} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\n{more}\r\n",
            host = self.target
        );
        self.receiving.write.extend_from_slice(request.as_bytes());
    }

    /// Reads once and takes what has arrived; pending when nothing has.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, String> {
        let lost = |error: io::Error| format!("receiving: {error}");
        if let Some(connection) = &mut self.reconnecting {
            match connection.as_mut().poll(cx).map_err(lost)? {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(connection) => self.receiving = connection,
            }
            self.reconnecting = None;
            self.reader = http::Reader::default();
            self.request();
        }
        let _ = self.receiving.poll_flush(cx).map_err(lost)?;
        let mut ended = false;
        let Poll::Ready(more) = self.receiving.poll_read(cx).map_err(lost)? else { return Ok(Poll::Pending) };
        if !more {
            if !self.reader.ends_with_connection() {
                return Err("the connection that receives has ended".to_owned());
            }
            ended = true;
        }
        let before = self.received();
        match self.transport {
            _ if ended => self.end_of_answer()?,
            Transport::Tcp => self.take_bare()?,
            Transport::WebSocket | Transport::RawWebSocket if self.upgraded => self.take_websocket()?,
            Transport::WebSocket | Transport::RawWebSocket => self.take_upgrade()?,
            _ => self.take_http()?,
        }
        let received = self.received() - before;
        if received > 0 || self.incoming.heartbeats > 0 {
            self.count(received);
        }
        for text in std::mem::take(&mut self.incoming.to_say) {
            self.say(text);
        }
        let _ = self.receiving.poll_flush(cx).map_err(lost)?;
        Ok(Poll::Ready(()))
    }

    /// Counts what has arrived, and sends as much as is to be in flight.
    fn count(&mut self, received: u64) {
        let now = Instant::now();
        let own = if self.run.spec.shape == Shape::Echo { received as usize } else { 0 };
        let others = self.run.sent_at(self.received() - received..self.received());
        let heartbeats = std::mem::take(&mut self.incoming.heartbeats);
        self.run.count(received, heartbeats, now, self.sent_at.drain(..own).chain(others));
        self.run.count_of_pair(self.number, received);
        let more = self.run.follow(received);
        if more > 0 {
            self.send(more, now);
        }
    }

    fn take_bare(&mut self) -> Result<(), String> {
        let size = self.run.spec.size;
        if self.run.spec.in_flight == 0 {
            // Nothing was sent that could come back: these are heartbeats.
            let bytes = self.receiving.read.filled().len();
            self.receiving.read.take(bytes);
            self.incoming.heartbeats += bytes as u64;
        }
        while self.receiving.read.filled().len() >= size {
            self.incoming.bare(self.receiving.read.take(size))?;
        }
        Ok(())
    }

    fn take_upgrade(&mut self) -> Result<(), String> {
        let bytes = self.receiving.read.filled();
        let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else { return Ok(()) };
        let head = self.receiving.read.take(end + 4);
        let text = String::from_utf8_lossy(head).to_lowercase();
        if !text.starts_with("http/1.1 101") || !text.contains(&KEY.1.to_lowercase()) {
            return Err(format!("no upgrade: {}", shown(head)));
        }
        self.upgraded = true;
        if self.transport == Transport::RawWebSocket {
            self.incoming.start();
        }
        self.take_websocket()
    }

    fn take_websocket(&mut self) -> Result<(), String> {
        while let Some(header) = websocket::Header::of_whole_frame(&self.receiving.read)? {
            let frame = self.receiving.read.take(header.header_len + header.payload_len);
            let payload = &frame[header.header_len..];
            match header.kind {
                Some(websocket::Kind::Ping) => {
                    websocket::control(&mut self.receiving.write, 10, payload);
                    self.run.count_ping();
                }
                Some(websocket::Kind::Pong) => {}
                Some(websocket::Kind::Close) => return Err(format!("closed: {}", shown(payload))),
                Some(websocket::Kind::Text | websocket::Kind::Binary) if header.fin => {
                    if self.transport == Transport::RawWebSocket {
                        self.incoming.bare(payload)?;
                    } else {
                        self.incoming.frame(payload)?;
                    }
                }
                _ => {
                    self.stream.extend_from_slice(payload);
                    if header.fin {
                        let whole = std::mem::take(&mut self.stream);
                        if self.transport == Transport::RawWebSocket {
                            self.incoming.bare(&whole)?;
                        } else {
                            self.incoming.frame(&whole)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn take_http(&mut self) -> Result<(), String> {
        while let Some(event) = self.reader.next(&mut self.receiving.read)? {
            match event {
                http::Event::Head { status } => self.status = status,
                http::Event::Data(data) => self.stream.extend_from_slice(data),
                http::Event::End => {
                    self.end_of_answer()?;
                    if self.reconnecting.is_some() {
                        return Ok(());
                    }
                }
            }
        }
        if self.status == 200 {
            self.take_frames()?;
        }
        Ok(())
    }

    /// Asks for the next answer.
    fn end_of_answer(&mut self) -> Result<(), String> {
        if self.status != 200 {
            return Err(format!("a receiving request got {}: {}", self.status, shown(&self.stream)));
        }
        self.take_frames()?;
        if !self.stream.is_empty() {
            return Err(format!("half a frame: {}", shown(&self.stream)));
        }
        self.status = 0;
        if self.reader.keep_alive() {
            self.request();
        } else {
            self.reconnecting = Some(Box::pin(Connection::open(self.target, self.number)));
        }
        Ok(())
    }

    fn take_frames(&mut self) -> Result<(), String> {
        while let Some((frame, next)) = self.transport.frame(&self.stream[self.consumed..])? {
            let frame = &self.stream[self.consumed..][frame];
            if self.transport.is_plain() && self.incoming.opened && frame != b"h" {
                self.incoming.bare(frame)?;
            } else {
                self.incoming.frame(frame)?;
            }
            self.consumed += next;
        }
        if self.consumed == self.stream.len() {
            self.stream.clear();
            self.consumed = 0;
        } else if self.consumed > 0 {
            self.stream.drain(..self.consumed);
            self.consumed = 0;
        }
        Ok(())
    }

    /// Posts what waits, and takes the answer; pending when there is nothing to do.
    fn poll_post(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, String> {
        let Outgoing::Posts { element, waiting, texts, connection: Some(posting) } = &mut self.outgoing
        else {
            return Ok(Poll::Pending);
        };
        let lost = |error: io::Error| format!("sending: {error}");
        if !posting.outstanding {
            let to = &mut posting.connection.write;
            if !texts.is_empty() {
                let array = serde_json::to_vec(&std::mem::take(texts)).expect("strings are JSON");
                write_post_head(to, self.transport, self.target, &self.path, array.len());
                to.extend_from_slice(&array);
            } else if *waiting > 0 {
                write_post(to, self.transport, self.target, &self.path, element, *waiting);
                *waiting = 0;
            } else {
                return Ok(Poll::Pending);
            }
            posting.outstanding = true;
        }
        let _ = posting.connection.poll_flush(cx).map_err(lost)?;
        let Poll::Ready(more) = posting.connection.poll_read(cx).map_err(lost)? else {
            return Ok(Poll::Pending);
        };
        if !more {
            return Err("the connection that sends has ended".to_owned());
        }
        while let Some(event) = posting.reader.next(&mut posting.connection.read)? {
            match event {
                http::Event::Head { status } => posting.status = status,
                http::Event::Data(_) => {}
                http::Event::End => {
                    if !matches!(posting.status, 200 | 204) {
                        return Err(format!("a sending request got {}", posting.status));
                    }
                    if !posting.reader.keep_alive() {
                        return Err("a sending request's answer ended its connection".to_owned());
                    }
                    posting.outstanding = false;
                }
            }
        }
        Ok(Poll::Ready(()))
    }
}

fn write_post_head(to: &mut Vec<u8>, transport: Transport, target: SocketAddr, path: &str, length: usize) {
    use std::io::Write as _;
    let (file, content_type) = transport.send();
    write!(
        to,
        "POST {path}/{file} HTTP/1.1\r\nHost: {target}\r\nOrigin: http://{target}\r\n\
         Content-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n"
    )
    .expect("a vector takes all");
}

fn write_post(
    to: &mut Vec<u8>,
    transport: Transport,
    target: SocketAddr,
    path: &str,
    element: &mut Template,
    messages: u64,
) {
    let (start, separator, end) = transport.batch();
    let length = start.len()
        + end.len()
        + element.bytes().len() * messages as usize
        + separator.len() * (messages as usize - 1);
    write_post_head(to, transport, target, path, length);
    to.extend_from_slice(start.as_bytes());
    for message in 0..messages {
        if message > 0 {
            to.extend_from_slice(separator.as_bytes());
        }
        to.extend_from_slice(element.bytes());
        element.advance();
    }
    to.extend_from_slice(end.as_bytes());
}
