//! A table of the file that is asked for its words, and then for those that nobody has asked for.
//!
//! A walk over the parsed text, not `serde`: everything that is wrong is found at once, each with its place.

use std::{cell::RefCell, collections::BTreeSet, ops::Range};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{problem::Problem, suggest};

/// What was found on the walk.
#[derive(Debug, Default)]
pub(super) struct Notes {
    problems: RefCell<Vec<Problem>>,
    unknown: RefCell<Vec<Unknown>>,
    /// Table and word, for each that the program knows and has met the table of.
    asked: RefCell<BTreeSet<(String, &'static str)>>,
}

#[derive(Debug)]
struct Unknown {
    table: String,
    word: String,
    span: Range<usize>,
}

impl Notes {
    pub(super) fn push(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }

    /// The value, or `None` and a problem more.
    pub(super) fn keep<T>(&self, read: Result<T, Problem>) -> Option<T> {
        read.map_err(|problem| self.push(problem)).ok()
    }

    /// How many problems there are by now.
    pub(super) fn count(&self) -> usize {
        self.problems.borrow().len() + self.unknown.borrow().len()
    }

    /// Table and word, for each that was asked for.
    #[cfg(test)]
    pub(super) fn asked(&self) -> BTreeSet<(String, &'static str)> {
        self.asked.borrow().clone()
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        let asked = self.asked.into_inner();
        let mut problems = self.problems.into_inner();
        problems.extend(self.unknown.into_inner().into_iter().map(|unknown| unknown.problem(&asked)));
        problems
    }
}

impl Unknown {
    fn problem(self, asked: &BTreeSet<(String, &'static str)>) -> Problem {
        let Self { table, word, span } = self;
        let here = asked.iter().filter(|(of, _)| *of == table).map(|(_, word)| *word);
        let elsewhere = asked.iter().find(|(_, known)| *known == word).map(|(of, _)| of);
        let hint = match (suggest::hint(&word, here), elsewhere) {
            (hint, None) => hint,
            (_, Some(of)) if of.is_empty() => ": it belongs above the first table".to_owned(),
            (_, Some(of)) => format!(": it belongs in {}", shown(of)),
        };
        let place = if table.is_empty() { String::new() } else { format!(" in {}", shown(&table)) };
        Problem::at(span, format!("`{}` is not known{place}{hint}", word.escape_debug()))
    }
}

/// A table's name as it stands in a file.
fn shown(table: &str) -> String {
    if table == "route" { "`[[route]]`".to_owned() } else { format!("`[{table}]`") }
}

#[derive(Debug)]
pub(super) struct Table<'a> {
    /// Empty for the whole file.
    name: String,
    entries: &'a DeTable<'a>,
    pub(super) span: Range<usize>,
    pub(super) notes: &'a Notes,
}

/// A value with its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Value<'a> {
    spanned: &'a Spanned<DeValue<'a>>,
    pub(super) notes: &'a Notes,
}

impl<'a> Table<'a> {
    pub(super) fn whole(table: &'a Spanned<DeTable<'a>>, notes: &'a Notes) -> Self {
        Self { name: String::new(), entries: table.get_ref(), span: 0..0, notes }
    }

    /// The value of a word.
    pub(super) fn get(&self, word: &'static str) -> Option<Value<'a>> {
        self.notes.asked.borrow_mut().insert((self.name.clone(), word));
        let spanned = self.entries.get(word)?;
        Some(Value { spanned, notes: self.notes })
    }

    pub(super) fn read<T>(
        &self,
        word: &'static str,
        read: impl FnOnce(Value<'a>) -> Result<T, Problem>,
    ) -> Option<T> {
        self.notes.keep(read(self.get(word)?))
    }

    /// Reads the value of a word, if the table has it and it is right.
    pub(super) fn set<T>(
        &self,
        word: &'static str,
        into: &mut T,
        read: impl FnOnce(Value<'a>) -> Result<T, Problem>,
    ) {
        if let Some(value) = self.read(word, read) {
            *into = value;
        }
    }

    pub(super) fn require<T>(
        &self,
        word: &'static str,
        read: impl FnOnce(Value<'a>) -> Result<T, Problem>,
    ) -> Option<T> {
        if self.get(word).is_none() {
            self.notes.push(Problem::at(self.span.clone(), format!("`{word}` is missing")));
        }
        self.read(word, read)
    }

    /// Reads the table of a word.
    pub(super) fn table<T>(&self, word: &'static str, read: impl FnOnce(&Self) -> T) -> Option<T> {
        let table = self.read(word, |value| value.table(self.name_of(word)))?;
        let read = read(&table);
        table.finish();
        Some(read)
    }

    /// Reads each table of a list, and says whether all in it is right.
    pub(super) fn tables<T>(&self, word: &'static str, read: impl Fn(&Self) -> T) -> Vec<(T, bool)> {
        let Some(list) = self.read(word, Value::list) else { return Vec::new() };
        let tables = list.into_iter().filter_map(|value| self.notes.keep(value.table(self.name_of(word))));
        tables
            .map(|table| {
                let before = self.notes.count();
                let read = read(&table);
                table.finish();
                (read, self.notes.count() == before)
            })
            .collect()
    }

    /// All words with their values, of a table whose words the file chooses.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a str, Range<usize>, Value<'a>)> {
        let notes = self.notes;
        self.entries
            .iter()
            .map(move |(word, spanned)| (&**word.get_ref(), word.span(), Value { spanned, notes }))
    }

    fn name_of(&self, word: &str) -> String {
        if self.name.is_empty() { word.to_owned() } else { format!("{}.{word}", self.name) }
    }

    /// Words that nobody has asked for are problems. Not for a table that was asked for its `entries`.
    pub(super) fn finish(&self) {
        let asked = self.notes.asked.borrow();
        let unknown = self
            .entries
            .keys()
            .filter(|key| !asked.iter().any(|(table, word)| *table == self.name && word == key.get_ref()));
        self.notes.unknown.borrow_mut().extend(unknown.map(|key| Unknown {
            table: self.name.clone(),
            word: key.get_ref().to_string(),
            span: key.span(),
        }));
    }
}

impl<'a> Value<'a> {
    pub(super) fn span(self) -> Range<usize> {
        self.spanned.span()
    }

    pub(super) fn wrong(self, text: impl Into<String>) -> Problem {
        Problem::at(self.span(), text)
    }

    fn no(self, wanted: &str) -> Problem {
        self.wrong(format!("{wanted} is expected here, not {}", kind(self.spanned.get_ref())))
    }

    pub(super) fn text(self) -> Result<&'a str, Problem> {
        match self.spanned.get_ref() {
            DeValue::String(text) => Ok(text),
            _ => Err(self.no("a text in quotes")),
        }
    }

    pub(super) fn is_text(self) -> bool {
        self.spanned.get_ref().is_str()
    }

    pub(super) fn is_list(self) -> bool {
        self.spanned.get_ref().is_array()
    }

    pub(super) fn boolean(self) -> Result<bool, Problem> {
        self.spanned.get_ref().as_bool().ok_or_else(|| self.no("true or false"))
    }

    pub(super) fn number(self) -> Result<u64, Problem> {
        let DeValue::Integer(number) = self.spanned.get_ref() else { return Err(self.no("a whole number")) };
        u64::from_str_radix(number.as_str(), number.radix()).map_err(|_| {
            let is_below = number.as_str().starts_with('-');
            self.wrong(if is_below { "the number is below zero" } else { "the number is too large" })
        })
    }

    pub(super) fn is_number(self) -> bool {
        self.spanned.get_ref().is_integer()
    }

    pub(super) fn list(self) -> Result<Vec<Self>, Problem> {
        match self.spanned.get_ref() {
            DeValue::Array(list) => {
                Ok(list.iter().map(|spanned| Self { spanned, notes: self.notes }).collect())
            }
            _ => Err(self.no("a list")),
        }
    }

    pub(super) fn table(self, name: String) -> Result<Table<'a>, Problem> {
        match self.spanned.get_ref() {
            DeValue::Table(entries) => Ok(Table { name, entries, span: self.span(), notes: self.notes }),
            _ => Err(self.no("a table")),
        }
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
