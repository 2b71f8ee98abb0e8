//! Servers that take turns at each row, and the table of their medians.

use std::fmt::Write as _;

use crate::{
    compare::table::{figure, line, machine, median},
    load::Report,
};

/// What was measured.
pub(crate) struct Cell {
    pub(crate) value: f64,
    pub(crate) report: Option<Report>,
}

/// A server's column.
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
}

/// Of each row and server, a cell of each round: none where it has failed.
pub(crate) struct Results {
    cells: Vec<Vec<Vec<Option<Cell>>>>,
    rounds: usize,
    failures: usize,
}

impl Results {
    /// Measures each row at each server in turn, and says what has come of it. `measure` gets the places of both; none of
    /// its figures stands for a server that has no part in a row.
    pub(crate) fn measure(
        rows: &[&str],
        columns: &[Column],
        rounds: usize,
        mut measure: impl FnMut(usize, usize) -> Option<Result<Cell, String>>,
    ) -> Self {
        let mut cells: Vec<Vec<Vec<Option<Cell>>>> =
            rows.iter().map(|_| columns.iter().map(|_| Vec::new()).collect()).collect();
        let mut failures = 0;
        for round in 0..rounds {
            for (row, cells) in cells.iter_mut().enumerate() {
                for turn in 0..columns.len() {
                    // Each round begins with another.
                    let column = (turn + round) % columns.len();
                    let Some(measured) = measure(row, column) else { continue };
                    let name = format!("round {} {:<32} {:<8}", round + 1, rows[row], columns[column].name);
                    match &measured {
                        Ok(cell) => {
                            eprintln!("{name} {:>9}{}", figure(cell.value), shares(cell.report.as_ref()));
                        }
                        Err(error) => {
                            failures += 1;
                            eprintln!("{name} FAILED: {error}");
                        }
                    }
                    cells[column].push(measured.ok());
                }
            }
        }
        Self { cells, rounds, failures }
    }

    /// The medians, and those of the rounds' ratios of the first column to others: only runs that follow each other are
    /// compared.
    pub(crate) fn table(&self, titles: &[&str], columns: &[Column], others: &[usize]) -> String {
        let mut table = String::new();
        let heads = columns.iter().map(|column| column.title.to_owned());
        let ratios = others.iter().map(|other| format!("{} / {}", columns[0].name, columns[*other].name));
        let head: Vec<String> = ["".to_owned()].into_iter().chain(heads).chain(ratios).collect();
        line(&mut table, head.iter().cloned());
        line(&mut table, head.iter().map(|_| "---".to_owned()));
        for (title, cells) in titles.iter().zip(&self.cells) {
            let values = |at: usize| cells[at].iter().map(|cell| cell.as_ref().map(|cell| cell.value));
            let medians = (0..columns.len())
                .map(|at| median(values(at).flatten().collect()).map_or("-".to_owned(), figure));
            let ratio = |other: &usize| {
                let pairs = values(0).zip(values(*other)).filter_map(|(first, other)| first.zip(other));
                let ratio = median(pairs.map(|(first, other)| first / other).collect());
                ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"))
            };
            let title = (*title).to_owned();
            line(&mut table, [title].into_iter().chain(medians).chain(others.iter().map(ratio)));
        }
        let rounds = if self.rounds == 1 {
            "One round".to_owned()
        } else {
            format!("Medians of {} rounds", self.rounds)
        };
        writeln!(table, "\n{rounds}, on {}.\n", machine()).expect("a string takes all");
        table
    }

    /// Fails if a cell has.
    pub(crate) fn judge(&self) -> Result<(), String> {
        match self.failures {
            0 => Ok(()),
            failures => Err(format!("{failures} cells failed")),
        }
    }
}

fn shares(report: Option<&Report>) -> String {
    let Some(report) = report else { return String::new() };
    let share = |seconds: f64| 100.0 * seconds / report.seconds;
    let between = match report.between_seconds {
        0.0 => String::new(),
        seconds => format!(", behind it {:.0} %", share(seconds)),
    };
    format!("  server {:.0} % of a core{between}", share(report.server_seconds))
}
