//! What all sessions of an application share.
//!
//! Imports: broker, events, handler, messenger, options, registry, stats.

use std::sync::Arc;

use crate::{
    broker::Broker,
    events::{Event, Listeners},
    handler::{Connector, Rule, Table},
    messenger::Messenger,
    options::StompOptions,
    registry::Registry,
    stats::Counters,
};

/// What all sessions of an application share.
pub(crate) struct App<S> {
    pub(crate) options: Arc<StompOptions>,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) messenger: Messenger,
    pub(crate) handlers: Table<S>,
    pub(crate) connector: Option<Connector<S>>,
    pub(crate) rule: Option<Rule<S>>,
    pub(crate) registry: Registry,
    pub(crate) listeners: Listeners,
    pub(crate) counters: Counters,
}

impl<S> App<S> {
    /// Tells the application what has happened to a session.
    pub(crate) fn event(&self, event: &Event) {
        self.listeners.tell(event, &self.messenger);
    }
}
