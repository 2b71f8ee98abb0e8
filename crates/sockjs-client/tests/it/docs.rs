//! Checks that the tests which docs/faults.md names exist, and that the README has all settings.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The modules whose every test the page has to name.
const NAMED_WHOLE: &[&str] = &["bad_servers::", "faults::"];

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// What stands between backticks and looks like the path of a test: `module::its_name`.
fn named_tests(page: &str) -> BTreeSet<&str> {
    let is_test = |name: &&str| {
        name.contains("::")
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_:".contains(&b))
    };
    page.split('`').skip(1).step_by(2).filter(is_test).collect()
}

/// The tests in a folder and in those below it, by the paths that `cargo test` knows them by.
fn tests_below(folder: &Path, module: &str, tests: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let is_module = !["mod", "lib"].contains(&name);
        let inner = if is_module { format!("{module}{name}::") } else { module.to_owned() };
        if path.is_dir() {
            tests_below(&path, &inner, tests);
        } else {
            tests_of(&fs::read_to_string(&path).unwrap(), &inner, tests);
        }
    }
}

/// The tests of one file. Those that are not at its left edge are of its module `tests`.
fn tests_of(source: &str, module: &str, tests: &mut BTreeSet<String>) {
    let mut is_test = false;
    for line in source.lines() {
        let text = line.trim_start();
        if text.starts_with("#[test]") || text.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some((_, rest)) = text.split_once("fn ").filter(|_| is_test) {
            let name = rest.split('(').next().unwrap();
            let inner = if text.len() == line.len() { "" } else { "tests::" };
            tests.insert(format!("{module}{inner}{name}"));
            is_test = false;
        }
    }
}

#[test]
fn the_page_of_faults_names_the_tests_that_are_there() {
    let page = fs::read_to_string(here("docs/faults.md")).unwrap();
    let named = named_tests(&page);
    assert!(named.len() > 30, "{} tests are named", named.len());
    let mut tests = BTreeSet::new();
    tests_below(&here("tests/it"), "", &mut tests);
    tests_below(&here("src"), "", &mut tests);
    for name in &named {
        assert!(tests.contains(*name), "the page names {name}, which is not there");
    }
    for test in &tests {
        let has_to_be_named = NAMED_WHOLE.iter().any(|module| test.starts_with(module));
        assert!(!has_to_be_named || named.contains(&**test), "the page does not name {test}");
    }
}

/// What takes a client and returns it is a setting.
#[test]
fn the_readme_has_every_setting() {
    let readme = fs::read_to_string(here("README.md")).unwrap();
    let listing = fs::read_to_string(here("../../docs/public-api/sockjs-client.txt")).unwrap();
    for owner in ["Client", "Reconnect"] {
        let start = format!("pub fn sockjs_client::{owner}::");
        let functions = listing.lines().filter_map(|line| line.strip_prefix(&start));
        let settings = functions.filter(|line| line.contains("(self, "));
        let names: Vec<_> = settings.filter_map(|line| line.split(['(', '<']).next()).collect();
        assert!(names.len() >= 2, "{names:?}");
        for name in names {
            assert!(readme.contains(&format!("`{name}`")), "{owner}::{name} is not in the README");
        }
    }
}
