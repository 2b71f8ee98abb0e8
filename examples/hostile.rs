//! Measures what two hostile clients cost the server. Linux only, on loopback, for a bounded time.
//!
//! `cargo run --release --example hostile -- bodies [--http2] [--seconds 43] [--most 1024]`: opens a session, sends it
//! eight bodies of 1 MiB but for the last byte of each, and leaves, with ten such clients at a time to an endpoint of
//! ten sessions (`--max-sessions`). The bodies stay unfinished, `--most` of them at once; over HTTP/2 they are the
//! streams of one connection.
//!
//! `cargo run --release --example hostile -- sessions [--seconds 10] [--max-sessions N]`: opens sessions by one poll each
//! and leaves them, as fast as the machine does it, at an endpoint with the default options.
//!
//! The server is a process of its own. What is printed are its sessions, the handlers that run, and its memory.

use std::{
    error::Error,
    net::SocketAddr,
    process::Stdio,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body, http::Request, routing::get, serve::ListenerExt as _};
use axum_sockjs::{Options, Session, SockJs};
use clap::Parser;
use futures_util::{StreamExt as _, stream};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const PATIENCE: Duration = Duration::from_secs(60);

/// What the default options allow a body, and a session at once.
const BODY: usize = 1 << 20;
const SENDS: usize = 8;
/// How many clients send bodies that they do not finish.
const CLIENTS: usize = 10;

/// Connections that open sessions, and requests on each before it reads the answers.
const CONNECTIONS: usize = 32;
const PIPELINED: usize = 16;

#[derive(Parser)]
struct Args {
    #[arg(value_parser = ["bodies", "sessions"])]
    what: String,
    #[arg(long)]
    http2: bool,
    #[arg(long, default_value = "10", default_value_if("what", "bodies", "43"))]
    seconds: u64,
    #[arg(long, default_value_t = 1024)]
    most: usize,
    /// As many as there are clients, where they send bodies.
    #[arg(long, default_value_if("what", "bodies", "10"))]
    max_sessions: Option<usize>,
    /// The server, which another process starts.
    #[arg(long, hide = true)]
    serve: bool,
}

// The server.

async fn echo(mut session: Session) {
    while let Some(message) = session.recv().await {
        if session.send(message).await.is_err() {
            break;
        }
    }
}

async fn serve(args: Args) -> Result<()> {
    let mut options = Options::new();
    if let Some(max_sessions) = args.max_sessions {
        options = options.max_sessions(max_sessions);
    }
    let endpoint = SockJs::new(echo).options(options);
    let handle = endpoint.handle();
    let numbers = move || async move { format!("{} {}", handle.len(), handle.stats().handlers) };
    let app = Router::new().route("/numbers", get(numbers)).nest_service("/echo", endpoint);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    axum::serve(listener.tap_io(|tcp| _ = tcp.set_nodelay(true)), app).await?;
    Ok(())
}

/// A server in a process of its own.
struct Server {
    process: Child,
    addr: SocketAddr,
    start: Instant,
}

impl Server {
    async fn start(args: &Args) -> Result<Self> {
        // A descriptor for each body; a shell may raise the limit, which takes no unsafe code here.
        let files = args.most + 200;
        let mut process = Command::new("sh")
            .args(["-c", &format!("ulimit -n {files}; exec \"$0\" \"$@\"")])
            .arg(std::env::current_exe()?)
            .args([&args.what, "--serve"])
            .args(args.max_sessions.iter().flat_map(|limit| ["--max-sessions".to_owned(), limit.to_string()]))
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = process.stdout.take().ok_or("no output")?;
        let mut line = String::new();
        timeout(PATIENCE, BufReader::new(stdout).read_line(&mut line)).await??;
        Ok(Self { process, addr: line.trim().parse()?, start: Instant::now() })
    }

    /// The sessions and handlers of now.
    async fn numbers(&self) -> Result<String> {
        let mut stream = TcpStream::connect(self.addr).await?;
        let request = b"GET /numbers HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await?;
        let mut answer = String::new();
        timeout(PATIENCE, stream.read_to_string(&mut answer)).await??;
        let numbers = answer.rsplit("\r\n\r\n").next().and_then(|body| body.split_once(' '));
        let (sessions, handlers) = numbers.ok_or("no numbers")?;
        Ok(format!("{sessions:>8} sessions {handlers:>8} handlers"))
    }

    /// A line of `/proc/PID/status`, in MiB.
    fn memory(&self, line: &str) -> Result<usize> {
        let pid = self.process.id().ok_or("the server has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let value = status.lines().find_map(|text| text.strip_prefix(line)).ok_or("no such line")?;
        let kib: usize = value.trim_matches([':', ' ', '\t', 'k', 'B']).parse()?;
        Ok(kib >> 10)
    }

    async fn report(&self, what: &str) -> Result<()> {
        println!(
            "{:>6.1} s {} {:>6} MiB, peak {:>6} MiB   {what}",
            self.start.elapsed().as_secs_f64(),
            self.numbers().await?,
            self.memory("VmRSS")?,
            self.memory("VmHWM")?,
        );
        Ok(())
    }
}

// Bodies that are never finished.

/// What is open until it is dropped.
#[allow(dead_code, reason = "it is only held")]
enum Held {
    Connection(TcpStream),
    Answer(hyper::Response<hyper::body::Incoming>),
}

/// How requests travel.
#[derive(Clone)]
enum Link {
    Http1(SocketAddr),
    Http2(SendRequest<Body>),
}

impl Link {
    async fn open(addr: SocketAddr, http2: bool) -> Result<Self> {
        if !http2 {
            return Ok(Self::Http1(addr));
        }
        let io = TokioIo::new(TcpStream::connect(addr).await?);
        let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await?;
        tokio::spawn(connection);
        Ok(Self::Http2(sender))
    }

    /// Opens a session by a stream; `None` where there is no room.
    async fn receive(&self, id: &str) -> Result<Option<Held>> {
        match self {
            Self::Http1(addr) => {
                let mut stream = TcpStream::connect(addr).await?;
                let head = format!(
                    "POST /echo/000/{id}/xhr_streaming HTTP/1.1\r\nHost: {addr}\r\nContent-Length: 0\r\n\r\n"
                );
                stream.write_all(head.as_bytes()).await?;
                let mut first = [0; 12];
                timeout(PATIENCE, stream.read_exact(&mut first)).await??;
                Ok((first[9] == b'2').then_some(Held::Connection(stream)))
            }
            Self::Http2(sender) => {
                let request = post(&format!("{id}/xhr_streaming"), Body::empty())?;
                let answer = timeout(PATIENCE, sender.clone().send_request(request)).await??;
                Ok(answer.status().is_success().then_some(Held::Answer(answer)))
            }
        }
    }

    /// Sends a body but for its last byte. It stays so until the task is dropped, or the server answers.
    async fn send(self, id: String) -> Result<()> {
        let mut body = vec![b'x'; BODY - 1];
        body[..2].copy_from_slice(b"[\"");
        match self {
            Self::Http1(addr) => {
                let mut stream = TcpStream::connect(addr).await?;
                let head = format!(
                    "POST /echo/000/{id}/xhr_send HTTP/1.1\r\nHost: {addr}\r\nContent-Length: {BODY}\r\n\r\n"
                );
                stream.write_all(head.as_bytes()).await?;
                stream.write_all(&body).await?;
                let mut answer = [0; 1024];
                while stream.read(&mut answer).await? > 0 {}
            }
            Self::Http2(mut sender) => {
                let body = stream::iter([Ok::<_, std::io::Error>(body)]).chain(stream::pending());
                sender.ready().await?;
                let answer = sender.send_request(post(&format!("{id}/xhr_send"), Body::from_stream(body))?);
                drop(answer.await?);
            }
        }
        Ok(())
    }
}

fn post(path: &str, body: Body) -> Result<Request<Body>> {
    Ok(Request::post(format!("http://localhost/echo/000/{path}")).body(body)?)
}

/// The sends that are open.
type Sends = Arc<Mutex<JoinSet<Result<()>>>>;

/// Opens, sends and leaves, over and over.
async fn come_and_go(
    link: Link,
    client: usize,
    sends: Sends,
    most: usize,
    rounds: Arc<AtomicUsize>,
) -> Result<()> {
    for round in 0.. {
        let id = format!("{client}-{round}");
        let Some(receiver) = link.receive(&id).await? else {
            sleep(Duration::from_millis(200)).await;
            continue;
        };
        for _ in 0..SENDS {
            let mut sends = sends.lock().unwrap_or_else(PoisonError::into_inner);
            while sends.try_join_next().is_some() {}
            if sends.len() < most {
                sends.spawn(link.clone().send(id.clone()));
            }
        }
        // The bodies arrive.
        sleep(Duration::from_millis(300)).await;
        drop(receiver);
        rounds.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

async fn bodies(server: &Server, args: &Args) -> Result<()> {
    let link = Link::open(server.addr, args.http2).await?;
    let (sends, rounds) = (Sends::default(), Arc::new(AtomicUsize::new(0)));
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        clients.spawn(come_and_go(link.clone(), client, sends.clone(), args.most, rounds.clone()));
    }
    let told = || {
        let mut sends = sends.lock().unwrap_or_else(PoisonError::into_inner);
        while sends.try_join_next().is_some() {}
        format!("{} sessions left so far, {} bodies open", rounds.load(Ordering::Relaxed), sends.len())
    };
    let end = Instant::now() + Duration::from_secs(args.seconds);
    while Instant::now() < end {
        sleep_until(end.min(Instant::now() + Duration::from_secs(5))).await;
        server.report(&told()).await?;
    }
    if let Some(failed) = clients.try_join_next() {
        failed??;
    }
    clients.shutdown().await;
    // The disconnect delay, and a little more.
    sleep(Duration::from_secs(8)).await;
    server.report(&format!("the last has left: {}", told())).await?;
    sends.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    drop(link);
    sleep(Duration::from_secs(3)).await;
    server.report("the connections are closed").await
}

// Sessions that are opened and left.

/// How many answers to how many requests opened a session.
#[derive(Default)]
struct Answers {
    opened: AtomicUsize,
    refused: AtomicUsize,
}

/// Opens sessions on one connection until the time is over.
async fn open_and_leave(addr: SocketAddr, client: usize, answers: Arc<Answers>, end: Instant) -> Result<()> {
    let mut stream = TcpStream::connect(addr).await?;
    stream.set_nodelay(true)?;
    let mut number = 0_usize;
    let mut read = Vec::with_capacity(64 << 10);
    while Instant::now() < end {
        let mut requests = String::new();
        for _ in 0..PIPELINED {
            number += 1;
            requests += &format!(
                "POST /echo/000/{client}-{number}/xhr HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
            );
        }
        stream.write_all(requests.as_bytes()).await?;
        read.clear();
        while !is_whole(&read) {
            if timeout(PATIENCE, stream.read_buf(&mut read)).await?? == 0 {
                return Err("the server has hung up".into());
            }
        }
        let opened = count(&read, b"HTTP/1.1 200");
        answers.opened.fetch_add(opened, Ordering::Relaxed);
        answers.refused.fetch_add(PIPELINED - opened, Ordering::Relaxed);
    }
    Ok(())
}

fn count(text: &[u8], what: &[u8]) -> usize {
    text.windows(what.len()).filter(|window| *window == what).count()
}

/// Whether all answers are there, each of which ends with a line of text.
fn is_whole(answers: &[u8]) -> bool {
    answers.ends_with(b"\n") && !answers.ends_with(b"\r\n") && count(answers, b"HTTP/1.1 ") == PIPELINED
}

async fn sessions(server: &Server, args: &Args) -> Result<()> {
    let answers = Arc::new(Answers::default());
    let end = Instant::now() + Duration::from_secs(args.seconds);
    let mut clients = JoinSet::new();
    for client in 0..CONNECTIONS {
        clients.spawn(open_and_leave(server.addr, client, answers.clone(), end));
    }
    let told = || {
        let count = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        format!("{} opened, {} refused", count(&answers.opened), count(&answers.refused))
    };
    while Instant::now() < end {
        sleep_until(end.min(Instant::now() + Duration::from_secs(1))).await;
        server.report(&told()).await?;
    }
    while let Some(client) = clients.join_next().await {
        client??;
    }
    server.report(&format!("nobody opens any more: {}", told())).await?;
    sleep(Duration::from_secs(8)).await;
    server.report("all have timed out").await
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    if args.serve {
        return serve(args).await;
    }
    let mut server = Server::start(&args).await?;
    match &*args.what {
        "bodies" => bodies(&server, &args).await?,
        _ => sessions(&server, &args).await?,
    }
    server.process.kill().await?;
    Ok(())
}
