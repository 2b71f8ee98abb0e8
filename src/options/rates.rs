//! How fast the client of a session may send.

use super::builder::Options;
use crate::session::core::rate::{Rate, RateOverflow};

impl Options {
    /// Limits how many messages a session's client may send in a time; by default, or with `None`, it may send as many
    /// as it can. [`rate_overflow`](Self::rate_overflow) sets what happens to more: by default the client waits.
    ///
    /// No proxy and no layer sees the messages of a WebSocket, nor how many are in a request. The limit is each
    /// session's own, the same on every transport; [`max_sessions_per_peer`](Self::max_sessions_per_peer) limits the
    /// sessions.
    ///
    /// A message counts when its batch is accepted, in the queue to the application. A batch is accepted as a whole: of
    /// a sending request, or of a WebSocket frame, as large as [`max_batch_messages`](Self::max_batch_messages) and
    /// [`max_body_bytes`](Self::max_body_bytes) allow. It is accepted when the rate allows one message, and the next
    /// batch waits until the time of all its messages is over. So in any time no more comes than the
    /// [burst](Rate::burst), the rate times that time, and one batch. A large request is read, and waits, batch by
    /// batch.
    ///
    /// Only messages count: no ping or pong, no empty frame and no empty array, no receiving request. None of these
    /// reaches the application, none is kept, and each turn of a WebSocket reads a bounded number of them.
    ///
    /// ```
    /// use axum_sockjs::{Options, Rate};
    ///
    /// let options = Options::new().message_rate(Rate::per_second(20).burst(100));
    /// ```
    pub fn message_rate(mut self, rate: impl Into<Option<Rate>>) -> Self {
        self.rates.messages = rate.into();
        self
    }

    /// Limits how many bytes of messages a session's client may send in a time, as [`message_rate`](Self::message_rate)
    /// limits their number: of UTF-8 after unquoting, or of binary data. None by default. If both are set, both hold.
    ///
    /// An empty message has no bytes: only [`message_rate`](Self::message_rate) limits how many of them come.
    pub fn byte_rate(mut self, rate: impl Into<Option<Rate>>) -> Self {
        self.rates.bytes = rate.into();
        self
    }

    /// Sets what happens to a batch over [`message_rate`](Self::message_rate) or [`byte_rate`](Self::byte_rate).
    ///
    /// By default, with [`RateOverflow::Wait`], the client waits as it does for room in a full queue: its WebSocket is
    /// not read, so that no answer to a ping is expected; its sending request gets no response, or after
    /// [`receive_timeout`](Self::receive_timeout), if that is set, 503. What waits takes no more memory than without a
    /// rate. The longest wait is the time of one batch at the rate: with a low rate, choose small batches.
    ///
    /// With [`RateOverflow::Close`] the session ends with
    /// [`CloseReason::RateExceeded`](crate::CloseReason::RateExceeded), and the client gets a close frame with 1008
    /// "Client too fast". The sending request that went too far is answered as if it had been accepted, as after any
    /// close by this side: a refusal would hide the close frame behind an error of sending.
    pub fn rate_overflow(mut self, policy: RateOverflow) -> Self {
        self.rates.overflow = policy;
        self
    }
}
