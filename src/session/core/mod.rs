//! The session as a state machine: no IO, no clock, no runtime. The caller passes the time in and acts on
//! the [`Events`] that come out.
//!
//! ```text
//!              first frame (`o`) taken            end(reason)                 `c[…]` taken
//!   Opening ─────────────────────────▶ Open ─────────────────────▶ Closing ─────────────────▶ Closed
//!      │                                │  the application is told    │  queued messages         │ same `c[…]`
//!      │ receiver lost                  │  once, here                 │  leave first             │ for every poll
//!      ▼                                ▼                             ▼                          ▼
//!    Gone ◀──────────────── no receiver for the disconnect delay, or the delay after the end ────┘
//! ```
//!
//! A *receiver* is the one request or socket through which frames leave. In each phase a session has one attached, or
//! none.
//!
//! | part | contents |
//! |---|---|
//! | [`Kind`](kind::Kind) | the carrier of the frames, and its settings |
//! | [`Phase`] | the stage of the session, and the reason of its end |
//! | [`Outbox`], [`Inbox`] | the messages that wait, and the room for more |
//! | [`Throttle`] | the rates: whether more may come, and when |
//! | [`Receiver`] | the receiver and its progress: the write timeout |
//! | [`Liveness`] | heartbeats, the pong timeout, the time for a message to come |
//! | [`Expiry`] | the time at which the session is forgotten: the disconnect delay |
//! | [`CloseDelivery`] | the close frame for the client, and whether a shutdown waits for it |
//! | [`Discarded`] | what is thrown away, and has yet to be dropped |
//!
//! Each part has its own rules and tests. [`Core`] combines them into transitions, and raises the events. [`timing`]
//! has the effects of the clock, [`intake`] the messages from the client, and [`queries`] the functions that change
//! nothing.
//!
//! The driver has one deadline at a time, the earliest of those above. A message only moves deadlines to a later time,
//! for which no timer has to be set.

pub(crate) mod close_delivery;
mod deadline;
pub(crate) mod discarded;
pub(crate) mod events;
mod expiry;
pub(crate) mod inbox;
mod intake;
pub(crate) mod kind;
mod liveness;
mod outbox;
mod phase;
mod queries;
pub(crate) mod queue;
pub(crate) mod rate;
pub(crate) mod receiver;
pub(crate) mod settings;
mod throttle;
mod timing;
#[cfg_attr(not(feature = "websocket"), allow(dead_code, reason = "only a socket reads messages in parts"))]
mod unfinished;

use std::time::{Duration, Instant};

use sockjs_core::{CloseFrame, Frame, Message};

use self::{
    close_delivery::CloseDelivery,
    discarded::Discarded,
    events::{Events, Line},
    expiry::{Expiry, Linger},
    inbox::{Accepted, Inbox},
    kind::Receivers,
    liveness::Liveness,
    outbox::{Full, Outbox},
    phase::{Phase, keeps_queue},
    queue::{Refused, Room},
    receiver::{Next, Receiver, ReceiverId},
    settings::{Overflow, Settings},
    throttle::Throttle,
};
use super::{close_reason::CloseReason, traffic::Traffic};
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AttachError {
    /// Another receiver is attached.
    Busy,
    /// The session is over and forgotten.
    Gone,
}

#[cfg_attr(test, derive(Clone))]
#[derive(Debug)]
pub(crate) struct Core {
    receivers: Receivers,
    phase: Phase,
    receiver: Receiver,
    inbox: Inbox,
    outbox: Outbox,
    liveness: Liveness,
    /// `None` without a rate.
    throttle: Option<Box<Throttle>>,
    expiry: Expiry,
    close_delivery: CloseDelivery,
    traffic: Traffic,
    discarded: Discarded,
    /// The deadline that the driver sleeps until.
    armed: Option<Instant>,
    events: Events,
}

impl Core {
    /// Creates a session with its first receiver attached.
    pub(crate) fn new(settings: &Settings, now: Instant) -> (Self, ReceiverId) {
        let receiver = Receiver::new(settings.write_timeout, now);
        let first = receiver.id();
        let core = Self {
            receivers: settings.kind.receivers(),
            phase: Phase::Opening,
            receiver,
            inbox: Inbox::new(settings),
            outbox: Outbox::new(settings),
            liveness: Liveness::new(settings.heartbeat, settings.kind.pong_timeout(), now),
            throttle: Throttle::new(&settings.rates, now),
            expiry: Expiry::new(settings.disconnect_delay),
            close_delivery: CloseDelivery::new(),
            traffic: Traffic::default(),
            discarded: Discarded::default(),
            armed: None,
            events: Events::default(),
        };
        (core, first)
    }

    // The receiver's side.

    pub(crate) fn attach(&mut self, now: Instant) -> Result<ReceiverId, AttachError> {
        if self.phase.is_gone() {
            return Err(AttachError::Gone);
        }
        if self.receiver.is_attached() {
            return Err(AttachError::Busy);
        }
        self.receiver.attach(now);
        if !self.phase.has_ended() {
            self.expiry.hold();
            self.liveness.receiver_attached(now);
        }
        Ok(self.receiver.id())
    }

    /// Takes the next frame for the receiver `id`: the open frame, then the queued messages, then the close frame, then
    /// a heartbeat. A frame holds at least one message, and more up to `max_bytes` on the wire.
    ///
    /// `now` is called only if there is a frame: most calls find none.
    pub(crate) fn next_frame(
        &mut self,
        id: ReceiverId,
        max_bytes: usize,
        now: impl FnOnce() -> Instant,
    ) -> Next {
        if !self.receiver.is(id) || self.phase.is_gone() {
            return Next::End;
        }
        let mut bytes = 0;
        let frame = if !self.phase.is_open_frame_taken() {
            self.phase.take_open_frame();
            self.events |= Events::DRIVER;
            Frame::Open
        } else if !self.outbox.is_empty() {
            let messages;
            (messages, bytes) = self.outbox.take(max_bytes);
            self.traffic.sent(&messages);
            self.events |= Events::WRITABLE;
            if self.outbox.is_empty() {
                self.events |= Events::FLUSHED;
            }
            Frame::Messages(messages)
        } else if let Some(reason) = self.phase.reason() {
            let frame = self.close_delivery.frame(reason);
            if self.phase.take_close_frame() {
                self.close_frame_taken(now());
            }
            return Next::Frame(Frame::Close(frame));
        } else if self.liveness.heartbeat_due().is_some() {
            Frame::Heartbeat
        } else {
            self.receiver.found_nothing();
            return Next::Wait;
        };
        let now = now();
        self.receiver.took_frame(bytes, now);
        match frame {
            Frame::Heartbeat => self.liveness.heartbeat_left(now),
            _ => self.liveness.frame_left(now),
        }
        if self.phase.has_ended() {
            // A slow client that still reads gets all messages that were queued before the close.
            self.expiry.linger(Linger::Draining, now);
        }
        Next::Frame(frame)
    }

    /// Records that the close frame has been taken for the first time.
    fn close_frame_taken(&mut self, now: Instant) {
        if self.receivers.resume() {
            self.close_delivery.close_delivered();
            self.expiry.linger(Linger::DisconnectDelay, now);
        } else {
            // A socket still has to write it: see `close_written`.
            self.expiry.linger(Linger::Draining, now);
        }
        if self.close_delivery.concerns_shutdown() {
            self.events |= Events::DRIVER;
        }
    }

    /// Records that the connection of a receiver has accepted bytes of the frames that it has taken.
    pub(crate) fn progress(&mut self, id: ReceiverId, now: Instant) {
        if self.receiver.is(id) {
            self.receiver.made_progress(now);
            self.liveness.progress(now);
            if self.expiry.is_draining() {
                self.expiry.linger(Linger::Draining, now);
            }
        }
    }

    /// Records whether the socket cannot write all that it has taken.
    #[cfg(feature = "websocket")]
    pub(crate) fn set_blocked(&mut self, id: ReceiverId, blocked: bool, now: Instant) {
        if self.receiver.is(id) && self.receiver.set_blocked(blocked) {
            self.progress(id, now);
        }
    }

    /// Records that the socket's peer has sent something, even if only a pong or a part of a message.
    #[cfg(feature = "websocket")]
    pub(crate) fn heard(&mut self) {
        self.liveness.heard();
    }

    /// Records the number of the message whose rest the socket reads, or `None` if the message is complete or the
    /// socket is not read. Each message has a number of its own.
    #[cfg(feature = "websocket")]
    pub(crate) fn set_unfinished(&mut self, message: Option<u64>, now: Instant) {
        self.liveness.set_unfinished(message, now);
    }

    /// Records that the close frame has left: from here on the socket only waits for the peer's.
    #[cfg(feature = "websocket")]
    pub(crate) fn close_written(&mut self, now: Instant) {
        if self.phase.is_closed() {
            self.close_delivery.close_delivered();
            self.expiry.linger(Linger::DisconnectDelay, now);
        }
    }

    /// Detaches the receiver after a frame that it is sure to send.
    pub(crate) fn release(&mut self, id: ReceiverId, now: Instant) {
        if self.detach(id) && (!self.phase.has_ended() || self.expiry.is_draining()) {
            // Most of the frames that it took may still be on their way.
            self.expiry.linger_after(self.receiver.time_on_the_way(), now);
        }
    }

    /// Detaches a receiver that was cut off: the frames that it had taken may be lost, so the session ends.
    pub(crate) fn interrupt(&mut self, id: ReceiverId, now: Instant) {
        if !self.detach(id) {
            return;
        }
        if !self.end(CloseReason::ConnectionLost, now) {
            // The session had ended before. The messages that the receiver had taken are missing before the queued
            // ones.
            if !self.outbox.is_empty() {
                self.close_delivery.messages_lost_before_close();
            }
            self.abandon_outbox();
            if self.expiry.is_draining() {
                self.expiry.linger(Linger::DisconnectDelay, now);
            }
            self.events |= Events::FLUSHED;
        }
        // The client has not seen the open frame, or cannot come back: it cannot get a close frame.
        if !self.phase.is_open_frame_taken() || !self.receivers.resume() {
            self.discard(now);
        }
    }

    fn detach(&mut self, id: ReceiverId) -> bool {
        let was_attached = self.receiver.detach(id);
        if was_attached {
            self.liveness.receiver_detached();
            self.events |= Events::DETACHED;
        }
        was_attached
    }

    /// Ends the session. Returns `false` if it had ended before: the first reason stays.
    pub(crate) fn end(&mut self, reason: CloseReason, now: Instant) -> bool {
        if self.phase.has_ended() {
            return false;
        }
        if !keeps_queue(&reason) {
            self.abandon_outbox();
        }
        self.phase.end(reason);
        self.liveness.session_ended();
        self.forget_waiting_batches();
        if !self.receiver.is_attached() {
            self.expiry.linger_longer(now);
        } else if self.receiver.is_at_work() || !self.outbox.is_empty() {
            self.expiry.linger(Linger::Draining, now);
        } else {
            self.expiry.linger(Linger::DisconnectDelay, now);
        }
        self.events |= Events::OF_THE_END;
        true
    }

    // The application's side.

    /// Queues a message to the client. An empty queue takes even a message that is larger than the whole queue.
    ///
    /// `others_wait` says whether other tasks wait in line for room. `now` is called only if a full queue ends the
    /// session.
    pub(crate) fn send(
        &mut self,
        message: &Message,
        overflow: Overflow,
        others_wait: bool,
        now: impl FnOnce() -> Instant,
    ) -> Result<(), Refused> {
        self.make_room(message, overflow, others_wait, now)?;
        self.queue(message.clone());
        Ok(())
    }

    /// Queues a message like [`send`](Self::send), and also where that would wait: for a `Sink`, which was promised
    /// room.
    pub(crate) fn push(
        &mut self,
        message: &Message,
        overflow: Overflow,
        others_wait: bool,
        now: impl FnOnce() -> Instant,
    ) -> Result<(), Refused> {
        match self.make_room(message, overflow, others_wait, now) {
            Ok(()) | Err(Refused::Full) => self.queue(message.clone()),
            Err(Refused::Closed) => return Err(Refused::Closed),
        }
        Ok(())
    }

    fn queue(&mut self, message: Message) {
        self.outbox.push(message);
        self.traffic.send_queue_peak = self.traffic.send_queue_peak.max(self.outbox.bytes());
        self.events |= Events::FRAME;
    }

    /// Applies the policy to a full queue.
    fn make_room(
        &mut self,
        message: &Message,
        overflow: Overflow,
        others_wait: bool,
        now: impl FnOnce() -> Instant,
    ) -> Result<(), Refused> {
        if self.phase.has_ended() {
            return Err(Refused::Closed);
        }
        match self.outbox.make_room(message, overflow, others_wait, &mut self.discarded) {
            Ok(0) => Ok(()),
            Ok(dropped) => {
                self.traffic.overflowed += dropped;
                // More bytes may have been dropped than the new message needs.
                self.room_changed(Line::Out);
                Ok(())
            }
            Err(Full::Wait) => Err(Refused::Full),
            Err(Full::Close) => {
                self.end(CloseReason::SendQueueFull, now());
                Err(Refused::Closed)
            }
        }
    }

    /// Reserves room in a queue for a task that waits for it, if there is enough and the rate allows it. No other task
    /// gets the room until it is [withdrawn](Self::withdraw).
    pub(crate) fn promise(&mut self, line: Line, room: Room, now: impl FnOnce() -> Instant) -> bool {
        match line {
            Line::In => self.promise_in(room, now),
            Line::Out => self.outbox.promise(room.bytes),
        }
    }

    /// Ends a promise: the task uses the room now, or no longer waits.
    pub(crate) fn withdraw(&mut self, line: Line, room: Room) {
        match line {
            Line::In => self.inbox.withdraw(room),
            Line::Out => self.outbox.withdraw(room.bytes),
        }
        self.room_changed(line);
    }

    /// Records that no task waits in a line any more.
    pub(crate) fn nobody_waits(&mut self, line: Line) {
        if line == Line::In {
            self.forget_waiting_batches();
        }
    }

    /// Raises the event that tells the tasks of a line that there may be room.
    pub(crate) fn room_changed(&mut self, line: Line) {
        self.events |= line.event();
    }

    /// Returns the next message from the client; `Err` once the session has ended and all accepted messages have been
    /// received.
    pub(crate) fn receive(&mut self) -> Result<Option<Message>, CloseReason> {
        if let Some(message) = self.inbox.pop() {
            self.events |= Events::ROOM;
            return Ok(Some(message));
        }
        match self.phase.reason() {
            Some(reason) => Err(reason.clone()),
            None => Ok(None),
        }
    }

    /// Changes the interval between heartbeats; `None` stops them.
    pub(crate) fn set_heartbeat(&mut self, heartbeat: Option<Duration>) {
        if heartbeat.is_none() && self.liveness.has_heartbeats() {
            // A socket keeps the memory of a burst until the next heartbeat, and there will be none: this event lets it
            // free the memory.
            self.events |= Events::FRAME;
        }
        self.liveness.set_heartbeat(heartbeat);
    }

    /// Discards the messages that nobody can receive any more.
    pub(crate) fn stop_receiving(&mut self) {
        let unread = self.inbox.clear();
        self.discarded.append(unread);
    }

    /// Records that the application has been polled since this many batches were accepted.
    pub(crate) fn attend(&mut self, accepted: Accepted) {
        if self.inbox.attend(accepted) {
            self.events |= Events::ATTENDED;
        }
    }

    // The driver's side.

    /// Forgets the session: no receiver can attach any more. A session that has not ended ends first.
    pub(crate) fn discard(&mut self, now: Instant) {
        self.end(CloseReason::ConnectionLost, now);
        if self.phase.discard() {
            self.abandon_outbox();
            self.events |= Events::FRAME;
            self.events |= Events::DRIVER;
            self.events |= Events::DETACHED;
            self.events |= Events::FLUSHED;
        }
    }

    /// Ends the session because the endpoint shuts down, and records whether its client still has to get a close frame.
    pub(crate) fn leave(&mut self, frame: &CloseFrame, now: Instant) {
        self.end(CloseReason::Shutdown(frame.clone()), now);
        let is_pending = !self.close_delivery.is_delivered() && !self.phase.is_gone();
        if is_pending && self.phase.reason().is_some_and(keeps_queue) {
            self.close_delivery.close_pending_at_shutdown();
        }
    }

    /// Discards and counts the messages that have not left.
    fn abandon_outbox(&mut self) {
        let abandoned = self.outbox.clear();
        self.traffic.abandoned += abandoned.len() as u64;
        self.discarded.append(abandoned);
    }

    /// What was thrown away since the last call, to be dropped without the session's lock.
    pub(crate) fn take_discarded(&mut self) -> Discarded {
        std::mem::take(&mut self.discarded)
    }
}

#[cfg(test)]
mod tests;
