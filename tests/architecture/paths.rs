//! The paths that a file names, in imports and elsewhere.

use std::{fmt, ops::Deref};

use syn::{
    Attribute, Item, ItemMod, ItemUse, UseTree,
    visit::{self, Visit},
};

/// A path: of this crate, from its root; or of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    segments: Vec<String>,
    is_local: bool,
}

impl Named {
    pub(crate) fn is_local(&self) -> bool {
        self.is_local
    }

    /// The path, then what it is in, and so on.
    pub(crate) fn prefixes(&self) -> impl Iterator<Item = String> {
        (1..=self.segments.len()).rev().map(|length| self.segments[..length].join("::"))
    }
}

impl Deref for Named {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.segments
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.segments.join("::"))
    }
}

/// All that a file names; of its tests, only what is imported through the crate's root.
pub(crate) fn named(module: &[String], text: &str) -> Vec<Named> {
    let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{}: {error}", module.join("::")));
    let mut finder = Finder { module: module.to_vec(), in_tests: false, found: Vec::new() };
    finder.visit_file(&file);
    finder.found
}

struct Finder {
    /// Where the present item is.
    module: Vec<String>,
    in_tests: bool,
    found: Vec<Named>,
}

impl Finder {
    fn add(&mut self, segments: Vec<String>) {
        let named = self.resolve(segments);
        // Tests may name whatever they like, but by its real path.
        let is_by_root =
            named.is_local && named.first().is_some_and(|name| name.starts_with(char::is_uppercase));
        if !self.in_tests || is_by_root {
            self.found.push(named);
        }
    }

    /// Resolves `crate`, `self` and `super`.
    fn resolve(&self, segments: Vec<String>) -> Named {
        let mut module = match segments.first().map(String::as_str) {
            Some("crate") => Vec::new(),
            Some("self" | "super") => self.module.clone(),
            _ => return Named { segments, is_local: false },
        };
        for segment in segments {
            match segment.as_str() {
                "crate" | "self" => {}
                "super" => _ = module.pop(),
                _ => module.push(segment),
            }
        }
        Named { segments: module, is_local: true }
    }

    fn use_tree(&mut self, tree: &UseTree, mut before: Vec<String>) {
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.use_tree(&path.tree, before);
            }
            UseTree::Name(name) => {
                before.push(name.ident.to_string());
                self.add(before);
            }
            UseTree::Rename(rename) => {
                before.push(rename.ident.to_string());
                self.add(before);
            }
            UseTree::Glob(_) => self.add(before),
            UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.use_tree(tree, before.clone()));
            }
        }
    }
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.meta.require_list().is_ok_and(|list| {
                let condition = list.tokens.to_string();
                condition == "test" || condition.starts_with("all (test") || condition.starts_with("all(test")
            })
    })
}

impl<'ast> Visit<'ast> for Finder {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes: &[Attribute] = match item {
            Item::Mod(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            _ => &[],
        };
        let before = self.in_tests;
        self.in_tests |= is_for_tests(attributes);
        visit::visit_item(self, item);
        self.in_tests = before;
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.use_tree(&item.tree, Vec::new());
    }

    // `pub(crate)` names nothing.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.add(segments);
        visit::visit_path(self, path);
    }
}
