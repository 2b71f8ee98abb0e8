//! Measures what clients that stop reading cost the server, and those that read. Linux only.
//!
//! `cargo run --release --example stalled -- [--stalled 1000] [--reading 1000] [--transport websocket]
//! [--queue 262144] [--seconds 10]`, with `websocket` or `xhr_streaming`.
//!
//! A server in a process of its own sends each reading client ten messages of 256 bytes a second, first alone,
//! then beside clients that were sent messages of 64 KiB until their queues were full. The write timeout is
//! off, so that they stay: their memory is the most that they can hold, and is given back when they go.

use std::{
    error::Error,
    net::SocketAddr,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::Router;
use axum_sockjs::{Message, Options, Sender, Session, SockJs};
use clap::Parser;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpSocket, TcpStream},
    process::{Child, Command},
    task::JoinSet,
    time::{sleep, timeout},
};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const PATIENCE: Duration = Duration::from_secs(60);
const FLOOD: usize = 64 << 10;
/// Small buffers in the kernel, so that what is held is held by the server.
const KERNEL: u32 = 16 << 10;
/// What a connection may hold of what has left its queue: one frame, and hyper's or the WebSocket's buffer.
const CONNECTION: usize = (128 << 10) + FLOOD + (416 << 10);

#[derive(Parser)]
struct Args {
    #[arg(long, default_value_t = 1000)]
    stalled: usize,
    #[arg(long, default_value_t = 1000)]
    reading: usize,
    #[arg(long, value_parser = ["websocket", "xhr_streaming"], default_value = "websocket")]
    transport: String,
    #[arg(long, value_name = "BYTES", default_value_t = 256 << 10)]
    queue: usize,
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// The server, which another process starts.
    #[arg(long, hide = true)]
    serve: bool,
}

fn nanos() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

// The server.

type Room = Arc<Mutex<Vec<Sender>>>;

/// Sends until nothing moves any more.
async fn flood(session: Session) {
    let message = Message::from("x".repeat(FLOOD));
    let mut full = 0;
    while full < 20 {
        match session.try_send(message.clone()) {
            Ok(()) => full = 0,
            Err(_) => {
                full += 1;
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
    session.closed().await;
}

async fn publish(room: Room) {
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    loop {
        ticks.tick().await;
        let mut room = room.lock().unwrap_or_else(PoisonError::into_inner);
        room.retain(|sender| sender.close_reason().is_none());
        // Each gets its own, stamped when it is sent.
        for sender in room.iter() {
            let _ = sender.try_send(format!("T{:020}{}", nanos(), "x".repeat(235)));
        }
    }
}

async fn serve(args: Args) -> Result<()> {
    let options = Options::new().send_queue_bytes(args.queue).write_timeout(None).pong_timeout(None);
    let room = Room::default();
    tokio::spawn(publish(room.clone()));
    let join = move |session: Session| {
        room.lock().unwrap_or_else(PoisonError::into_inner).push(session.sender());
        async move { drop(session.closed().await) }
    };
    let stalled = SockJs::new(flood).options(options.clone().response_limit(1 << 20));
    let reading = SockJs::new(join).options(options.response_limit(1 << 30));
    let app = Router::new().nest_service("/stalled", stalled).nest_service("/reading", reading);
    let socket = TcpSocket::new_v4()?;
    // Accepted connections take it over.
    socket.set_send_buffer_size(KERNEL)?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    let listener = socket.listen(4096)?;
    println!("{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

// The clients.

async fn open(addr: SocketAddr, what: &str, transport: &str, id: usize) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if what == "stalled" {
        socket.set_recv_buffer_size(KERNEL)?;
    }
    let mut stream = timeout(PATIENCE, socket.connect(addr)).await??;
    let method = if transport == "websocket" { "GET" } else { "POST" };
    let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let rest = if method == "GET" { upgrade } else { "Content-Length: 0\r\n" };
    let head = format!("{method} /{what}/000/{what}{id}/{transport} HTTP/1.1\r\nHost: {addr}\r\n{rest}\r\n");
    stream.write_all(head.as_bytes()).await?;
    let mut first = [0; 12];
    timeout(PATIENCE, stream.read_exact(&mut first)).await??;
    if first[9] != b'1' && first[9] != b'2' {
        return Err(format!("{transport} was answered {}", String::from_utf8_lossy(&first)).into());
    }
    Ok(stream)
}

/// Reads for a while, and gives the age of each message at its arrival.
async fn read(mut stream: TcpStream, time: Duration) -> Result<(TcpStream, Vec<u64>)> {
    let mut ages = Vec::new();
    let mut buffer = Vec::with_capacity(64 << 10);
    let end = tokio::time::Instant::now() + time;
    while let Ok(read) = tokio::time::timeout_at(end, stream.read_buf(&mut buffer)).await {
        if read? == 0 {
            return Err("a reading client lost its connection".into());
        }
        let now = nanos();
        let mut seen = 0;
        while let Some(at) = buffer[seen..].iter().position(|&byte| byte == b'T') {
            let Some(stamp) = buffer.get(seen + at + 1..seen + at + 21) else { break };
            if let Some(sent) = std::str::from_utf8(stamp).ok().and_then(|stamp| stamp.parse().ok()) {
                ages.push(now.saturating_sub(sent));
            }
            seen += at + 1;
        }
        // A stamp may be cut in two.
        let keep = buffer.len().saturating_sub(24).max(seen);
        buffer.drain(..keep);
    }
    Ok((stream, ages))
}

struct Clients(Vec<TcpStream>);

impl Clients {
    async fn open(addr: SocketAddr, what: &str, args: &Args, count: usize) -> Result<Self> {
        let mut clients = Vec::with_capacity(count);
        for id in 0..count {
            clients.push(open(addr, what, &args.transport, id).await?);
        }
        Ok(Self(clients))
    }

    /// All ages, sorted.
    async fn read(&mut self, time: Duration) -> Result<Vec<u64>> {
        let mut reading: JoinSet<_> = self.0.drain(..).map(|stream| read(stream, time)).collect();
        let mut all = Vec::new();
        while let Some(done) = reading.join_next().await {
            let (stream, ages) = done??;
            self.0.push(stream);
            all.extend(ages);
        }
        all.sort_unstable();
        Ok(all)
    }
}

/// A line of `/proc/PID/status`, in bytes.
fn memory(server: &Child, line: &str) -> Result<usize> {
    let pid = server.id().ok_or("the server has ended")?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let value = status.lines().find_map(|text| text.strip_prefix(line)).ok_or("no such line")?;
    let kib: usize = value.trim_matches([':', ' ', '\t', 'k', 'B']).parse()?;
    Ok(kib << 10)
}

fn report(what: &str, ages: &[u64], resident: usize, peak: usize) {
    let at = |part: usize| ages.get(ages.len() * part / 1000).map_or(0.0, |age| *age as f64 / 1e6);
    println!(
        "{what:<22} p50 {:>7.2} ms   p99 {:>7.2} ms   p99.9 {:>7.2} ms   {:>8} messages   memory {:>6} MiB, peak {:>6} MiB",
        at(500),
        at(990),
        at(999),
        ages.len(),
        resident >> 20,
        peak >> 20
    );
}

async fn measure(args: Args) -> Result<()> {
    // A descriptor each, and some for the rest; a shell may raise the limit, which takes no unsafe code here.
    let files = args.stalled + args.reading + 100;
    let mut server = Command::new("sh")
        .args(["-c", &format!("ulimit -n {files}; exec \"$0\" \"$@\"")])
        .arg(std::env::current_exe()?)
        .args(["--serve", "--queue", &args.queue.to_string()])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let stdout = server.stdout.take().ok_or("no output")?;
    let mut line = String::new();
    timeout(PATIENCE, BufReader::new(stdout).read_line(&mut line)).await??;
    let addr: SocketAddr = line.trim().parse()?;
    let time = Duration::from_secs(args.seconds);

    let mut reading = Clients::open(addr, "reading", &args, args.reading).await?;
    reading.read(Duration::from_secs(2)).await?;
    let ages = reading.read(time).await?;
    let before = memory(&server, "VmRSS")?;
    report("alone", &ages, before, memory(&server, "VmHWM")?);

    let stalled = Clients::open(addr, "stalled", &args, args.stalled).await?;
    reading.read(Duration::from_secs(5)).await?;
    let ages = reading.read(time).await?;
    let peak = memory(&server, "VmHWM")?;
    report(&format!("beside {} stalled", args.stalled), &ages, memory(&server, "VmRSS")?, peak);

    drop(stalled);
    // The disconnect delay, and a little more.
    reading.read(Duration::from_secs(8)).await?;
    let ages = reading.read(time).await?;
    report("after they have gone", &ages, memory(&server, "VmRSS")?, memory(&server, "VmHWM")?);

    let bound = args.stalled * (args.queue + CONNECTION);
    let grown = peak.saturating_sub(before);
    println!(
        "grown by {} MiB, of at most {} MiB: {} KiB for each",
        grown >> 20,
        bound >> 20,
        (grown / args.stalled.max(1)) >> 10
    );
    server.kill().await?;
    if grown > bound { Err("the bound does not hold".into()) } else { Ok(()) }
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    if args.serve { serve(args).await } else { measure(args).await }
}
