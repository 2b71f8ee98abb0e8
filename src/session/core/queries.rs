//! What a session says of itself: nothing here changes it.

use super::super::{
    close_reason::CloseReason,
    traffic::{State, Traffic},
};
use super::{
    Core,
    close_delivery::Farewell,
    inbox::Accepted,
    queue::{Refused, Room},
    settings::Overflow,
};
use crate::protocol::message::Message;

impl Core {
    pub(crate) fn attached(&self) -> bool {
        self.receiver.is_attached() && !self.phase.is_gone()
    }

    /// Whether what the client sends is thrown away, since this side has closed.
    pub(crate) fn is_discarding(&self) -> bool {
        self.phase.discards_messages()
    }

    /// What a message takes of the queue to the client.
    pub(crate) fn room_for(&self, message: &Message) -> Room {
        Room { bytes: self.outbox.cost(message), messages: 1 }
    }

    /// Whether the client is sent heartbeats.
    #[cfg(feature = "websocket")]
    pub(crate) fn has_heartbeats(&self) -> bool {
        self.liveness.has_heartbeats()
    }

    /// The endpoint's policy for a full queue to the client.
    pub(crate) fn overflow(&self) -> Overflow {
        self.outbox.overflow()
    }

    /// Whether sending a message that costs this much would not wait now, by the endpoint's policy.
    pub(crate) fn writable(&self, cost: usize) -> Result<bool, Refused> {
        if self.phase.has_ended() {
            return Err(Refused::Closed);
        }
        Ok(self.outbox.takes_at_once(cost))
    }

    /// How many messages have made room for newer ones.
    pub(crate) fn dropped_messages(&self) -> u64 {
        self.traffic.overflowed
    }

    /// Whether all that was sent has been taken by a receiver.
    pub(crate) fn flushed(&self) -> bool {
        self.outbox.is_empty()
    }

    /// How many batches have been accepted.
    pub(crate) fn accepted(&self) -> Accepted {
        self.inbox.accepted()
    }

    /// Whether the application has had its turn since so many were, or never will.
    pub(crate) fn has_attended(&self, accepted: Accepted) -> bool {
        self.inbox.has_attended(accepted) || self.phase.has_ended()
    }

    pub(crate) fn close_reason(&self) -> Option<&CloseReason> {
        self.phase.reason()
    }

    /// Whether the open frame was taken before the session ended, so that the handler has to run.
    pub(crate) fn handler_due(&self) -> bool {
        self.phase.is_handler_due()
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.phase.is_gone()
    }

    /// Whether a shutdown has something to wait for: a client to be told, or a socket to close. A client of
    /// the HTTP transports that has been told never comes back, and what it still sends is thrown away.
    pub(crate) fn is_leaving(&self) -> bool {
        let is_pending = || self.close_delivery.concerns_shutdown() && !self.close_delivery.is_delivered();
        !self.phase.is_gone() && (!self.receivers.resume() || is_pending())
    }

    /// What came of the close frame that was pending when the endpoint shut down.
    pub(crate) fn farewell(&self) -> Option<Farewell> {
        self.close_delivery.farewell()
    }

    pub(crate) fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    pub(crate) fn state(&self) -> State {
        self.phase.state(self.receiver.is_attached())
    }
}
