//! Measures the STOMP server beside plain SockJS endpoints that send the same bytes, and beside RabbitMQ.

mod rabbitmq;
mod rows;

use std::{
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
    turns::{Cell, Column, Results},
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
    const fn column(self) -> Column {
        let (name, title) = match self {
            Self::Ours => ("ours", "axum-stomp"),
            Self::Before => ("before", "before"),
            Self::Like => ("like", "plain SockJS, the same bytes"),
            Self::RabbitMq => ("rabbitmq", "RabbitMQ"),
        };
        Column { name, title }
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
        Running::start(Command::new(program), core, self.column().title).map(Process::Ours)
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
    let columns: Vec<Column> = servers.iter().map(|server| server.column()).collect();
    let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    let results = Results::measure(&ids, &columns, rounds, |row, server| {
        let (row, server) = (&rows[row], servers[server]);
        let cell = || runtime.block_on(measure(server, row, options.choice.measure(), core));
        server.takes_part(row).then(cell)
    });
    let titles: Vec<&str> = rows.iter().map(|row| row.title.as_str()).collect();
    let others: Vec<usize> = match servers.first() {
        Some(Server::Ours) => (1..servers.len()).collect(),
        _ => Vec::new(),
    };
    let table = results.table(&titles, &columns, &others);
    println!("{table}");
    if options.choice.write {
        table::write(&document(), "bench/stomp", &table)?;
    }
    results.judge()
}
