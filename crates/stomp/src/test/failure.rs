//! How a test fails.

use std::panic::Location;

/// Fails a test, with the line that has asked for what did not come.
pub(super) fn failed(caller: &Location<'_>, what: &str) -> ! {
    panic!("{caller}: {what}")
}
