//! The effects of time on a session, and the deadline of its driver.

use std::time::Instant;

use sockjs_core::close::MESSAGE_TOO_SLOW;

use super::super::close_reason::CloseReason;
use super::{
    Core,
    deadline::{earlier, is_due, is_earlier},
    events::{Events, Line},
    kind::Receivers,
    liveness::Due,
};
impl Core {
    /// Does what is due at `now`. A call that comes early or twice has no effect.
    pub(crate) fn on_deadline(&mut self, now: Instant) {
        // One effect may make another due: when a heartbeat becomes due, a receiver that has made no progress for long
        // is overdue.
        while is_due(self.deadline(), now) {
            self.do_next(now);
        }
    }

    fn do_next(&mut self, now: Instant) {
        if is_due(self.intake_deadline(), now) {
            self.forget_waiting_batches();
            self.room_changed(Line::In);
        } else if !self.expiry.is_held() {
            self.end(CloseReason::TimedOut, now);
            self.discard(now);
        } else if is_due(self.write_deadline(), now) {
            self.end(CloseReason::WriteTimeout, now);
            if !self.receivers.resume() {
                // A socket that cannot be written to does not bring a close frame either.
                self.discard(now);
            }
        } else {
            match self.liveness.on_deadline(self.receiver.is_blocked(), now) {
                Due::Heartbeat => self.events |= Events::FRAME,
                Due::Listening => {}
                Due::PongTimeout => _ = self.end(CloseReason::PongTimeout, now),
                Due::MessageTooSlow => _ = self.end(CloseReason::ProtocolError(MESSAGE_TOO_SLOW), now),
            }
        }
    }

    /// The time at which [`on_deadline`](Self::on_deadline) has something to do next. Any call may change it.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let of_receiver = if self.phase.is_gone() {
            None
        } else if self.expiry.is_held() {
            earlier(self.write_deadline(), self.liveness.deadline(self.receiver.is_blocked()))
        } else {
            self.expiry.deadline()
        };
        earlier(of_receiver, self.intake_deadline())
    }

    fn write_deadline(&self) -> Option<Instant> {
        let has_frame = !self.phase.is_open_frame_taken()
            || !self.outbox.is_empty()
            || self.liveness.heartbeat_due().is_some();
        self.receiver.write_deadline(has_frame)
    }

    /// Records the time until which the driver will sleep, so that only an earlier deadline wakes it.
    pub(crate) fn arm(&mut self, now: Instant) -> Option<Instant> {
        let polling = self.receivers == Receivers::ForEachFrame;
        // A heartbeat that is about to leave will set deadlines: for its answer, for the next heartbeat, and for the
        // poll after this one.
        let soon = self.liveness.heartbeat_due().filter(|_| self.expiry.is_held()).and_then(|due| {
            let next_poll = polling.then(|| self.expiry.after_delay(due));
            earlier(self.liveness.after_heartbeat(due), next_poll.flatten()).filter(|&at| at > now)
        });
        let next = earlier(self.deadline(), soon);
        // Polling alternates between two deadlines. Keep the timer at the earlier: re-arming costs two timer updates
        // per message, a spurious wake-up one per disconnect delay.
        let fires_before = |next| polling && self.armed.is_some_and(|armed| now < armed && armed <= next);
        if !next.is_some_and(fires_before) {
            self.armed = next;
        }
        self.armed
    }

    /// Returns the events since the last call. An earlier deadline than the driver sleeps until is one of them.
    pub(crate) fn take_events(&mut self) -> Events {
        if is_earlier(self.deadline(), self.armed) {
            self.events |= Events::DRIVER;
        }
        self.take_events_untimed()
    }

    /// Returns the events since the last call, without a look at the deadline. Only for transitions that
    /// [bring no earlier one](Self::has_earlier_deadline).
    #[inline]
    pub(crate) fn take_events_untimed(&mut self) -> Events {
        std::mem::take(&mut self.events)
    }

    /// Whether the deadline is earlier than this one, and than the time that the driver sleeps until.
    pub(crate) fn has_earlier_deadline(&self, before: Option<Instant>) -> bool {
        is_earlier(self.deadline(), earlier(before, self.armed))
    }
}
