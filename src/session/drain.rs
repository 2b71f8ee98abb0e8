//! What a shutdown waits for, and what it comes to.

use std::fmt;

use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

use super::core::close_delivery::Farewell;

/// What keeps an endpoint from being shut down.
#[derive(Debug, Default)]
pub(super) struct Drain {
    /// Requests that open a session, and, once the shutdown has begun, sessions that it waits for.
    sessions: TaskTracker,
    /// Handlers that have not returned.
    handlers: TaskTracker,
}

impl Drain {
    /// A request that opens a session, or a session that has to end: waited for until the token is dropped.
    pub(super) fn session(&self) -> TaskTrackerToken {
        self.sessions.token()
    }

    /// A handler: waited for until the token is dropped.
    pub(super) fn handler(&self) -> TaskTrackerToken {
        self.handlers.token()
    }

    pub(super) fn handlers_running(&self) -> usize {
        self.handlers.len()
    }

    /// The shutdown has begun: no session opens any more.
    pub(super) fn begin(&self) {
        self.sessions.close();
        self.handlers.close();
    }

    /// Completes when, after the [beginning](Self::begin), nothing is left.
    ///
    /// # Cancel safety
    /// Dropping it leaves nothing behind.
    pub(super) async fn idle(&self) {
        // A session that opens in the last moment brings its handler before it is done.
        self.sessions.wait().await;
        self.handlers.wait().await;
    }
}

/// What a [shutdown](crate::SockJsHandle::shutdown) came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
#[must_use]
pub struct ShutdownReport {
    /// Sessions whose client has got its close frame, and all messages before it: as far as a server sees,
    /// which is to its connection.
    pub closed: usize,
    /// Sessions that went without: the client had lost its connection, did not poll again in time, or was too
    /// slow. sockjs-client makes of it a close event with its own code: 1006, or 1002 after a lost stream. A client
    /// that comes back after messages were lost on a broken connection counts here, too: it is told 1002.
    pub lost: usize,
    /// Messages that the application had sent to those, and that never left.
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
