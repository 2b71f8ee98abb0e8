//! The configurations in the documentation: each is one, and the recipes' files are.

use std::{
    fs,
    path::{Path, PathBuf},
};

use sockjs_gateway::Config;
use tempfile::TempDir;

const DOCUMENTS: [&str; 3] = ["README.md", "docs/guide.md", "docs/configuration.md"];

/// What the documents call the file of a cluster's secret, and what is in it here.
const SECRET: (&str, &str) = ("cluster-secret", "0123456789abcdef0123456789abcdef\n");

fn here(path: impl AsRef<Path>) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The blocks that are marked as TOML, each with the line at which it begins.
fn configurations(document: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut lines = document.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        if line.trim() == "```toml" {
            let block = lines.by_ref().map(|(_, line)| line).take_while(|line| line.trim() != "```");
            found.push((at + 2, block.collect::<Vec<_>>().join("\n")));
        }
    }
    found
}

/// What is wrong with a configuration that has the secret's file beside it.
fn problem(text: &str) -> Option<String> {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("gateway.toml");
    fs::write(&file, text).expect("a file");
    fs::write(folder.path().join(SECRET.0), SECRET.1).expect("a file");
    Config::read(&file).err().map(|error| error.to_string())
}

#[test]
fn every_configuration_in_the_documentation_is_right() {
    for name in DOCUMENTS {
        let blocks = configurations(&read(&here(name)));
        assert!(!blocks.is_empty(), "{name} has none");
        for (line, block) in blocks {
            assert_eq!(problem(&block), None, "{name}, line {line}");
        }
    }
}

#[test]
fn every_file_of_a_recipe_is_right() {
    let recipes = fs::read_dir(here("recipes")).expect("the recipes");
    let folders = recipes.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_dir());
    let mut files = 0;
    for folder in folders {
        assert!(folder.join("README.md").is_file(), "{} says nothing", folder.display());
        for file in fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            if file.extension().is_some_and(|extension| extension == "toml") {
                // The secret is where it is on the machine of the recipe.
                let text = read(&file).replace("/etc/sockjs-gateway/", "");
                assert_eq!(problem(&text), None, "{}", file.display());
                files += 1;
            }
        }
    }
    assert!(files >= 5, "{files} files");
}

#[test]
fn every_page_that_the_documentation_links_to_is_there() {
    let mut links = 0;
    for name in DOCUMENTS.into_iter().chain(["docs/operating.md"]) {
        let text = read(&here(name));
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap_or_default();
            if path.is_empty() || path.contains("://") {
                continue;
            }
            let page = here(name).parent().expect("a folder").join(path);
            assert!(page.exists(), "{name} links to {link}");
            links += 1;
        }
    }
    assert!(links > 10, "{links} links");
}

#[test]
fn a_wrong_configuration_would_be_found() {
    let document = "text\n```toml\n[[route]]\npath = \"/a\"\nbackend = \"ws://a\"\n```\n```sh\nno\n```\n";
    let blocks = configurations(document);
    assert_eq!(blocks.len(), 1);
    assert_eq!(blocks[0].0, 3);
    let problem = problem(&blocks[0].1).expect("a problem");
    assert!(problem.contains("`backends`"), "{problem}");
}
