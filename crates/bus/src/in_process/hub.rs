//! The bus in process itself.

use std::sync::Arc;

#[cfg(any(test, feature = "test"))]
use super::faults::Faults;
use super::{connection::Connection, exchange::Exchange};

/// A bus within one process. Clones are the same one.
///
/// ```
/// use std::sync::Arc;
/// use sockjs_bus::{Bus, InProcess, Subject};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let bus = InProcess::new();
/// let (here, there) = (bus.connect(), bus.connect());
/// let subject = Subject::new("news").unwrap();
/// let (sender, mut received) = tokio::sync::mpsc::unbounded_channel();
/// let mut subscription = there.subscribe(&subject, Arc::new(move |payload| _ = sender.send(payload)));
/// subscription.ready().await.unwrap();
/// here.publish(&subject, "hello".into()).unwrap();
/// assert_eq!(received.recv().await.unwrap(), "hello");
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct InProcess(Arc<Exchange>);

impl InProcess {
    /// A bus that takes messages of up to 1 MiB, and keeps up to 65,536 of them for each node that is slow.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limits(1 << 20, 1 << 16)
    }

    /// A bus that takes messages of up to so many bytes, and keeps up to so many of them for each node that is slow.
    #[must_use]
    pub fn with_limits(max_payload: usize, max_waiting: usize) -> Self {
        Self(Arc::new(Exchange::new(max_payload, max_waiting)))
    }

    /// Connects a node. A task on the current runtime calls its receivers.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    #[must_use]
    pub fn connect(&self) -> Connection {
        Connection::new(Arc::clone(&self.0))
    }
}

/// # Faults
///
/// See also [`Connection::disconnect`].
#[cfg(any(test, feature = "test"))]
#[cfg_attr(docsrs, doc(cfg(feature = "test")))]
impl InProcess {
    /// What happens to messages that are published from now on. The seed decides which ones.
    pub fn set_faults(&self, faults: Faults, seed: u64) {
        self.0.set_faults(faults, seed);
    }

    /// What one of two nodes publishes from now on does not reach the other, until [`heal`](Self::heal).
    pub fn cut(&self, one: &Connection, other: &Connection) {
        self.0.cut(one.node(), other.node());
    }

    /// All nodes reach each other.
    pub fn heal(&self) {
        self.0.heal();
    }

    /// All streams lose their entries and get other ids, as with an engine that starts with an empty store.
    pub fn lose_streams(&self) {
        self.0.logs.lose();
    }
}

impl Default for InProcess {
    fn default() -> Self {
        Self::new()
    }
}
