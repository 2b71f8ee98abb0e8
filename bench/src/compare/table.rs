//! The table of medians.

use std::{fmt::Write as _, fs, path::Path};

use super::{
    cell::Cell,
    rows::{Goal, Row},
    servers::Server,
};

/// Splits a document into what stands before, between and behind the marks that it has for a command's table.
pub(super) fn section<'a>(document: &'a str, command: &str) -> Result<(&'a str, &'a str, &'a str), String> {
    let (begin, end) = (format!("<!-- {command} writes from here -->\n"), "<!-- to here -->\n");
    let found = document.find(&begin).and_then(|at| {
        let (before, rest) = document.split_at(at + begin.len());
        let (section, after) = rest.split_at(rest.find(end)?);
        Some((before, section, after))
    });
    found.ok_or_else(|| format!("there are no marks for the table of {command}"))
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

pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
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

/// The median of the rounds' ratios. Two commits differ by less than the machine's speed from one minute to the next, so
/// only runs that follow each other are compared.
fn ratio_of_rounds(ours: &[Cell], before: &[Cell]) -> Option<f64> {
    if ours.len() != before.len() {
        // A run failed, and the others cannot be paired.
        return None;
    }
    median(ours.iter().zip(before).map(|(ours, before)| ours.value / before.value).collect())
}

/// `results` has a list of cells, one of each round, for each row and server.
pub(crate) fn of(rows: &[Row], servers: &[Server], results: &[Vec<Vec<Cell>>], rounds: usize) -> String {
    let mut table = String::new();
    let out = &mut table;
    let at = |server| servers.iter().position(|other| *other == server);
    let ours = at(Server::Ours);
    let (against, name) = match (at(Server::Before), at(Server::Forwarded)) {
        (Some(before), _) => (Some(before), "ours / before"),
        (None, Some(forwarded)) => (Some(forwarded), "forwarded / one node"),
        (None, None) => (at(Server::Node), "ours / sockjs-node"),
    };
    line(
        out,
        ["".to_owned()]
            .into_iter()
            .chain(servers.iter().map(|server| server.title().to_owned()))
            .chain([name, "goal: must / aim", ""].map(str::to_owned)),
    );
    line(out, std::iter::repeat_n("---".to_owned(), servers.len() + 4));
    for (row, results) in rows.iter().zip(results) {
        let medians: Vec<Option<f64>> =
            results.iter().map(|cells| median_of(cells, |cell| Some(cell.value))).collect();
        let ours = ours.and_then(|at| medians[at]);
        let ratio = match (at(Server::Ours), at(Server::Before), at(Server::Forwarded)) {
            (Some(ours), Some(before), _) => ratio_of_rounds(&results[ours], &results[before]),
            (Some(ours), _, Some(forwarded)) => ratio_of_rounds(&results[forwarded], &results[ours]),
            _ => ours.zip(against.and_then(|at| medians[at])).map(|(ours, other)| ours / other),
        };
        let (goal, met) = match row.goal {
            // The goals are beside the peers.
            _ if at(Server::Before).is_some() => (String::new(), None),
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
            Goal::AtMostTimes(must) if at(Server::Forwarded).is_some() => {
                (format!("at most x {must}"), ratio.map(|ratio| (ratio <= must, ratio <= must)))
            }
            Goal::AtMostTimes(_) | Goal::None => (String::new(), None),
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
pub(crate) fn machine() -> String {
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

pub(crate) fn line(out: &mut String, cells: impl IntoIterator<Item = String>) {
    for cell in cells {
        write!(out, "| {cell} ").expect("a string takes all");
    }
    out.push_str("|\n");
}

/// Writes the table between the marks that a file has for it.
pub(crate) fn write(file: &Path, command: &str, table: &str) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let text = fs::read_to_string(file).map_err(|error| failed(&error))?;
    let (before, _, after) = section(&text, command).map_err(|error| failed(&error))?;
    fs::write(file, format!("{before}{table}{after}")).map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(values: &[f64]) -> Vec<Cell> {
        values
            .iter()
            .map(|value| Cell { value: *value, report: None, kept: None, note: String::new() })
            .collect()
    }

    #[test]
    fn medians_are_compared_with_the_goal() {
        let rows = super::super::rows::all();
        // The first row's goal is 1.5 times sockjs-node's, and 1.8.
        assert_eq!(rows[0].goal, Goal::Times(1.5, 1.8));
        for (ours, ratio, verdict) in
            [(149.0, "1.49", "short"), (150.0, "1.50", "met"), (180.0, "1.80", "aim met")]
        {
            let results = [vec![cells(&[ours, 1.0, 999.0]), cells(&[100.0, 0.0, 101.0])]];
            let table = of(&rows[..1], &[Server::Ours, Server::Node], &results, 3);
            let row = table.lines().nth(2).expect("a row");
            assert!(row.ends_with(&format!("| {ratio} | x 1.5 / 1.8 | {verdict} |")), "{row}");
        }
        // With another commit, the ratios are those of runs that followed each other.
        for (before, ratio) in [(&[80.0, 160.0, 250.0][..], "1.25"), (&[1.0], "-")] {
            let results = [vec![cells(&[100.0, 200.0, 300.0]), cells(before)]];
            let table = of(&rows[..1], &[Server::Ours, Server::Before], &results, 3);
            let row = table.lines().nth(2).expect("a row");
            assert!(row.ends_with(&format!("| {ratio} |  |  |")), "{row}");
        }
        // A row that failed in each round.
        let table = of(&rows[..1], &[Server::Ours, Server::Node], &[vec![vec![], cells(&[1.0])]], 3);
        assert!(
            table.lines().nth(2).expect("a row").ends_with("| - | 1.0 | - | x 1.5 / 1.8 |  |"),
            "{table}"
        );
    }

    #[test]
    fn what_is_forwarded_is_compared_with_one_node() {
        let rows = super::super::rows::nodes();
        assert_eq!(rows[0].goal, Goal::AtMostTimes(2.0));
        for (forwarded, ratio, verdict) in [(200.0, "2.00", "aim met"), (201.0, "2.01", "short")] {
            let results = [vec![cells(&[100.0]), cells(&[forwarded])]];
            let table = of(&rows[..1], &[Server::Ours, Server::Forwarded], &results, 1);
            let row = table.lines().nth(2).expect("a row");
            assert!(row.ends_with(&format!("| {ratio} | at most x 2 | {verdict} |")), "{row}");
        }
        // Beside another server, the ratio is not that of the goal.
        let table = of(&rows[..1], &[Server::Ours, Server::Node], &[vec![cells(&[1.0]), cells(&[9.0])]], 1);
        assert!(table.lines().nth(2).expect("a row").ends_with("|  |  |"), "{table}");
    }

    #[test]
    fn memory_is_to_be_small_and_the_others_fast() {
        let row = super::super::rows::all().pop().expect("rows");
        assert_eq!(row.goal, Goal::BelowKeeping(16.0, 0.9));
        for (grown, kept, verdict) in [(16.0, 0.9, "aim met"), (16.5, 1.0, "short"), (10.0, 0.8, "short")] {
            let cell = Cell { value: grown, report: None, kept: Some(kept), note: String::new() };
            let table = of(std::slice::from_ref(&row), &[Server::Ours], &[vec![vec![cell]]], 1);
            assert!(table.lines().nth(2).expect("a row").ends_with(&format!("| {verdict} |")), "{table}");
        }
    }

    #[test]
    fn the_document_has_a_place_for_each_table() {
        let document = fs::read_to_string(super::super::document());
        let file = std::env::temp_dir().join(format!("axum-sockjs-table-{}.md", std::process::id()));
        fs::write(&file, document.expect("the document")).expect("a copy");
        for name in ["bench/compare", "bench/compare --scale"] {
            for table in ["table one\n", "table two\n"] {
                write(&file, name, table).expect("marks");
            }
        }
        let written = fs::read_to_string(&file).expect("the copy");
        fs::remove_file(&file).expect("the copy");
        assert_eq!(written.matches("table two\n").count(), 2);
        assert!(!written.contains("table one"));
        assert!(written.contains("## How it is measured") && written.contains("## How each cost"));
    }
}
