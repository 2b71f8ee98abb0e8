//! The sessions and handlers that a shutdown waits for, and its report.

use std::fmt;

use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

use super::core::close_delivery::Farewell;

/// The sessions and handlers that a shutdown waits for.
#[derive(Debug, Default)]
pub(super) struct Drain {
    /// Requests that open a session, and, once the shutdown has begun, sessions that it waits for.
    sessions: TaskTracker,
    /// Handlers that have not returned.
    handlers: TaskTracker,
}

impl Drain {
    /// Counts a request that opens a session, or a session that has to end. The shutdown waits until the token is
    /// dropped.
    pub(super) fn session(&self) -> TaskTrackerToken {
        self.sessions.token()
    }

    /// Counts a handler. The shutdown waits until the token is dropped.
    pub(super) fn handler(&self) -> TaskTrackerToken {
        self.handlers.token()
    }

    pub(super) fn handlers_running(&self) -> usize {
        self.handlers.len()
    }

    /// Begins the shutdown: no session opens any more.
    pub(super) fn begin(&self) {
        self.sessions.close();
        self.handlers.close();
    }

    /// Completes once [`begin`](Self::begin) was called and neither a session nor a handler is left.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub(super) async fn idle(&self) {
        // A session that opens at the last moment counts its handler before its own token is dropped.
        self.sessions.wait().await;
        self.handlers.wait().await;
    }
}

/// The result of a [shutdown](crate::SockJsHandle::shutdown).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
#[must_use]
pub struct ShutdownReport {
    /// Sessions whose messages and close frame have all been handed to the client's connection. A server cannot see
    /// whether they reached the client.
    pub closed: usize,
    /// Other sessions: the client had lost its connection, did not poll again in time, or was too slow. sockjs-client
    /// then reports a close event with a code of its own: 1006, or 1002 after a lost stream. A client that comes back
    /// after messages were lost on a broken connection counts here too: it gets 1002.
    pub lost: usize,
    /// Messages that the application had sent to the lost sessions, and that never left.
    pub messages_lost: u64,
    /// Handlers that have not returned in time.
    pub handlers_running: usize,
}

impl ShutdownReport {
    pub(crate) fn add(&mut self, session: Option<(Farewell, u64)>) {
        match session {
            Some((Farewell::Delivered, _)) => self.closed += 1,
            Some((Farewell::Lost, messages)) => {
                self.lost += 1;
                self.messages_lost += messages;
            }
            None => {}
        }
    }
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { closed, lost, messages_lost, handlers_running } = self;
        write!(f, "{closed} sessions closed, {lost} lost with {messages_lost} messages, ")?;
        write!(f, "{handlers_running} handlers still running")
    }
}
