//! HTTP/1 as bytes: what a test writes is what the server reads, and every piece of the answer can be seen.

use std::{fmt, io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::within;

pub(crate) const MEGABYTE: usize = 1_000_000;

/// A request to be written to a connection.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    version: &'static str,
    headers: Vec<(String, Vec<u8>)>,
    body: Option<Vec<u8>>,
}

impl Request {
    /// A request without a body, and without any word about one.
    pub(crate) fn new(method: impl Into<String>, target: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            target: target.into(),
            version: "1.1",
            headers: vec![("Host".to_owned(), b"localhost".to_vec())],
            body: None,
        }
    }

    pub(crate) fn get(target: impl Into<String>) -> Self {
        Self::new("GET", target)
    }

    /// A `POST` with an empty body, as browsers announce it.
    pub(crate) fn post(target: impl Into<String>) -> Self {
        Self::new("POST", target).body("")
    }

    pub(crate) fn header(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.header_of_bytes(name, value.into())
    }

    /// A header whose value may be no UTF-8.
    pub(crate) fn header_of_bytes(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Another host than `localhost`; an empty one is none.
    pub(crate) fn host(mut self, host: &str) -> Self {
        self.headers.retain(|(name, _)| name != "Host");
        if host.is_empty() { self } else { self.header("Host", host) }
    }

    /// The same request below another prefix.
    #[cfg(feature = "cluster")]
    pub(crate) fn moved(mut self, from: &str, to: &str) -> Self {
        let rest = self.target.strip_prefix(from).expect("it begins so");
        self.target = format!("{to}{rest}");
        self
    }

    /// A body with `Content-Length`.
    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    pub(crate) fn http10(mut self) -> Self {
        self.version = "1.0";
        self
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/{}\r\n", self.method, self.target, self.version).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(&[name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        if let Some(body) = &self.body {
            bytes.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(self.body.as_deref().unwrap_or_default());
        bytes
    }
}

/// A response; the body is empty where only the head has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) version: String,
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// The value of a header, if it is there; it must not be there twice.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let all = self.headers(name);
        assert!(all.len() < 2, "{name} stands there {} times: {self}", all.len());
        all.first().copied()
    }

    pub(crate) fn headers(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is UTF-8")
    }
}

impl fmt::Display for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "HTTP/{} {}", self.version, self.status)?;
        for (name, value) in &self.headers {
            writeln!(f, "{name}: {value}")?;
        }
        write!(f, "{:?}", String::from_utf8_lossy(&self.body))
    }
}

/// How the end of a body is found.
enum Extent {
    Length(usize),
    Chunked,
    UntilClose,
}

/// One connection to a server.
pub(crate) struct Connection {
    io: TcpStream,
    /// What has been read and not yet been asked for.
    buffer: Vec<u8>,
    /// How many bytes have been asked for.
    taken: usize,
    /// The last request, for messages.
    label: String,
}

impl Connection {
    pub(crate) async fn open(addr: SocketAddr) -> Self {
        let io = within("a connection", TcpStream::connect(addr)).await.expect("the server listens");
        Self::over(io)
    }

    pub(crate) fn over(io: TcpStream) -> Self {
        io.set_nodelay(true).expect("a connected socket takes options");
        Self { io, buffer: Vec::new(), taken: 0, label: "no request yet".to_owned() }
    }

    /// Writes bytes as they are.
    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_write(bytes).await.unwrap_or_else(|error| panic!("writing: {error} ({})", self.label));
    }

    /// Writes bytes to a server that may have hung up.
    pub(crate) async fn try_write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        let write = self.io.write_all(bytes.as_ref());
        within(format_args!("all bytes written ({})", self.label), write).await
    }

    /// Writes a request and does not wait for its answer.
    pub(crate) async fn send(&mut self, request: &Request) {
        self.label = format!("{} {}", request.method, request.target);
        self.write(request.to_bytes()).await;
    }

    /// Writes a request and reads its answer whole.
    pub(crate) async fn ask(&mut self, request: &Request) -> Response {
        self.send(request).await;
        self.answer(&request.method).await
    }

    /// Reads a whole answer to a request with this method.
    pub(crate) async fn answer(&mut self, method: &str) -> Response {
        let mut response = self.head().await;
        if method != "HEAD" {
            response.body = self.body(&response).await;
        }
        response
    }

    /// Reads the head of a response.
    pub(crate) async fn head(&mut self) -> Response {
        let line = self.line("a status line").await;
        let (version, rest) = line
            .strip_prefix("HTTP/")
            .and_then(|rest| rest.split_once(' '))
            .unwrap_or_else(|| panic!("no status line: {line:?} ({})", self.label));
        let status = rest.get(..3).and_then(|code| code.parse().ok());
        let mut response = Response {
            version: version.to_owned(),
            status: status.unwrap_or_else(|| panic!("no status: {line:?}")),
            headers: Vec::new(),
            body: Vec::new(),
        };
        loop {
            let line = self.line("a header").await;
            if line.is_empty() {
                return response;
            }
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no header: {line:?}"));
            response.headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    /// Reads the body that belongs to a head.
    pub(crate) async fn body(&mut self, head: &Response) -> Vec<u8> {
        match extent(head) {
            Extent::Length(length) => self.exactly(length).await,
            Extent::UntilClose => self.rest().await,
            Extent::Chunked => {
                let mut body = Vec::new();
                loop {
                    let chunk = self.chunk().await;
                    if chunk.is_empty() {
                        return body;
                    }
                    body.extend_from_slice(&chunk);
                }
            }
        }
    }

    /// Reads one chunk of a chunked body; the empty one is the last.
    pub(crate) async fn chunk(&mut self) -> Vec<u8> {
        let size = self.line("the size of a chunk").await;
        let size = usize::from_str_radix(&size, 16).unwrap_or_else(|_| panic!("no size: {size:?}"));
        let chunk = self.exactly(size).await;
        assert_eq!(self.exactly(2).await, b"\r\n", "a chunk ends with a line break ({})", self.label);
        chunk
    }

    /// Reads one chunk as text.
    pub(crate) async fn text_chunk(&mut self) -> String {
        String::from_utf8(self.chunk().await).expect("the chunk is UTF-8")
    }

    /// Reads this many bytes.
    pub(crate) async fn exactly(&mut self, length: usize) -> Vec<u8> {
        while self.buffer.len() < length {
            assert!(self.fill("more of a body").await, "the connection ended in a body ({})", self.label);
        }
        self.take(length)
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        self.taken += length;
        self.buffer.drain(..length).collect()
    }

    /// How many bytes of what the server has sent have been taken so far.
    pub(crate) fn taken(&self) -> usize {
        self.taken
    }

    /// Waits until there is something to read, which may have come together with what was read before.
    pub(crate) async fn readable(&self) {
        if !self.buffer.is_empty() {
            return;
        }
        self.io.readable().await.expect("the connection is still there");
    }

    /// Reads until the server closes.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.fill("the end of the connection").await {}
        std::mem::take(&mut self.buffer)
    }

    /// Expects that the server closes without another byte.
    pub(crate) async fn expect_end(&mut self) {
        let rest = self.rest().await;
        assert!(
            rest.is_empty(),
            "bytes before the end: {:?} ({})",
            String::from_utf8_lossy(&rest),
            self.label
        );
    }

    /// Reads until the server closes or resets the connection, whatever it still sends.
    pub(crate) async fn until_gone(&mut self) -> Vec<u8> {
        while let Ok(true) = self.try_fill("the end of the connection").await {}
        std::mem::take(&mut self.buffer)
    }

    /// Says that nothing more will be sent, and goes on reading.
    pub(crate) async fn finish_writing(&mut self) {
        self.io.shutdown().await.expect("the connection is still there");
    }

    /// Goes away with a reset, as a process that crashes with unread bytes does.
    pub(crate) fn abort(self) {
        reset(self.io);
    }

    async fn line(&mut self, what: &str) -> String {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let mut line = self.take(end + 2);
                line.truncate(end);
                return String::from_utf8(line).expect("the line is UTF-8");
            }
            let rest = String::from_utf8_lossy(&self.buffer).into_owned();
            assert!(self.fill(what).await, "the connection ended at {rest:?}: no {what} ({})", self.label);
        }
    }

    async fn fill(&mut self, what: &str) -> bool {
        self.try_fill(what).await.unwrap_or_else(|error| panic!("{error}: no {what} ({})", self.label))
    }

    /// Reads what there is; `false` at the end.
    async fn try_fill(&mut self, what: &str) -> io::Result<bool> {
        self.buffer.reserve(16 << 10);
        let read = self.io.read_buf(&mut self.buffer);
        Ok(within(format_args!("{what} ({})", self.label), read).await? > 0)
    }
}

/// Closes a socket with a reset.
#[allow(
    deprecated,
    reason = "a linger time of zero does not block, and older versions of tokio know no other way"
)]
pub(crate) fn reset(socket: TcpStream) {
    socket.set_linger(Some(Duration::ZERO)).expect("a connected socket takes options");
    drop(socket);
}

fn extent(head: &Response) -> Extent {
    if head.status < 200 || head.status == 204 || head.status == 304 {
        return Extent::Length(0);
    }
    match (head.header("transfer-encoding"), head.header("content-length")) {
        (Some(coding), None) => {
            assert_eq!(coding, "chunked");
            Extent::Chunked
        }
        (None, Some(length)) => Extent::Length(length.parse().expect("a length is a number")),
        (None, None) => Extent::UntilClose,
        (Some(_), Some(_)) => panic!("two ways to find the end of the body: {head}"),
    }
}

/// How a client goes away.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Exit {
    Close,
    Reset,
    /// Says that it will send no more, and waits for the server to hang up.
    HalfClose,
}

pub(crate) const EXITS: [Exit; 3] = [Exit::Close, Exit::Reset, Exit::HalfClose];

pub(crate) async fn leave(mut connection: Connection, exit: Exit) {
    match exit {
        Exit::Close => drop(connection),
        Exit::Reset => connection.abort(),
        Exit::HalfClose => {
            connection.finish_writing().await;
            connection.until_gone().await;
        }
    }
}
