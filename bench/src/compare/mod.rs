//! Runs the rows on the servers in turn, and makes a table of the medians.

mod cell;
mod plots;
mod rows;
mod servers;
mod table;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use self::{cell::Cell, rows::Row, servers::Server};

/// How long each cell takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) warm_up: Duration,
    pub(crate) measure: Duration,
}

struct Options {
    rows: Vec<Row>,
    servers: Vec<Server>,
    rounds: usize,
    times: Times,
    scale: bool,
    write: bool,
}

impl Options {
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut quick, mut scale, mut write) = (false, false, false);
        let mut patterns: Vec<String> = Vec::new();
        let mut servers = vec![Server::Ours, Server::Node];
        let mut rounds = None;
        while let Some(flag) = args.next() {
            match flag.as_str() {
                "--quick" => {
                    quick = true;
                    continue;
                }
                "--scale" => {
                    scale = true;
                    continue;
                }
                "--write" => {
                    write = true;
                    continue;
                }
                _ => {}
            }
            let value = args.next().ok_or_else(|| format!("{flag} needs a value"))?;
            match flag.as_str() {
                "--rows" => patterns.extend(value.split(',').map(str::to_owned)),
                "--servers" => {
                    let named = |name| Server::ALL.into_iter().find(|server| server.name() == name);
                    let find = |name| named(name).ok_or_else(|| format!("no server {name}"));
                    servers = value.split(',').map(find).collect::<Result<_, _>>()?;
                }
                "--rounds" => {
                    rounds = Some(value.parse().map_err(|error| format!("--rounds {value}: {error}"))?);
                }
                _ => return Err(format!("unknown option {flag}")),
            }
        }
        if write && !patterns.is_empty() {
            return Err("--write is for all rows".to_owned());
        }
        let all = if scale { rows::scale } else { rows::all };
        let wanted = |row: &Row| match &patterns[..] {
            [] => row.quick || !quick,
            patterns => patterns.iter().any(|pattern| row.id.contains(pattern.as_str())),
        };
        let rows: Vec<Row> = all().into_iter().filter(wanted).collect();
        if rows.is_empty() {
            let ids: Vec<String> = all().into_iter().map(|row| row.id).collect();
            return Err(format!("no such row; there are {}", ids.join(" ")));
        }
        let ms = Duration::from_millis;
        let times = match quick {
            true => Times { warm_up: ms(600), measure: ms(1000) },
            false => Times { warm_up: ms(1000), measure: ms(2000) },
        };
        Ok(Self { rows, servers, rounds: rounds.unwrap_or(if quick { 1 } else { 3 }), times, scale, write })
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

pub(crate) fn run(args: impl Iterator<Item = String>) -> Result<(), String> {
    let options = Options::parse(args)?;
    // The script has pinned this process to core 1, if there is one; servers get core 0.
    let core = std::env::var_os("BENCH_PINNED").map(|_| 0);
    if core.is_none() {
        eprintln!("nothing is pinned: that takes two cores and taskset");
    }
    let runtime = crate::runtime()?;
    let mut results: Vec<Vec<Vec<Cell>>> = vec![vec![Vec::new(); options.servers.len()]; options.rows.len()];
    let mut failures = 0;
    for round in 0..options.rounds {
        for (row, results) in options.rows.iter().zip(&mut results) {
            for turn in 0..options.servers.len() {
                // Each round begins with another.
                let at = (turn + round) % options.servers.len();
                let server = options.servers[at];
                match runtime.block_on(cell::measure(server, row.work, options.times, core)) {
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
    let table = table::of(&options.rows, &options.servers, &results, options.rounds);
    println!("{table}");
    if options.write {
        let name = if options.scale { "bench/compare --scale" } else { "bench/compare" };
        table::write(&document(), name, &table)?;
        plots()?;
    }
    match failures {
        0 => Ok(()),
        _ => Err(format!("{failures} cells failed")),
    }
}
