//! The messages from the client, on their way to the application.

use std::time::Instant;

use sockjs_core::Message;

use super::super::close_reason::CloseReason;
use super::{
    Core,
    events::{Events, Line},
    queue::{MESSAGE_OVERHEAD, Refused, Room},
    rate::RateOverflow,
};
/// The reason why a batch is not accepted now.
enum Over {
    Room,
    Rate(RateOverflow, Instant),
}

impl Core {
    /// Accepts a batch from the client, completely or not at all.
    ///
    /// `now` is called only if the session has a rate; here and below.
    pub(crate) fn accept(
        &mut self,
        batch: &mut Vec<Message>,
        now: impl FnOnce() -> Instant,
    ) -> Result<(), Refused> {
        self.accept_if(batch, |core, room| match &mut core.throttle {
            Some(throttle) if core.inbox.fits(room) => {
                let now = now();
                throttle.admit(room, now).map_err(|overflow| Over::Rate(overflow, now))
            }
            None if core.inbox.fits(room) => Ok(()),
            _ => Err(Over::Room),
        })
    }

    /// Accepts a batch whose sender has been [promised](Self::promise) this room.
    pub(crate) fn accept_promised(
        &mut self,
        batch: &mut Vec<Message>,
        promised: Room,
        now: impl FnOnce() -> Instant,
    ) -> Result<(), Refused> {
        self.withdraw(Line::In, promised);
        self.accept_if(batch, |core, room| {
            let Some(throttle) = &mut core.throttle else { return Ok(()) };
            let now = now();
            throttle.admit_promised(room, now).map_err(|overflow| Over::Rate(overflow, now))
        })
    }

    fn accept_if(
        &mut self,
        batch: &mut Vec<Message>,
        admit: impl FnOnce(&mut Self, Room) -> Result<(), Over>,
    ) -> Result<(), Refused> {
        if self.phase.has_ended() {
            return if self.is_discarding() { Ok(()) } else { Err(Refused::Closed) };
        }
        if batch.is_empty() {
            return Ok(());
        }
        let room = Room::of_batch(batch);
        let admitted = admit(self, room);
        self.liveness.heard_messages(admitted.is_ok());
        match admitted {
            Ok(()) => {}
            Err(Over::Room | Over::Rate(RateOverflow::Wait, _)) => return Err(Refused::Full),
            Err(Over::Rate(RateOverflow::Close, now)) => {
                self.end(CloseReason::RateExceeded, now);
                // The batch is discarded, like all that come after it.
                return Ok(());
            }
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
    /// Reserves room for a batch that waits for it, if there is enough and the rate allows the batch.
    pub(super) fn promise_in(&mut self, room: Room, now: impl FnOnce() -> Instant) -> bool {
        let may_come = match &mut self.throttle {
            Some(throttle) => self.inbox.fits(room) && throttle.may_be_promised(room, now()),
            None => true,
        };
        may_come && self.inbox.promise(room)
    }

    /// The time at which the rate allows the batch that waits for it.
    #[inline]
    pub(super) fn intake_deadline(&self) -> Option<Instant> {
        self.throttle.as_ref()?.deadline()
    }

    /// Removes the deadline of the waiting batch: its time may have come, or no batch waits any more.
    pub(super) fn forget_waiting_batches(&mut self) {
        if let Some(throttle) = &mut self.throttle {
            throttle.forget_waiting();
        }
    }
}
