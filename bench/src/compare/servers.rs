//! The servers: how each is started, and what it can do.

use std::{
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use clap::ValueEnum;

/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Server {
    Ours,
    /// The same, with a room of `axum-sockjs-rooms` in place of the one written by hand.
    Rooms,
    /// This crate's sessions, asked for at another node, which forwards all: the processor time of both.
    Forwarded,
    /// This crate at another commit: the `ours` that the variable `BENCH_BEFORE` names.
    Before,
    /// sockjs-node with faye-websocket.
    Node,
    /// The aiohttp extension `sockjs`.
    Aiohttp,
    Tornado,
    /// The same traffic on bare axum and hyper: no sessions, JSON or frames.
    Axum,
    /// The same bytes on a bare socket.
    Tcp,
}

impl Server {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Rooms => "rooms",
            Self::Forwarded => "forwarded",
            Self::Before => "before",
            Self::Node => "node",
            Self::Aiohttp => "aiohttp",
            Self::Tornado => "tornado",
            Self::Axum => "axum",
            Self::Tcp => "tcp",
        }
    }

    /// The head of its column.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Ours => "axum-sockjs",
            Self::Rooms => "axum-sockjs-rooms",
            Self::Forwarded => "forwarded, both nodes",
            Self::Before => "before",
            Self::Node => "sockjs-node 0.3.24",
            Self::Aiohttp => "aiohttp sockjs 0.13.0",
            Self::Tornado => "sockjs-tornado 1.0.7",
            Self::Axum => "bare axum",
            Self::Tcp => "bare TCP",
        }
    }

    pub(crate) fn speaks_sockjs(self) -> bool {
        !matches!(self, Self::Axum | Self::Tcp)
    }

    fn command(self, heartbeat: Option<Duration>, workers: usize) -> Result<Command, String> {
        let own = std::env::current_exe().map_err(|error| error.to_string())?;
        let bin = |name| own.with_file_name(name);
        let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
        let (program, script): (PathBuf, Option<PathBuf>) = match self {
            Self::Ours | Self::Rooms | Self::Forwarded => (bin("ours"), None),
            Self::Before => {
                let before =
                    std::env::var_os("BENCH_BEFORE").ok_or("BENCH_BEFORE names no `ours` to compare with")?;
                (before.into(), None)
            }
            Self::Axum | Self::Tcp => (bin("ceiling"), None),
            Self::Node => ("node".into(), Some(peers.join("node/server.js"))),
            Self::Aiohttp | Self::Tornado => {
                let folder = peers.join(self.name());
                (folder.join("venv/bin/python"), Some(folder.join("server.py")))
            }
        };
        let mut command = Command::new(program);
        command.args(script);
        if self == Self::Tcp {
            command.arg("--tcp");
        }
        if self == Self::Rooms {
            command.args(["--rooms", "true"]);
        }
        if self == Self::Forwarded {
            command.args(["--forwarded", "true"]);
        }
        if workers != 1 {
            command.args(["--workers", &workers.to_string()]);
        }
        if let Some(heartbeat) = heartbeat {
            command.args(["--heartbeat", &heartbeat.as_millis().to_string()]);
        }
        Ok(command)
    }

    /// Starts it on one core, or wherever the system likes.
    pub(crate) fn start(
        self,
        core: Option<usize>,
        heartbeat: Option<Duration>,
        workers: usize,
    ) -> Result<Running, String> {
        Running::start(self.command(heartbeat, workers)?, core, self.title())
    }
}

/// The same command on one core, or wherever the system likes.
pub(crate) fn pinned(command: Command, core: Option<usize>) -> Command {
    let Some(core) = core else { return command };
    let mut pinned = Command::new("taskset");
    pinned.arg("-c").arg(core.to_string()).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        pinned.env(name, value.unwrap_or_default());
    }
    pinned
}

/// Ports that nobody has, on any address: below those that Linux gives to clients, of which a load has thousands.
pub(crate) fn free_ports<const N: usize>() -> Result<[u16; N], String> {
    let first = 20_000 + (std::process::id() % 10_000) as u16;
    let mut free = (first..32_000).filter(|port| TcpListener::bind(("0.0.0.0", *port)).is_ok());
    let mut ports = [0; N];
    for port in &mut ports {
        *port = free.next().ok_or("no port is free")?;
    }
    Ok(ports)
}

/// Waits until somebody listens, while a process runs.
pub(crate) fn wait_for(address: SocketAddr, process: &mut Child, patience: Duration) -> Result<(), String> {
    let start = Instant::now();
    while TcpStream::connect(address).is_err() {
        if let Ok(Some(status)) = process.try_wait() {
            return Err(status.to_string());
        }
        if start.elapsed() > patience {
            return Err("it does not listen".to_owned());
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// A server that runs until this is dropped. Its standard input ends with this process, however that ends.
pub(crate) struct Running {
    child: Child,
    pub(crate) address: SocketAddr,
    /// What stands behind the path of an endpoint: nothing, or another node's tag.
    tag: String,
}

impl Running {
    /// Starts a server that says where it listens.
    pub(crate) fn start(command: Command, core: Option<usize>, title: &str) -> Result<Self, String> {
        let failed = |error: &dyn std::fmt::Display| format!("{title} does not start: {error}");
        let mut child = pinned(command, core)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| failed(&error))?;
        let output = BufReader::new(child.stdout.take().ok_or_else(|| failed(&"no output"))?);
        let (line, first_line) = mpsc::channel();
        // What else it says is read too, so that it never waits for room to say it.
        thread::spawn(move || output.lines().map_while(Result::ok).for_each(|text| _ = line.send(text)));
        let mut running = Self { child, address: ([127, 0, 0, 1], 0).into(), tag: String::new() };
        let text = first_line.recv_timeout(PATIENCE).map_err(|error| failed(&error))?;
        let url = text.rsplit_once("http://").map_or("", |(_, url)| url.trim());
        let (address, tag) = url.split_at(url.find('/').unwrap_or(url.len()));
        running.address = address.parse().map_err(|_| failed(&text))?;
        tag.clone_into(&mut running.tag);
        Ok(running)
    }

    /// The path of an endpoint for transports.
    pub(crate) fn path(&self, endpoint: &str) -> String {
        format!("{endpoint}{}", self.tag)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
