//! The runtime's cooperative scheduling, for functions that poll.

use std::task::{Context, Poll, ready};

use tokio::task::coop;

/// Takes part in the runtime's cooperative scheduling. So an application whose calls never have to wait, for instance
/// one that sends endlessly, lets its own socket and the other tasks of its thread run.
///
/// Without budget `poll` is not called, and the task is woken to be polled again.
pub(crate) fn cooperate<T>(cx: &mut Context<'_>, poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
    let budget = ready!(coop::poll_proceed(cx));
    let result = poll(cx);
    if result.is_ready() {
        budget.made_progress();
    }
    result
}
