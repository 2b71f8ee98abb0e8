//! Holds texts of the documentation against the tests that they name.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use axum_sockjs::{RejectionCause, SockJs};

use crate::support::{apps::echo, docs::documented};

/// The guides, and the modules whose every test one of them has to name.
const GUIDES: &[&str] = &["SECURITY.md", "docs/faults.md"];
const NAMED_WHOLE: &[&str] = &["operating::faults::", "policy::security::"];

/// The guide whose tests are those of several crates, and under Node.
const SCALING: &str = "docs/scaling.md";

fn here(path: impl AsRef<Path>) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: impl AsRef<Path>) -> String {
    let path = here(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What stands between backticks and looks like the path of a test: `module::its_name`.
fn named_tests(guide: &str) -> BTreeSet<&str> {
    let is_test = |name: &&str| {
        !name.starts_with("axum::")
            && name.contains("::")
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_:".contains(&b))
    };
    guide.split('`').skip(1).step_by(2).filter(is_test).collect()
}

/// The tests in a folder and in those below it, by the paths that `cargo test` knows them by.
fn tests_below(folder: &Path, module: &str, tests: &mut BTreeSet<String>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("an entry of a folder").path();
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name of text");
        let inner = if name == "mod" { module.to_owned() } else { format!("{module}{name}::") };
        if path.is_dir() {
            tests_below(&path, &inner, tests);
        } else {
            tests_of(&read(&path), &inner, tests);
        }
    }
}

/// The tests of one file, each with the inline modules around it.
fn tests_of(source: &str, module: &str, tests: &mut BTreeSet<String>) {
    let mut inner = "";
    let mut is_test = false;
    for line in source.lines() {
        let text = line.trim_start();
        let outermost = text.len() == line.len();
        if let Some(name) = text.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(" {")) {
            inner = name;
        } else if outermost && text == "}" {
            inner = "";
        } else if text.starts_with("#[test]") || text.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some((_, rest)) = text.split_once("fn ").filter(|_| is_test) {
            let name = rest.split('(').next().unwrap_or_default();
            // Those of `proptest!` are indented as well.
            let inner = if outermost || inner.is_empty() { String::new() } else { format!("{inner}::") };
            tests.insert(format!("{module}{inner}{name}"));
            is_test = false;
        }
    }
}

fn all_tests() -> BTreeSet<String> {
    let mut tests = BTreeSet::new();
    tests_below(&here("tests/it"), "", &mut tests);
    assert!(tests.len() > 100, "{} tests", tests.len());
    tests
}

/// Those of the gateway: beside its code, and below its folder of tests.
fn tests_of_gateway(tests: &mut BTreeSet<String>) {
    for (folder, module) in [("src", "sockjs_gateway::"), ("tests", "sockjs_gateway::tests::")] {
        tests_below(&here("crates/gateway").join(folder), module, tests);
    }
}

#[test]
fn every_test_that_a_guide_names_is_there() {
    let mut tests = all_tests();
    tests_of_gateway(&mut tests);
    for guide in GUIDES {
        let text = read(guide);
        let named = named_tests(&text);
        assert!(named.len() > 10, "{guide} names {} tests", named.len());
        for name in named {
            assert!(tests.contains(name), "{guide} names {name}, which is not there");
        }
    }
}

/// A test of a crate is named below the crate's folder.
#[test]
fn every_test_that_the_guide_to_several_nodes_names_is_there() {
    let mut tests = all_tests();
    for krate in ["bus-nats", "bus-redis", "rooms", "stomp"] {
        let module = format!("{}::", krate.replace('-', "_"));
        tests_below(&here(format!("crates/{krate}/tests/it")), &module, &mut tests);
        // Those that are the same for each driver: `module::name,` in the macro that each uses.
        if krate.starts_with("bus-") {
            let shared = read("tests/drivers/src/lib.rs");
            let names = shared.lines().filter_map(|line| line.trim().strip_suffix(',')?.split_once("::"));
            tests.extend(names.map(|(_, name)| format!("{module}{name}")));
        }
    }
    let guide = read(SCALING);
    let named = named_tests(&guide);
    assert!(named.len() > 30, "{} tests", named.len());
    for name in named {
        assert!(tests.contains(name), "{SCALING} names {name}, which is not there");
    }
    // `file.test.js` "what it says"
    let mut under_node = 0;
    for (before, behind) in
        guide.match_indices(".test.js` \"").map(|(at, mark)| guide.split_at(at + mark.len()))
    {
        let file = before.rsplit('`').nth(1).expect("the file stands between backticks");
        let title = behind.split('"').next().expect("the title ends");
        let source = read(file);
        let is_there = ['\'', '`'].iter().any(|quote| source.contains(&format!("{title}{quote}, async")));
        assert!(is_there, "{SCALING} names {title:?} of {file}, which is not there");
        under_node += 1;
    }
    assert!(under_node > 10, "{under_node} tests under Node");
}

/// The names of metrics in a text.
fn metrics_in(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !(c.is_ascii_lowercase() || c == '_'));
    let names = words.filter(|word| ["sockjs_", "stomp_"].iter().any(|mark| word.starts_with(mark)));
    // Several of one beginning.
    names.filter(|name| !name.ends_with('_')).collect()
}

#[test]
fn what_the_guide_to_several_nodes_watches_is_counted() {
    let sources = [
        "src/endpoint/metrics.rs",
        "src/cluster/metrics.rs",
        "crates/rooms/src/metrics.rs",
        "crates/stomp/src/metrics.rs",
    ]
    .map(read);
    let counted: BTreeSet<&str> = sources.iter().flat_map(|source| metrics_in(source)).collect();
    let guide = read(SCALING);
    let table = guide.split("### What to watch").nth(1).and_then(|rest| rest.split("\n### ").next());
    let watched = metrics_in(table.expect("a chapter"));
    for mark in ["sockjs_requests_", "sockjs_cluster_", "sockjs_rooms_", "stomp_bus_"] {
        assert!(watched.iter().any(|name| name.starts_with(mark)), "{mark} is not watched");
    }
    let unknown: Vec<_> = watched.difference(&counted).collect();
    assert!(unknown.is_empty(), "{SCALING} names {unknown:?}, which nothing counts");
}

/// The balancers that the guide shows are those of the example and of the tests, with other addresses.
#[test]
fn the_guide_to_several_nodes_shows_tested_balancers() {
    for (language, file, listen) in [
        ("nginx", "examples/cluster/nginx/cluster.conf", "80"),
        ("haproxy", "tests/proxies/haproxy/round-robin.cfg", ":80"),
    ] {
        let mut config = read(file).replace("{{listen}}", listen);
        for (names, value) in [
            (["node_a", "backend"], "10.0.0.1:8081"),
            (["node_b", "backend2"], "10.0.0.2:8081"),
            (["node_c", "backend3"], "10.0.0.3:8081"),
            (["pages", "pages"], "127.0.0.1:8080"),
            (["dir", "dir"], "/run/haproxy"),
        ] {
            for name in names {
                config = config.replace(&format!("{{{{{name}}}}}"), value);
            }
        }
        let block = format!("<!-- {file}, as tested. -->\n```{language}\n{config}```\n<!-- end -->");
        assert!(
            read(SCALING).contains(&block),
            "{SCALING} shows another configuration than {file}:\n{block}"
        );
    }
}

#[test]
fn the_guides_name_every_test_that_is_theirs() {
    let texts: Vec<String> = GUIDES.iter().map(read).collect();
    let named: BTreeSet<&str> = texts.iter().flat_map(|text| named_tests(text)).collect();
    for test in all_tests() {
        let has_to_be_named = NAMED_WHOLE.iter().any(|module| test.starts_with(module));
        assert!(!has_to_be_named || named.contains(&*test), "no guide names {test}");
    }
}

/// The version of a crate in Cargo.lock.
fn locked(name: &str) -> String {
    let lock = read("Cargo.lock");
    let (_, behind) = lock.split_once(&format!("name = \"{name}\"\nversion = \"")).expect("it is locked");
    behind.split('"').next().expect("a version ends").to_owned()
}

/// What the guides say of other crates was tested with these.
#[test]
fn the_guides_name_the_versions_that_are_tested() {
    for (guide, name) in [("src/docs/mounting.md", "async-compression"), ("SECURITY.md", "hyper")] {
        let version = locked(name);
        assert!(read(guide).contains(&format!("{name} {version}")), "{guide} does not name {name} {version}");
    }
}

/// The README shows these, so that its code is what the tests and readers run.
#[test]
fn the_readme_shows_the_examples() {
    let readme = read("README.md");
    for file in ["examples/echo.rs", "examples/broadcast/app.rs"] {
        let source = read(file).replace("pub(crate) fn", "fn");
        let code: Vec<&str> =
            source.lines().skip_while(|line| line.is_empty() || line.starts_with("//!")).collect();
        // Tests stand in a block of their own.
        for block in code.join("\n").replace("\n\n#[cfg(test)]", "\0#[cfg(test)]").split('\0') {
            assert!(
                readme.contains(&format!("\n{block}\n```\n")),
                "the README does not show {file}:\n{block}"
            );
        }
    }
    let version = env!("CARGO_PKG_VERSION").rsplit_once('.').expect("three numbers").0;
    assert!(readme.contains(&format!("\naxum-sockjs = \"{version}\"\n")), "the README names another version");
    let client = locked("sockjs-client");
    let version = client.rsplit_once('.').expect("three numbers").0;
    let line = format!("\nsockjs-client = {{ version = \"{version}\", features = [\"test\"] }}\n");
    for guide in ["README.md", "src/docs/testing.md"] {
        assert!(read(guide).contains(&line), "{guide} names another version of sockjs-client");
    }
}

#[tokio::test]
async fn the_documented_causes_are_the_real_ones() {
    let documented = documented("### Refused requests", "| `");
    let documented: BTreeSet<&str> = documented.iter().map(|row| row[1].as_str()).collect();
    let stats = SockJs::<()>::new(echo).handle().stats();
    assert_eq!(documented, stats.rejected.into_keys().map(RejectionCause::name).collect());
}

/// The table in `protocol-tests/README.md` is complete, and names tests that exist.
#[test]
fn the_readme_lists_a_test_for_each_of_the_69_rules() {
    let sources = [
        ("cookie.rs", include_str!("wire/protocol/cookie.rs")),
        ("eventsource.rs", include_str!("wire/protocol/eventsource.rs")),
        ("htmlfile.rs", include_str!("wire/protocol/htmlfile.rs")),
        ("http_versions.rs", include_str!("wire/protocol/http_versions.rs")),
        ("jsonp.rs", include_str!("wire/protocol/jsonp.rs")),
        ("pages.rs", include_str!("wire/protocol/pages.rs")),
        ("sessions.rs", include_str!("wire/protocol/sessions.rs")),
        ("websocket.rs", include_str!("wire/protocol/websocket.rs")),
        ("xhr.rs", include_str!("wire/protocol/xhr.rs")),
    ];
    let readme = include_str!("../../protocol-tests/README.md");
    let mut rules = Vec::new();
    for row in readme.lines().filter(|line| line.starts_with("| `") && line.contains(".test_")) {
        let cells: Vec<&str> = row.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        let ["", rule, file, name, ""] = cells[..] else { panic!("not a row of three cells: {row}") };
        let (_, source) = sources.iter().find(|(known, _)| *known == file).expect(row);
        // The rule stands in the doc comment right above the test.
        let function = source.find(&format!("async fn {name}()")).expect(row);
        let doc = &source[source[..function].rfind("\n\n").unwrap_or(0)..function];
        assert!(doc.contains(&format!("`{rule}`")), "{row}: the doc comment names another rule: {doc}");
        assert!(doc.contains("#[tokio::test"), "{row}: no test: {doc}");
        rules.push(rule);
    }
    rules.sort_unstable();
    rules.dedup();
    assert_eq!(rules.len(), 69);
    let tests: usize = sources.iter().map(|(_, source)| source.matches("#[tokio::test").count()).sum();
    assert_eq!(tests, 69, "a test that the table does not list");
}
