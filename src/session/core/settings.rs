//! The numbers that a session works by.

use std::time::Duration;

use super::{kind::Kind, rate::Rates};

/// What happens to a message that finds the queue to its client full: by default, as
/// [`Options::send_overflow`](crate::Options::send_overflow), or for one call of
/// [`send_with`](crate::Session::send_with).
///
/// | | `send().await` | `try_send` | as a `Sink` |
/// |---|---|---|---|
/// | `Wait` | waits for room | [`SendError::Full`](crate::SendError::Full) | `poll_ready` waits |
/// | `Close` | [`SendError::Closed`](crate::SendError::Closed), and the session ends | the same | the same, from `start_send` |
/// | `DropOldest` | is queued at once | is queued at once | is queued at once |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Overflow {
    /// Who sends waits, or gets the message back: nothing is lost while the client reads at all. For answers
    /// to one client.
    #[default]
    Wait,
    /// The session ends with [`CloseReason::SendQueueFull`](crate::CloseReason::SendQueueFull), and what was
    /// queued is thrown away. The client is told 1008 "Client too slow" if it still reads. For broadcasts in
    /// which each message counts: a client that cannot keep up comes back and begins anew.
    Close,
    /// The oldest queued messages are thrown away until the new one fits; [`Session::dropped_messages`] counts them.
    /// For states of which only the newest matter.
    ///
    /// [`Session::dropped_messages`]: crate::Session::dropped_messages
    DropOldest,
}

/// How long a message may take to come, over a socket and in a body.
pub(crate) const READ_TIME: Duration = Duration::from_secs(60);

/// The numbers a session works by, copied from the endpoint's options.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) heartbeat: Option<Duration>,
    pub(crate) disconnect_delay: Duration,
    pub(crate) receive_queue_bytes: usize,
    pub(crate) receive_queue_messages: usize,
    pub(crate) send_queue_bytes: usize,
    pub(crate) send_overflow: Overflow,
    pub(crate) write_timeout: Option<Duration>,
    pub(crate) rates: Rates,
    pub(crate) kind: Kind,
}
