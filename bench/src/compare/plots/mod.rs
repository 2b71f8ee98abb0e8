//! Plots of the tables in docs/performance.md, as SVG beside it.
//!
//! They are drawn from what stands in the document, so that a reader who doubts a bar finds its figure there.

mod bars;
mod figures;

use std::{fs, path::Path};

use self::{
    bars::{Bars, Group, Series},
    figures::Figures,
};
use super::{
    rows::{self, Goal, Row, Work},
    servers::Server,
};

/// Draws all plots anew: file names and contents.
fn draw(document: &str) -> Result<Vec<(&'static str, String)>, String> {
    let main = Figures::read(document, "bench/compare")?;
    let scale = Figures::read(document, "bench/compare --scale")?;
    let (all, of_scale) = (rows::all(), rows::scale());
    let series = |server: Server| Series { name: server.title(), class: server.name() };
    let peers = [Server::Ours, Server::Node, Server::Axum].map(series);
    let ceilings = [Server::Ours, Server::Axum, Server::Tcp].map(series);
    let ratio = [Series { name: "ours / sockjs-node", class: Server::Ours.name() }];

    let rates = Bars {
        title: "Echoes of 64 B, one in flight: messages per second of the server's processor time",
        longer_is: "better",
        series: &peers,
        groups: groups(&main, &all, &peers, |row| match row.work {
            Work::Echo { transport, sessions: 16, in_flight: 1, .. } => Some(transport.name().to_owned()),
            _ => None,
        }),
        source: &main.source,
    };
    let ratios = Bars {
        title: "Messages per second of the server's processor time, of sockjs-node's",
        longer_is: "better",
        series: &ratio,
        groups: groups(&main, &all, &ratio, |row| {
            matches!(row.goal, Goal::Times(..)).then(|| row.title.replace('`', ""))
        }),
        source: &main.source,
    };
    let idle = Bars {
        title: "Resident KiB per idle session, of 10,000",
        longer_is: "worse",
        series: &peers,
        groups: groups(&main, &all, &peers, |row| match row.work {
            Work::Idle { transport, .. } => Some(transport.name().to_owned()),
            _ => None,
        }),
        source: &main.source,
    };
    let cost = Bars {
        title: "Microseconds of the server's processor time per message of 64 B, by sessions",
        longer_is: "worse",
        series: &ceilings,
        groups: groups(&scale, &of_scale, &ceilings, |row| match row.work {
            Work::Cost { transport, sessions } => Some(format!("{}, {sessions} sessions", transport.name())),
            _ => None,
        }),
        source: &scale.source,
    };
    let named = [("rates", rates), ("ratios", ratios), ("idle", idle), ("cost", cost)];
    Ok(named.map(|(name, bars)| (name, bars.svg())).into())
}

/// The rows that have a label, with their figures in the columns.
fn groups<'a>(
    figures: &'a Figures,
    rows: &[Row],
    columns: &[Series],
    label: impl Fn(&Row) -> Option<String>,
) -> Vec<Group<'a>> {
    let group = |row: &Row| {
        let bars = columns.iter().map(|column| figures.get(&row.title, column.name)).collect();
        Some(Group { label: label(row)?, bars })
    };
    rows.iter().filter_map(group).collect()
}

fn file(document: &Path, name: &str) -> std::path::PathBuf {
    document.with_file_name(format!("performance-{name}.svg"))
}

/// Draws the plots of a document, beside it.
pub(crate) fn write(document: &Path) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", document.display());
    let text = fs::read_to_string(document).map_err(|error| failed(&error))?;
    for (name, svg) in draw(&text)? {
        fs::write(file(document, name), svg).map_err(|error| failed(&error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plots_are_of_the_figures_in_the_document() {
        let document = super::super::document();
        let text = fs::read_to_string(&document).expect("the document");
        for (name, svg) in draw(&text).expect("plots") {
            let file = file(&document, name);
            let drawn = fs::read_to_string(&file).unwrap_or_default();
            assert!(drawn == svg, "{}: run bench/compare --plots", file.display());
            let shown = format!("({})", file.file_name().expect("a name").to_string_lossy());
            assert!(text.contains(&shown), "the document does not show {shown}");
        }
    }
}
