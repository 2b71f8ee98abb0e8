//! One message to many sessions.

use axum_sockjs::{ConnectionId, Message, Overflow, SendError, Sender};

use super::members::Members;
use crate::sent::Sent;

/// Who does not get a message.
#[derive(Debug, Clone, Default)]
pub(crate) enum Except {
    #[default]
    Nobody,
    Sender(Sender),
    Id(ConnectionId),
}

/// How a message is sent, besides what and to whom.
#[derive(Debug, Clone, Default)]
pub(crate) struct How {
    pub(crate) except: Except,
    pub(crate) overflow: Option<Overflow>,
    /// It is not kept in the room's history.
    pub(crate) is_transient: bool,
}

/// Sends to all members. `full` gets those that miss the message since their queue is full. Must not be called under a
/// lock: it wakes tasks.
pub(crate) fn deliver<U, D>(
    members: &Members<U, D>,
    message: Message,
    except: &Except,
    overflow: Overflow,
    full: impl FnMut(&Sender),
) -> Sent {
    match except {
        Except::Nobody => deliver_to(members, message, |_| true, overflow, full),
        Except::Sender(not) => deliver_to(members, message, |sender| sender != not, overflow, full),
        Except::Id(not) => deliver_to(members, message, |sender| sender.id() != *not, overflow, full),
    }
}

/// The same, with nothing to be said of how.
#[inline]
pub(crate) fn deliver_to_all<U, D>(members: &Members<U, D>, message: Message, overflow: Overflow) -> Sent {
    deliver_to(members, message, |_| true, overflow, |_| {})
}

#[inline]
fn deliver_to<U, D>(
    members: &Members<U, D>,
    message: Message,
    to: impl Fn(&Sender) -> bool,
    overflow: Overflow,
    mut full: impl FnMut(&Sender),
) -> Sent {
    // Apart, so that the loop keeps the one number in a register.
    let mut delivered = 0;
    let mut missed = Missed::default();
    let mut send = |sender: &Sender, message| match sender.try_send_with(message, overflow) {
        Ok(()) => delivered += 1,
        Err(error) => missed.count(sender, error, &mut full),
    };
    if let Some((last, beside, others)) = members.split_last() {
        for senders in others {
            for sender in senders.iter().filter(|sender| to(sender)) {
                send(sender, message.clone());
            }
        }
        for sender in beside.iter().filter(|sender| to(sender)) {
            send(sender, message.clone());
        }
        // It gets the message itself: one copy less to be counted up and down, which is seen in a small room.
        if to(last) {
            send(last, message);
        }
    }
    missed.sent(delivered)
}

/// Sends to one session.
#[inline]
pub(crate) fn count(sent: &mut Sent, sender: &Sender, message: Message, overflow: Overflow) {
    let mut missed = Missed::default();
    let mut delivered = 0;
    match sender.try_send_with(message, overflow) {
        Ok(()) => delivered = 1,
        Err(error) => missed.count(sender, error, &mut |_| {}),
    }
    *sent += missed.sent(delivered);
}

/// The sessions that do not get a message.
#[derive(Default)]
struct Missed {
    dropped: usize,
    gone: usize,
    unsupported: usize,
}

impl Missed {
    #[cold]
    #[inline(never)]
    #[allow(clippy::needless_pass_by_value, reason = "the caller's loop has nothing to drop")]
    fn count(&mut self, sender: &Sender, error: SendError, full: &mut impl FnMut(&Sender)) {
        match error {
            SendError::Full(_) => {
                self.dropped += 1;
                full(sender);
            }
            SendError::BinaryUnsupported(_) => self.unsupported += 1,
            _ => self.gone += 1,
        }
    }

    fn sent(&self, delivered: usize) -> Sent {
        let Self { dropped, gone, unsupported } = *self;
        Sent { delivered, dropped, gone, unsupported, ..Sent::default() }
    }
}
