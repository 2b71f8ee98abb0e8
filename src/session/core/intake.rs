//! What the client sends, on its way to the application.

use std::time::Instant;

use super::super::close_reason::CloseReason;
use super::{
    Core,
    events::{Events, Line},
    queue::{MESSAGE_OVERHEAD, Refused, Room},
    rate::RateOverflow,
};
use crate::protocol::message::Message;

/// What keeps a batch out.
enum Over {
    Room,
    Rate(RateOverflow, Instant),
}

impl Core {
    /// Takes a batch from the client, whole or not at all.
    ///
    /// `now` is asked only if the session has a rate; here and below.
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

    /// As [`accept`](Self::accept), for a batch whose sender has been [promised](Self::promise) this room.
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
                // It is thrown away, as all that comes after it.
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
    /// Keeps room for a batch that waits for it, if there is so much and its time has come.
    pub(super) fn promise_in(&mut self, room: Room, now: impl FnOnce() -> Instant) -> bool {
        let may_come = match &mut self.throttle {
            Some(throttle) => self.inbox.fits(room) && throttle.may_be_promised(room, now()),
            None => true,
        };
        may_come && self.inbox.promise(room)
    }

    /// When a batch that waits for its time may come.
    #[inline]
    pub(super) fn intake_deadline(&self) -> Option<Instant> {
        self.throttle.as_ref()?.deadline()
    }

    /// The time of a batch may have come, or nobody waits for that any more.
    pub(super) fn forget_waiting_batches(&mut self) {
        if let Some(throttle) = &mut self.throttle {
            throttle.forget_waiting();
        }
    }
}
