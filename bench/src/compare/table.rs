//! The table of medians.

use std::{fmt::Write as _, fs, path::Path};

use super::{
    cell::Cell,
    rows::{Goal, Row},
    servers::Server,
};

/// The marks that the table is written between.
fn marks(name: &str) -> (String, String) {
    (format!("<!-- {name} writes from here -->\n"), "<!-- to here -->\n".to_owned())
}

/// A figure as a reader wants it.
pub(crate) fn figure(value: f64) -> String {
    match value {
        value if value >= 100_000.0 => format!("{:.0} k", value / 1000.0),
        value if value >= 1000.0 => format!("{:.1} k", value / 1000.0),
        value if value >= 100.0 => format!("{value:.0}"),
        _ => format!("{value:.1}"),
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        len if len % 2 == 0 => Some((values[middle - 1] + values[middle]) / 2.0),
        _ => Some(values[middle]),
    }
}

fn median_of(cells: &[Cell], of: impl Fn(&Cell) -> Option<f64>) -> Option<f64> {
    median(cells.iter().filter_map(of).collect())
}

/// `results` has a list of cells, one of each round, for each row and server.
pub(crate) fn of(rows: &[Row], servers: &[Server], results: &[Vec<Vec<Cell>>], rounds: usize) -> String {
    let mut table = String::new();
    let out = &mut table;
    let at = |server| servers.iter().position(|other| *other == server);
    let (ours, node) = (at(Server::Ours), at(Server::Node));
    line(
        out,
        ["".to_owned()]
            .into_iter()
            .chain(servers.iter().map(|server| server.title().to_owned()))
            .chain(["ours / sockjs-node", "goal: must / aim", ""].map(str::to_owned)),
    );
    line(out, std::iter::repeat_n("---".to_owned(), servers.len() + 4));
    for (row, results) in rows.iter().zip(results) {
        let medians: Vec<Option<f64>> =
            results.iter().map(|cells| median_of(cells, |cell| Some(cell.value))).collect();
        let ours = ours.and_then(|at| medians[at]);
        let ratio = ours.zip(node.and_then(|at| medians[at])).map(|(ours, node)| ours / node);
        let (goal, met) = match row.goal {
            Goal::Times(must, aim) => {
                let goal = if must == aim { format!("x {must}") } else { format!("x {must} / {aim}") };
                (goal, ratio.map(|ratio| (ratio >= must, ratio >= aim)))
            }
            Goal::BelowKeeping(must, keep) => {
                let kept = at(Server::Ours).and_then(|at| median_of(&results[at], |cell| cell.kept));
                let met =
                    |(ours, kept): (f64, f64)| (ours <= must && kept >= keep, ours <= must && kept >= keep);
                (format!("{must}, others keep {keep}"), ours.zip(kept).map(met))
            }
            Goal::None => (String::new(), None),
            Goal::Below(must, aim) => {
                let goal = if must == aim { format!("{must}") } else { format!("{must} / {aim}") };
                (goal, ours.map(|ours| (ours <= must, ours <= aim)))
            }
        };
        let met = match met {
            Some((_, true)) => "aim met",
            Some((true, false)) => "met",
            Some((false, false)) => "short",
            None => "",
        };
        line(
            out,
            [row.title.clone()]
                .into_iter()
                .chain(medians.iter().zip(results).map(|(median, cells)| {
                    let figure = median.map_or("-".to_owned(), figure);
                    match median_of(cells, |cell| cell.kept) {
                        Some(kept) => format!("{figure}, others keep {kept:.2}"),
                        None => figure,
                    }
                }))
                .chain([ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}")), goal, met.to_owned()]),
        );
    }
    let rounds = if rounds == 1 { "One round".to_owned() } else { format!("Medians of {rounds} rounds") };
    writeln!(out, "\n{rounds}, on {}.\n", machine()).expect("a string takes all");
    latencies(out, rows, servers, results);
    table
}

/// Where it was measured.
fn machine() -> String {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let field = |line: &str| {
        line.strip_prefix("model name").and_then(|line| Some(line.split_once(':')?.1.trim().to_owned()))
    };
    let mut models: Vec<String> = cpus.lines().filter_map(field).collect();
    let cores = models.len();
    models.dedup();
    let release = read("/proc/sys/kernel/osrelease");
    let version = |program: &str| {
        let output = std::process::Command::new(program).arg("--version").output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let mut machine = format!(
        "{} ({cores} cores), Linux {}",
        models.join(", "),
        release.split('-').next().unwrap_or_default().trim()
    );
    for (name, program) in [("", "rustc"), ("Node.js ", "node"), ("", "python3")] {
        if let Some(version) = version(program) {
            let short = version.split(" (").next().unwrap_or_default();
            write!(machine, ", {name}{short}").expect("a string takes all");
        }
    }
    machine
}

/// The second table: latencies, and who was busy.
fn latencies(out: &mut String, rows: &[Row], servers: &[Server], results: &[Vec<Vec<Cell>>]) {
    let head =
        ["", "server", "messages/s", "p50 us", "p99 us", "p99.9 us", "server's core", "generator's core"];
    line(out, head.map(str::to_owned));
    line(out, head.map(|_| "---".to_owned()));
    for (row, results) in rows.iter().zip(results) {
        for (server, cells) in servers.iter().zip(results) {
            let of =
                |of: fn(&crate::load::Report) -> f64| median_of(cells, |cell| cell.report.as_ref().map(of));
            let Some(rate) = of(|report| report.per_second) else { continue };
            // Of a broadcast, no latencies are kept.
            let of_latency = |latency: fn(&crate::load::Report) -> f64| of(latency).filter(|us| *us > 0.0);
            let micros = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.0}"));
            let percent =
                |value: Option<f64>| value.map_or(String::new(), |value| format!("{:.0} %", 100.0 * value));
            line(
                out,
                [
                    row.title.clone(),
                    server.title().to_owned(),
                    figure(rate),
                    micros(of_latency(|report| report.p50_us)),
                    micros(of_latency(|report| report.p99_us)),
                    micros(of_latency(|report| report.p999_us)),
                    percent(of(|report| report.server_seconds / report.seconds)),
                    percent(of(|report| report.generator_share)),
                ],
            );
        }
    }
}

fn line(out: &mut String, cells: impl IntoIterator<Item = String>) {
    for cell in cells {
        write!(out, "| {cell} ").expect("a string takes all");
    }
    out.push_str("|\n");
}

/// Writes the table between the marks that a file has for it.
pub(crate) fn write(file: &Path, name: &str, table: &str) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let text = fs::read_to_string(file).map_err(|error| failed(&error))?;
    let (begin, end) = marks(name);
    let parts = text.split_once(&begin).and_then(|(before, rest)| Some((before, rest.split_once(&end)?.1)));
    let (before, after) = parts.ok_or_else(|| failed(&"it has no marks for the table"))?;
    fs::write(file, format!("{before}{begin}{table}{end}{after}")).map_err(|error| failed(&error))
}
