//! Measures what WebSocket clients that mean harm cost the others, and what idle sockets keep. Linux only.
//!
//! ```text
//! cargo run --release --example hostile_sockets -- fragments [--connections 24] [--seconds 5]
//! cargo run --release --example hostile_sockets -- pongs-after-close [--connections 24] [--seconds 5]
//! cargo run --release --example hostile_sockets -- idle [--connections 200]
//! ```
//!
//! The server is a process of its own on loopback, with one worker thread.
//!
//! `fragments` opens connections that send empty fragments of a message without end, as fast as they are read;
//! `pongs-after-close` those that send empty pongs once the server has closed, and come again when it is over.
//! `messages`, `pings` and `large` are there to compare. Another client sends 64 bytes every 5 ms and waits for the
//! echo: the table has its round trips without and with them.
//!
//! `idle` opens connections that send up to 917 KB in some way, one after the other, then only pongs. When each has
//! been sent a heartbeat or two, the table says by how much the server's resident memory has grown for each, beside
//! connections that have sent nothing.

use std::{
    error::Error,
    net::SocketAddr,
    process::Stdio,
    time::{Duration, Instant},
};

use axum::Router;
use axum_sockjs::{Options, Session, SockJs};
use clap::Parser;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    task::JoinSet,
    time::{sleep, timeout},
};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const PATIENCE: Duration = Duration::from_secs(60);
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How much a flood writes at once.
const CHUNK: usize = 64 << 10;

#[derive(Parser)]
struct Args {
    /// fragments, pongs-after-close, messages, pings, large or idle.
    command: String,
    #[arg(long)]
    connections: Option<usize>,
    #[arg(long, default_value_t = 5)]
    seconds: u64,
}

// The server.

async fn echo(mut session: Session) {
    while let Some(message) = session.recv().await {
        if session.send(message).await.is_err() {
            break;
        }
    }
}

async fn sink(mut session: Session) {
    while session.recv().await.is_some() {}
}

async fn close(session: Session) {
    session.close(3000, "Go away!");
    session.closed().await;
}

async fn serve() -> Result<()> {
    let app = Router::new()
        .nest_service("/echo", SockJs::new(echo))
        .nest_service("/sink", SockJs::new(sink).options(Options::new().heartbeat(HEARTBEAT)))
        .nest_service("/close", SockJs::new(close));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

struct Server {
    process: Child,
    addr: SocketAddr,
}

impl Server {
    async fn start() -> Result<Self> {
        Self::run(&mut Command::new(std::env::current_exe()?)).await
    }

    /// One whose memory goes back to the system as soon as it is freed, by a setting of glibc: else what was once in
    /// use would count as kept.
    async fn start_frugal() -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.env("MALLOC_MMAP_THRESHOLD_", "512").env("MALLOC_MMAP_MAX_", "1000000");
        Self::run(&mut command).await
    }

    async fn run(command: &mut Command) -> Result<Self> {
        let mut process = command.arg("serve").stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().ok_or("no output")?).read_line(&mut line).await?;
        Ok(Self { process, addr: line.trim().parse()? })
    }

    /// Resident memory in KiB.
    fn memory(&self) -> Result<u64> {
        let id = self.process.id().ok_or("the server has gone")?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.trim_end_matches("kB").trim().parse()?)
    }
}

// The clients.

/// A connection behind its handshake and the open frame.
async fn open(addr: SocketAddr, endpoint: &str, id: usize) -> Result<TcpStream> {
    let mut io = TcpStream::connect(addr).await?;
    io.set_nodelay(true)?;
    let request = format!(
        "GET /{endpoint}/000/{id}/websocket HTTP/1.1\r\nHost: {addr}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n\r\n"
    );
    io.write_all(request.as_bytes()).await?;
    read_until(&mut io, b"\r\n\r\n\x81\x01o").await?;
    Ok(io)
}

/// Reads until these bytes have come, byte by byte where it may matter.
async fn read_until(io: &mut TcpStream, wanted: &[u8]) -> Result<()> {
    let mut seen = Vec::new();
    while !seen.ends_with(wanted) {
        seen.push(timeout(PATIENCE, io.read_u8()).await??);
    }
    Ok(())
}

/// A frame, masked with zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        short @ 0..126 => frame.push(0x80 | short as u8),
        medium @ 126..0x1_0000 => {
            frame.push(0x80 | 126);
            frame.extend((medium as u16).to_be_bytes());
        }
        long => {
            frame.push(0x80 | 127);
            frame.extend((long as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend_from_slice(payload);
    frame
}

const FIN: u8 = 0x80;
const TEXT: u8 = 1;
const PING: u8 = 9;
const PONG: u8 = 10;

/// One client's flood: where, how it begins, and what follows without end.
#[derive(Clone)]
struct Flood {
    endpoint: &'static str,
    first: Vec<u8>,
    then: Vec<u8>,
}

impl Flood {
    fn named(name: &str) -> Option<Self> {
        let (endpoint, first, then) = match name {
            "fragments" => ("sink", frame(TEXT, b""), frame(0, b"")),
            "pongs-after-close" => ("close", Vec::new(), frame(FIN | PONG, b"")),
            "messages" => ("sink", Vec::new(), frame(FIN | TEXT, b"")),
            "pings" => ("sink", Vec::new(), frame(FIN | PING, b"")),
            "large" => ("sink", Vec::new(), frame(FIN | TEXT, &json(1, 16 << 10))),
            _ => return None,
        };
        Some(Self { endpoint, first, then })
    }
}

/// Floods until it is dropped.
async fn flood(addr: SocketAddr, flood: Flood, number: usize) {
    let chunk = flood.then.repeat((CHUNK / flood.then.len()).max(1));
    for turn in 0_usize.. {
        let id = number + turn * 1000;
        let Ok(mut io) = open(addr, flood.endpoint, id).await else { return };
        if io.write_all(&flood.first).await.is_err() {
            continue;
        }
        let (mut reads, mut writes) = io.split();
        let mut scratch = [0; 4 << 10];
        tokio::select! {
            () = async { while let Ok(()) = writes.write_all(&chunk).await {} } => {}
            () = async { while let Ok(1..) = reads.read(&mut scratch).await {} } => {}
        }
    }
}

/// The round trips of a client that does no harm, sorted.
async fn round_trips(io: &mut TcpStream, time: Duration) -> Result<Vec<Duration>> {
    let sent = frame(FIN | TEXT, &json(1, 60));
    let mut echo = [0; 2 + 65];
    let start = Instant::now();
    let mut times = Vec::new();
    while start.elapsed() < time || times.is_empty() {
        let before = Instant::now();
        io.write_all(&sent).await?;
        timeout(PATIENCE, io.read_exact(&mut echo)).await??;
        times.push(before.elapsed());
        sleep(Duration::from_millis(5)).await;
    }
    times.sort_unstable();
    Ok(times)
}

fn print_round_trips(what: &str, times: &[Duration]) {
    let at = |part: f64| {
        let index = ((times.len() - 1) as f64 * part) as usize;
        times.get(index).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
    };
    println!("| {what} | {} | {:.2} ms | {:.2} ms | {:.2} ms |", times.len(), at(0.5), at(0.99), at(1.0));
}

async fn measure_flood(args: &Args, pattern: Flood) -> Result<()> {
    let server = Server::start().await?;
    let mut victim = open(server.addr, "echo", 0).await?;
    let time = Duration::from_secs(args.seconds);
    println!("| {} | round trips | p50 | p99 | most |\n|---|---|---|---|---|", args.command);
    print_round_trips("alone", &round_trips(&mut victim, time).await?);
    let connections = args.connections.unwrap_or(24);
    let mut floods = JoinSet::new();
    for number in 1..=connections {
        floods.spawn(flood(server.addr, pattern.clone(), number));
    }
    sleep(Duration::from_secs(1)).await;
    let beside = round_trips(&mut victim, time).await?;
    print_round_trips(&format!("beside {connections}"), &beside);
    Ok(())
}

/// A JSON array of so many strings of this length.
fn json(strings: usize, length: usize) -> Vec<u8> {
    let string = format!("\"{}\"", "x".repeat(length));
    format!("[{}]", vec![string; strings].join(",")).into_bytes()
}

fn in_fragments(payload: &[u8], size: usize) -> Vec<u8> {
    let mut bytes = frame(TEXT, b"");
    for part in payload.chunks(size) {
        bytes.extend(frame(0, part));
    }
    bytes.extend(frame(FIN, b""));
    bytes
}

async fn measure_idle(args: &Args) -> Result<()> {
    let connections = args.connections.unwrap_or(200);
    let large = json(10, 91_700);
    let cases = [
        ("nothing", Vec::new()),
        ("one frame of 917 KB", frame(FIN | TEXT, &large)),
        (
            "a message in two frames, one frame of 917 KB",
            [in_fragments(b"[]", 2), frame(FIN | TEXT, &large)].concat(),
        ),
        ("917 KB in fragments of 64 KiB", in_fragments(&large, 64 << 10)),
        ("917 KB in fragments of 100 bytes", in_fragments(&large, 100)),
        ("917 KB in two frames with a pong between", {
            let (first, second) = large.split_at(1000);
            [frame(TEXT, first), frame(FIN | PONG, b""), frame(FIN, second)].concat()
        }),
        ("1,000 messages in one frame", frame(FIN | TEXT, &json(1000, 900))),
        ("10,000 pongs of 125 bytes", frame(FIN | PONG, &[0; 125]).repeat(10_000)),
    ];
    println!("| {connections} sockets that have sent | KiB for each |\n|---|---|");
    for (name, burst) in cases {
        let server = Server::start_frugal().await?;
        let start = server.memory()?;
        let mut sockets = Vec::new();
        for number in 0..connections {
            let mut io = open(server.addr, "sink", number).await?;
            io.write_all(&burst).await?;
            // One after the other.
            io.write_all(&frame(FIN | PING, b"all")).await?;
            read_until(&mut io, b"all").await?;
            sleep(Duration::from_millis(5)).await;
            sockets.push(io);
        }
        // Reads heartbeats and answers them by a pong, as any client does.
        let end = Instant::now() + 2 * HEARTBEAT + Duration::from_secs(1);
        let mut readers = JoinSet::new();
        for mut io in sockets {
            readers.spawn(async move {
                let mut scratch = [0; 512];
                while let Ok(Ok(1..)) =
                    timeout(end.saturating_duration_since(Instant::now()), io.read(&mut scratch)).await
                {
                    if io.write_all(&frame(FIN | PONG, b"")).await.is_err() {
                        break;
                    }
                }
                io
            });
        }
        let sockets = readers.join_all().await;
        println!("| {name} | {} |", server.memory()?.saturating_sub(start) / connections as u64);
        drop(sockets);
    }
    Ok(())
}

fn main() -> Result<()> {
    let args = Args::parse();
    let workers = if args.command == "serve" { 1 } else { 2 };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()?;
    let main = async move {
        match (args.command.as_str(), Flood::named(&args.command)) {
            ("serve", _) => serve().await,
            ("idle", _) => measure_idle(&args).await,
            (_, Some(pattern)) => measure_flood(&args, pattern).await,
            (other, None) => Err(format!("unknown command {other}").into()),
        }
    };
    // In a task, as all else.
    runtime.block_on(async { tokio::spawn(main).await? })
}
