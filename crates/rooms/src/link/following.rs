//! The history that a room shares with other nodes, as it grows.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use sockjs_bus::{Batch, Bus, Entry, StreamError, Subject};
use tokio::{sync::watch, task::yield_now, time::sleep};

use super::envelope::{self, Envelope};
use crate::{
    key::{Data, Key},
    node::{delivery::How, node::Node, room::Room},
    position::Position,
};

/// How long it takes until what the bus has refused is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// As many messages are delivered before other tasks have a turn.
const TURN: usize = 32;

/// What a room follows, and where it puts it.
pub(super) struct Follower<K, U, D> {
    pub(super) node: Weak<Node<K, U, D>>,
    pub(super) room: Weak<Room<K, U, D>>,
    pub(super) bus: Arc<dyn Bus>,
    pub(super) stream: Subject,
    pub(super) ready: watch::Sender<bool>,
    pub(super) lost: Arc<AtomicU64>,
}

impl<K: Key, U: Key, D: Data> Follower<K, U, D> {
    /// Runs until it is dropped, or the room is.
    pub(super) async fn run(self, last: usize) {
        let Some(streams) = self.bus.streams() else { return };
        loop {
            let Ok(batch) = streams.last(&self.stream, last).await else {
                sleep(RETRY).await;
                continue;
            };
            let end = batch.end;
            if self.begin(batch).is_none() {
                return;
            }
            self.ready.send_replace(true);
            if self.follow(end).await.is_none() {
                return;
            }
            self.lost.fetch_add(1, Relaxed);
            self.ready.send_replace(false);
        }
    }

    /// `None` if the room is no longer there.
    fn begin(&self, batch: Batch) -> Option<()> {
        let (node, room) = (self.node.upgrade()?, self.room.upgrade()?);
        let behind =
            batch.entries.first().map_or(batch.end.number, |first| first.position.number.saturating_sub(1));
        let behind = Position::new(batch.end.stream.0, behind);
        let messages =
            batch.entries.into_iter().filter_map(read).map(|(position, message, _)| (position, message));
        node.restart_history(&room, behind, messages.collect());
        Some(())
    }

    /// Returns when entries are lost, or with `None` when the room is no longer there.
    async fn follow(&self, mut after: sockjs_bus::Position) -> Option<()> {
        let streams = self.bus.streams()?;
        let mut follow = streams.follow(&self.stream, after);
        let mut turn = 0;
        loop {
            match follow.next().await {
                Ok(entry) => {
                    after = entry.position;
                    let (node, room) = (self.node.upgrade()?, self.room.upgrade()?);
                    if let Some((position, message, how)) = read(entry) {
                        node.deliver_kept(&room, position, message, how);
                    }
                    turn += 1;
                    if turn % TURN == 0 {
                        yield_now().await;
                    }
                }
                Err(StreamError::Gone) => {
                    let (node, room) = (self.node.upgrade()?, self.room.upgrade()?);
                    // They miss something: their clients come back, and are told what is left.
                    node.close_members(&room);
                    return Some(());
                }
                Err(_) => {
                    sleep(RETRY).await;
                    follow = streams.follow(&self.stream, after);
                }
            }
        }
    }
}

/// `None` if it is not of a room's.
fn read(entry: Entry) -> Option<(Position, axum_sockjs::Message, How)> {
    let position = Position::new(entry.position.stream.0, entry.position.number);
    match envelope::decode(entry.payload)? {
        Envelope::Message(message, how) => Some((position, message, how)),
        Envelope::Close { .. } => None,
    }
}
