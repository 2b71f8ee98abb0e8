//! Tells the members of a room who comes and leaves.
//!
//! Imports: key, node, presence.

use std::{sync::Arc, time::Duration};

use axum_sockjs::Message;
use tokio::runtime::Handle;

use crate::{
    key::{Data, Key},
    node::{delivery::How, node::Node, room::Room},
    presence::{PresenceChanges, PresenceWatch},
};

/// Makes the message that tells a room's members of changes.
pub(crate) type Tell<K, U, D> = dyn Fn(&K, &PresenceChanges<U, D>) -> Option<Message> + Send + Sync;

/// What the application wants told.
pub(crate) struct Announcements<K, U, D> {
    pub(crate) interval: Duration,
    pub(crate) tell: Box<Tell<K, U, D>>,
}

/// Has a task tell the members of a room what changes, as long as there are any.
pub(crate) fn announce<K: Key, U: Key, D: Data>(
    node: &Arc<Node<K, U, D>>,
    room: &Arc<Room<K, U, D>>,
    announcements: &Arc<Announcements<K, U, D>>,
) {
    // Without a runtime, nobody waits for the interval.
    let Ok(runtime) = Handle::try_current() else { return };
    if std::mem::replace(&mut room.lock().is_announced, true) {
        return;
    }
    let announced = Announced { room: Some(Arc::clone(room)) };
    let watch = PresenceWatch::new(node.pin_known(room), announcements.interval);
    runtime.spawn(run(Arc::clone(node), announced, watch, Arc::clone(announcements)));
}

async fn run<K: Key, U: Key, D: Data>(
    node: Arc<Node<K, U, D>>,
    mut announced: Announced<K, U, D>,
    mut watch: PresenceWatch<K, U, D>,
    announcements: Arc<Announcements<K, U, D>>,
) {
    while let Some(room) = &announced.room {
        let changes = watch.look().await;
        // Whoever has come may have left again.
        let message = if changes.is_empty() { None } else { (announcements.tell)(&room.key, &changes) };
        if let Some(message) = message {
            // Other nodes tell theirs.
            node.send_here(room, message, How { is_transient: true, ..How::default() });
        }
        let mut state = room.lock();
        if state.members.is_empty() {
            // In the same moment, so that whoever joins next finds that nobody tells.
            state.is_announced = false;
            drop(state);
            announced.room = None;
            return;
        }
    }
}

/// A room that has its task. It may get another one if this one ends otherwise, by a panic for instance.
struct Announced<K, U, D> {
    room: Option<Arc<Room<K, U, D>>>,
}

impl<K, U, D> Drop for Announced<K, U, D> {
    fn drop(&mut self) {
        if let Some(room) = &self.room {
            room.lock().is_announced = false;
        }
    }
}
