//! Measures the STOMP server beside plain SockJS endpoints that send the same bytes, and beside RabbitMQ.

mod rabbitmq;
mod rows;

use std::{
    fmt::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use clap::{Args, ValueEnum};

use self::{
    rabbitmq::RabbitMq,
    rows::{Row, Work},
};
use crate::{
    choice::Choice,
    compare::{servers::Running, table},
    load::{self, Body, Content, Load, Report, Shape, Spec, Transport},
    procfs,
};

/// What to measure. The script `bench/stomp` describes it.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    choice: Choice,
    #[arg(long, value_enum, value_delimiter = ',')]
    servers: Vec<Server>,
}

impl Options {
    fn rows(&self) -> Result<Vec<Row>, String> {
        self.choice.rows(if self.choice.smoke { rows::smoke() } else { rows::all() })
    }

    fn servers(&self) -> Vec<Server> {
        match &self.servers[..] {
            [] if rabbitmq::is_installed() && !self.choice.smoke => {
                vec![Server::Ours, Server::Like, Server::RabbitMq]
            }
            [] => vec![Server::Ours, Server::Like],
            servers => servers.to_vec(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Server {
    Ours,
    /// Ours at another commit: the server that the variable `BENCH_BEFORE` names.
    Before,
    /// Plain SockJS with the same bytes.
    Like,
    #[value(name = "rabbitmq")]
    RabbitMq,
}

impl Server {
    fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Before => "before",
            Self::Like => "like",
            Self::RabbitMq => "rabbitmq",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Ours => "axum-stomp",
            Self::Before => "before",
            Self::Like => "plain SockJS, the same bytes",
            Self::RabbitMq => "RabbitMQ",
        }
    }

    /// Whether it has a part in a row: RabbitMQ has no SockJS, and no handlers.
    fn takes_part(self, row: &Row) -> bool {
        self != Self::RabbitMq
            || row.transport == Transport::RawWebSocket
                && !matches!(row.work, Work::Messages { shape: Shape::Echo, .. })
    }

    fn start(self, core: Option<usize>) -> Result<Process, String> {
        let own = std::env::current_exe().map_err(|error| error.to_string())?;
        let program = match self {
            Self::RabbitMq => return RabbitMq::start(core).map(Process::RabbitMq),
            Self::Ours | Self::Like => own.with_file_name("stomp"),
            Self::Before => {
                std::env::var_os("BENCH_BEFORE").ok_or("BENCH_BEFORE names no server to compare with")?.into()
            }
        };
        Running::start(Command::new(program), core, self.title()).map(Process::Ours)
    }

    fn path(self, shape: Shape) -> &'static str {
        match (self, shape) {
            (Self::RabbitMq, _) => "/ws",
            (Self::Ours | Self::Before, _) => "/stomp",
            (Self::Like, Shape::Echo) => "/like/echo",
            (Self::Like, Shape::Broadcast) => "/like/broadcast",
            (Self::Like, Shape::Pairs) => "/like/pairs",
        }
    }
}

enum Process {
    Ours(Running),
    RabbitMq(RabbitMq),
}

impl Process {
    fn address(&self) -> SocketAddr {
        match self {
            Self::Ours(running) => running.address,
            Self::RabbitMq(running) => running.address,
        }
    }

    fn pid(&self) -> u32 {
        match self {
            Self::Ours(running) => running.pid(),
            Self::RabbitMq(running) => running.pid(),
        }
    }
}

/// What was measured.
struct Cell {
    value: f64,
    report: Option<Report>,
}

/// Measures on a server of its own.
async fn measure(server: Server, row: &Row, time: Duration, core: Option<usize>) -> Result<Cell, String> {
    let process = server.start(core)?;
    let content = match server {
        Server::Like => Content::LikeStomp,
        Server::Ours | Server::Before | Server::RabbitMq => Content::Stomp,
    };
    let spec = |shape| Spec {
        targets: vec![process.address()],
        path: server.path(shape).to_owned(),
        transport: row.transport,
        sessions: 1,
        in_flight: 0,
        rate: None,
        body: Body::Ascii,
        size: 64,
        shape,
        content,
        warm_up: time / 2,
        measure: time,
        pids: vec![process.pid()],
        between: None,
    };
    let rate = |report: Report| Cell { value: report.per_server_second, report: Some(report) };
    match row.work {
        Work::Messages { shape, sessions, in_flight, size } => {
            let spec = Spec { sessions, in_flight, size, ..spec(shape) };
            Ok(rate(Load::open(spec).await?.measure().await?))
        }
        Work::Connects => {
            let is_like = server == Server::Like;
            let content = if is_like { Content::LikeStompConnect } else { Content::StompConnect };
            Ok(rate(load::churn(Spec { content, ..spec(Shape::Echo) }).await?))
        }
        Work::Idle { sessions } => {
            // What a server loads with its first sessions is no part of a session.
            let idle = |sessions| Load::open(Spec { sessions, ..spec(Shape::Broadcast) });
            idle(sessions.min(50)).await?.finish().await?;
            tokio::time::sleep(Duration::from_millis(500)).await;
            let before = procfs::resident(process.pid());
            let mut load = idle(sessions).await?;
            load.pass(time / 2).await?;
            let grown = procfs::resident(process.pid()).saturating_sub(before);
            load.finish().await?;
            Ok(Cell { value: grown as f64 / sessions as f64 / 1024.0, report: None })
        }
    }
}

fn document() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/stomp/docs/performance.md")
}

pub(crate) fn run(options: &Options) -> Result<(), String> {
    let (rows, servers, rounds) = (options.rows()?, options.servers(), options.choice.rounds());
    // The script has pinned this process to core 1, if there is one; servers get core 0.
    let core = std::env::var_os("BENCH_PINNED").map(|_| 0);
    let runtime = crate::runtime()?;
    // A generator that sleeps has to be woken, by the server and in the server's time, the more often the more the server
    // is behind. So this one never sleeps.
    runtime.spawn(async {
        loop {
            tokio::task::yield_now().await;
        }
    });
    let mut results: Vec<Vec<Vec<Option<Cell>>>> =
        rows.iter().map(|_| servers.iter().map(|_| Vec::new()).collect()).collect();
    let mut failures = 0;
    for round in 0..rounds {
        for (row, results) in rows.iter().zip(&mut results) {
            for turn in 0..servers.len() {
                // Each round begins with another.
                let at = (turn + round) % servers.len();
                let server = servers[at];
                if !server.takes_part(row) {
                    continue;
                }
                let name = format!("round {} {:<32} {:<8}", round + 1, row.id, server.name());
                match runtime.block_on(measure(server, row, options.choice.measure(), core)) {
                    Ok(cell) => {
                        eprintln!("{name} {:>9}{}", table::figure(cell.value), shares(cell.report.as_ref()));
                        results[at].push(Some(cell));
                    }
                    Err(error) => {
                        failures += 1;
                        eprintln!("{name} FAILED: {error}");
                        results[at].push(None);
                    }
                }
            }
        }
    }
    let table = table_of(&rows, &servers, &results, rounds);
    println!("{table}");
    if options.choice.write {
        table::write(&document(), "bench/stomp", &table)?;
    }
    match failures {
        0 => Ok(()),
        _ => Err(format!("{failures} cells failed")),
    }
}

fn shares(report: Option<&Report>) -> String {
    let Some(report) = report else { return String::new() };
    format!("  server {:.0} % of a core", 100.0 * report.server_seconds / report.seconds)
}

/// The medians, and those of the rounds' ratios: only runs that follow each other are compared.
fn table_of(rows: &[Row], servers: &[Server], results: &[Vec<Vec<Option<Cell>>>], rounds: usize) -> String {
    let mut table = String::new();
    let others: Vec<usize> = match servers.first() {
        Some(Server::Ours) => (1..servers.len()).collect(),
        _ => Vec::new(),
    };
    let titles = servers.iter().map(|server| server.title().to_owned());
    let ratios = others.iter().map(|other| format!("ours / {}", servers[*other].name()));
    let head: Vec<String> = ["".to_owned()].into_iter().chain(titles).chain(ratios).collect();
    table::line(&mut table, head.iter().cloned());
    table::line(&mut table, head.iter().map(|_| "---".to_owned()));
    for (row, results) in rows.iter().zip(results) {
        let values = |at: usize| results[at].iter().map(|cell| cell.as_ref().map(|cell| cell.value));
        let medians = (0..servers.len())
            .map(|at| table::median(values(at).flatten().collect()).map_or("-".to_owned(), table::figure));
        let ratio = |other: &usize| {
            let pairs = values(0).zip(values(*other)).filter_map(|(ours, other)| ours.zip(other));
            let ratio = table::median(pairs.map(|(ours, other)| ours / other).collect());
            ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"))
        };
        table::line(
            &mut table,
            [row.title.clone()].into_iter().chain(medians).chain(others.iter().map(ratio)),
        );
    }
    let rounds = if rounds == 1 { "One round".to_owned() } else { format!("Medians of {rounds} rounds") };
    writeln!(table, "\n{rounds}, on {}.\n", table::machine()).expect("a string takes all");
    table
}
