//! Which rows to measure, how often and how long.

use std::time::Duration;

use clap::Args;

/// What the commands that measure rows have in common.
#[derive(Debug, Args)]
pub(crate) struct Choice {
    #[arg(long)]
    quick: bool,
    #[arg(long)]
    pub(crate) smoke: bool,
    #[arg(long, value_name = "PATTERN,…", value_delimiter = ',')]
    rows: Vec<String>,
    #[arg(long)]
    rounds: Option<usize>,
    #[arg(long, value_name = "SECONDS", value_parser = crate::seconds)]
    seconds: Option<Duration>,
    #[arg(long, conflicts_with = "rows")]
    pub(crate) write: bool,
}

impl Choice {
    pub(crate) fn rows<R: Chosen>(&self, all: Vec<R>) -> Result<Vec<R>, String> {
        choose(all, &self.rows, self.quick && !self.smoke)
    }

    pub(crate) fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick || self.smoke { 1 } else { 3 })
    }

    pub(crate) fn measure(&self) -> Duration {
        self.seconds.unwrap_or(Duration::from_millis(match (self.smoke, self.quick) {
            (true, _) => 50,
            (false, true) => 1000,
            (false, false) => 2000,
        }))
    }
}

/// A row that can be asked for.
pub(crate) trait Chosen {
    /// What `--rows` looks for.
    fn id(&self) -> &str;

    /// Whether `--quick` leaves it in.
    fn is_quick(&self) -> bool;
}

/// The rows with one of these patterns in their names; without patterns all, or the quick ones.
pub(crate) fn choose<R: Chosen>(all: Vec<R>, patterns: &[String], quick: bool) -> Result<Vec<R>, String> {
    let ids: Vec<String> = all.iter().map(|row| row.id().to_owned()).collect();
    let wanted = |row: &R| match patterns {
        [] => row.is_quick() || !quick,
        patterns => patterns.iter().any(|pattern| row.id().contains(pattern.as_str())),
    };
    let rows: Vec<R> = all.into_iter().filter(wanted).collect();
    if rows.is_empty() { Err(format!("no such row; there are {}", ids.join(" "))) } else { Ok(rows) }
}
