//! The settings of a session.

use std::time::Duration;

use super::{kind::Kind, rate::Rates};

/// The effect of a message that finds the queue to its client full: by default, with
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
    /// The sender waits, or gets the message back: nothing is lost while the client reads at all. For replies to one
    /// client.
    #[default]
    Wait,
    /// The session ends with [`CloseReason::SendQueueFull`](crate::CloseReason::SendQueueFull), and the queued messages
    /// are discarded. The client gets 1008 "Client too slow" if it still reads. For broadcasts in which each message
    /// counts: a client that cannot keep up reconnects and starts again.
    Close,
    /// The oldest queued messages are dropped until the new one fits; [`Session::dropped_messages`] counts them. For
    /// states of which only the newest matters.
    ///
    /// [`Session::dropped_messages`]: crate::Session::dropped_messages
    DropOldest,
}

/// The time in which a message must arrive completely, over a socket and in a body.
pub(crate) const READ_TIME: Duration = Duration::from_secs(60);

/// The settings of a session, copied from the endpoint's options.
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
