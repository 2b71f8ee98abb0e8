//! Messages to a room, to a user, and to all.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll},
    thread,
    time::Duration,
};

use axum_sockjs::{ConnectionId, Message, Overflow, Sender};
use sockjs_bus::{PublishError, StreamError};
use tokio::{
    runtime::Handle,
    sync::oneshot,
    task::JoinSet,
    time::{Instant, timeout_at},
};

use super::{
    delivery::{Except, How, count, deliver, deliver_to_all},
    log::Discarded,
    members::Members,
    node::Node,
    room::Room,
    stream::{Outgoing, What},
    tab::{Tab, User},
};
use crate::{
    key::{Data, Key},
    position::Position,
    sent::{ConfirmError, Refused, Sent},
};

/// As many messages of others a call delivers before a task does it.
const TURN: usize = 64;

impl<K: Key, U: Key, D: Data> Node<K, U, D> {
    /// Sends to all members of a room, like [`send_to_room`](Self::send_to_room) by the shortest way: in a small room it
    /// is seen how long that is.
    #[inline]
    pub(crate) fn send_to_members(self: &Arc<Self>, room: &Arc<Room<K, U, D>>, message: Message) -> Sent {
        if room.has_history || self.elsewhere().is_some() {
            return self.send_to_room(room, message, How::default());
        }
        let sent = deliver_to_all(&room.members(), message, self.config.overflow.unwrap_or(Overflow::Wait));
        self.counters.message();
        self.counters.deliveries(&sent);
        sent
    }

    /// Sends to the members of a room.
    #[inline(never)]
    pub(crate) fn send_to_room(
        self: &Arc<Self>,
        room: &Arc<Room<K, U, D>>,
        message: Message,
        how: How,
    ) -> Sent {
        let Some(elsewhere) = self.elsewhere() else { return self.send_here(room, message, how) };
        if room.has_history && !how.is_transient {
            return self.append(&room.key, &message, &how);
        }
        // Those who are here get it first, and whatever becomes of the bus.
        let sent = self.send_here(room, message.clone(), how.clone());
        if sent.refused.is_some() {
            return sent;
        }
        Sent { bus: elsewhere.send_to_room(&room.key, &message, &how).err(), ..sent }
    }

    /// Sends to a room that does not exist on this node.
    pub(crate) fn send_elsewhere(&self, key: &K, has_history: bool, message: &Message, how: &How) -> Sent {
        if has_history && !how.is_transient {
            return self.append(key, message, how);
        }
        self.counters.message();
        let bus = self.elsewhere().and_then(|elsewhere| elsewhere.send_to_room(key, message, how).err());
        Sent { bus, ..Sent::default() }
    }

    /// Appends to the history that all nodes share. It comes back from there, to this node too.
    fn append(&self, key: &K, message: &Message, how: &How) -> Sent {
        match self.elsewhere().map_or(Ok(()), |elsewhere| elsewhere.append(key, message, how, None)) {
            Ok(()) => {
                self.counters.message();
                Sent { handed_over: true, ..Sent::default() }
            }
            Err(error) => self.refuse(Refused::Bus(error)),
        }
    }

    /// Appends to the history that all nodes share, and waits until it is there.
    pub(crate) async fn append_confirmed(
        &self,
        key: &K,
        message: &Message,
        how: &How,
    ) -> Result<Position, ConfirmError> {
        let elsewhere = self.elsewhere().ok_or(ConfirmError::NoHistory)?;
        let (confirm, confirmed) = oneshot::channel();
        if let Err(error) = elsewhere.append(key, message, how, Some(confirm)) {
            let refused = Refused::Bus(error);
            self.refuse(refused);
            return Err(ConfirmError::Refused(refused));
        }
        self.counters.message();
        match confirmed.await {
            Ok(Ok(position)) => Ok(position),
            Ok(Err(StreamError::Full)) => Err(ConfirmError::Refused(Refused::Bus(PublishError::Full))),
            Ok(Err(StreamError::TooLarge { max })) => {
                Err(ConfirmError::Refused(Refused::Bus(PublishError::TooLarge { max })))
            }
            Ok(Err(_)) | Err(_) => Err(ConfirmError::Unknown),
        }
    }

    /// Delivers a message that is in the history that all nodes share. Messages come in the order of their positions, by
    /// one call at a time.
    pub(crate) fn deliver_kept(
        self: &Arc<Self>,
        room: &Arc<Room<K, U, D>>,
        position: Position,
        message: Message,
        how: How,
        age: Duration,
    ) {
        let mut discarded = Discarded::new();
        let overflow = how.overflow.or(self.config.overflow).unwrap_or(Overflow::Close);
        let before = {
            let mut state = room.lock();
            // Whoever follows the history learns a little later that the room has gone.
            if state.removed {
                return;
            }
            let to = Arc::clone(&state.members);
            let Some(stream) = &mut state.stream else { return };
            let now = Instant::now();
            let entry = self
                .account(stream, |stream| stream.log.append_at(position, message, age, now, &mut discarded));
            let before = stream.outgoing.len();
            stream.outgoing.push_back(Outgoing { what: What::Kept(entry), to, except: how.except, overflow });
            let is_delivering = std::mem::replace(&mut stream.is_delivering, true);
            (!is_delivering).then_some(before)
        };
        drop(discarded);
        self.limit_history(room);
        if let Some(before) = before {
            let sent = self.deliver_all(room, before);
            self.delivered(&sent);
        }
    }

    /// Is ready when [`deliver_kept`](Self::deliver_kept) finds room for a message. One task of each room waits so.
    pub(crate) fn poll_room_for_kept(&self, room: &Room<K, U, D>, cx: &Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let before = {
            let mut state = room.lock();
            let Some(stream) = &mut state.stream else { return Poll::Ready(()) };
            // If nobody delivers, the one who waits has to.
            if stream.has_room() || !stream.is_delivering {
                return Poll::Ready(());
            }
            stream.waits.replace(waker)
        };
        drop(before);
        Poll::Pending
    }

    /// Begins the history of a room anew behind a position, with these messages, which are so old. Those who have become members meanwhile,
    /// as the old one said, are closed: they do not get what is missing between the two.
    pub(crate) fn restart_history(
        &self,
        room: &Room<K, U, D>,
        behind: Position,
        messages: Vec<(Position, Message, Duration)>,
    ) {
        let mut discarded = Discarded::new();
        let members = {
            let mut state = room.lock();
            if state.removed {
                return;
            }
            let members = Arc::clone(&state.members);
            let Some(stream) = &mut state.stream else { return };
            let now = Instant::now();
            self.account(stream, |stream| {
                stream.log.restart(behind, &mut discarded);
                for (position, message, age) in messages {
                    stream.log.append_at(position, message, age, now, &mut discarded);
                }
            });
            members
        };
        drop(discarded);
        self.limit_history(room);
        close(&members);
    }

    /// Closes the sessions of a room's members, since they have missed messages that are lost.
    pub(crate) fn close_members(&self, room: &Room<K, U, D>) {
        close(&room.members());
    }

    /// Delivers a message that another node has sent to a room.
    pub(crate) fn receive(self: &Arc<Self>, room: &Arc<Room<K, U, D>>, message: Message, how: How) {
        let sent = self.deliver_here(room, message, how);
        if sent.refused.is_none() {
            self.counters.deliveries(&sent);
        }
    }

    /// Sends to the members of a room that are on this node.
    pub(crate) fn send_here(self: &Arc<Self>, room: &Arc<Room<K, U, D>>, message: Message, how: How) -> Sent {
        let sent = self.deliver_here(room, message, how);
        if sent.refused.is_none() {
            self.counters.message();
            self.counters.deliveries(&sent);
        }
        sent
    }

    fn deliver_here(self: &Arc<Self>, room: &Arc<Room<K, U, D>>, message: Message, how: How) -> Sent {
        if room.has_history {
            return self.send_in_order(room, message, how);
        }
        let overflow = how.overflow.or(self.config.overflow).unwrap_or(Overflow::Wait);
        deliver(&room.members(), message, &how.except, overflow, |_| {})
    }

    /// Sends to the members of a room, and waits until the end for those whose queue is full.
    ///
    /// In a room with history it does not wait: all that wait for their turn behind this message would.
    pub(crate) async fn send_to_room_until(
        self: &Arc<Self>,
        room: &Arc<Room<K, U, D>>,
        message: Message,
        how: How,
        end: Instant,
    ) -> Sent {
        if room.has_history {
            return self.send_to_room(room, message, how);
        }
        let mut full = Vec::new();
        let keep = |sender: &Sender| full.push(sender.clone());
        let mut sent = deliver(&room.members(), message.clone(), &how.except, Overflow::Wait, keep);
        // Those on other nodes do not wait for the slow ones here.
        let elsewhere = self.elsewhere();
        sent.bus = elsewhere.and_then(|elsewhere| elsewhere.send_to_room(&room.key, &message, &how).err());
        let overflow = how.overflow.or(self.config.overflow).unwrap_or(Overflow::Wait);
        sent.dropped = 0;
        let mut waiting = JoinSet::new();
        for sender in full {
            let message = message.clone();
            waiting.spawn(async move {
                let mut sent = Sent::default();
                match timeout_at(end, sender.send_with(message.clone(), Overflow::Wait)).await {
                    Ok(Ok(())) => sent.delivered += 1,
                    Ok(Err(_)) => sent.gone += 1,
                    Err(_) => count(&mut sent, &sender, message, overflow),
                }
                sent
            });
        }
        // None of them panics, and they are aborted only with this future.
        while let Some(Ok(of_one)) = waiting.join_next().await {
            sent += of_one;
        }
        self.counters.message();
        self.counters.deliveries(&sent);
        sent
    }

    /// Counts a message to a room that does not exist.
    pub(crate) fn send_to_nobody(&self) -> Sent {
        self.counters.message();
        Sent::default()
    }

    pub(crate) fn refuse(&self, refused: Refused) -> Sent {
        self.counters.refused.fetch_add(1, Relaxed);
        Sent::refused(refused)
    }

    /// Sends to the members of a room with history, behind what others are sending.
    fn send_in_order(self: &Arc<Self>, room: &Arc<Room<K, U, D>>, message: Message, how: How) -> Sent {
        // A member that misses a message has to come back for it.
        let overflow = how.overflow.or(self.config.overflow).unwrap_or(Overflow::Close);
        let mut discarded = Discarded::new();
        let mut state = room.lock();
        let to = Arc::clone(&state.members);
        let is_idle = state.members.is_empty() && state.pins == 0;
        let Some(stream) = &mut state.stream else { return Sent::default() };
        if !stream.has_room() {
            drop(state);
            return self.refuse(Refused::Busy);
        }
        let what = if how.is_transient {
            What::Transient(message)
        } else {
            let now = Instant::now();
            What::Kept(self.account(stream, |stream| stream.log.append(message, now, &mut discarded)))
        };
        let position = what.position();
        let before = stream.outgoing.len();
        stream.outgoing.push_back(Outgoing { what, to, except: how.except, overflow });
        let is_delivering = std::mem::replace(&mut stream.is_delivering, true);
        if is_idle && position.is_some() {
            self.becomes_idle(room, &mut state);
        }
        drop(state);
        drop(discarded);
        if position.is_some() {
            self.limit_history(room);
        }
        if is_delivering {
            return Sent { position, handed_over: true, ..Sent::default() };
        }
        match self.deliver_all(room, before) {
            Ok(sent) => Sent { position, ..sent },
            Err(panic) => resume_unwind(panic),
        }
    }

    /// Delivers what is outgoing. Returns what has become of the message that stood behind `before` others.
    fn deliver_all(self: &Arc<Self>, room: &Arc<Room<K, U, D>>, before: usize) -> thread::Result<Sent> {
        let mut own = Ok(Sent::default());
        for number in 0.. {
            let Some(sent) = self.deliver_next(room) else { break };
            if number == before {
                own = sent;
            } else {
                self.delivered(&sent);
            }
            // Others may go on sending without end.
            if number >= before + TURN {
                if let Ok(runtime) = Handle::try_current() {
                    let delivering = Delivering { room: Arc::clone(room), is_over: false };
                    runtime.spawn(Arc::clone(self).keep_delivering(delivering));
                    break;
                }
            }
        }
        own
    }

    async fn keep_delivering(self: Arc<Self>, mut delivering: Delivering<K, U, D>) {
        loop {
            for _ in 0..TURN {
                let Some(sent) = self.deliver_next(&delivering.room) else {
                    delivering.is_over = true;
                    return;
                };
                self.delivered(&sent);
            }
            tokio::task::yield_now().await;
        }
    }

    /// Delivers one message. If there is none, this call no longer delivers.
    fn deliver_next(&self, room: &Room<K, U, D>) -> Option<thread::Result<Sent>> {
        let (next, waits) = {
            let mut state = room.lock();
            let stream = state.stream.as_mut()?;
            let next = stream.outgoing.pop_front();
            stream.is_delivering = next.is_some();
            let waits = if stream.has_room() { stream.waits.take() } else { None };
            (next, waits)
        };
        if let Some(waits) = waits {
            waits.wake();
        }
        let next = next?;
        // A function of the application that panics takes down its own message, and not those of others.
        Some(catch_unwind(AssertUnwindSafe(|| {
            let message = next.what.wire(self.encode()).clone();
            deliver(&next.to, message, &next.except, next.overflow, |_| {})
        })))
    }

    /// Counts what has become of a message whose sender is not here.
    fn delivered(&self, sent: &thread::Result<Sent>) {
        match sent {
            Ok(sent) => self.counters.deliveries(sent),
            Err(_) => self.counters.panicked("a message was left out: the application's function panicked"),
        }
    }

    /// Sends to all tabs of a user on this node.
    pub(crate) fn send_to_user(&self, user: Option<&User<U>>, message: &Message, how: &How) -> Sent {
        let mut sent = Sent::default();
        for tab in user.map(User::tabs).unwrap_or_default() {
            self.send_to_tab(&tab, message, how, &mut sent);
        }
        self.counters.deliveries(&sent);
        sent
    }

    /// Sends to all sessions that are known on this node.
    pub(crate) fn send_to_all(&self, message: &Message, how: &How) -> Sent {
        let mut sent = Sent::default();
        self.tabs.for_each(|tab| self.send_to_tab(tab, message, how, &mut sent));
        self.counters.deliveries(&sent);
        sent
    }

    fn send_to_tab(&self, tab: &Tab<U>, message: &Message, how: &How, sent: &mut Sent) {
        if how.except.is(tab.id) {
            return;
        }
        match tab.sender() {
            Some(sender) => {
                let overflow = how.overflow.or(self.config.overflow).unwrap_or(Overflow::Wait);
                count(sent, &sender, message.clone(), overflow);
            }
            None => sent.gone += 1,
        }
    }
}

fn close<U, D>(members: &Members<U, D>) {
    for sender in members.senders().flatten() {
        sender.close(1013, "Messages were lost");
    }
}

impl Except {
    fn is(&self, id: ConnectionId) -> bool {
        match self {
            Self::Nobody => false,
            Self::Sender(sender) => sender.id() == id,
            Self::Id(not) => *not == id,
        }
    }
}

/// The right to deliver, of a task. If the task is dropped, the next call goes on.
struct Delivering<K, U, D> {
    room: Arc<Room<K, U, D>>,
    /// Another call may deliver.
    is_over: bool,
}

impl<K, U, D> Drop for Delivering<K, U, D> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let waits = self.room.lock().stream.as_mut().and_then(|stream| {
            stream.is_delivering = false;
            stream.waits.take()
        });
        if let Some(waits) = waits {
            waits.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails so")]

    use super::*;
    use crate::{
        history::History,
        node::{
            node::Config,
            stream::{MAX_OUTGOING, Stream},
        },
    };

    fn node() -> Arc<Node<String, String, ()>> {
        Arc::new(Node::new(Config {
            overflow: None,
            history: Some(Box::new(|_| Some(History::last(9)))),
            encode: None,
            on_join: None,
            max_rooms: 9,
            max_rooms_per_session: 9,
            max_members_per_room: 9,
            max_history_bytes: 1 << 20,
        }))
    }

    /// Another call delivers, and is slow.
    #[tokio::test]
    async fn whoever_follows_a_history_waits_for_the_call_that_delivers() {
        let node = node();
        let pin = node.pin(&"lobby".to_owned()).unwrap();
        let room = &pin.room;
        let stream = |act: &dyn Fn(&mut Stream<String, ()>)| act(room.lock().stream.as_mut().unwrap());
        let has_room = || std::future::poll_fn(|cx| node.poll_room_for_kept(room, cx));
        stream(&|stream| stream.is_delivering = true);
        let mut number = 0;
        while let Poll::Ready(()) = poll_once(has_room()).await {
            number += 1;
            assert!(number <= MAX_OUTGOING as u64);
            node.deliver_kept(room, Position::new(7, number), "x".into(), How::default(), Duration::ZERO);
        }
        assert_eq!(number, MAX_OUTGOING as u64);
        let of_task = (Arc::clone(&node), Arc::clone(room));
        let waiting =
            tokio::spawn(std::future::poll_fn(move |cx| of_task.0.poll_room_for_kept(&of_task.1, cx)));
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        assert!(node.deliver_next(room).is_some());
        waiting.await.unwrap();
        // That call ends without having delivered all.
        number += 1;
        node.deliver_kept(room, Position::new(7, number), "x".into(), How::default(), Duration::ZERO);
        assert!(poll_once(has_room()).await.is_pending());
        drop(Delivering { room: Arc::clone(room), is_over: false });
        assert!(poll_once(has_room()).await.is_ready());
        number += 1;
        node.deliver_kept(room, Position::new(7, number), "x".into(), How::default(), Duration::ZERO);
        while room.lock().stream.as_ref().unwrap().is_delivering {
            tokio::task::yield_now().await;
        }
        stream(&|stream| assert!(stream.outgoing.is_empty()));
    }

    /// What a future says now.
    async fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
        let mut future = std::pin::pin!(future);
        std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
    }

    #[test]
    fn a_room_that_has_gone_keeps_nothing_that_comes_late() {
        let node = node();
        let key = "lobby".to_owned();
        let pin = node.pin(&key).unwrap();
        let room = Arc::clone(&pin.room);
        let at = |number| Position::new(7, number);
        node.restart_history(&room, at(0), vec![(at(1), "1".into(), Duration::ZERO)]);
        node.deliver_kept(&room, at(2), "2".into(), How::default(), Duration::ZERO);
        assert_ne!(node.history_bytes.load(Relaxed), 0);
        // As over a bus, where the room is not kept for its history.
        node.restart_history(&room, at(0), Vec::new());
        drop(pin);
        assert!(room.lock().removed);
        node.restart_history(&room, at(2), vec![(at(3), "3".into(), Duration::ZERO)]);
        node.deliver_kept(&room, at(4), "4".into(), How::default(), Duration::ZERO);
        assert_eq!(node.history_bytes.load(Relaxed), 0);
    }
}
