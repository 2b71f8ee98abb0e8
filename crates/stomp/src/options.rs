//! Settings of sessions and their limits.
//!
//! Imports: outbox.

use std::{num::NonZero, time::Duration};

use bytestring::ByteString;
use stomp_codec::Limits;

use crate::outbox::{OutboxLimits, Overflow, Overflows};

/// What a `SEND` or `SUBSCRIBE` does to its session that is denied: by [`client_send`](StompOptions::client_send), which is
/// asked first, or by the rule of [`authorize`](crate::Stomp::authorize).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Denial {
    /// The client gets an `ERROR`, and the connection is closed: what the specification says.
    #[default]
    Close,
    /// The frame is left out, and the session goes on. The client gets a notice at its own `/user/queue/errors`, if it
    /// has subscribed to that, and no receipt.
    Refuse,
}

/// Where clients may send.
///
/// Handlers are always allowed, and so are the replies to a temporary queue whose name a client has been told. What is not
/// allowed is denied as [`StompOptions::denial`] says, and the rule of [`authorize`](crate::Stomp::authorize) is not asked.
///
/// ```
/// use axum_stomp::ClientSend;
///
/// let anywhere = ClientSend::HANDLERS.broker(true).users(true);
/// # let _ = anywhere;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientSend {
    pub(crate) broker: bool,
    pub(crate) users: bool,
}

impl ClientSend {
    /// To handlers only, so that nobody speaks to others in the server's name: the default.
    pub const HANDLERS: Self = Self { broker: false, users: false };

    /// Whether clients may send to destinations of the broker, past the handlers.
    #[must_use]
    pub const fn broker(mut self, allowed: bool) -> Self {
        self.broker = allowed;
        self
    }

    /// Whether clients may send to users, past the handlers.
    #[must_use]
    pub const fn users(mut self, allowed: bool) -> Self {
        self.users = allowed;
        self
    }
}

impl Default for ClientSend {
    fn default() -> Self {
        Self::HANDLERS
    }
}

/// The intervals of heart-beats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeartBeatPolicy {
    /// What the client asks for, but not more often than once in this time.
    Client { floor: Duration },
    /// What the server offers.
    Fixed { send: Duration, receive: Duration },
}

/// Settings of sessions, and their limits.
///
/// Whatever exceeds a limit is answered with an `ERROR` that names the setting, and the connection is closed, unless a
/// row says otherwise.
///
/// | setting | default | what it bounds |
/// |---|---|---|
/// | [`app_prefixes`](Self::app_prefixes) | `/app` | |
/// | [`user_prefix`](Self::user_prefix) | `/user` | |
/// | [`connect_timeout`](Self::connect_timeout) | 10 s | the time until `CONNECT` has come, and the time of `on_connect` |
/// | [`max_connect_bytes`](Self::max_connect_bytes) | 16 KiB | all that comes before a `CONNECT` is read |
/// | [`max_headers`](Self::max_headers) | 64 | the headers of a frame |
/// | [`max_line_bytes`](Self::max_line_bytes) | 8 KiB | a header |
/// | [`max_head_bytes`](Self::max_head_bytes) | 64 KiB | a command with its headers |
/// | [`max_body_bytes`](Self::max_body_bytes) | 64 KiB | a body |
/// | [`lenient_escapes`](Self::lenient_escapes) | off | |
/// | [`heart_beat`](Self::heart_beat) | what the client asks for | |
/// | [`min_heart_beat`](Self::min_heart_beat) | 1 s | intervals that a client asks for |
/// | [`min_read_timeout`](Self::min_read_timeout) | none | |
/// | [`max_subscriptions`](Self::max_subscriptions) | 1000 | the subscriptions of a session |
/// | [`max_subscription_bytes`](Self::max_subscription_bytes) | 1 MiB | the headers of a session's subscriptions |
/// | [`max_transactions`](Self::max_transactions) | 16 | the transactions of a session at the same time |
/// | [`max_transaction_frames`](Self::max_transaction_frames) | 1000 | the frames of a session in transactions |
/// | [`max_transaction_bytes`](Self::max_transaction_bytes) | 1 MiB | the same frames |
/// | [`max_unacknowledged`](Self::max_unacknowledged) | 128 | a subscription's messages without `ACK`; more wait in their queue |
/// | [`max_parallel_handlers`](Self::max_parallel_handlers) | 16 | a session's handlers that run at the same time; the client waits |
/// | [`frame_rate`](Self::frame_rate) | none | frames per second; the client waits |
/// | [`outbound_bytes`](Self::outbound_bytes) | 512 KiB | what waits for a slow client; beyond, `overflow` |
/// | [`overflow`](Self::overflow) | close | |
/// | [`overflow_for`](Self::overflow_for) | none | |
/// | [`send_timeout`](Self::send_timeout) | 10 s | the time in which a client reads nothing of what waits |
/// | [`client_send`](Self::client_send) | handlers | where clients may send; beyond, `denial` |
/// | [`denial`](Self::denial) | close | |
#[derive(Debug, Clone, PartialEq)]
pub struct StompOptions {
    pub(crate) app_prefixes: Vec<ByteString>,
    pub(crate) user_prefix: ByteString,
    pub(crate) connect_timeout: Duration,
    pub(crate) max_connect_bytes: usize,
    pub(crate) max_headers: usize,
    pub(crate) max_line_bytes: usize,
    pub(crate) max_head_bytes: usize,
    pub(crate) max_body_bytes: usize,
    pub(crate) lenient_escapes: bool,
    pub(crate) heart_beat: HeartBeatPolicy,
    pub(crate) min_read_timeout: Option<Duration>,
    pub(crate) max_subscriptions: usize,
    pub(crate) max_subscription_bytes: usize,
    pub(crate) max_transactions: usize,
    pub(crate) max_transaction_frames: usize,
    pub(crate) max_transaction_bytes: usize,
    pub(crate) max_unacknowledged: NonZero<usize>,
    pub(crate) max_parallel_handlers: NonZero<usize>,
    pub(crate) frame_rate: Option<NonZero<u32>>,
    pub(crate) outbound_bytes: usize,
    pub(crate) overflow: Overflows,
    pub(crate) send_timeout: Option<Duration>,
    pub(crate) client_send: ClientSend,
    pub(crate) denial: Denial,
}

const MAX_UNACKNOWLEDGED: NonZero<usize> = NonZero::new(128).unwrap();
const MAX_PARALLEL_HANDLERS: NonZero<usize> = NonZero::new(16).unwrap();

impl StompOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self {
            app_prefixes: vec!["/app".into()],
            user_prefix: "/user".into(),
            connect_timeout: Duration::from_secs(10),
            max_connect_bytes: 16 << 10,
            max_headers: 64,
            max_line_bytes: 8 << 10,
            max_head_bytes: 64 << 10,
            max_body_bytes: 64 << 10,
            lenient_escapes: false,
            heart_beat: HeartBeatPolicy::Client { floor: Duration::from_secs(1) },
            min_read_timeout: None,
            max_subscriptions: 1000,
            max_subscription_bytes: 1 << 20,
            max_transactions: 16,
            max_transaction_frames: 1000,
            max_transaction_bytes: 1 << 20,
            max_unacknowledged: MAX_UNACKNOWLEDGED,
            max_parallel_handlers: MAX_PARALLEL_HANDLERS,
            frame_rate: None,
            outbound_bytes: 512 << 10,
            overflow: Overflows::new(Overflow::Close),
            send_timeout: Some(Duration::from_secs(10)),
            client_send: ClientSend::HANDLERS,
            denial: Denial::Close,
        }
    }

    /// The prefixes of destinations that handlers serve: a handler's path stands behind one of them.
    #[must_use]
    pub fn app_prefixes<I>(mut self, prefixes: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<ByteString>,
    {
        self.app_prefixes = prefixes.into_iter().map(Into::into).collect();
        self
    }

    /// The prefix of the destinations of users. Clients subscribe to `/user/queue/x` and get what is sent to them there;
    /// who may send to others writes `/user/NAME/queue/x`, with `%2F` for a slash in the name.
    #[must_use]
    pub fn user_prefix(mut self, prefix: impl Into<ByteString>) -> Self {
        self.user_prefix = prefix.into();
        self
    }

    /// How long a client may take until it has sent its `CONNECT`, and how long the server may take from then on: the
    /// [`on_connect`](crate::Stomp::on_connect) of the application, and then the broker.
    ///
    /// An `on_connect` that takes longer is dropped, where it awaits something, and the client gets an `ERROR` "no login in
    /// time".
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How much is read, in bytes, before a `CONNECT` has been read.
    #[must_use]
    pub fn max_connect_bytes(mut self, bytes: usize) -> Self {
        self.max_connect_bytes = bytes;
        self
    }

    /// How many headers a frame may have.
    #[must_use]
    pub fn max_headers(mut self, headers: usize) -> Self {
        self.max_headers = headers;
        self
    }

    /// How long a header may be, in bytes as on the wire.
    #[must_use]
    pub fn max_line_bytes(mut self, bytes: usize) -> Self {
        self.max_line_bytes = bytes;
        self
    }

    /// How long a command and its headers may be together, in bytes as on the wire.
    #[must_use]
    pub fn max_head_bytes(mut self, bytes: usize) -> Self {
        self.max_head_bytes = bytes;
        self
    }

    /// How long a body may be, in bytes.
    #[must_use]
    pub fn max_body_bytes(mut self, bytes: usize) -> Self {
        self.max_body_bytes = bytes;
        self
    }

    /// Keeps a backslash that begins no escape, instead of refusing the frame: some clients never escape what they send,
    /// such as webstomp-client.
    #[must_use]
    pub fn lenient_escapes(mut self, lenient: bool) -> Self {
        self.lenient_escapes = lenient;
        self
    }

    /// The heart-beats that the server offers: how often it sends them, and how often it wants some. Zero is none.
    ///
    /// Without this setting the server offers what the client asks for.
    #[must_use]
    pub fn heart_beat(mut self, send: Duration, receive: Duration) -> Self {
        self.heart_beat = HeartBeatPolicy::Fixed { send, receive };
        self
    }

    /// The shortest interval of heart-beats that a client gets that asks for less.
    #[must_use]
    pub fn min_heart_beat(mut self, floor: Duration) -> Self {
        self.heart_beat = HeartBeatPolicy::Client { floor };
        self
    }

    /// A client that has promised heart-beats is given up no sooner than after this time without any.
    ///
    /// Browsers let the timers of hidden pages run once in a minute: with 75 s their sessions stay.
    #[must_use]
    pub fn min_read_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.min_read_timeout = timeout.into();
        self
    }

    /// How many subscriptions a session may have.
    #[must_use]
    pub fn max_subscriptions(mut self, subscriptions: usize) -> Self {
        self.max_subscriptions = subscriptions;
        self
    }

    /// How long the headers of all subscriptions of a session may be together, in bytes: they are kept.
    #[must_use]
    pub fn max_subscription_bytes(mut self, bytes: usize) -> Self {
        self.max_subscription_bytes = bytes;
        self
    }

    /// How many transactions a session may have at the same time.
    #[must_use]
    pub fn max_transactions(mut self, transactions: usize) -> Self {
        self.max_transactions = transactions;
        self
    }

    /// How many frames a session may have in its transactions.
    #[must_use]
    pub fn max_transaction_frames(mut self, frames: usize) -> Self {
        self.max_transaction_frames = frames;
        self
    }

    /// How long the frames of a session in its transactions may be, in bytes.
    #[must_use]
    pub fn max_transaction_bytes(mut self, bytes: usize) -> Self {
        self.max_transaction_bytes = bytes;
        self
    }

    /// How many messages of a queue a subscription may have that the client has not acknowledged. A client may ask for
    /// less by a `prefetch-count` header.
    #[must_use]
    pub fn max_unacknowledged(mut self, messages: NonZero<usize>) -> Self {
        self.max_unacknowledged = messages;
        self
    }

    /// How many handlers of a session may run at the same time, if they are
    /// [parallel](crate::Routes::message_parallel).
    #[must_use]
    pub fn max_parallel_handlers(mut self, handlers: NonZero<usize>) -> Self {
        self.max_parallel_handlers = handlers;
        self
    }

    /// How many frames a second are taken from a client. A second's worth may come at once.
    #[must_use]
    pub fn frame_rate(mut self, frames_per_second: impl Into<Option<NonZero<u32>>>) -> Self {
        self.frame_rate = frames_per_second.into();
        self
    }

    /// How much may wait for a client, in bytes, in front of what the connection itself holds.
    #[must_use]
    pub fn outbound_bytes(mut self, bytes: usize) -> Self {
        self.outbound_bytes = bytes;
        self
    }

    /// What happens to a message for which a slow client has no room, unless [`overflow_for`](Self::overflow_for) says
    /// something else of its destination. Messages of competing queues wait in their queue.
    #[must_use]
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow.otherwise(overflow);
        self
    }

    /// The same for all destinations that begin with `beginning`, compared as text: end it with the separator, unless
    /// `/topic/price` is to be for `/topic/prices` as well. Of several rules the one with the longest beginning counts;
    /// one with the same beginning is replaced.
    ///
    /// The destination is that of the message, as clients see it, and not that of a subscription, which may be a pattern: a
    /// message to a user is at `/user/queue/x`, with the [user prefix](Self::user_prefix) and without a name; one to a
    /// temporary queue begins with `/reply-queue/`; and the answer of a handler to a subscription is where that was sent,
    /// such as `/app/x`.
    ///
    /// A message that has no room drops what waits of other destinations, where that may be dropped, before its own
    /// destination's policy means a loss: positions with [`Overflow::Close`] close no session that is full of prices with
    /// [`Overflow::KeepNewest`].
    ///
    /// ```
    /// use axum_stomp::{StompOptions, outbox::Overflow};
    ///
    /// // Only the newest price of each stock is worth anything; the news are dropped, and all else is to arrive.
    /// let options = StompOptions::new()
    ///     .overflow_for("/topic/price.", Overflow::KeepNewest)
    ///     .overflow_for("/topic/news/", Overflow::DropOldest)
    ///     .overflow_for("/user/queue/hints", Overflow::DropNewest);
    /// # let _ = options;
    /// ```
    #[must_use]
    pub fn overflow_for(mut self, beginning: impl Into<ByteString>, overflow: Overflow) -> Self {
        self.overflow.add(beginning.into(), overflow);
        self
    }

    /// How long a client may read nothing while something waits for it. Then its session is closed, with the reason
    /// [`TooSlow`](crate::DisconnectReason::TooSlow).
    ///
    /// With `None` a client may be slow for ever, until its session ends for another reason: then it has 10 seconds for each
    /// frame that waits.
    #[must_use]
    pub fn send_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.send_timeout = timeout.into();
        self
    }

    /// Where clients may send. What else they send is answered as [`denial`](Self::denial) says.
    #[must_use]
    pub fn client_send(mut self, allowed: ClientSend) -> Self {
        self.client_send = allowed;
        self
    }

    /// What a denied `SEND` or `SUBSCRIBE` does to its session: one that [`client_send`](Self::client_send) does not allow, or
    /// for which the rule of [`authorize`](crate::Stomp::authorize) returns [`Deny`](crate::Decision::Deny).
    #[must_use]
    pub fn denial(mut self, denial: Denial) -> Self {
        self.denial = denial;
        self
    }

    pub(crate) fn outbox(&self) -> OutboxLimits {
        OutboxLimits {
            bytes: self.outbound_bytes,
            overflow: self.overflow.clone(),
            send_timeout: self.send_timeout,
        }
    }

    /// What the decoder of a session reads.
    pub(crate) fn limits(&self) -> Limits {
        Limits::new()
            .max_connect_bytes(self.max_connect_bytes)
            .max_headers(self.max_headers)
            .max_line_bytes(self.max_line_bytes)
            .max_head_bytes(self.max_head_bytes)
            .max_body_bytes(self.max_body_bytes)
    }

    /// How long the longest frame is.
    pub(crate) fn max_frame_bytes(&self) -> usize {
        self.max_head_bytes.saturating_add(self.max_body_bytes).saturating_add(1)
    }
}

impl Default for StompOptions {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod table;
