//! What whoever joins waits for.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use sockjs_bus::{Batch, Position as Place, StreamError, StreamId};
use tokio::{sync::watch, time::timeout};

use super::{
    link::Link,
    room_link::{Progress, RoomLink},
};
use crate::{
    error::JoinError,
    key::{Data, Key},
    node::room::Room,
    position::Position,
};

/// Whoever comes from a node that is ahead of this one waits no longer.
const BEHIND: Duration = Duration::from_secs(2);

impl<K: Key, U: Key, D: Data> Link<K, U, D> {
    /// Waits until messages reach a room, and its history is there.
    pub(super) async fn wait_for(&self, serial: u64, room: &RoomLink) -> Result<(), JoinError> {
        let is_subscribed = async { room.subscription.lock().await.ready().await };
        // While the bus is away, those who are here have each other.
        match self.while_connected(is_subscribed).await {
            Some(Ok(())) => {}
            Some(Err(_)) => return Err(JoinError::Unavailable),
            None => self.unsure.add(serial),
        }
        let Some(following) = &room.following else { return Ok(()) };
        let mut progress = following.progress.clone();
        if progress.has_changed().is_err() {
            // Nobody follows it any more.
            return Err(JoinError::Unavailable);
        }
        let now = *progress.borrow();
        let now = match now {
            Progress::Pending => {
                self.while_connected(next(&mut progress, |now| now != Progress::Pending)).await.flatten()
            }
            now => Some(now),
        };
        match now {
            Some(Progress::Ready(_)) => Ok(()),
            _ => Err(JoinError::Unavailable),
        }
    }

    /// `None` if the bus is not connected, or no longer.
    async fn while_connected<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let mut status = self.port.bus().status();
        let lost = status.wait_for(|status| !status.is_connected());
        let (mut future, mut lost) = (pin!(future), pin!(lost));
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => lost.as_mut().poll(cx).map(|_| None),
        })
        .await
    }

    /// Asks the bus about a position that is not one of those that are known here. If the bus does not answer, the client
    /// is told so: its position need not be gone.
    pub(super) async fn reach_position(
        &self,
        room: &Arc<Room<K, U, D>>,
        position: Position,
    ) -> Result<(), JoinError> {
        let (is_known, is_older, is_newer) = match &room.lock().stream {
            Some(stream) => {
                (stream.log.knows(position), stream.log.is_older(position), stream.log.is_newer(position))
            }
            None => return Ok(()),
        };
        if is_known {
            Ok(())
        } else if is_older {
            self.reach_back(room, position).await
        } else if is_newer {
            timeout(BEHIND, self.reach_ahead(room, position)).await.unwrap_or(Err(JoinError::Unavailable))
        } else if self.port.bus().status().borrow().is_connected() {
            Ok(())
        } else {
            // The engine may have begun a stream anew of which this node does not know.
            Err(JoinError::Unavailable)
        }
    }

    async fn reach_back(&self, room: &Room<K, U, D>, position: Position) -> Result<(), JoinError> {
        let after = Place { stream: StreamId(position.stream()), number: position.number() };
        let Some(Batch { entries, .. }) = self.read_one(room, after).await? else { return Ok(()) };
        if let (Some(first), Some(stream)) = (entries.first(), &mut room.lock().stream) {
            stream.log.reach_back(position, first.position.number);
        }
        Ok(())
    }

    /// Waits until this node has what stands before a position, if there ever was such a position.
    async fn reach_ahead(&self, room: &Arc<Room<K, U, D>>, position: Position) -> Result<(), JoinError> {
        let link = self.room_link(room).ok_or(JoinError::Unavailable)?;
        let following = link.get().and_then(|link| link.following.as_ref()).ok_or(JoinError::Unavailable)?;
        let mut progress = following.progress.clone();
        let number = match &room.lock().stream {
            Some(stream) => stream.log.head(),
            None => return Ok(()),
        };
        let mut after = Place { stream: StreamId(position.stream()), number };
        loop {
            let Some(Batch { entries, end }) = self.read_one(room, after).await? else { return Ok(()) };
            if end.stream != after.stream || end.number < position.number() {
                // Nobody has given it.
                return Ok(());
            }
            match entries.first() {
                Some(next) if next.position.number <= position.number() => after = next.position,
                // What is appended from now on comes behind it.
                _ => break,
            }
            let has_come = |progress| match progress {
                Progress::Ready(at) => at.stream != after.stream || at.number >= after.number,
                Progress::Pending | Progress::Refused => true,
            };
            match self.while_connected(next(&mut progress, has_come)).await.flatten() {
                Some(Progress::Ready(at)) if at.stream == after.stream => {}
                Some(Progress::Ready(_)) => return Ok(()),
                _ => return Err(JoinError::Unavailable),
            }
        }
        if let Some(stream) = &mut room.lock().stream {
            stream.log.reach_ahead(position);
        }
        Ok(())
    }

    /// The entry behind a position of a room's history, or `None` if the position is gone.
    async fn read_one(&self, room: &Room<K, U, D>, after: Place) -> Result<Option<Batch>, JoinError> {
        let (Some(streams), Some(stream)) = (self.port.streams(), self.subject("room", &room.key)) else {
            return Err(JoinError::Unavailable);
        };
        match self.while_connected(streams.read(&stream, after, 1)).await {
            Some(Ok(batch)) => Ok(Some(batch)),
            Some(Err(StreamError::Gone)) => Ok(None),
            Some(Err(_)) | None => Err(JoinError::Unavailable),
        }
    }
}

/// The first progress for which something is true, or `None` when nobody makes any more.
async fn next(seen: &mut watch::Receiver<Progress>, is_it: impl Fn(Progress) -> bool) -> Option<Progress> {
    seen.wait_for(|progress| is_it(*progress)).await.ok().map(|progress| *progress)
}
