//! The functions that read the state of a session and change nothing.

use sockjs_core::Message;

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
impl Core {
    pub(crate) fn attached(&self) -> bool {
        self.receiver.is_attached() && !self.phase.is_gone()
    }

    /// Whether messages from the client are discarded, since this side has closed the session.
    pub(crate) fn is_discarding(&self) -> bool {
        self.phase.discards_messages()
    }

    /// Returns whether there are discarded messages to be [dropped](Self::take_discarded).
    #[inline]
    pub(crate) fn has_discarded(&self) -> bool {
        !self.discarded.is_empty()
    }

    /// Returns the room that a message takes in the queue to the client.
    pub(crate) fn room_for(&self, message: &Message) -> Room {
        Room { bytes: self.outbox.cost(message), messages: 1 }
    }

    /// Whether the session has heartbeats.
    #[cfg(feature = "websocket")]
    pub(crate) fn has_heartbeats(&self) -> bool {
        self.liveness.has_heartbeats()
    }

    /// The endpoint's policy for a full queue to the client.
    pub(crate) fn overflow(&self) -> Overflow {
        self.outbox.overflow()
    }

    /// Whether a message of this cost could be sent now without waiting, by the endpoint's policy.
    pub(crate) fn writable(&self, cost: usize) -> Result<bool, Refused> {
        if self.phase.has_ended() {
            return Err(Refused::Closed);
        }
        Ok(self.outbox.takes_at_once(cost))
    }

    /// The number of messages that were dropped for newer ones.
    pub(crate) fn dropped_messages(&self) -> u64 {
        self.traffic.overflowed
    }

    /// Whether receivers have taken all messages.
    pub(crate) fn flushed(&self) -> bool {
        self.outbox.is_empty()
    }

    /// The number of accepted batches.
    pub(crate) fn accepted(&self) -> Accepted {
        self.inbox.accepted()
    }

    /// Whether the application has been polled since this many batches were accepted, or never will be.
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

    /// Whether a shutdown has something to wait for: a client without its close frame, or a socket to close. A client
    /// of the HTTP transports that has got its close frame never comes back, and what it still sends is discarded.
    pub(crate) fn is_leaving(&self) -> bool {
        let is_pending = || self.close_delivery.concerns_shutdown() && !self.close_delivery.is_delivered();
        !self.phase.is_gone() && (!self.receivers.resume() || is_pending())
    }

    /// Returns the outcome of the close frame that was pending when the endpoint shut down.
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
