//! Three nodes behind a balancer that knows nothing of sessions, a bus between them, and a page that kills nodes.
//!
//! `cargo run --release -p example-cluster [IP:PORT]`, then open <http://127.0.0.1:8081>, in several tabs. It starts
//! nginx, which sends each request to the next node, nats-server, and three nodes: processes of their own, on loopback.
//! Ctrl-C ends all of them; they end as well if this process is killed.
//!
//! | file | |
//! |---|---|
//! | `chat.rs` | the app of a node: what an application writes |
//! | `node.rs`, `ready.rs` | a node's process, and whether it is ready for new clients |
//! | `processes.rs`, `keep.rs`, `programs.rs` | starting and ending processes |
//! | `control.rs`, `page/` | the page, and what its buttons do |
//! | `nginx/cluster.conf` | the balancer's configuration, which `docs/scaling.md` shows |

mod chat;
mod control;
mod keep;
mod node;
mod processes;
mod programs;
mod ready;

use std::{
    env, fs, io,
    net::{Ipv4Addr, SocketAddr},
    ops::Range,
    path::{Path, PathBuf},
    process::{ExitCode, id},
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use axum::BoxError;
use axum_sockjs_serve::terminated;
use clap::{Parser, Subcommand};
use control::Control;
use processes::{Kind, Process, Processes};
use sockjs_bus_nats::Nats;
use tokio::{net::TcpListener, process::Command};

#[derive(Parser)]
#[command(about = "Three nodes behind nginx, a bus between them, and a page that kills nodes")]
#[command(args_conflicts_with_subcommands = true)]
struct Args {
    /// Where the balancer listens, and the page is found.
    #[arg(value_name = "IP:PORT", default_value = "127.0.0.1:8081")]
    addr: SocketAddr,
    #[command(subcommand)]
    part: Option<Part>,
}

/// What this program is as a child of itself.
#[derive(Subcommand)]
enum Part {
    /// One node.
    #[command(hide = true)]
    Node(node::NodeArgs),
    /// What ends another program together with this one.
    #[command(hide = true)]
    Keep(keep::KeepArgs),
}

/// Unless `RUST_LOG` says it. The library below the bus calls each attempt to connect in vain an error.
const LOGGED: &str = "warn,async_nats=off";

const NODES: [&str; 3] = ["a", "b", "c"];

/// Ports that systems give to nobody by themselves, so that a node which was killed finds its own again.
const PORTS: Range<u16> = 10_000..32_000;

/// Addresses of loopback that nobody listens at. All are held until the last is found, so that they differ.
fn free_addresses<const N: usize>() -> io::Result<[SocketAddr; N]> {
    let first = getrandom::u32()? as u16 % PORTS.end;
    let ports = PORTS.cycle().skip(first.into()).take(PORTS.len());
    let listeners = ports.filter_map(|port| std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok());
    let held: Vec<_> = listeners.take(N).collect();
    let addresses: Vec<_> = held.iter().map(std::net::TcpListener::local_addr).collect::<Result<_, _>>()?;
    addresses.try_into().map_err(|_| io::ErrorKind::AddrInUse.into())
}

/// A folder for what the programs write, which goes with this.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> io::Result<Self> {
        let dir = env::temp_dir().join(format!("axum-sockjs-cluster-{}", id()));
        fs::create_dir(&dir)?;
        Ok(Self(dir))
    }

    fn folder(&self, name: &str) -> io::Result<PathBuf> {
        let folder = self.0.join(name);
        fs::create_dir(&folder)?;
        Ok(folder)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// This program, below which another one runs.
fn keep(own: &Path, scratch: &Scratch, log: &Path, program: &Path, args: Vec<String>) -> Command {
    let mut command = Command::new(own);
    command.args(["keep", "--scratch"]).arg(&scratch.0).arg("--log").arg(log).arg(program).args(args);
    command
}

async fn run(addr: SocketAddr) -> Result<(), BoxError> {
    if !addr.ip().is_loopback() {
        return Err(
            "a page that kills processes is for this machine alone: use an address of loopback".into()
        );
    }
    let [nginx, nats] = programs::find_both(&programs::folders())?;
    let [free, nats_at, at @ ..] = free_addresses::<5>()?;
    let public = match addr.port() {
        0 => SocketAddr::new(addr.ip(), free.port()),
        // nginx would only say it in its log.
        _ => std::net::TcpListener::bind(addr).and_then(|listener| listener.local_addr())?,
    };
    let own = env::current_exe()?;
    let scratch = Scratch::new()?;
    let folder = scratch.folder("nginx")?;
    let pages = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    programs::configure_nginx(&folder, public, at, pages.local_addr()?)?;

    let mut secret = [0; 32];
    getrandom::fill(&mut secret)?;
    let secret = data_encoding::HEXLOWER.encode(&secret);
    let nats_url = format!("nats://{nats_at}");
    let public_url = format!("http://{public}");
    let node = |name: &'static str, address: SocketAddr| {
        let mut command = Command::new(&own);
        command.args(["node", "--name", name, "--addr", &address.to_string()]);
        command.args(["--public", &public_url, "--nats", &nats_url]).env(node::SECRET, &secret);
        Process::new(name, Kind::Node, address, command)
    };
    let nats_arguments = programs::nats_arguments(&scratch.folder("nats")?, nats_at);
    let nats_log = scratch.0.join("nats.log");
    let nats = keep(&own, &scratch, &nats_log, &nats.path, nats_arguments);
    let nginx_log = scratch.0.join("nginx.log");
    let nginx = keep(&own, &scratch, &nginx_log, &nginx.path, programs::nginx_arguments(&folder));
    let [a, b, c] = NODES;
    let processes = Processes::new(vec![
        node(a, at[0]),
        node(b, at[1]),
        node(c, at[2]),
        Process::new("nats", Kind::Kept, nats_at, nats),
        Process::new("nginx", Kind::Kept, public, nginx),
    ]);

    // Ends only with an error.
    let started = async {
        processes.start_and_wait("nats").await.map_err(|error| with_log(error, &nats_log))?;
        let bus = Nats::options(&nats_url).ping_interval(Duration::from_secs(1)).connect().await?;
        for name in NODES {
            processes.start_and_wait(name).await?;
        }
        let control = Control {
            processes: processes.clone(),
            public: public.to_string().into(),
            is_counting: Arc::new(AtomicBool::new(true)),
            rooms: chat::rooms(Arc::new(bus), "counter"),
        };
        tokio::spawn(control::count(control.rooms.clone(), Arc::clone(&control.is_counting)));
        tokio::spawn(async move { axum::serve(pages, control::router(control)).await });
        processes.start_and_wait("nginx").await.map_err(|error| with_log(error, &nginx_log))?;
        println!("open {public_url}");
        std::future::pending().await
    };
    let result = tokio::select! {
        failed = started => failed,
        () = terminated() => Ok(()),
    };
    tokio::select! {
        () = processes.end(&[&NODES, &["nginx", "nats"]]) => {}
        // Whoever asks twice does not want to wait: what is left ends with this process.
        () = terminated() => {}
    }
    result
}

/// An error with what the program has said.
fn with_log(error: String, log: &Path) -> String {
    let said = fs::read_to_string(log).unwrap_or_default();
    let last: Vec<&str> = said.lines().rev().take(5).collect();
    last.iter().rev().fold(error, |error, line| format!("{error}\n  {line}"))
}

#[tokio::main]
async fn main() -> ExitCode {
    let logs = tracing_subscriber::EnvFilter::try_from_default_env();
    let logs = logs.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(LOGGED));
    tracing_subscriber::fmt().with_env_filter(logs).with_writer(io::stderr).init();
    let Args { addr, part } = Args::parse();
    let is_child = part.is_some();
    let done = match part {
        None => run(addr).await,
        Some(Part::Node(args)) => node::run(args).await,
        Some(Part::Keep(args)) => keep::run(args).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Of a child, its parent reads what it prints.
            match is_child {
                true => node::say(format_args!("{error}")),
                false => eprintln!("{error}"),
            }
            ExitCode::FAILURE
        }
    }
}
