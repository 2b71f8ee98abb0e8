//! Runs the rows on the servers in turn, and makes a table of the medians.

mod cell;
mod plots;
mod rows;
pub(crate) mod servers;
pub(crate) mod table;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, builder::ArgPredicate};

use self::{cell::Cell, rows::Row, servers::Server};
use crate::choice::choose;

/// How long each cell takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) warm_up: Duration,
    pub(crate) measure: Duration,
}

/// What to compare. The script `bench/compare` describes it.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[arg(long)]
    quick: bool,
    #[arg(long, conflicts_with = "nodes")]
    scale: bool,
    #[arg(long)]
    nodes: bool,
    #[arg(long, value_name = "PATTERN,…", value_delimiter = ',')]
    rows: Vec<String>,
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "ours,node",
        default_value_if("nodes", ArgPredicate::IsPresent, "ours,forwarded")
    )]
    servers: Vec<Server>,
    #[arg(long)]
    rounds: Option<usize>,
    #[arg(long, value_name = "SECONDS", value_parser = crate::seconds)]
    seconds: Option<Duration>,
    #[arg(long, conflicts_with = "rows")]
    write: bool,
}

impl Options {
    fn rows(&self) -> Result<Vec<Row>, String> {
        let all = match self {
            Self { scale: true, .. } => rows::scale,
            Self { nodes: true, .. } => rows::nodes,
            _ => rows::all,
        };
        choose(all(), &self.rows, self.quick)
    }

    fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 1 } else { 3 })
    }

    fn times(&self) -> Times {
        let ms = Duration::from_millis;
        if let Some(measure) = self.seconds {
            return Times { warm_up: measure / 2, measure };
        }
        match self.quick {
            true => Times { warm_up: ms(600), measure: ms(1000) },
            false => Times { warm_up: ms(1000), measure: ms(2000) },
        }
    }
}

/// Where tables are written to.
fn document() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/performance.md")
}

/// Draws the plots of the tables that the document has.
pub(crate) fn plots() -> Result<(), String> {
    plots::write(&document())
}

pub(crate) fn run(options: &Options) -> Result<(), String> {
    let (rows, rounds, times) = (options.rows()?, options.rounds(), options.times());
    // The script has pinned this process to core 1, if there is one; servers get core 0.
    let core = std::env::var_os("BENCH_PINNED").map(|_| 0);
    if core.is_none() {
        eprintln!("nothing is pinned: that takes two cores and taskset");
    }
    let runtime = crate::runtime()?;
    let mut results: Vec<Vec<Vec<Cell>>> = vec![vec![Vec::new(); options.servers.len()]; rows.len()];
    let mut failures = 0;
    for round in 0..rounds {
        for (row, results) in rows.iter().zip(&mut results) {
            for turn in 0..options.servers.len() {
                // Each round begins with another.
                let at = (turn + round) % options.servers.len();
                let server = options.servers[at];
                match runtime.block_on(cell::measure(server, row.work, times, core)) {
                    Ok(Some(cell)) => {
                        eprintln!("round {} {:<32} {:<8} {cell}", round + 1, row.id, server.name());
                        results[at].push(cell);
                    }
                    Ok(None) => {}
                    Err(error) => {
                        failures += 1;
                        eprintln!("round {} {:<32} {:<8} FAILED: {error}", round + 1, row.id, server.name());
                    }
                }
            }
        }
    }
    let table = table::of(&rows, &options.servers, &results, rounds);
    println!("{table}");
    if options.write {
        let name = match options {
            Options { scale: true, .. } => "bench/compare --scale",
            Options { nodes: true, .. } => "bench/compare --nodes",
            _ => "bench/compare",
        };
        table::write(&document(), name, &table)?;
        plots()?;
    }
    match failures {
        0 => Ok(()),
        _ => Err(format!("{failures} cells failed")),
    }
}
