//! What is wrong with a configuration, shown where it stands.

use std::{fmt, ops::Range};

use super::backend_url::may_be_secret;

/// The error of a configuration: its text has everything that is wrong, one problem after the other, each with file, line
/// and column, the line itself, and the nearest right word where a word is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    shown: Vec<String>,
    more: usize,
}

/// So many problems are shown; further ones are counted.
const MAX_SHOWN: usize = 20;

/// The longest part of a line that is shown, in characters.
const MAX_LINE: usize = 120;

/// Lines with one of these words are shown up to the value only: a log is no place for it.
const SECRET_WORDS: [&str; 5] = ["secret", "authorization", "x-auth", "password", "api-key"];

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    /// In bytes of the text; `None` for what is of no one place.
    pub(super) span: Option<Range<usize>>,
    pub(super) text: String,
    /// Whether the value in its line is a secret.
    pub(super) hidden: bool,
}

impl Problem {
    pub(super) fn at(span: Range<usize>, text: impl Into<String>) -> Self {
        Self { span: Some(span), text: text.into(), hidden: false }
    }

    /// Of the whole configuration.
    pub(super) fn of_all(text: impl Into<String>) -> Self {
        Self { span: None, text: text.into(), hidden: false }
    }

    pub(super) fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }
}

impl ConfigError {
    /// The error of `text`, which the file `name` has.
    pub(super) fn new(name: &str, text: &str, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.span.as_ref().map_or(usize::MAX, |span| span.start));
        let more = problems.len().saturating_sub(MAX_SHOWN);
        // What hides a line for one problem hides it for all.
        let hidden: Vec<_> = problems
            .iter()
            .filter(|problem| problem.hidden)
            .filter_map(|problem| Some(line_of(text, problem.span.as_ref()?.start)))
            .collect();
        let shown =
            problems.iter().take(MAX_SHOWN).map(|problem| show(name, text, problem, &hidden)).collect();
        Self { shown, more }
    }

    /// The error of what was given in place of a file.
    pub(crate) fn of_arguments(text: &str) -> Self {
        Self { shown: vec![text.to_owned()], more: 0 }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown.join("\n\n"))?;
        match self.more {
            0 => Ok(()),
            more => write!(f, "\n\nand {more} more"),
        }
    }
}

impl std::error::Error for ConfigError {}

/// `hidden` has the beginnings of lines whose value is a secret.
fn show(name: &str, text: &str, problem: &Problem, hidden: &[usize]) -> String {
    let Some(span) = &problem.span else { return format!("{name}: {}", problem.text) };
    let start = floor(text, span.start);
    let end = floor(text, span.end.max(span.start));
    let line_start = line_of(text, start);
    let line = text[line_start..].split('\n').next().unwrap_or_default();
    let number = 1 + text[..line_start].bytes().filter(|&byte| byte == b'\n').count();
    let before = text[line_start..start].chars().count();
    let marked = text[start..end.min(line_start + line.len()).max(start)].trim_end().chars().count().max(1);

    let line = shown_line(line, hidden.contains(&line_start));
    // The part around the place, if the line is long.
    let skipped = if line.chars().count() > MAX_LINE { before.saturating_sub(MAX_LINE / 2) } else { 0 };
    let line: String = line.chars().skip(skipped).take(MAX_LINE).collect();
    let line = line.trim_end();
    // Not beyond what is shown of the line, or behind its end by one.
    let indent = (before - skipped).min(line.chars().count());
    let marked = marked.min(line.chars().count().saturating_sub(indent)).max(1);

    let margin = " ".repeat(number.to_string().len());
    let place = format!("{name}:{number}:{}", before + 1);
    format!(
        "{place}: {}\n{margin} |\n{number} | {line}\n{margin} | {}{}",
        problem.text,
        " ".repeat(indent),
        "^".repeat(marked)
    )
}

/// A line without what a terminal would obey, and without a secret's value.
fn shown_line(line: &str, hidden: bool) -> String {
    // The name of a file is none.
    let lower = line.to_ascii_lowercase().replace("secret_file", "");
    // A name and password in a URL, or a query.
    let has_url = line.contains("://");
    let hides_url = has_url && may_be_secret(line);
    let is_cookie = lower.trim_start().trim_start_matches('"').starts_with("cookie");
    let hidden = hidden || hides_url || is_cookie || SECRET_WORDS.iter().any(|word| lower.contains(word));
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    // One in a URL is no end of a word.
    match line.find('=').filter(|&at| hidden && !line[..at].contains("://")) {
        Some(at) => line[..at].chars().map(clean).chain("= …".chars()).collect(),
        // The middle of a secret over several lines, or an element of a list.
        None if hidden && (has_url || !line.trim_start().starts_with(['[', '#'])) => "…".to_owned(),
        None => line.chars().map(clean).collect(),
    }
}

/// Where the line begins that has this place.
fn line_of(text: &str, at: usize) -> usize {
    text[..floor(text, at)].rfind('\n').map_or(0, |before| before + 1)
}

/// The nearest place at or before this one where a character begins.
fn floor(text: &str, mut at: usize) -> usize {
    at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
