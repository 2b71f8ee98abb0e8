//! Messages to a room, to a user, and to all.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use axum_sockjs::{ConnectionId, Message, Overflow, Sender};
use tokio::{
    runtime::Handle,
    task::JoinSet,
    time::{Instant, timeout_at},
};

use super::{
    delivery::{Except, count, deliver},
    log::Discarded,
    node::Node,
    room::Room,
    stream::{MAX_OUTGOING, Outgoing, What},
    tab::{Tab, User},
};
use crate::{
    key::{Data, Key},
    sent::{Refused, Sent},
};

/// As many messages of others a call delivers before a task does it.
const TURN: usize = 64;

/// How a message is sent, besides what and to whom.
#[derive(Debug, Clone, Default)]
pub(crate) struct How {
    pub(crate) except: Except,
    pub(crate) overflow: Option<Overflow>,
    /// It is not kept in the room's history.
    pub(crate) is_transient: bool,
}

impl<K: Key, U: Key, D: Data> Node<K, U, D> {
    /// Sends to the members of a room.
    pub(crate) fn send_to_room(
        self: &Arc<Self>,
        room: &Arc<Room<K, U, D>>,
        message: Message,
        how: How,
    ) -> Sent {
        let sent = if room.has_history {
            self.send_in_order(room, message, how)
        } else {
            let overflow = how.overflow.or(self.config.overflow).unwrap_or(Overflow::Wait);
            deliver(&room.members(), &message, &how.except, overflow, |_| {})
        };
        if sent.refused.is_none() {
            self.counters.message();
            self.counters.deliveries(&sent);
        }
        sent
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

    /// Sends to all tabs of a user.
    pub(crate) fn send_to_user(&self, user: Option<&User<U>>, message: &Message, how: &How) -> Sent {
        self.counters.message();
        let mut sent = Sent::default();
        for tab in user.map(User::tabs).unwrap_or_default() {
            self.send_to_tab(&tab, message, how, &mut sent);
        }
        self.counters.deliveries(&sent);
        sent
    }

    /// Sends to all sessions that are known.
    pub(crate) fn send_to_all(&self, message: &Message, how: &How) -> Sent {
        self.counters.message();
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
