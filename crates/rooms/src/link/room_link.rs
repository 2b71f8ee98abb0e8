//! What one room has on the bus, as long as it exists.

use sockjs_bus::Subscription;
use tokio::{
    sync::{Mutex, watch},
    task::AbortHandle,
};

pub(super) struct RoomLink {
    /// Whoever joins waits for it.
    pub(super) subscription: Mutex<Subscription>,
    pub(super) following: Option<Following>,
}

/// The task that follows a room's history. It ends when this is dropped.
pub(super) struct Following {
    /// Whether the history is there.
    pub(super) is_ready: watch::Receiver<bool>,
    pub(super) task: AbortHandle,
}

impl Drop for Following {
    fn drop(&mut self) {
        self.task.abort();
    }
}
