//! How much one poll does before other tasks have their turns.

use std::task::Context;

/// In one direction.
const MESSAGES: usize = 64;
const BYTES: usize = 128 << 10;

/// What is left of a turn, in one direction.
pub(super) struct Turn {
    messages: usize,
    bytes: usize,
}

impl Turn {
    pub(super) const fn new() -> Self {
        Self { messages: MESSAGES, bytes: BYTES }
    }

    /// Counts a message, and returns whether the turn is over, in which case the task is woken for the next.
    pub(super) fn is_over(&mut self, bytes: usize, cx: &Context<'_>) -> bool {
        self.messages = self.messages.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
        let is_over = self.messages == 0 || self.bytes == 0;
        if is_over {
            cx.waker().wake_by_ref();
        }
        is_over
    }
}
