//! The close of a dropped session. If its handler may fail, the close waits for the end of the handler's poll.
//!
//! The handler owns its session, and drops it before its result is known. The result decides how the session closes.

use std::cell::Cell;

use sockjs_core::close::{INTERNAL_ERROR, NORMAL};

use super::{close_reason::CloseReason, shared::Shared};
/// The session whose handler this thread is polling.
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
    // During a panic the session closes at once: the handler may catch the panic, and the close at the end of its poll
    // would then be a normal one.
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
