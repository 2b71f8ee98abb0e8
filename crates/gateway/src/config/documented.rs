//! The reference, docs/configuration.md, beside the code.

use std::collections::BTreeSet;

use super::{config::Config, read::Given, tests::words};

const REFERENCE: &str = include_str!("../../docs/configuration.md");

struct Row {
    table: String,
    word: String,
    /// As in a file, if the file can say it.
    default: Option<String>,
}

fn rows() -> Vec<Row> {
    let (mut table, mut rows) = (String::new(), Vec::new());
    for line in REFERENCE.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            table = heading.split('`').nth(1).unwrap_or_default().replace(['[', ']'], "");
        }
        let Some(row) = line.strip_prefix("| `") else { continue };
        let cells: Vec<_> = row.split(" | ").collect();
        let default = cells[2].strip_prefix('`').and_then(|cell| cell.strip_suffix('`'));
        rows.push(Row {
            table: table.clone(),
            word: cells[0].trim_end_matches('`').to_owned(),
            default: default.map(str::to_owned),
        });
    }
    rows
}

#[test]
fn every_word_is_in_the_reference_and_no_other() {
    let known: BTreeSet<_> = words()
        .into_iter()
        .filter(|(table, word)| {
            let is_table =
                matches!(*word, "tls" | "cluster" | "log" | "defaults" | "route" | "health" | "backend_tls");
            !table.starts_with("defaults") && !is_table
        })
        .map(|(table, word)| (table, word.to_owned()))
        .collect();
    let documented: BTreeSet<_> = rows().into_iter().map(|row| (row.table, row.word)).collect();
    assert_eq!(documented, known);
}

#[test]
fn the_defaults_of_the_reference_are_the_real_ones() {
    const ROUTE: &str = "[[route]]\npath = \"/a\"\nbackends = [{ url = \"wss://a\", drain = false }]\n";
    let by_default = Config::parse(ROUTE).unwrap();
    let with = |table: &str, line: &str| {
        let text = match table {
            "" => format!("{line}\n{ROUTE}"),
            "route" => format!("{ROUTE}{line}\n"),
            "route.backends" => ROUTE.replace("drain = false", line),
            _ if table.starts_with("route.") => format!("{ROUTE}[{table}]\n{line}\n"),
            _ => format!("[{table}]\n{line}\n{ROUTE}"),
        };
        Config::parse(&text).unwrap_or_else(|error| panic!("{error}"))
    };
    let mut without = BTreeSet::new();
    for Row { table, word, default } in rows() {
        match default {
            Some(default) => {
                assert_eq!(with(&table, &format!("{word} = {default}")), by_default, "[{table}] {word}");
            }
            None => _ = without.insert(format!("{table}.{word}")),
        }
    }
    // These have none that a file can say.
    let expected = [
        ".admin",
        "tls.certificate",
        "tls.key",
        "cluster.address",
        "cluster.secret",
        "cluster.secret_file",
        "cluster.other_secret",
        "cluster.other_secret_file",
        "cluster.public_url",
        "route.path",
        "route.backends",
        "route.client_url",
        "route.set_headers",
        "route.backends.url",
        "route.backend_tls.certificate",
        "route.backend_tls.key",
        "route.backend_tls.server_name",
        "route.health.path",
    ];
    assert_eq!(without, expected.map(str::to_owned).into());
}

#[test]
fn the_examples_are_right() {
    let short = REFERENCE.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    Config::parse(short).unwrap_or_else(|error| panic!("{error}"));
    let packaged = include_str!("../../packaging/sockjs-gateway.toml");
    let config = Config::parse(packaged).unwrap_or_else(|error| panic!("{error}"));
    assert!(config.listen.iter().all(|address| address.ip().is_loopback()), "it listens beyond loopback");

    // With every word of it, but for what needs files.
    let all: String = packaged
        .lines()
        .map(|line| {
            line.strip_prefix('#')
                .filter(|rest| !rest.starts_with([' ', '#']) && !rest.is_empty())
                .unwrap_or(line)
        })
        .filter(|line| !line.starts_with("secret_file"))
        .fold(String::new(), |all, line| all + line + "\n");
    assert!(all.contains("\n[cluster]\n") && all.contains("\nfall = 3\n"), "{all}");
    let secret = super::config::Secret("a".repeat(32));
    let given = Given { cluster_secret: Some(secret), ..Given::default() };
    super::read::read_text("packaged", &all, std::path::Path::new(""), &given)
        .unwrap_or_else(|error| panic!("{error}"));
}
