//! Deadlines. `None` is one that never comes.

use std::time::Instant;

/// Returns the earlier deadline. Each call on a session needs this several times, and iterators over so few values take
/// three times as long.
#[inline]
pub(super) fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        _ => one.or(other),
    }
}

#[inline]
pub(super) fn is_due(deadline: Option<Instant>, now: Instant) -> bool {
    deadline.is_some_and(|deadline| deadline <= now)
}

/// Whether the first of these deadlines comes before the second.
#[inline]
pub(super) fn is_earlier(one: Option<Instant>, other: Option<Instant>) -> bool {
    one.is_some_and(|one| other.is_none_or(|other| one < other))
}
