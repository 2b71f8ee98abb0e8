//! What waits to be written to a client.
//!
//! A message goes straight to the connection while that has room, from the thread of whoever publishes it. What finds no
//! room waits here, within bounds, and the session's own task writes it in order.
//!
//! Imports: link, message, subscription.

mod invalid_id;
mod policy;
mod remote;
mod state;

use std::{
    fmt,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum_sockjs::{CloseReason, Message as Piece};
use bytestring::ByteString;
use stomp_codec::Version;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use self::state::{Entry, Kind, State};
pub use self::{invalid_id::InvalidSessionId, policy::Overflow};
pub(crate) use self::{
    policy::{CLOSED_BY_BROKER, End, OutboxLimits, Overflows},
    state::Traffic,
};
use crate::{
    link::{Link, LinkError},
    message::{Carriage, Message},
    subscription::{MessageId, Subscription},
};

/// How many frames wait for a client at the most before nothing more is read from it: short ones take more memory than
/// their bytes.
const MAX_ENTRIES: usize = 1024;

/// How long what waits may take to be written after the end, without a [`send_timeout`](OutboxLimits::send_timeout).
const LAST_SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// Names a session: the `session` header of its `CONNECTED` frame. It cannot be guessed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId(Uuid);

impl SessionId {
    pub(crate) fn random() -> Self {
        Self(Uuid::new_v4())
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.simple().fmt(f)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({self})")
    }
}

/// The way to a client, for a broker.
///
/// Clones are the same client. None of the calls waits.
#[derive(Debug, Clone)]
pub struct Subscriber(Arc<Outbox>);

/// What has become of a message for a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivered {
    /// It has been handed to the connection.
    Sent(MessageId),
    /// It waits. For a message of [`try_deliver`](Subscriber::try_deliver),
    /// [`Connection::written`](crate::broker::Connection::written) says when it has been handed to the connection.
    Queued(MessageId),
    /// The client is too slow: it is dropped, or nothing has been done with it.
    Full,
    /// The session has ended.
    Gone,
}

impl Subscriber {
    pub(crate) fn new(outbox: Arc<Outbox>) -> Self {
        Self(outbox)
    }

    /// The session.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.0.id
    }

    /// The name of the user, if the session has one.
    #[must_use]
    pub fn user(&self) -> Option<&ByteString> {
        self.0.user.as_ref()
    }

    /// Delivers a message of a topic: if the client is too slow, what [`Overflow`] says happens, by the
    /// [destination](Message::destination) of the message.
    pub fn deliver(&self, subscription: &Subscription, message: &Message) -> Delivered {
        let overflow = self.0.limits.overflow.of(message.destination());
        self.0.deliver(subscription, message, Kind::Topic(overflow), false)
    }

    /// Delivers a message of a queue, if the client has room for it.
    pub fn try_deliver(
        &self,
        subscription: &Subscription,
        message: &Message,
        is_redelivered: bool,
    ) -> Delivered {
        self.0.deliver(subscription, message, Kind::Queue, is_redelivered)
    }
}

/// What the frame of a message is made of.
enum Form<'a> {
    /// Nobody has got the message yet: its body.
    First(&'a str),
    /// Others get the same frame.
    Shared(Piece),
    /// Others get the same end of it.
    Own(&'a Piece),
}

/// What waits to be written to a client.
#[derive(Debug)]
pub(crate) struct Outbox {
    id: SessionId,
    user: Option<ByteString>,
    version: Version,
    carriage: Carriage,
    limits: OutboxLimits,
    link: Link,
    state: Mutex<State>,
}

impl Outbox {
    pub(crate) fn new(
        id: SessionId,
        user: Option<ByteString>,
        version: Version,
        carriage: Carriage,
        limits: OutboxLimits,
        link: Link,
    ) -> Self {
        Self { id, user, version, carriage, limits, link, state: Mutex::new(State::new()) }
    }

    pub(crate) fn id(&self) -> SessionId {
        self.id
    }

    pub(crate) fn user(&self) -> Option<&ByteString> {
        self.user.as_ref()
    }

    pub(crate) fn version(&self) -> Version {
        self.version
    }

    pub(crate) fn link(&self) -> &Link {
        &self.link
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing below panics between two changes that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a frame that is never dropped, however much waits.
    pub(crate) fn control(&self, piece: Piece) {
        let mut state = self.lock();
        if state.end.is_none() {
            self.push(&mut state, Entry { piece, kind: Kind::Control, id: None, key: None });
        }
    }

    fn deliver(
        &self,
        subscription: &Subscription,
        message: &Message,
        kind: Kind,
        is_redelivered: bool,
    ) -> Delivered {
        let mut state = self.lock();
        if state.end.is_some() {
            return Delivered::Gone;
        }
        let form = match (message.first_body(self.carriage), subscription.shared_start()) {
            (Some(body), _) => Form::First(body),
            (None, Some(start)) if matches!(kind, Kind::Topic(_)) => {
                Form::Shared(message.shared_frame(start, self.version, self.carriage))
            }
            (None, _) => Form::Own(message.tail(self.version, self.carriage)),
        };
        // What is longer than the whole bound passes alone.
        let length = match &form {
            Form::First(_) => subscription.head_len() + message.tail_len(),
            Form::Shared(frame) => frame.len(),
            Form::Own(tail) => subscription.head_len() + tail.len(),
        };
        let key = match kind {
            Kind::Topic(Overflow::KeepNewest) => {
                // A copy: it may be a part of a large buffer.
                Some((subscription.serial(), ByteString::from(message.destination())))
            }
            _ => None,
        };
        let older = key.as_ref().and_then(|key| state.drop_older(key));
        let is_full = state.bytes > 0 && state.bytes + length > self.limits.bytes;
        if is_full && matches!(kind, Kind::Queue) {
            state.was_full = true;
            return Delivered::Full;
        }
        if is_full {
            let has_room = match kind {
                Kind::Topic(Overflow::DropNewest) => false,
                _ => state.make_room(length, self.limits.bytes),
            };
            if !has_room && matches!(kind, Kind::Topic(Overflow::Close)) {
                self.end(&mut state, End::Overflow);
                return Delivered::Gone;
            }
            if !has_room {
                state.traffic.dropped += 1;
                return Delivered::Full;
            }
        }
        state.traffic.delivered += 1;
        let id = subscription.next_id();
        let piece = match form {
            Form::First(body) => subscription.whole_frame(id, is_redelivered, message, body, self.version),
            Form::Shared(frame) => frame,
            Form::Own(tail) => subscription.frame(id, is_redelivered, tail, self.carriage),
        };
        let entry = Entry { piece, kind, id: Some(id), key };
        match older {
            // It takes the place of the older one, unless others had to go for it.
            Some(position) if !is_full => {
                state.insert(position, entry);
                Delivered::Queued(id)
            }
            _ => self.push(&mut state, entry).map_or(Delivered::Gone, |is_sent| {
                if is_sent { Delivered::Sent(id) } else { Delivered::Queued(id) }
            }),
        }
    }

    /// Hands an entry to the connection, or lets it wait. Returns whether it was handed over; `None` if the connection
    /// has ended.
    fn push(&self, state: &mut State, mut entry: Entry) -> Option<bool> {
        if state.entries.is_empty() && !state.is_writing {
            // The connection's clock starts anew with each piece that it takes, and with the first that waits.
            state.note_progress();
            match self.link.try_send(entry.piece) {
                Ok(()) => return Some(true),
                Err(LinkError::Closed) => {
                    self.end(state, End::Lost);
                    return None;
                }
                Err(LinkError::Full(piece)) => entry.piece = piece,
            }
            state.wake();
        }
        state.insert(state.next, entry);
        state.next += 1;
        Some(false)
    }

    fn end(&self, state: &mut State, end: End) {
        state.end.get_or_insert(end);
        state.wake();
    }

    /// Adds a last frame, if there is one, and nothing from then on. What waits is still written by
    /// [`pump`](Self::pump).
    pub(crate) fn close(&self, last: Option<Piece>) {
        let mut state = self.lock();
        if let (Some(piece), None) = (last, state.end) {
            self.push(&mut state, Entry { piece, kind: Kind::Control, id: None, key: None });
        }
        self.end(&mut state, End::Closing);
    }

    /// Nothing is added or written from now on: the connection is gone. [`pump`](Self::pump) may not run.
    pub(crate) fn lost(&self) {
        let mut state = self.lock();
        state.end = Some(End::Lost);
        state.clear();
        self.end(&mut state, End::Lost);
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.lock().end.is_some()
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.lock().traffic.dropped
    }

    /// What has not been [counted](Self::count_traffic).
    pub(crate) fn traffic(&self) -> Traffic {
        let state = self.lock();
        Traffic {
            delivered: state.traffic.delivered - state.counted.delivered,
            dropped: state.traffic.dropped - state.counted.dropped,
        }
    }

    /// Returns what has not been counted, which is counted from now on.
    pub(crate) fn count_traffic(&self) -> Traffic {
        let traffic = self.traffic();
        self.lock().counted += traffic;
        traffic
    }

    /// Closes the connection.
    pub(crate) fn close_link(&self, code: u16, reason: &'static str) {
        self.link.close(code, reason);
    }

    /// Waits for the end.
    pub(crate) async fn ended(&self) {
        poll_fn(|cx| self.poll_until(cx, |state| state.end.is_some())).await;
    }

    /// Ready after an end after which nothing is read any more. What a client has sent before its connection was lost is
    /// still read.
    pub(crate) fn poll_reading_ended(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_until(cx, State::is_reading_ended)
    }

    /// Whether nothing is read any more.
    pub(crate) fn is_reading_ended(&self) -> bool {
        self.lock().is_reading_ended()
    }

    /// Waits until there is room, or for the end: for whoever is about to cause frames that are never dropped. Returns
    /// whether frames are still read.
    pub(crate) async fn room(&self) -> bool {
        poll_fn(|cx| {
            let mut state = self.lock();
            let has_room = state.bytes <= self.limits.bytes && state.entries.len() < MAX_ENTRIES;
            if has_room || state.end.is_some() {
                return Poll::Ready(!state.is_reading_ended());
            }
            state.room_awaited = true;
            state.wait(cx.waker());
            Poll::Pending
        })
        .await
    }

    /// Ready when `is_so`. Until then the task is woken by each change that may matter.
    fn poll_until(&self, cx: &mut Context<'_>, is_so: impl Fn(&State) -> bool) -> Poll<()> {
        let mut state = self.lock();
        if is_so(&state) {
            return Poll::Ready(());
        }
        state.wait(cx.waker());
        Poll::Pending
    }

    async fn overflown(&self) {
        poll_fn(|cx| self.poll_until(cx, |state| state.end == Some(End::Overflow))).await;
    }

    /// Waits as long as the connection may take no more.
    async fn is_late(&self) {
        match self.limits.send_timeout {
            Some(timeout) => {
                let mut since = Instant::now();
                while let Some(left) = timeout.checked_sub(since.elapsed()).filter(|left| !left.is_zero()) {
                    sleep(left).await;
                    // A client that reads slowly still reads, but does not keep a session that has ended.
                    if let (Some(at), false) = (self.link.written_at(), self.is_ended()) {
                        since = since.max(at);
                    }
                }
            }
            // What a client does not read must not keep its session for ever.
            None => {
                self.ended().await;
                sleep(LAST_SEND_TIMEOUT).await;
            }
        }
    }

    /// The connection's own reason, once it has ended.
    pub(crate) fn link_close_reason(&self) -> Option<CloseReason> {
        self.link.close_reason()
    }

    /// Waits until the connection has ended.
    pub(crate) async fn link_closed(&self) {
        self.link.closed().await;
    }

    /// When something was handed to the connection, or began to wait for it: since the first call, which says now.
    pub(crate) fn last_progress(&self) -> Instant {
        *self.lock().progress.get_or_insert_with(Instant::now)
    }

    /// Sends a heart-beat if nothing waits. Returns whether it did.
    pub(crate) fn beat(&self) -> bool {
        let mut state = self.lock();
        let is_idle = state.end.is_none() && state.entries.is_empty() && !state.is_writing;
        is_idle && {
            let piece = Piece::from("\n");
            self.push(&mut state, Entry { piece, kind: Kind::Control, id: None, key: None }).is_some()
        }
    }

    /// Writes what waits, in order. `written` is told of each message of a queue that has been written, and `has_room`
    /// is called when there is room again after one was refused.
    ///
    /// Returns when nothing waits any more after the end, or the connection takes nothing more.
    pub(crate) async fn pump(&self, written: impl Fn(MessageId), has_room: impl Fn()) -> End {
        loop {
            let taken = poll_fn(|cx| {
                let mut state = self.lock();
                match (state.take(), state.end) {
                    (_, Some(end @ (End::Overflow | End::Lost))) => {
                        state.clear();
                        Poll::Ready(Err(end))
                    }
                    (Some(entry), None | Some(End::Closing)) => Poll::Ready(Ok(Some(entry))),
                    (None, Some(End::Closing)) => Poll::Ready(Err(End::Closing)),
                    // What was in the way of a queue's message may have been dropped instead of written.
                    (None, None) if std::mem::take(&mut state.was_full) => Poll::Ready(Ok(None)),
                    (None, None) => {
                        state.wait(cx.waker());
                        Poll::Pending
                    }
                }
            });
            let Entry { piece, kind, id, .. } = match taken.await {
                Ok(Some(entry)) => entry,
                Ok(None) => {
                    has_room();
                    continue;
                }
                Err(end) => return end,
            };
            let length = piece.len();
            let end = tokio::select! {
                biased;
                is_written = self.link.send(piece) => (!is_written).then_some(End::Lost),
                () = self.overflown() => Some(End::Overflow),
                () = self.is_late() => Some(End::Overflow),
            };
            let was_full = {
                let mut state = self.lock();
                state.bytes -= length;
                state.is_writing = false;
                state.note_progress();
                if let Some(end) = end {
                    // What is to be written before the end cannot be.
                    state.end = Some(end);
                    self.end(&mut state, end);
                }
                if state.room_awaited {
                    state.wake();
                }
                std::mem::take(&mut state.was_full)
            };
            if let (None, Kind::Queue, Some(id)) = (end, kind, id) {
                written(id);
            }
            if was_full && end.is_none() {
                has_room();
            }
        }
    }
}

#[cfg(test)]
mod tests;
