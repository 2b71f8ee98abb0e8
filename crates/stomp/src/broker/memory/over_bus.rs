//! The settings of a broker that is one of several nodes.

use std::{error::Error, fmt, sync::Arc, time::Duration};

use sockjs_bus::{Bus, InvalidSubject};

use super::builder::MemoryBrokerBuilder;

/// # Several nodes
impl MemoryBrokerBuilder {
    /// Puts the broker onto a bus, which all nodes share: messages to topics, to users and to temporary queues reach the
    /// subscribers of every node. A queue over which consumers compete stays with one node, and is refused at the others. The
    /// guide [on several nodes](crate::guide::nodes) says what is guaranteed.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use axum_stomp::{Stomp, broker::memory::MemoryBroker, sockjs_bus::InProcess};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let bus = InProcess::new();
    /// let broker = MemoryBroker::builder().bus(Arc::new(bus.connect())).build();
    /// let server = Stomp::<()>::new().broker(broker).build();
    /// # let _ = server;
    /// # }
    /// ```
    ///
    /// The prefixes, the separator and the mode of queues are to be the same on all nodes. The broker is built within a tokio
    /// runtime, on which a task then runs.
    pub fn bus(mut self, bus: Arc<dyn Bus>) -> Self {
        self.bus = Some(bus);
        self
    }

    /// Sets the namespace on the bus, `stomp` by default: tokens of letters, digits, `-` and `_`, with dots between them, of
    /// about 100 bytes at the most. Applications that share an engine have different ones, and all nodes of one the same. So
    /// have several brokers of one process: in one namespace they would be nodes of each other, and two over the same
    /// [bus](Self::bus) are [refused](BuildError::NamespaceInUse).
    ///
    /// This and the following may be set before the bus or after it. Without one they do nothing.
    pub fn bus_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.on_bus.namespace = namespace.into();
        self
    }

    /// Names this node by something that it has again when it is started again, such as its address. If it then starts
    /// after a crash, the others need not wait until the one before counts as dead.
    ///
    /// The one before must have ended: of two nodes with one name that live, the others take each for the end of the other
    /// one, do not ask both who has a queue, and it may get two owners. A node that hears another one of its name logs a warning.
    pub fn node_name(mut self, name: impl Into<String>) -> Self {
        self.on_bus.name = Some(name.into());
        self
    }

    /// Sets after how much silence of a node its queues are free for others, 10 s by default. A node says something four times
    /// in this time. It should be the same on all nodes; less than a second counts as a second.
    pub fn dead_after(mut self, time: Duration) -> Self {
        self.on_bus.dead_after = time.max(Duration::from_secs(1));
        self
    }
}

/// The reason why a broker cannot be over a bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// There is no tokio runtime to run on.
    NoRuntime,
    /// The namespace is none, or too long.
    Namespace(InvalidSubject),
    /// Another broker of this process is over the same bus, the very `Arc`, with the same
    /// [namespace](MemoryBrokerBuilder::bus_namespace): both would deliver each message. It is free again when that one has
    /// [left the bus](super::MemoryBroker::leave_bus), or nothing is left of it.
    NamespaceInUse,
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRuntime => "a broker over a bus is built within a tokio runtime",
            Self::Namespace(_) => "the namespace cannot be one on the bus",
            Self::NamespaceInUse => "another broker is over the same bus with the same namespace",
        })
    }
}

impl Error for BuildError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Namespace(error) => Some(error),
            Self::NoRuntime | Self::NamespaceInUse => None,
        }
    }
}
