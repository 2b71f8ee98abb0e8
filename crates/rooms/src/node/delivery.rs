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
    message: &Message,
    except: &Except,
    overflow: Overflow,
    mut full: impl FnMut(&Sender),
) -> Sent {
    let mut sent = Sent::default();
    for senders in members.senders() {
        match except {
            Except::Nobody => {
                for sender in senders {
                    count(&mut sent, sender, message, overflow, &mut full);
                }
            }
            Except::Sender(not) => {
                for sender in senders.iter().filter(|sender| *sender != not) {
                    count(&mut sent, sender, message, overflow, &mut full);
                }
            }
            Except::Id(not) => {
                for sender in senders.iter().filter(|sender| sender.id() != *not) {
                    count(&mut sent, sender, message, overflow, &mut full);
                }
            }
        }
    }
    sent
}

/// Sends to one session.
#[inline]
pub(crate) fn count(
    sent: &mut Sent,
    sender: &Sender,
    message: &Message,
    overflow: Overflow,
    full: &mut impl FnMut(&Sender),
) {
    match sender.try_send_with(message.clone(), overflow) {
        Ok(()) => sent.delivered += 1,
        Err(SendError::Full(_)) => {
            sent.dropped += 1;
            full(sender);
        }
        Err(SendError::BinaryUnsupported(_)) => sent.unsupported += 1,
        Err(_) => sent.gone += 1,
    }
}
