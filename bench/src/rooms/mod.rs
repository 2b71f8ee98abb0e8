//! Measures a message to a room on one node and on three, which NATS or Redis connects.

mod engine;
mod rows;

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use clap::{Args, ValueEnum};

use self::{
    engine::{Engine, Kind},
    rows::Row,
};
use crate::{
    choice::Choice,
    compare::{servers::Running, table},
    load::{Body, Content, Load, Report, Shape, Spec},
};

/// What to measure. The script `bench/rooms` describes it.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    choice: Choice,
    #[arg(long, value_enum, value_delimiter = ',', default_value = "one,nats,redis")]
    servers: Vec<Nodes>,
}

impl Options {
    fn rows(&self) -> Result<Vec<Row>, String> {
        self.choice.rows(if self.choice.smoke { rows::smoke() } else { rows::all() })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Nodes {
    /// One, without a bus.
    One,
    /// Three with NATS.
    Nats,
    /// Three with Redis.
    Redis,
}

impl Nodes {
    fn name(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Nats => "nats",
            Self::Redis => "redis",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::One => "one node",
            Self::Nats => "three, NATS",
            Self::Redis => "three, Redis",
        }
    }

    fn number(self) -> usize {
        if self == Self::One { 1 } else { 3 }
    }

    fn engine(self) -> Option<Kind> {
        match self {
            Self::One => None,
            Self::Nats => Some(Kind::Nats),
            Self::Redis => Some(Kind::Redis),
        }
    }
}

/// What was measured: as fast as it goes, and at a fixed rate.
struct Cell {
    fast: Report,
    steady: Report,
}

impl Cell {
    fn per_second(&self) -> f64 {
        self.fast.per_second
    }

    /// Microseconds of processor time of the nodes, for each delivery.
    fn of_nodes(&self) -> f64 {
        1e6 * self.fast.server_seconds / self.fast.messages as f64
    }

    /// The same of NATS or Redis.
    fn of_engine(&self) -> f64 {
        1e6 * self.fast.between_seconds / self.fast.messages as f64
    }
}

/// Measures on nodes of its own.
async fn measure(nodes: Nodes, row: &Row, time: Duration, core: Option<usize>) -> Result<Cell, String> {
    // Dropped last: nodes that lose their bus would say so.
    let engine = nodes.engine().map(|kind| Engine::start(kind, core)).transpose()?;
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let start = |_| {
        let mut command = Command::new(own.with_file_name("ours"));
        command.args(["--rooms", "true", "--ends-with-input", "true"]);
        if row.history {
            command.args(["--history", "true"]);
        }
        if let Some(engine) = &engine {
            command.args(["--bus", &engine.url]);
        }
        Running::start(command, core, nodes.title())
    };
    let running = (0..nodes.number()).map(start).collect::<Result<Vec<Running>, String>>()?;
    let spec = Spec {
        targets: running.iter().map(|node| node.address).collect(),
        path: "/broadcast".to_owned(),
        transport: row.transport,
        sessions: row.members,
        in_flight: row.in_flight,
        rate: None,
        body: Body::Ascii,
        size: 64,
        shape: Shape::Broadcast,
        content: Content::InARoom,
        warm_up: time / 2,
        measure: time,
        pids: running.iter().map(Running::pid).collect(),
        between: engine.as_ref().map(Engine::pid),
    };
    let fast = Load::open(spec.clone()).await?.measure().await?;
    let steady = Load::open(Spec { rate: Some(row.rate()), ..spec }).await?.measure().await?;
    if fast.messages == 0 || steady.messages == 0 {
        return Err("nothing was delivered".to_owned());
    }
    Ok(Cell { fast, steady })
}

fn document() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/scaling.md")
}

pub(crate) fn run(options: &Options) -> Result<(), String> {
    let (rows, servers, rounds) = (options.rows()?, &options.servers[..], options.choice.rounds());
    // The script has pinned this process to core 1, if there is one; all others get core 0.
    let core = std::env::var_os("BENCH_PINNED").map(|_| 0);
    let runtime = crate::runtime()?;
    // As in `bench/stomp`: a generator that sleeps has to be woken, in the servers' time.
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
                let nodes = servers[at];
                let name = format!("round {} {:<28} {:<6}", round + 1, row.id, nodes.name());
                let cell = runtime.block_on(measure(nodes, row, options.choice.measure(), core));
                match &cell {
                    Ok(cell) => eprintln!("{name} {}", progress(cell)),
                    Err(error) => {
                        failures += 1;
                        eprintln!("{name} FAILED: {error}");
                    }
                }
                results[at].push(cell.ok());
            }
        }
    }
    let table = table_of(&rows, servers, &results, rounds);
    println!("{table}");
    if options.choice.write {
        table::write(&document(), "bench/rooms --nodes", &table)?;
    }
    match failures {
        0 => Ok(()),
        _ => Err(format!("{failures} cells failed")),
    }
}

fn progress(cell: &Cell) -> String {
    let share = |seconds: f64| 100.0 * seconds / cell.fast.seconds;
    format!(
        "{:>8}/s  nodes {:.0} % of a core, bus {:.0} %  p50 {:.0} us, p99 {:.0} us",
        table::figure(cell.per_second()),
        share(cell.fast.server_seconds),
        share(cell.fast.between_seconds),
        cell.steady.p50_us,
        cell.steady.p99_us
    )
}

/// The medians, and those of the rounds' ratios: only runs that follow each other are compared.
fn table_of(rows: &[Row], servers: &[Nodes], results: &[Vec<Vec<Option<Cell>>>], rounds: usize) -> String {
    let mut table = String::new();
    let out = &mut table;
    let head = [
        "a room of",
        "nodes",
        "deliveries/s",
        "of one node's",
        "the nodes' processor time, µs each",
        "of one node's",
        "NATS's or Redis's, µs each",
        "latency, p50 in ms",
        "p99 in ms",
    ];
    table::line(out, head.map(str::to_owned));
    table::line(out, head.map(|_| "---".to_owned()));
    let one = servers.iter().position(|nodes| *nodes == Nodes::One);
    for (row, results) in rows.iter().zip(results) {
        for (at, (nodes, cells)) in servers.iter().zip(results).enumerate() {
            let median = |of: fn(&Cell) -> f64| table::median(cells.iter().flatten().map(of).collect());
            let decimals = |value: Option<f64>, digits: usize| {
                value.map_or("-".to_owned(), |value| format!("{value:.digits$}"))
            };
            let ratio = |of: fn(&Cell) -> f64| {
                let Some(one) = one.filter(|one| *one != at) else { return String::new() };
                let pairs = cells.iter().zip(&results[one]);
                let pairs = pairs.filter_map(|(these, those)| these.as_ref().zip(those.as_ref()));
                decimals(table::median(pairs.map(|(these, those)| of(these) / of(those)).collect()), 2)
            };
            table::line(
                out,
                [
                    if at == 0 { row.title() } else { String::new() },
                    nodes.title().to_owned(),
                    median(Cell::per_second).map_or("-".to_owned(), table::figure),
                    ratio(Cell::per_second),
                    decimals(median(Cell::of_nodes), 2),
                    ratio(Cell::of_nodes),
                    nodes.engine().map_or(String::new(), |_| decimals(median(Cell::of_engine), 3)),
                    decimals(median(|cell| cell.steady.p50_us / 1000.0), 2),
                    decimals(median(|cell| cell.steady.p99_us / 1000.0), 2),
                ],
            );
        }
    }
    let rounds = if rounds == 1 { "One round".to_owned() } else { format!("Medians of {rounds} rounds") };
    writeln!(out, "\n{rounds}, on {}.\n", table::machine()).expect("a string takes all");
    table
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_document_has_a_place_for_the_table() {
        let file = std::env::temp_dir().join(format!("axum-sockjs-rooms-table-{}.md", std::process::id()));
        fs::copy(document(), &file).expect("a copy");
        table::write(&file, "bench/rooms --nodes", "the table\n").expect("marks");
        let written = fs::read_to_string(&file).expect("the copy");
        fs::remove_file(&file).expect("the copy");
        assert!(written.contains("the table\n") && written.contains("## What must hold"), "{written}");
    }
}
