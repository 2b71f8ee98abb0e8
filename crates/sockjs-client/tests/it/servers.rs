//! The client against other servers, and ours: a table of what passes.

use std::{
    fmt::Write as _,
    net::SocketAddr,
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::Router;
use axum_sockjs::{Options, Origins, Session as ServerSession, SockJs};
use sockjs_client::{Client, Session, Transport};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::{sleep, timeout},
};

use crate::{
    support::{
        Server, echo,
        proxy::{Fault, Proxy},
        soon,
    },
    tables::check_table,
};

const TRANSPORTS: [Transport; 4] =
    [Transport::WebSocket, Transport::XhrStreaming, Transport::EventSource, Transport::XhrPolling];

const SERVERS: [&str; 4] = ["ours", "node", "aiohttp", "tornado"];

/// A server with the services of `bench/peers`, and the lines that it prints.
struct Peer {
    addr: SocketAddr,
    process: Process,
    lines: Arc<Mutex<Vec<String>>>,
}

enum Process {
    Ours(Server),
    Other(Child),
}

impl Peer {
    async fn start(name: &str) -> Self {
        if name == "ours" {
            return Self::ours().await;
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bench/peers").join(name);
        let (program, script) = match name {
            "node" => ("node".into(), "server.js"),
            _ => (folder.join("venv/bin/python"), "server.py"),
        };
        let mut child = Command::new(program)
            .arg(folder.join(script))
            .arg("--until-stdin-ends")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("bench/peers/setup has installed it");
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = soon("the first line of a server", output.next_line()).await.unwrap().unwrap();
        let addr = first.rsplit_once("http://").expect("its address").1.parse().unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let printed = lines.clone();
        tokio::spawn(async move {
            while let Ok(Some(line)) = output.next_line().await {
                printed.lock().unwrap().push(line);
            }
        });
        Self { addr, process: Process::Other(child), lines }
    }

    async fn ours() -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let printed = lines.clone();
        let closing = move |session: ServerSession| closing(session, printed.clone());
        let options = || Options::new().origins(Origins::any());
        let app = Router::new()
            .nest_service("/echo", SockJs::new(echo).options(options()))
            .nest_service("/closing", SockJs::new(closing).options(options()))
            .nest_service("/collect", SockJs::new(collect).options(options()))
            .nest_service("/count", SockJs::new(count).options(options()));
        let server = Server::of(app).await;
        Self { addr: server.addr, process: Process::Ours(server), lines }
    }

    fn client(&self, service: &str) -> Client {
        Client::new(&format!("http://{}/{service}", self.addr)).unwrap()
    }

    async fn open(&self, service: &str, transport: Transport) -> Session {
        soon("a session", self.client(service).open(transport)).await.unwrap()
    }

    async fn kill(self) {
        match self.process {
            Process::Ours(server) => drop(server),
            Process::Other(mut child) => child.kill().await.unwrap(),
        }
    }
}

async fn closing(mut session: ServerSession, printed: Arc<Mutex<Vec<String>>>) {
    let mut name = String::new();
    while let Some(message) = session.recv().await {
        let text = message.as_str().unwrap_or_default();
        match text.strip_prefix("close ").and_then(|rest| rest.split_once(' ')) {
            Some((code, reason)) => session.close(code.parse().unwrap_or(1000), reason.to_owned()),
            None => {
                name = text.to_owned();
                session.send(message).await.ok();
            }
        }
    }
    printed.lock().unwrap().push(format!("ended {name}"));
}

async fn collect(mut session: ServerSession) {
    let (mut count, mut sum) = (0, Checksum::default());
    while let Some(message) = session.recv().await {
        let text = message.as_str().unwrap_or_default();
        if text == "?" {
            session.send(format!("{count} {:08x}", sum.0)).await.ok();
        } else {
            count += 1;
            sum.add(text);
        }
    }
}

async fn count(mut session: ServerSession) {
    while let Some(message) = session.recv().await {
        for number in 0..message.as_str().unwrap_or_default().parse().unwrap_or(0) {
            session.send(number.to_string()).await.ok();
        }
    }
}

/// FNV-1a of texts, each with a byte 0xff behind it, as in `bench/peers`.
struct Checksum(u32);

impl Default for Checksum {
    fn default() -> Self {
        Self(0x811c_9dc5)
    }
}

impl Checksum {
    fn add(&mut self, text: &str) {
        for byte in text.bytes().chain([0xff]) {
            self.0 = (self.0 ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        }
    }
}

/// The next message, or how the session has ended.
async fn next(session: &mut Session) -> Result<String, String> {
    match timeout(Duration::from_secs(30), session.recv()).await {
        Ok(Some(message)) => Ok(message.as_str().unwrap_or_default().to_owned()),
        Ok(None) => Err(format!("the session has ended: {}", ended(session).await)),
        Err(_) => Err("nothing comes".to_owned()),
    }
}

async fn ended(session: &Session) -> String {
    match timeout(Duration::from_secs(20), session.closed()).await {
        Ok(event) => format!("{} {:?}", event.code(), event.reason()),
        Err(_) => "no end within 20 s".to_owned(),
    }
}

async fn echoes(session: &mut Session, texts: &[String]) -> Result<(), String> {
    for batch in texts.chunks(16) {
        for text in batch {
            session.send(text.as_str()).await.map_err(|error| error.to_string())?;
        }
        for text in batch {
            let echo = next(session).await?;
            if echo != *text {
                let wrong = text.chars().zip(echo.chars()).find(|(sent, came)| sent != came);
                return Err(format!("is altered at {wrong:?}"));
            }
        }
    }
    Ok(())
}

async fn a_thousand_from_the_server(peer: &Peer, transport: Transport) -> Result<(), String> {
    let mut session = peer.open("count", transport).await;
    session.send("1000").await.unwrap();
    for number in 0..1000 {
        let message = next(&mut session).await?;
        if message != number.to_string() {
            return Err(format!("{message} came, not {number}"));
        }
    }
    Ok(())
}

async fn a_thousand_to_the_server(peer: &Peer, transport: Transport) -> Result<(), String> {
    let mut session = peer.open("collect", transport).await;
    let mut sum = Checksum::default();
    for number in 0..1000 {
        let text = format!("message {number}");
        sum.add(&text);
        session.send(text).await.map_err(|error| error.to_string())?;
    }
    session.send("?").await.map_err(|error| error.to_string())?;
    let (came, sent) = (next(&mut session).await?, format!("1000 {:08x}", sum.0));
    if came == sent { Ok(()) } else { Err(format!("{came}, not {sent}")) }
}

async fn long_messages(peer: &Peer, transport: Transport) -> Result<(), String> {
    let texts: Vec<_> = ["x", "é", "😀\""].iter().map(|text| text.repeat((64 << 10) / text.len())).collect();
    echoes(&mut peer.open("echo", transport).await, &texts).await
}

async fn all_code_points(peer: &Peer, transport: Transport) -> Result<(), String> {
    let all: Vec<char> = ('\0'..=char::MAX).collect();
    let texts: Vec<String> = all.chunks(8192).map(|part| part.iter().collect()).collect();
    echoes(&mut peer.open("echo", transport).await, &texts).await
}

async fn escapes(peer: &Peer, transport: Transport) -> Result<(), String> {
    echoes(&mut peer.open("echo", transport).await, &["%41%25%0A".to_owned()]).await
}

async fn behind_a_proxy(peer: &Peer, service: &str, transport: Transport) -> (Proxy, Session) {
    let proxy = Proxy::new(peer.addr, |_| Fault::Pass).await;
    let client = Client::new(&format!("http://{}/{service}", proxy.addr)).unwrap();
    let session = soon("a session", client.open(transport)).await.unwrap();
    (proxy, session)
}

/// Waits until the server has the `count`th poll.
async fn poll_waits(proxy: &Proxy, transport: Transport, count: usize) {
    if transport.is_polling() {
        soon("a poll", proxy.passed("/xhr", count)).await;
    }
}

async fn close_by_the_server(peer: &Peer, transport: Transport) -> Result<(), String> {
    let (proxy, session) = behind_a_proxy(peer, "closing", transport).await;
    // Some forget the code when no poll waits: the first one has brought `o`.
    poll_waits(&proxy, transport, 2).await;
    session.send("close 3001 bye").await.unwrap();
    match ended(&session).await {
        end if end == r#"3001 "bye""# => Ok(()),
        other => Err(other),
    }
}

async fn close_by_the_client(peer: &Peer, transport: Transport) -> Result<(), String> {
    let mut session = peer.open("closing", transport).await;
    let name = format!("session {transport}");
    echoes(&mut session, std::slice::from_ref(&name)).await?;
    let event = soon("the end of a session", session.close(3002, "enough")).await.unwrap();
    if (event.code(), event.reason(), event.was_clean()) != (3002, "enough", true) {
        return Err(event.to_string());
    }
    // A cut stream is noticed late by some.
    drop(session);
    let line = format!("ended {name}");
    let heard = timeout(Duration::from_secs(50), async {
        while !peer.lines.lock().unwrap().contains(&line) {
            sleep(Duration::from_millis(10)).await;
        }
    });
    heard.await.map_err(|_| "the handler does not hear of it".to_owned())
}

/// The end of a session whose connections are cut while it waits.
async fn cut(peer: &Peer, transport: Transport) -> Result<(), String> {
    let (proxy, mut session) = behind_a_proxy(peer, "echo", transport).await;
    echoes(&mut session, &["a".to_owned()]).await?;
    // Between two polls there is nothing to cut: two have brought `o` and the message.
    poll_waits(&proxy, transport, 3).await;
    proxy.cut();
    Err(ended(&session).await)
}

type Row = (&'static str, fn(Arc<Peer>, Transport) -> tokio::task::JoinHandle<Result<(), String>>);

macro_rules! row {
    ($name:expr, $check:ident) => {
        ($name, |peer, transport| tokio::spawn(async move { $check(&peer, transport).await }))
    };
}

const ROWS: &[Row] = &[
    row!("1,000 messages from the server, once and in order", a_thousand_from_the_server),
    row!("1,000 messages to the server, once and in order", a_thousand_to_the_server),
    row!("64 KiB: ASCII, é, 😀 and quotes", long_messages),
    row!("all 1,112,064 code points", all_code_points),
    row!(ESCAPES, escapes),
    row!("the server closes with 3001 \"bye\"", close_by_the_server),
    row!(CLIENT_CLOSES, close_by_the_client),
    row!(CUT, cut),
];

const ESCAPES: &str = "`%41%25%0A`";
const CLIENT_CLOSES: &str = "this side closes, and the handler hears of it";
const CUT: &str = "all connections are cut";

/// Why a cell is not what one would like.
const REASONS: &[(&str, &str, Transport, &str)] = &[
    (
        ESCAPES,
        "aiohttp",
        Transport::EventSource,
        "the server does not escape `%`, so the frame becomes malformed",
    ),
    (
        ESCAPES,
        "tornado",
        Transport::EventSource,
        "the server does not escape `%`, so the frame becomes malformed",
    ),
    (CLIENT_CLOSES, "aiohttp", Transport::XhrPolling, "the server keeps a session that is not polled"),
    (CUT, "ours", Transport::EventSource, "what the server says to the next request"),
    (CUT, "node", Transport::EventSource, "the server opens a session for the next request"),
    (CUT, "aiohttp", Transport::EventSource, "the server does not notice that the stream is cut"),
    (CUT, "tornado", Transport::EventSource, "what the server says to the next request"),
];

/// The cells of one server: a row for each check, a column for each transport.
async fn cells(server: &str) -> Vec<Vec<String>> {
    let peer = Arc::new(Peer::start(server).await);
    let mut rows: Vec<Vec<String>> = Vec::new();
    let tasks: Vec<Vec<_>> = ROWS
        .iter()
        .map(|(_, check)| TRANSPORTS.iter().map(|&transport| check(peer.clone(), transport)).collect())
        .collect();
    for row in tasks {
        let mut cells = Vec::new();
        for task in row {
            cells.push(match task.await.unwrap() {
                Ok(()) => "yes".to_owned(),
                Err(what) => what,
            });
        }
        rows.push(cells);
    }
    let mut killed = Vec::new();
    let mut sessions = Vec::new();
    for transport in TRANSPORTS {
        if transport.is_polling() {
            // So that its third poll is known to wait.
            let (proxy, mut session) = behind_a_proxy(&peer, "echo", transport).await;
            echoes(&mut session, &["a".to_owned()]).await.unwrap();
            poll_waits(&proxy, transport, 3).await;
            sessions.push((session, Some(proxy)));
        } else {
            let mut session = peer.open("echo", transport).await;
            echoes(&mut session, &["a".to_owned()]).await.unwrap();
            sessions.push((session, None));
        }
    }
    Arc::into_inner(peer).expect("all checks have ended").kill().await;
    for (session, _) in &sessions {
        killed.push(ended(session).await);
    }
    rows.push(killed);
    rows
}

#[tokio::test]
#[ignore = "needs what bench/peers/setup installs"]
async fn each_server_on_each_transport() {
    let tasks: Vec<_> = SERVERS.iter().map(|&server| tokio::spawn(cells(server))).collect();
    let mut all = Vec::new();
    for task in tasks {
        all.push(task.await.unwrap());
    }
    let mut table = String::from("| | |");
    TRANSPORTS.iter().for_each(|transport| write!(table, " {transport} |").unwrap());
    table += "\n|---|---|---|---|---|---|\n";
    let names = ROWS.iter().map(|(name, _)| *name).chain(["the server is killed"]);
    for (at, name) in names.enumerate() {
        for (&server, rows) in SERVERS.iter().zip(&all) {
            let cells = TRANSPORTS.iter().zip(&rows[at]).map(|(&transport, cell)| {
                let reason =
                    REASONS.iter().find(|reason| (reason.0, reason.1, reason.2) == (name, server, transport));
                match reason {
                    Some((.., why)) if cell != "yes" => format!("{cell}: {why}"),
                    _ => cell.clone(),
                }
            });
            let cells: Vec<_> = cells.collect();
            let shown = if server == SERVERS[0] { name } else { "" };
            writeln!(table, "| {shown} | {server} | {} |", cells.join(" | ")).unwrap();
        }
    }
    check_table("docs/servers.md", "servers", &table);
}
