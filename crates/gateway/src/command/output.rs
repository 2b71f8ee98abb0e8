//! What is printed: where nobody reads it any more, it is lost, and that is no fault.

use std::{
    fmt::Display,
    io::{Write, stderr, stdout},
};

/// A line to the standard output.
pub(super) fn say(text: impl Display) {
    let _ = writeln!(stdout(), "{text}");
}

/// A line to the standard error.
pub(super) fn complain(text: impl Display) {
    let _ = writeln!(stderr(), "{text}");
}
