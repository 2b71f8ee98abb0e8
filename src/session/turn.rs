//! A dropped session closes; that of a handler that may fail, at the end of the handler's poll.
//!
//! The handler owns its session, and drops it before its result is known. The result decides how the session closes.

use std::cell::Cell;

use super::{close_reason::CloseReason, shared::Shared};
use crate::protocol::close::{INTERNAL_ERROR, NORMAL};

/// The session whose handler is being polled on a thread.
#[derive(Clone, Copy)]
struct Polled {
    /// The address of its [`Shared`]; 0 for none.
    session: usize,
    /// Whether the session has been dropped in this poll.
    dropped: bool,
}

thread_local! {
    static POLLED: Cell<Polled> = const { Cell::new(Polled { session: 0, dropped: false }) };
}

/// One poll of a handler that may fail.
pub(super) struct Turn<'a> {
    shared: &'a Shared,
    outer: Polled,
}

impl<'a> Turn<'a> {
    pub(super) fn begin(shared: &'a Shared) -> Self {
        let polled = Polled { session: address(shared), dropped: false };
        Self { shared, outer: POLLED.replace(polled) }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if POLLED.replace(self.outer).dropped {
            close(self.shared);
        }
    }
}

fn address(shared: &Shared) -> usize {
    std::ptr::from_ref(shared).addr()
}

/// Closes a session that its application has dropped: now, or at the end of this poll of its own handler.
pub(super) fn close_dropped(shared: &Shared) {
    let polled = POLLED.get();
    // A handler may catch a panic of its own.
    if polled.session == address(shared) && !std::thread::panicking() {
        POLLED.set(Polled { dropped: true, ..polled });
    } else {
        close(shared);
    }
}

fn close(shared: &Shared) {
    let frame = if std::thread::panicking() { INTERNAL_ERROR } else { NORMAL };
    shared.end(CloseReason::Server(frame));
    shared.stop_receiving();
}
