//! Measures what the gateway alone costs, beside nginx in its place, and beside no one in its place.

mod proxy;
mod rows;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use clap::{Args, ValueEnum};

use self::{
    proxy::{Proxy, nginx_is_installed},
    rows::{Row, Work},
};
use crate::{
    choice::Choice,
    compare::{servers::Running, table},
    load::{self, Body, Content, Load, Report, Shape, Spec, Transport},
    procfs,
    turns::{Cell, Column, Results},
};

/// What to measure. The script `bench/gateway` describes it.
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
            [] if nginx_is_installed() => vec![Server::Gateway, Server::Nginx, Server::Direct],
            [] => vec![Server::Gateway, Server::Direct],
            servers => servers.to_vec(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Server {
    Gateway,
    /// The gateway at another commit: the program that the variable `BENCH_BEFORE` names.
    Before,
    /// A proxy that knows nothing of SockJS.
    Nginx,
    /// Clients at the echo server itself.
    Direct,
}

impl Server {
    const fn column(self) -> Column {
        let (name, title) = match self {
            Self::Gateway => ("gateway", "sockjs-gateway"),
            Self::Before => ("before", "before"),
            Self::Nginx => ("nginx", "nginx"),
            Self::Direct => ("direct", "axum-sockjs without a gateway"),
        };
        Column { name, title }
    }

    /// nginx passes on what it does not understand: what it costs is comparable where that is one connection.
    fn takes_part(self, row: &Row) -> bool {
        self != Self::Nginx || matches!(row.transport, Transport::RawWebSocket | Transport::WebSocket)
    }
}

/// The echo server, and what stands before it.
struct Chain {
    /// Dropped first: it would complain about its backend.
    proxy: Option<Proxy>,
    backend: Running,
}

impl Chain {
    /// All on one core, where a server of a small machine has its backend.
    fn start(server: Server, core: Option<usize>) -> Result<Self, String> {
        let own = std::env::current_exe().map_err(|error| error.to_string())?;
        let backend = Running::start(Command::new(own.with_file_name("ours")), core, "the echo server")?;
        let gateway = |program: &Path| Proxy::gateway(program, backend.address, core).map(Some);
        let proxy = match server {
            Server::Gateway => gateway(&own.with_file_name("sockjs-gateway"))?,
            Server::Before => {
                let program = std::env::var_os("BENCH_BEFORE")
                    .ok_or("BENCH_BEFORE names no gateway to compare with")?;
                gateway(Path::new(&program))?
            }
            Server::Nginx => Some(Proxy::nginx(backend.address, core)?),
            Server::Direct => None,
        };
        Ok(Self { proxy, backend })
    }

    fn address(&self) -> SocketAddr {
        self.proxy.as_ref().map_or(self.backend.address, |proxy| proxy.address)
    }

    /// The process that is measured.
    fn pid(&self) -> u32 {
        self.proxy.as_ref().map_or(self.backend.pid(), Proxy::pid)
    }
}

/// Measures on processes of its own.
async fn measure(server: Server, row: &Row, time: Duration, core: Option<usize>) -> Result<Cell, String> {
    let chain = Chain::start(server, core)?;
    let spec = Spec {
        targets: vec![chain.address()],
        path: "/echo".to_owned(),
        transport: row.transport,
        sessions: 1,
        in_flight: 0,
        rate: None,
        body: Body::Ascii,
        size: 64,
        shape: Shape::Echo,
        content: Content::Text,
        warm_up: time / 2,
        measure: time,
        pids: vec![chain.pid()],
        between: chain.proxy.as_ref().map(|_| chain.backend.pid()),
    };
    let rate = |report: Report| Cell { value: report.per_server_second, report: Some(report) };
    match row.work {
        Work::Echo { sessions, in_flight, size } => {
            let spec = Spec { sessions, in_flight, size, ..spec };
            Ok(rate(Load::open(spec).await?.measure().await?))
        }
        Work::Comes => Ok(rate(load::churn(spec).await?)),
        Work::Idle { sessions } => {
            let pid = chain.pid();
            // What a server loads with its first sessions is no part of a session.
            let idle = |sessions| Load::open(Spec { sessions, ..spec.clone() });
            idle(sessions.min(50)).await?.finish().await?;
            tokio::time::sleep(Duration::from_millis(500)).await;
            let before = procfs::resident(pid);
            let mut load = idle(sessions).await?;
            load.pass(time / 2).await?;
            let grown = procfs::resident(pid).saturating_sub(before);
            load.finish().await?;
            Ok(Cell { value: grown as f64 / sessions as f64 / 1024.0, report: None })
        }
    }
}

fn document() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/gateway/docs/performance.md")
}

pub(crate) fn run(options: &Options) -> Result<(), String> {
    let (rows, servers, rounds) = (options.rows()?, options.servers(), options.choice.rounds());
    // The script has pinned this process to core 1, if there is one; all others get core 0.
    let core = std::env::var_os("BENCH_PINNED").map(|_| 0);
    let runtime = crate::runtime()?;
    // As in `bench/stomp`: a generator that sleeps has to be woken, in the servers' time.
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
    let others: Vec<usize> = (1..servers.len()).collect();
    let table = results.table(&titles, &columns, &others);
    println!("{table}");
    if options.choice.write {
        table::write(&document(), "bench/gateway", &table)?;
    }
    results.judge()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_document_has_a_place_for_the_table() {
        let file = std::env::temp_dir().join(format!("gateway-table-{}.md", std::process::id()));
        fs::copy(document(), &file).expect("a copy");
        table::write(&file, "bench/gateway", "the table\n").expect("marks");
        let written = fs::read_to_string(&file).expect("the copy");
        fs::remove_file(&file).expect("the copy");
        assert!(written.contains("the table\n") && written.contains("## Where the time goes"), "{written}");
    }
}
