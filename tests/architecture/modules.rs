//! The files of the crate as modules: what each names.

use std::{collections::BTreeSet, path::Path};

use super::paths::{self, Named};

pub(crate) struct Module {
    /// As in a path behind `crate::`.
    pub(crate) name: String,
    /// What its documentation says that it imports.
    pub(crate) imports: Option<BTreeSet<String>>,
    pub(crate) paths: Vec<Named>,
    /// How many there are before its tests.
    pub(crate) lines: usize,
}

impl Module {
    /// `None` for `lib.rs`, and for files of tests.
    pub(crate) fn parse(file: &Path, text: &str) -> Option<Self> {
        let mut segments: Vec<_> = file
            .with_extension("")
            .components()
            .map(|component| component.as_os_str().to_string_lossy().into_owned())
            .collect();
        if segments.last().is_some_and(|last| last == "mod") {
            segments.pop();
        }
        let is_test = segments.iter().any(|segment| segment == "tests" || segment == "orders");
        if segments == ["lib"] || is_test {
            return None;
        }
        let imports = text.split_once("//! Imports: ").map(|(_, list)| {
            // It may be longer than a line.
            let list = list.split_once('.').map_or(list, |(list, _)| list);
            let names =
                list.split([',', '/', '!']).map(str::trim).filter(|name| !["", "nothing"].contains(name));
            names.map(str::to_owned).collect()
        });
        let lines = text.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).count();
        Some(Self { name: segments.join("::"), imports, paths: paths::named(&segments, text), lines })
    }

    pub(crate) fn layer(&self) -> &str {
        super::layer_of(&self.name)
    }
}
