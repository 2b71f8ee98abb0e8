//! What one room has on the bus, as long as it exists.

use sockjs_bus::{Position, Subscription};
use tokio::{
    sync::{Mutex, watch},
    task::AbortHandle,
};

pub(super) struct RoomLink {
    /// Whoever joins waits for it.
    pub(super) subscription: Mutex<Subscription>,
    pub(super) following: Option<Following>,
}

/// How far a room's history is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// It is about to be read, from the beginning.
    Pending,
    /// Up to this position.
    Ready(Position),
    /// The bus refuses it. It is asked again.
    Refused,
}

/// The task that follows a room's history. It ends when this is dropped.
pub(super) struct Following {
    pub(super) progress: watch::Receiver<Progress>,
    pub(super) task: AbortHandle,
}

impl Drop for Following {
    fn drop(&mut self) {
        self.task.abort();
    }
}
