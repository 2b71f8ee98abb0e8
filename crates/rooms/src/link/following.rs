//! The history that a room shares with other nodes, as it grows.

use std::{
    future::poll_fn,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::Poll,
    time::Duration,
};

use sockjs_bus::{Batch, Bus, Entry, StreamError, Subject};
use tokio::{sync::watch, task::yield_now, time::sleep};

use super::{
    envelope::{self, Envelope},
    room_link::Progress,
};
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
    pub(super) progress: watch::Sender<Progress>,
    pub(super) lost: Arc<AtomicU64>,
}

impl<K: Key, U: Key, D: Data> Follower<K, U, D> {
    /// Runs until it is dropped, or the room is.
    pub(super) async fn run(self, last: usize) {
        let Some(streams) = self.bus.streams() else { return };
        loop {
            let batch = match streams.last(&self.stream, last).await {
                Ok(batch) => batch,
                Err(error) => {
                    self.pause(&error).await;
                    continue;
                }
            };
            let end = batch.end;
            if self.begin(batch).is_none() {
                return;
            }
            self.progress.send_replace(Progress::Ready(end));
            if self.follow(end).await.is_none() {
                return;
            }
            self.lost.fetch_add(1, Relaxed);
            self.progress.send_replace(Progress::Pending);
        }
    }

    /// `None` if the room is no longer there.
    fn begin(&self, batch: Batch) -> Option<()> {
        let (node, room) = (self.node.upgrade()?, self.room.upgrade()?);
        let behind =
            batch.entries.first().map_or(batch.end.number, |first| first.position.number.saturating_sub(1));
        let behind = Position::new(batch.end.stream.0, behind);
        let messages = batch.entries.into_iter().filter_map(|entry| {
            let age = entry.age;
            read(entry).map(|(position, message, _)| (position, message, age))
        });
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
                    let age = entry.age;
                    self.has_room().await;
                    let (node, room) = (self.node.upgrade()?, self.room.upgrade()?);
                    if let Some((position, message, how)) = read(entry) {
                        node.deliver_kept(&room, position, message, how, age);
                    }
                    self.progress.send_replace(Progress::Ready(after));
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
                Err(error) => {
                    self.pause(&error).await;
                    // Whoever joins meanwhile would hear nothing.
                    while let Err(error) = streams.last(&self.stream, 0).await {
                        self.pause(&error).await;
                    }
                    self.progress.send_replace(Progress::Ready(after));
                    follow = streams.follow(&self.stream, after);
                }
            }
        }
    }

    /// Waits until the bus can be asked again. Whoever joins does not wait for what it has refused.
    async fn pause(&self, error: &StreamError) {
        if !matches!(error, StreamError::Disconnected) {
            self.progress.send_replace(Progress::Refused);
        }
        sleep(RETRY).await;
    }

    /// Completes when the room takes another message, or is no longer there.
    async fn has_room(&self) {
        poll_fn(|cx| match (self.node.upgrade(), self.room.upgrade()) {
            (Some(node), Some(room)) => node.poll_room_for_kept(&room, cx),
            _ => Poll::Ready(()),
        })
        .await;
    }
}

/// `None` if it is not of a room's.
fn read(entry: Entry) -> Option<(Position, axum_sockjs::Message, How)> {
    let position = Position::new(entry.position.stream.0, entry.position.number);
    match envelope::decode(entry.payload)? {
        Envelope::Message(message, how) => Some((position, message, how)),
        Envelope::Close(..) => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails so")]

    use sockjs_bus::{InProcess, Retention};

    use super::*;
    use crate::{
        history::History,
        node::{node::Config, stream::MAX_OUTGOING},
    };

    /// Another call delivers, and is slow.
    #[tokio::test(start_paused = true)]
    async fn no_more_is_read_than_may_wait() {
        let node: Arc<Node<String, String, ()>> = Arc::new(Node::new(Config {
            overflow: None,
            history: Some(Box::new(|_| Some(History::last(9)))),
            encode: None,
            on_join: None,
            max_rooms: 9,
            max_rooms_per_session: 9,
            max_members_per_room: 9,
            max_history_bytes: 1 << 20,
        }));
        let pin = node.pin(&"lobby".to_owned()).unwrap();
        let bus: Arc<dyn Bus> = Arc::new(InProcess::new().connect());
        let stream = Subject::new("lobby").unwrap();
        let (progress, mut seen) = watch::channel(Progress::Pending);
        let follower = Follower {
            node: Arc::downgrade(&node),
            room: Arc::downgrade(&pin.room),
            bus: Arc::clone(&bus),
            stream: stream.clone(),
            progress,
            lost: Arc::default(),
        };
        let task = tokio::spawn(follower.run(9));
        seen.wait_for(|seen| *seen != Progress::Pending).await.unwrap();
        pin.room.lock().stream.as_mut().unwrap().is_delivering = true;
        let payload = envelope::head(&"".into(), &How::default());
        let kept = Retention::entries(usize::MAX);
        let mut last = 0;
        for _ in 0..3 * MAX_OUTGOING {
            let streams = bus.streams().unwrap();
            last = streams.append(&stream, payload.clone().into(), kept).await.unwrap().number;
        }
        sleep(Duration::from_secs(60)).await;
        {
            let mut state = pin.room.lock();
            let stream = state.stream.as_mut().unwrap();
            assert_eq!(stream.outgoing.len(), MAX_OUTGOING);
            stream.is_delivering = false;
            stream.waits.take().unwrap().wake();
        }
        seen.wait_for(|seen| matches!(seen, Progress::Ready(at) if at.number == last)).await.unwrap();
        task.abort();
    }
}
