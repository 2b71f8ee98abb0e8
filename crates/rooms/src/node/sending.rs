//! Messages to a room, to a user, and to all.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use axum_sockjs::{ConnectionId, Message, Overflow, Sender};
use tokio::{
    runtime::Handle,
    task::JoinSet,
    time::{Instant, timeout_at},
};

use super::{
    delivery::{Except, How, count, deliver},
    log::Discarded,
    node::Node,
    room::Room,
    stream::{MAX_OUTGOING, Outgoing, What},
    tab::{Tab, User},
};
use crate::{
    key::{Data, Key},
    position::Position,
    sent::{Refused, Sent},
};

/// As many messages of others a call delivers before a task does it.
const TURN: usize = 64;

impl<K: Key, U: Key, D: Data> Node<K, U, D> {
    /// Sends to the members of a room.
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
        match self.elsewhere().map_or(Ok(()), |elsewhere| elsewhere.append(key, message, how)) {
            Ok(()) => {
                self.counters.message();
                Sent { handed_over: true, ..Sent::default() }
            }
            Err(error) => self.refuse(Refused::Bus(error)),
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
    ) {
        let mut discarded = Discarded::new();
        let overflow = how.overflow.or(self.config.overflow).unwrap_or(Overflow::Close);
        let before = {
            let mut state = room.lock();
            let to = Arc::clone(&state.members);
            let Some(stream) = &mut state.stream else { return };
            let now = Instant::now();
            let entry =
                self.account(stream, |stream| stream.log.append_at(position, message, now, &mut discarded));
            let before = stream.outgoing.len();
            stream.outgoing.push_back(Outgoing { what: What::Kept(entry), to, except: how.except, overflow });
            let is_delivering = std::mem::replace(&mut stream.is_delivering, true);
            (!is_delivering).then_some(before)
        };
        drop(discarded);
        self.limit_history(room);
        if let Some(before) = before {
            let sent = self.deliver_all(room, before);
            self.counters.deliveries(&sent);
        }
    }

    /// Begins the history of a room anew behind a position, with these messages, which members have got or do not get.
    pub(crate) fn restart_history(
        &self,
        room: &Room<K, U, D>,
        behind: Position,
        messages: Vec<(Position, Message)>,
    ) {
        let mut discarded = Discarded::new();
        {
            let mut state = room.lock();
            let Some(stream) = &mut state.stream else { return };
            let now = Instant::now();
            self.account(stream, |stream| {
                stream.log.restart(behind, &mut discarded);
                for (position, message) in messages {
                    stream.log.append_at(position, message, now, &mut discarded);
                }
            });
        }
        drop(discarded);
        self.limit_history(room);
    }

    /// Closes the sessions of a room's members, since they have missed messages that are lost.
    pub(crate) fn close_members(&self, room: &Room<K, U, D>) {
        for sender in room.members().senders().flatten() {
            sender.close(1013, "Messages were lost");
        }
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
        deliver(&room.members(), &message, &how.except, overflow, |_| {})
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
        let mut sent = deliver(&room.members(), &message, &how.except, Overflow::Wait, keep);
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
                    Err(_) => count(&mut sent, &sender, &message, overflow, &mut |_| {}),
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
        if stream.outgoing.len() >= MAX_OUTGOING {
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
        let sent = self.deliver_all(room, before);
        Sent { position, ..sent }
    }

    /// Delivers what is outgoing. Returns what has become of the message that stood behind `before` others.
    fn deliver_all(self: &Arc<Self>, room: &Arc<Room<K, U, D>>, before: usize) -> Sent {
        let delivering = Delivering(room);
        let mut own = Sent::default();
        for number in 0.. {
            let Some(sent) = self.deliver_next(room) else {
                std::mem::forget(delivering);
                break;
            };
            if number == before {
                own = sent;
            } else {
                self.counters.deliveries(&sent);
            }
            // Others may go on sending without end.
            if number >= before + TURN {
                if let Ok(runtime) = Handle::try_current() {
                    std::mem::forget(delivering);
                    runtime.spawn(Arc::clone(self).keep_delivering(Arc::clone(room)));
                    break;
                }
            }
        }
        own
    }

    async fn keep_delivering(self: Arc<Self>, room: Arc<Room<K, U, D>>) {
        let delivering = Delivering(&room);
        loop {
            for _ in 0..TURN {
                let Some(sent) = self.deliver_next(&room) else {
                    std::mem::forget(delivering);
                    return;
                };
                self.counters.deliveries(&sent);
            }
            tokio::task::yield_now().await;
        }
    }

    /// Delivers one message. If there is none, this call no longer delivers.
    fn deliver_next(&self, room: &Room<K, U, D>) -> Option<Sent> {
        let next = {
            let mut state = room.lock();
            let stream = state.stream.as_mut()?;
            let next = stream.outgoing.pop_front();
            stream.is_delivering = next.is_some();
            next
        }?;
        Some(deliver(&next.to, next.what.wire(self.encode()), &next.except, next.overflow, |_| {}))
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
                count(sent, &sender, message, overflow, &mut |_| {});
            }
            None => sent.gone += 1,
        }
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

/// The right to deliver. It ends when a function of the application panics: the next call then goes on.
struct Delivering<'a, K, U, D>(&'a Room<K, U, D>);

impl<K, U, D> Drop for Delivering<'_, K, U, D> {
    fn drop(&mut self) {
        if let Some(stream) = &mut self.0.lock().stream {
            stream.is_delivering = false;
        }
    }
}
