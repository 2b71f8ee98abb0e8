//! What happens to sessions, for the application.

use std::{
    borrow::Cow,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use axum_sockjs::CloseReason;

use crate::{session::Session, subscription::Subscription};

/// Something that has happened to a session. Each of them is told exactly once, in this order.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// The client has been let in, and is about to get its `CONNECTED`.
    Connected(Session),
    /// A subscription has begun: what is sent from now on is delivered to it. Those that a handler answers are none.
    Subscribed(Session, Arc<Subscription>),
    /// A subscription has ended: by `UNSUBSCRIBE`, or because its session is about to.
    Unsubscribed(Session, Arc<Subscription>),
    /// The session has ended.
    ///
    /// What a client has sent before it has left is processed before. A handler that still runs 10 seconds after the loss
    /// of the connection was seen is not waited for: it is finished, and its session ends. Over TCP a loss is seen while
    /// a handler runs only if something is written, such as a heart-beat.
    Disconnected(Session, DisconnectReason),
}

/// Why a session has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// The client has sent `DISCONNECT`.
    Client,
    /// The connection has ended without one: why, if that was a SockJS session or a WebSocket.
    ConnectionLost(Option<CloseReason>),
    /// The client has got an `ERROR`: its `message` header.
    Error(Cow<'static, str>),
    /// The client has promised heart-beats, and was silent. It has got an `ERROR`.
    HeartBeatTimeout,
    /// The client reads too slowly: see [`Overflow::Close`](crate::outbox::Overflow::Close) and
    /// [`send_timeout`](crate::StompOptions::send_timeout).
    TooSlow,
    /// The time has come that [`Login::expires_at`](crate::Login::expires_at) says. The client has got an `ERROR`.
    Expired,
    /// The application has called [`Session::close`]. The client has got an `ERROR`.
    Server,
    /// The task of the session was cancelled or panicked.
    Cancelled,
}

impl DisconnectReason {
    /// All [names](Self::name).
    pub(crate) const NAMES: [&'static str; 8] = [
        "client",
        "connection-lost",
        "error",
        "heart-beat-timeout",
        "too-slow",
        "expired",
        "server",
        "cancelled",
    ];

    /// The reason of a connection that has ended by itself.
    pub(crate) fn of_connection(reason: Option<CloseReason>) -> Self {
        match reason {
            // The connection has its own watch over what it holds, for the same time.
            Some(CloseReason::WriteTimeout) => Self::TooSlow,
            reason => Self::ConnectionLost(reason),
        }
    }

    /// Its name in logs and metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::ConnectionLost(_) => "connection-lost",
            Self::Error(_) => "error",
            Self::HeartBeatTimeout => "heart-beat-timeout",
            Self::TooSlow => "too-slow",
            Self::Expired => "expired",
            Self::Server => "server",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConnectionLost(Some(reason)) => write!(f, "connection lost: {reason}"),
            Self::Error(message) => write!(f, "error: {message}"),
            _ => f.write_str(&self.name().replace('-', " ")),
        }
    }
}

/// Functions of the application's that are told of events.
#[derive(Clone, Default)]
pub(crate) struct Listeners(Vec<Arc<Listener>>);

type Listener = dyn Fn(&Event) + Send + Sync;

impl Listeners {
    pub(crate) fn add(&mut self, listener: impl Fn(&Event) + Send + Sync + 'static) {
        self.0.push(Arc::new(listener));
    }

    pub(crate) fn tell(&self, event: &Event) {
        for listener in &self.0 {
            // A session is not to end, or to stay in the registry, for what a listener does.
            if catch_unwind(AssertUnwindSafe(|| listener(event))).is_err() {
                tracing::error!(?event, "on_event has panicked");
            }
        }
    }
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listeners").field("len", &self.0.len()).finish()
    }
}
