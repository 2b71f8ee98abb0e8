//! The tables of `docs/`, which these tests write anew with `WRITE_TABLES=1`. They need more than cargo: `scripts/test` says
//! what, and runs them.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use crate::{
    fallback::{CASES, behind, outcome},
    support::soon,
};
use serde::Deserialize;

fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

/// Puts a table between its marks in a document. Cells that change from one run to the next begin with `~`, and are not
/// compared.
pub(crate) fn check_table(document: &str, name: &str, table: &str) {
    let file = path(document);
    let text = fs::read_to_string(&file).unwrap();
    let (start, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
    let (before, rest) = text.split_once(&start).expect("a mark where the table begins");
    let (written, after) = rest.split_once(&end).expect("a mark where the table ends");
    if env::var_os("WRITE_TABLES").is_some() {
        fs::write(&file, format!("{before}{start}{table}{end}{after}")).unwrap();
        return;
    }
    let compared = |table: &str| {
        let cells = table.lines().flat_map(|line| line.split('|')).map(str::trim);
        cells.map(|cell| if cell.starts_with('~') { "~" } else { cell }.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(compared(table), compared(written), "{document} is not what this run found:\n{table}");
}

/// What the browser's client ended at, under Node.
#[derive(Deserialize)]
struct Outcome {
    transport: Option<String>,
    code: Option<u16>,
    ms: u64,
}

async fn browsers_client(url: &str) -> Outcome {
    let child = tokio::process::Command::new("node")
        .arg(path("../../tests/node/connect.js"))
        .arg(url)
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output();
    let output = soon("the end of the browser's client", child).await.expect("node runs");
    serde_json::from_slice(&output.stdout).expect("what the browser's client ended at")
}

#[tokio::test]
#[ignore = "needs Node.js, and the packages of tests/node"]
async fn behind_a_proxy_both_clients_end_at_the_same() {
    let mut table = "| a proxy that | ends at | time (Rust) | time (Node) |\n|---|---|---|---|\n".to_owned();
    for case in CASES {
        let (_server, _proxy, url) = behind(case).await;
        let (ours, took) = outcome(&url).await;
        let theirs = browsers_client(&url).await;
        assert_eq!(ours, case.expected, "a proxy that {}", case.name);
        let end = match ours {
            Ok(transport) => {
                let name = theirs.transport.as_deref();
                assert_eq!(
                    name,
                    Some(transport.name()),
                    "the browser's client behind a proxy that {}",
                    case.name
                );
                format!("`{transport}`")
            }
            // Its released version knows the status of a refused `/info` not yet.
            Err(code @ 400..600) if theirs.code == Some(1002) => {
                format!("close code {code}; 1.6.1 says 1002")
            }
            Err(code) => {
                assert_eq!(theirs.code, Some(code), "the browser's client behind a proxy that {}", case.name);
                format!("close code {code}")
            }
        };
        table += &format!("| {} | {end} | ~ {} ms | ~ {} ms |\n", case.name, took.as_millis(), theirs.ms);
    }
    check_table("docs/fallback.md", "fallback", &table);
}
