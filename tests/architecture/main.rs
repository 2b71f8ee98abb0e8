//! The folders of `src/` are the layers of the crate: what a file may name is decided here, and fails otherwise.
//!
//! - A layer imports from those that the line `Imports:` of its `mod.rs` lists, and it needs each of them.
//! - No circle: neither among the layers, nor among the files of one.
//! - A name is imported from the file that defines it, never by way of `lib.rs`.
//! - What is pure names no runtime and no HTTP server. Of the other crates, sockjs-core and stomp-codec are.
//! - A file without its tests has 500 lines at the most, in the other crates too.

#![allow(clippy::unwrap_used, reason = "a test fails so")]

mod modules;
mod paths;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use modules::Module;
use paths::Named;

/// Modules and crates that take bytes and the time, and what they must not name.
const PURE: [&str; 2] = ["session::core", "nodes"];
const PURE_CRATES: [&str; 2] = ["sockjs-core", "stomp-codec"];
const IMPURE: [&str; 7] = ["axum", "axum_sockjs", "http", "hyper", "hyper_util", "tokio", "tokio_util"];

const MAX_LINES: usize = 500;

/// What is built for tests or documentation only, or is a program on the library, and names all layers.
const ABOVE_ALL: [&str; 3] = ["fuzzing", "guide", "main"];

fn check(modules: &[Module]) -> Vec<String> {
    let names: BTreeSet<&str> = modules.iter().map(|module| module.name.as_str()).collect();
    let mut complaints = Vec::new();
    // Of layers, and of files within one: who imports whom.
    let mut layers: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut files: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let modules: Vec<_> = modules.iter().filter(|module| !ABOVE_ALL.contains(&module.layer())).collect();
    for &module in &modules {
        let name = module.name.as_str();
        complaints.extend(length(module));
        if PURE.iter().any(|pure| is_within(name, pure)) {
            complaints.extend(impurities(module));
        }
        for path in &module.paths {
            if !path.is_local() {
                continue;
            }
            let Some(target) = path.prefixes().find(|prefix| names.contains(prefix.as_str())) else {
                complaints.push(format!("{name} imports {path} by way of lib.rs"));
                continue;
            };
            if layer_of(&target) != module.layer() {
                layers.entry(module.layer()).or_default().insert(layer_of(&target).to_owned());
            } else if target != name {
                files.entry(name).or_default().insert(target);
            }
        }
    }
    for module in modules.iter().filter(|module| module.name == module.layer()) {
        let layer = module.layer();
        let Some(declared) = &module.imports else {
            complaints.push(format!("{layer} does not say what it imports"));
            continue;
        };
        let found = layers.get(layer).cloned().unwrap_or_default();
        for up in found.difference(declared) {
            complaints.push(format!("{layer} imports {up}, which it does not say"));
        }
        for unused in declared.difference(&found) {
            complaints.push(format!("{layer} says that it imports {unused}, and does not"));
        }
    }
    complaints.extend(circle(&layers).map(|circle| format!("a circle of layers: {circle}")));
    complaints.extend(circle(&files).map(|circle| format!("a circle of files: {circle}")));
    complaints
}

fn length(module: &Module) -> Option<String> {
    (module.lines > MAX_LINES)
        .then(|| format!("{} has {} lines; {MAX_LINES} are the most", module.name, module.lines))
}

/// What a pure module names that is not.
fn impurities(module: &Module) -> impl Iterator<Item = String> {
    let is_impure = |path: &&Named| {
        !path.is_local() && path.first().is_some_and(|first| IMPURE.contains(&first.as_str()))
    };
    module.paths.iter().filter(is_impure).map(|path| format!("{} is pure, and names {path}", module.name))
}

fn layer_of(name: &str) -> &str {
    name.split("::").next().unwrap_or_default()
}

fn is_within(name: &str, outer: &str) -> bool {
    name.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// One circle of a graph, if it has any: what is left once all have gone that import nothing that is left.
fn circle(graph: &BTreeMap<&str, BTreeSet<String>>) -> Option<String> {
    let mut left: BTreeSet<&str> = graph.keys().copied().collect();
    loop {
        let leaves: Vec<_> = left
            .iter()
            .copied()
            .filter(|name| !graph[name].iter().any(|imported| left.contains(imported.as_str())))
            .collect();
        if leaves.is_empty() {
            break;
        }
        leaves.iter().for_each(|leaf| _ = left.remove(leaf));
    }
    let mut at = left.first().copied()?;
    let mut way = vec![at];
    loop {
        at = graph[at].iter().find_map(|next| left.get(next.as_str()).copied())?;
        if let Some(start) = way.iter().position(|&seen| seen == at) {
            way.push(at);
            return Some(way[start..].join(" -> "));
        }
        way.push(at);
    }
}

/// The files of the crate in this folder.
fn source(package: &Path) -> Vec<Module> {
    fn walk(root: &Path, folder: &Path, found: &mut Vec<Module>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(root, &path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let relative = path.strip_prefix(root).unwrap();
                found.extend(Module::parse(relative, &fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let root = package.join("src");
    let mut found = Vec::new();
    walk(&root, &root, &mut found);
    found
}

#[test]
fn the_other_crates_have_short_files_and_no_io_where_it_is_promised() {
    // The published package has none of them.
    let Ok(folders) = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("crates")) else { return };
    let mut complaints = Vec::new();
    let mut pure = 0;
    for package in folders.map(|folder| folder.unwrap().path()).filter(|folder| folder.is_dir()) {
        let name = package.file_name().unwrap().to_string_lossy();
        let is_pure = PURE_CRATES.contains(&&*name);
        pure += usize::from(is_pure);
        for module in source(&package) {
            let found = length(&module).into_iter().chain(impurities(&module).filter(|_| is_pure));
            complaints.extend(found.map(|complaint| format!("{name}: {complaint}")));
        }
    }
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
    assert_eq!(pure, PURE_CRATES.len(), "a crate was not found");
}

#[test]
fn arrows_point_down() {
    let modules = source(Path::new(env!("CARGO_MANIFEST_DIR")));
    assert!(modules.len() > 50, "the files of the crate were not found");
    let complaints = check(&modules);
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn arrows_point_down_in_the_stomp_server() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/stomp");
    // The published package of the SockJS server has no other crate.
    if package.is_dir() {
        let complaints = check(&source(&package));
        assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
    }
}

#[test]
fn arrows_point_down_in_the_bus() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/bus");
    if package.is_dir() {
        let complaints = check(&source(&package));
        assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
    }
}

#[test]
fn arrows_point_down_in_the_drivers_of_the_bus() {
    for driver in ["crates/bus-nats", "crates/bus-redis"] {
        let package = Path::new(env!("CARGO_MANIFEST_DIR")).join(driver);
        if package.is_dir() {
            let complaints = check(&source(&package));
            assert!(complaints.is_empty(), "\n{driver}\n{}\n", complaints.join("\n"));
        }
    }
}

#[test]
fn arrows_point_down_in_the_rooms() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/rooms");
    if package.is_dir() {
        let complaints = check(&source(&package));
        assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
    }
}

#[test]
fn arrows_point_down_in_the_gateway() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/gateway");
    if package.is_dir() {
        let complaints = check(&source(&package));
        assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
    }
}

/// What is said of two layers and a file each with these contents.
#[cfg(test)]
fn complaints(upper: &str, lower: &str) -> Vec<String> {
    let files = [
        ("upper/mod.rs", "//! Imports: lower."),
        ("upper/a.rs", upper),
        ("upper/b.rs", ""),
        ("lower/mod.rs", "//! Imports: nothing."),
        ("lower/c.rs", lower),
        ("lower/d.rs", "use super::c::C;"),
    ];
    let modules: Vec<_> =
        files.iter().filter_map(|(path, text)| Module::parse(Path::new(path), text)).collect();
    check(&modules)
}

#[test]
fn an_arrow_up_is_found_however_it_is_written() {
    let down = "use crate::lower::c::C;";
    assert_eq!(complaints(down, ""), [""; 0]);
    for up in [
        "use crate::upper::a::A;",
        "use crate::{upper::a, lower::d};",
        "use super::super::upper::a::A;",
        "fn f() -> crate::upper::a::A { todo!() }",
        "fn f() { let x = crate::upper::b::B; }",
        "impl crate::upper::a::T for u8 {}",
        "mod inner { use super::super::super::upper::a::A; }",
    ] {
        let found = complaints(down, up).join("\n");
        assert!(
            found.contains("lower imports upper") && found.contains("a circle of layers"),
            "{up}: {found}"
        );
    }
    assert_eq!(complaints(down, "#[cfg(test)] mod tests { use crate::upper::a::A; }"), [""; 0]);
}

#[test]
fn what_is_not_imported_is_not_declared() {
    assert_eq!(complaints("", ""), ["upper says that it imports lower, and does not"]);
}

#[test]
fn circles_of_files_and_ways_by_lib_rs_are_found() {
    let down = "use crate::lower::c::C;";
    assert_eq!(complaints(down, "use super::d::D;"), ["a circle of files: lower::c -> lower::d -> lower::c"]);
    assert_eq!(complaints(&format!("{down} use crate::C;"), ""), ["upper::a imports C by way of lib.rs"]);
    assert_eq!(
        complaints(&format!("{down} #[cfg(test)] mod tests {{ use crate::C; }}"), ""),
        ["upper::a imports C by way of lib.rs"]
    );
}
