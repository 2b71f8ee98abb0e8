//! Holds the guides that name tests against the tests.

use std::{collections::BTreeSet, fs, path::Path};

/// The guides, and the files whose every test one of them has to name.
const GUIDES: &[&str] = &["SECURITY.md", "docs/faults.md"];
const NAMED_WHOLE: &[&str] = &["faults", "security"];

fn read(path: impl AsRef<Path>) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
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

/// The tests of one file, each with the inline modules around it.
fn tests_of(module: &str) -> BTreeSet<String> {
    let source = read(format!("tests/it/{module}.rs"));
    let mut tests = BTreeSet::new();
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
            let inner = if outermost { String::new() } else { format!("{inner}::") };
            tests.insert(format!("{module}::{inner}{name}"));
            is_test = false;
        }
    }
    tests
}

#[test]
fn every_test_that_a_guide_names_is_there() {
    for guide in GUIDES {
        let text = read(guide);
        let named = named_tests(&text);
        assert!(named.len() > 10, "{guide} names {} tests", named.len());
        for name in named {
            let module = name.split("::").next().unwrap_or_default();
            assert!(tests_of(module).contains(name), "{guide} names {name}, which is not there");
        }
    }
}

#[test]
fn the_guides_name_every_test_that_is_theirs() {
    let texts: Vec<String> = GUIDES.iter().map(read).collect();
    let named: BTreeSet<&str> = texts.iter().flat_map(|text| named_tests(text)).collect();
    for module in NAMED_WHOLE {
        for test in tests_of(module) {
            assert!(named.contains(&*test), "no guide names {test}");
        }
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
