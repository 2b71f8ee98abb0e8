//! What happens to sessions, for the application.
//!
//! Imports: messenger, session, subscription.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use crate::{
    messenger::Messenger,
    session::{DisconnectReason, Session},
    subscription::Subscription,
};

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
    /// The session has ended. No handler is called for it from now on.
    ///
    /// What a client has sent before it has left is processed before. A handler that still runs 10 seconds after the loss
    /// of the connection was seen is not waited for: it is finished, and its session ends. Over TCP a loss is seen while
    /// a handler runs only if something is written, such as a heart-beat.
    Disconnected(Session, DisconnectReason),
}

impl Event {
    /// The session that it has happened to.
    #[must_use]
    pub fn session(&self) -> &Session {
        match self {
            Self::Connected(session)
            | Self::Subscribed(session, _)
            | Self::Unsubscribed(session, _)
            | Self::Disconnected(session, _) => session,
        }
    }
}

/// Functions of the application's that are told of events.
#[derive(Clone, Default)]
pub(crate) struct Listeners(Vec<Arc<Listener>>);

type Listener = dyn Fn(&Event, &Messenger) + Send + Sync;

impl Listeners {
    pub(crate) fn add(&mut self, listener: impl Fn(&Event, &Messenger) + Send + Sync + 'static) {
        self.0.push(Arc::new(listener));
    }

    pub(crate) fn tell(&self, event: &Event, messenger: &Messenger) {
        for listener in &self.0 {
            // A session is not to end, or to stay in the registry, for what a listener does.
            if catch_unwind(AssertUnwindSafe(|| listener(event, messenger))).is_err() {
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
