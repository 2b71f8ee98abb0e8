//! A proxy for HTTP/1.1 that does to each request what a test wants.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, copy},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::AbortHandle,
    time::sleep,
};

/// What becomes of a request and of its answer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    Pass,
    /// Passes the request on after this time.
    Delay(Duration),
    /// Passes the request on without its `Upgrade` and `Connection`.
    WithoutUpgrade,
    /// Passes the answer on when it is whole, so that a stream does not arrive until it ends.
    Buffer,
    /// Cuts the connection after so many bytes behind the answer's head: of its body as it is on the wire, or of the
    /// protocol that the connection was upgraded to.
    CutAfter(usize),
    /// Passes the request on, and cuts the connection when the server answers.
    LoseAnswer,
    /// The server does not hear of the request: the client gets this status.
    Answer(u16),
    /// The server does not hear of the request: the connection is closed.
    Close,
    /// The server does not hear of the request, and nothing ever comes back.
    Swallow,
}

#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// The number of its connection, from 0.
    pub(crate) connection: usize,
    pub(crate) method: String,
    /// The path and the query.
    pub(crate) target: String,
    pub(crate) is_upgrade: bool,
}

/// A proxy, which runs until this is dropped.
pub(crate) struct Proxy {
    pub(crate) addr: SocketAddr,
    shared: Arc<Shared>,
    listening: AbortHandle,
}

struct Shared {
    server: SocketAddr,
    rule: Box<dyn Fn(&Request) -> Fault + Send + Sync>,
    is_refusing: AtomicBool,
    opened: AtomicUsize,
    /// Those that were closed, too.
    connections: Mutex<Vec<AbortHandle>>,
    requests: Mutex<Vec<Request>>,
    passed: Mutex<Vec<String>>,
}

impl Proxy {
    /// Starts a proxy in front of `server`. The rule is asked once for each request, when all of it has arrived.
    pub(crate) async fn new(
        server: SocketAddr,
        rule: impl Fn(&Request) -> Fault + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            server,
            rule: Box::new(rule),
            is_refusing: AtomicBool::new(false),
            opened: AtomicUsize::new(0),
            connections: Mutex::default(),
            requests: Mutex::default(),
            passed: Mutex::default(),
        });
        let listening = tokio::spawn(listen(listener, Arc::clone(&shared))).abort_handle();
        Self { addr, shared, listening }
    }

    /// From now on, new connections are closed before a request is read; or no longer.
    pub(crate) fn refuse(&self, refuse: bool) {
        self.shared.is_refusing.store(refuse, Ordering::Relaxed);
    }

    /// Cuts all connections that are open.
    pub(crate) fn cut(&self) {
        for connection in self.shared.connections.lock().unwrap().iter() {
            connection.abort();
        }
    }

    /// The number of connections so far, with those that were refused.
    pub(crate) fn opened(&self) -> usize {
        self.shared.opened.load(Ordering::Relaxed)
    }

    /// The number of connections that are open.
    pub(crate) fn open(&self) -> usize {
        let connections = self.shared.connections.lock().unwrap();
        connections.iter().filter(|connection| !connection.is_finished()).count()
    }

    /// All requests so far, in the order of their arrival.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// Waits until the server has been sent the `count`th request for a path that ends in `end`.
    pub(crate) async fn passed(&self, end: &str, count: usize) {
        let passed = || self.shared.passed.lock().unwrap().iter().filter(|path| path.ends_with(end)).count();
        while passed() < count {
            sleep(Duration::from_millis(1)).await;
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
        self.cut();
    }
}

async fn listen(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        let number = shared.opened.fetch_add(1, Ordering::Relaxed);
        if !shared.is_refusing.load(Ordering::Relaxed) {
            let connection = tokio::spawn(serve(client, number, Arc::clone(&shared))).abort_handle();
            shared.connections.lock().unwrap().push(connection);
        }
    }
}

type Reader = BufReader<OwnedReadHalf>;

fn split(stream: TcpStream) -> (Reader, OwnedWriteHalf) {
    let (read, write) = stream.into_split();
    (BufReader::new(read), write)
}

/// Serves a connection until it ends or is to be cut, by returning.
async fn serve(client: TcpStream, connection: usize, shared: Arc<Shared>) -> io::Result<()> {
    client.set_nodelay(true)?;
    let (mut client, mut to_client) = split(client);
    let mut upstream: Option<(Reader, OwnedWriteHalf)> = None;
    loop {
        // A server that closes a connection between two requests closes it for the client.
        if let Some((server, _)) = &mut upstream {
            unless_ended(server, client.fill_buf()).await??;
        }
        let mut head = read_head(&mut client).await?;
        let mut body = Vec::new();
        let mut framing = Framing::of(&head, Framing::Length(0));
        while let Some(piece) = framing.next(&mut client).await? {
            body.extend(piece);
        }
        let request = Request::new(connection, &head);
        let target = request.target.clone();
        let fault = (shared.rule)(&request);
        shared.requests.lock().unwrap().push(request);
        match fault {
            Fault::Close => return Ok(()),
            Fault::Swallow => {
                copy(&mut client, &mut tokio::io::sink()).await?;
                return Ok(());
            }
            Fault::Answer(status) => {
                let answer =
                    format!("HTTP/1.1 {status} Refused\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                return to_client.write_all(answer.as_bytes()).await;
            }
            Fault::Delay(time) => unless_ended(&mut client, sleep(time)).await?,
            Fault::WithoutUpgrade => head = without(&head, &["upgrade", "connection"]),
            Fault::Pass | Fault::Buffer | Fault::CutAfter(_) | Fault::LoseAnswer => {}
        }
        if upstream.is_none() {
            let server = TcpStream::connect(shared.server).await?;
            server.set_nodelay(true)?;
            upstream = Some(split(server));
        }
        let Some((server, to_server)) = &mut upstream else { return Ok(()) };
        to_server.write_all(&[head.as_bytes(), &body].concat()).await?;
        shared.passed.lock().unwrap().push(target);

        let answer = unless_ended(&mut client, read_head(server)).await??;
        let mut rest = u64::MAX;
        match fault {
            Fault::LoseAnswer => return Ok(()),
            Fault::CutAfter(bytes) => rest = bytes as u64,
            _ => {}
        }
        let status = answer.split(' ').nth(1).unwrap_or_default();
        if status == "101" {
            to_client.write_all(answer.as_bytes()).await?;
            let mut limited = server.take(rest);
            // The end of either direction is that of both.
            tokio::select! {
                _ = copy(&mut client, to_server) => {}
                _ = copy(&mut limited, &mut to_client) => {}
            }
            return Ok(());
        }
        let otherwise = if ["204", "304"].contains(&status) { Framing::Length(0) } else { Framing::UntilEnd };
        let mut framing = Framing::of(&answer, otherwise);
        let until_end = matches!(framing, Framing::UntilEnd);
        let mut held = answer.into_bytes();
        if !matches!(fault, Fault::Buffer) {
            to_client.write_all(&std::mem::take(&mut held)).await?;
        }
        while let Some(piece) = unless_ended(&mut client, framing.next(server)).await?? {
            let part = &piece[..piece.len().min(usize::try_from(rest).unwrap_or(usize::MAX))];
            held.extend_from_slice(part);
            if !matches!(fault, Fault::Buffer) {
                to_client.write_all(&std::mem::take(&mut held)).await?;
            }
            rest -= part.len() as u64;
            if rest == 0 {
                return Ok(());
            }
        }
        to_client.write_all(&held).await?;
        if until_end {
            return Ok(());
        }
    }
}

/// Waits for `future` as long as the other side, of which nothing is expected, keeps its connection.
async fn unless_ended<T>(side: &mut Reader, future: impl Future<Output = T>) -> io::Result<T> {
    let mut future = pin!(future);
    tokio::select! {
        biased;
        value = &mut future => Ok(value),
        bytes = side.fill_buf() => match bytes? {
            [] => Err(io::ErrorKind::UnexpectedEof.into()),
            // It is early, and has to wait.
            _ => Ok(future.await),
        },
    }
}

/// Reads a head with the empty line behind it.
async fn read_head(reader: &mut Reader) -> io::Result<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(head)
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut headers = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    headers.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

fn without(head: &str, names: &[&str]) -> String {
    let is_kept = |line: &&str| {
        let name = line.split(':').next().unwrap_or_default();
        !names.iter().any(|dropped| name.eq_ignore_ascii_case(dropped))
    };
    head.split_inclusive("\r\n").filter(is_kept).collect()
}

impl Request {
    fn new(connection: usize, head: &str) -> Self {
        let mut line = head.split(' ').map(str::to_owned);
        Self {
            connection,
            method: line.next().unwrap_or_default(),
            target: line.next().unwrap_or_default(),
            is_upgrade: header(head, "upgrade").is_some(),
        }
    }
}

/// What is left of a body.
enum Framing {
    Length(u64),
    /// What is left of a chunk, with the line end behind it.
    Chunk(u64),
    UntilEnd,
}

impl Framing {
    fn of(head: &str, otherwise: Self) -> Self {
        if header(head, "transfer-encoding").is_some() {
            return Self::Chunk(0);
        }
        header(head, "content-length").and_then(|length| length.parse().ok()).map_or(otherwise, Self::Length)
    }

    /// The next bytes of the body as they are on the wire.
    async fn next(&mut self, reader: &mut Reader) -> io::Result<Option<Vec<u8>>> {
        let left = match self {
            Self::Length(0) => return Ok(None),
            Self::Chunk(0) => {
                let mut line = String::new();
                reader.read_line(&mut line).await?;
                let size = line.split(';').next().unwrap_or_default().trim();
                let size = u64::from_str_radix(size, 16).map_err(io::Error::other)?;
                if size == 0 {
                    while reader.read_line(&mut line).await? > 2 {}
                    *self = Self::Length(0);
                } else {
                    *self = Self::Chunk(size.saturating_add(2));
                }
                return Ok(Some(line.into_bytes()));
            }
            Self::Length(left) | Self::Chunk(left) => *left,
            Self::UntilEnd => u64::MAX,
        };
        let bytes = reader.fill_buf().await?;
        let piece = bytes[..bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX))].to_vec();
        reader.consume(piece.len());
        match self {
            Self::UntilEnd if piece.is_empty() => return Ok(None),
            _ if piece.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
            Self::UntilEnd => {}
            Self::Length(left) | Self::Chunk(left) => *left -= piece.len() as u64,
        }
        Ok(Some(piece))
    }
}
