//! What the tasks of a node's connection have in common.
//!
//! Imports: options, registry.

use std::sync::Arc;

use bytes::Bytes;
use redis::aio::MultiplexedConnection;
use sockjs_bus::driver::{Counters, State};
use tokio::sync::{mpsc, watch};

use crate::{
    options::Options,
    registry::{Entry, Registry},
};

/// What each of them knows.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) registry: Registry,
    pub(crate) state: Arc<State>,
    /// The connections, while there are some.
    pub(crate) connections: watch::Sender<Option<Connections>>,
    /// Topics to which somebody has begun or ceased to subscribe.
    pub(crate) changes: mpsc::UnboundedSender<Arc<str>>,
}

/// What one life of the link to the server consists of.
#[derive(Debug, Clone)]
pub(crate) struct Connections {
    /// For messages, in both directions.
    pub(crate) messages: MultiplexedConnection,
    /// For streams: the server limits how much may wait for one that has subscribed.
    pub(crate) commands: MultiplexedConnection,
}

impl Shared {
    /// Subscribes to a topic: see [`Registry::add`].
    pub(crate) fn subscribe(
        self: &Arc<Self>,
        topic: Arc<str>,
        capacity: usize,
        counters: Option<Arc<Counters>>,
    ) -> (Subscribed, mpsc::Receiver<Bytes>) {
        let (entry, queued) = self.registry.add(&topic, capacity, counters);
        _ = self.changes.send(Arc::clone(&topic));
        (Subscribed { shared: Arc::clone(self), topic, entry }, queued)
    }
}

/// A subscription as long as it is there.
pub(crate) struct Subscribed {
    shared: Arc<Shared>,
    topic: Arc<str>,
    pub(crate) entry: Arc<Entry>,
}

impl Drop for Subscribed {
    fn drop(&mut self) {
        self.shared.registry.remove(&self.topic, &self.entry);
        _ = self.shared.changes.send(Arc::clone(&self.topic));
    }
}
