//! What the client sends, on its way to the application.

use super::{
    Core,
    events::Events,
    queue::{MESSAGE_OVERHEAD, Refused, Room},
};
use crate::protocol::message::Message;

impl Core {
    /// Takes a batch from the client, whole or not at all.
    pub(crate) fn accept(&mut self, batch: &mut Vec<Message>) -> Result<(), Refused> {
        if self.phase.has_ended() {
            return if self.is_discarding() { Ok(()) } else { Err(Refused::Closed) };
        }
        if batch.is_empty() {
            return Ok(());
        }
        let room = Room::of_batch(batch);
        let fits = self.inbox.fits(room);
        self.liveness.heard_messages(fits);
        if !fits {
            return Err(Refused::Full);
        }
        self.inbox.take(batch, room);
        self.traffic.received(room.messages, room.bytes - room.messages * MESSAGE_OVERHEAD);
        self.traffic.receive_queue_peak = self.traffic.receive_queue_peak.max(self.inbox.bytes());
        self.events |= Events::MESSAGE;
        if self.receivers.resume() {
            self.inbox.count_batch();
            self.events |= Events::DRIVER;
        }
        Ok(())
    }
}
