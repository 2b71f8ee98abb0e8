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
//! A *receiver* is the one request or socket through which frames leave. Beside the phase, a session has
//! one attached or none; an id tells a late goodbye of an old receiver from the new one.
//!
//! The driver has one deadline at a time, the nearest of: the disconnect delay, the write timeout, the pong
//! timeout, the end of the time for a message to come, the heartbeat. What a message does to them is to move them
//! away, at which no timer is set.

pub(crate) mod events;
pub(crate) mod queue;
pub(crate) mod settings;

use std::time::{Duration, Instant};

use self::{
    events::{Events, Line},
    queue::{MESSAGE_OVERHEAD, Queue, Room},
    settings::{Overflow, READ_TIME, Settings},
};
use super::{
    close_reason::CloseReason,
    traffic::{State, Traffic},
};
use crate::protocol::{
    close::{CloseFrame, INTERRUPTED, MESSAGE_TOO_SLOW},
    frame::Frame,
    message::Message,
};

/// A heartbeat that leaves this soon after its time counts as having left on time.
const PROMPT: Duration = Duration::from_secs(1);

/// How long the rest of a session that has ended may wait for its attached receiver to take more of it: a
/// slow client empties large buffers below before it is seen to read.
const SLOW_READER: Duration = Duration::from_secs(60);

/// The slowest link that is waited for when a response has been handed over whole, in bytes per second.
const SLOW_LINK: usize = 16 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Opening,
    Open,
    Closing,
    Closed,
    Gone,
}

/// What came of the close frame that a shutdown had for a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Farewell {
    Told,
    /// Not yet told, or never.
    Lost,
}

/// Names one receiver of one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(Default))]
pub(crate) struct ReceiverId(u32);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AttachError {
    /// Another receiver is attached.
    Busy,
    /// The session is over and forgotten.
    Gone,
}

/// Why messages were not taken; none of them was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    Full,
    Closed,
}

/// What a receiver gets when it asks for its next frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Frame(Frame),
    /// Nothing yet.
    Wait,
    /// Never again: the session has gone, or the receiver is not attached any more.
    End,
}

#[derive(Debug)]
pub(crate) struct Core {
    settings: Settings,
    phase: Phase,
    /// Set once, when the session ends.
    end: Option<CloseReason>,
    /// Whether `o` has been taken.
    opened: bool,
    /// Whether it was while the session lived: one that ended before has nothing for the application.
    begun: bool,
    receiver: Option<ReceiverId>,
    receivers: u32,
    /// How much of the messages the last receiver has taken, in bytes.
    taken: usize,
    inbox: Queue,
    outbox: Queue,
    traffic: Traffic,
    /// Whether the client has got its close frame, as far as can be seen from here.
    told: bool,
    /// Whether the client had a close frame to come when the endpoint began to shut down.
    owed: bool,
    /// Whether a receiver was cut off after the end, and messages before the close frame went with it.
    gap: bool,
    /// How many batches a resumable session has accepted, and with how many of them the application has had its
    /// turn: their senders wait for it.
    accepted: u64,
    attended: u64,
    /// Since when a heartbeat waits for the receiver.
    heartbeat_due: Option<Instant>,
    /// When a frame last left, or a receiver came: the next heartbeat counts from here.
    last_frame: Instant,
    /// Whether the receiver found no frame when it last asked: it will take the next one at once.
    at_rest: bool,
    /// Whether the socket waits for its peer to read.
    blocked: bool,
    /// When the receiver was last seen to get on: it came, took a frame, or wrote.
    progress: Instant,
    /// When the time began in which something should be heard of the peer; at its end, a heartbeat asks.
    listening: Instant,
    /// Whether something has been heard since then.
    heard: bool,
    /// Whether the socket is not read, because the queue to the application is full.
    deaf: bool,
    /// When the answer to a heartbeat must have come.
    pong_due: Option<Instant>,
    /// The message that the socket has last had in part, and how much of its time was left when reading began.
    unfinished: (u64, Duration),
    /// Since when the rest of it is being read.
    reading: Option<Instant>,
    /// How many messages have made room for newer ones.
    dropped: u64,
    /// When the session goes if nothing happens; `None` while an open session has a receiver.
    expires: Option<Instant>,
    /// Whether that time is a slow reader's.
    patient: bool,
    /// The deadline that the driver sleeps until.
    armed: Option<Instant>,
    events: Events,
}

impl Core {
    /// A session whose first receiver is attached.
    pub(crate) fn new(settings: Settings, now: Instant) -> (Self, ReceiverId) {
        let first = ReceiverId(0);
        let core = Self {
            settings,
            phase: Phase::Opening,
            end: None,
            opened: false,
            begun: false,
            receiver: Some(first),
            receivers: 1,
            taken: 0,
            inbox: Queue::default(),
            outbox: Queue::default(),
            traffic: Traffic::default(),
            told: false,
            owed: false,
            gap: false,
            accepted: 0,
            attended: 0,
            heartbeat_due: None,
            last_frame: now,
            at_rest: false,
            blocked: false,
            progress: now,
            listening: now,
            heard: false,
            deaf: false,
            pong_due: None,
            unfinished: (0, READ_TIME),
            reading: None,
            dropped: 0,
            expires: None,
            patient: false,
            armed: None,
            events: Events::default(),
        };
        (core, first)
    }

    // The receiver's side.

    pub(crate) fn attach(&mut self, now: Instant) -> Result<ReceiverId, AttachError> {
        if self.phase == Phase::Gone {
            return Err(AttachError::Gone);
        }
        if self.receiver.is_some() {
            return Err(AttachError::Busy);
        }
        let id = ReceiverId(self.receivers);
        self.receivers = self.receivers.wrapping_add(1);
        self.receiver = Some(id);
        self.taken = 0;
        self.at_rest = false;
        self.blocked = false;
        self.progress = now;
        if self.end.is_none() {
            self.expires = None;
            self.last_frame = now;
        }
        Ok(id)
    }

    /// Takes the next frame for the receiver `id`: `o`, then queued messages together, then the end, then a
    /// heartbeat. Messages up to `max_bytes` on the wire go into one frame, and at least one.
    ///
    /// `now` is asked only when there is one: most calls find nothing new.
    pub(crate) fn next_frame(
        &mut self,
        id: ReceiverId,
        max_bytes: usize,
        now: impl FnOnce() -> Instant,
    ) -> Next {
        if self.receiver != Some(id) || self.phase == Phase::Gone {
            return Next::End;
        }
        let frame = if !self.opened {
            self.opened = true;
            if self.phase == Phase::Opening {
                self.phase = Phase::Open;
                self.begun = true;
            }
            self.events |= Events::DRIVER;
            Frame::Open
        } else if !self.outbox.is_empty() {
            let (messages, bytes) = self.outbox.take(max_bytes, self.settings.framed);
            self.taken += bytes;
            self.traffic.sent(&messages);
            self.events |= Events::WRITABLE;
            if self.outbox.is_empty() {
                self.events |= Events::FLUSHED;
            }
            Frame::Messages(messages)
        } else if let Some(end) = &self.end {
            // A close of ours says that all before it has come.
            let close = if self.gap { INTERRUPTED } else { end.frame() };
            if self.phase == Phase::Closing {
                self.phase = Phase::Closed;
                // A socket has yet to write it: see `close_written`.
                self.told = self.settings.resumable;
                if self.owed {
                    self.events |= Events::DRIVER;
                }
                self.expire(now(), !self.settings.resumable);
            }
            return Next::Frame(Frame::Close(close));
        } else if self.heartbeat_due.is_some() {
            Frame::Heartbeat
        } else {
            self.at_rest = true;
            return Next::Wait;
        };
        let now = now();
        self.at_rest = false;
        self.last_frame = match (&frame, self.heartbeat_due) {
            // The next one then comes when the driver's timer, set when this one was due, will ring.
            (Frame::Heartbeat, Some(due)) if self.is_prompt(due, now) => due,
            _ => now,
        };
        // What goes into a buffer that does not empty is no progress.
        if !self.blocked {
            self.progress = now;
        }
        if frame == Frame::Heartbeat {
            self.listen(now);
        }
        self.heartbeat_due = None;
        if self.end.is_some() {
            // A slow reader who does read gets all that was queued before the close.
            self.expire(now, true);
        }
        Next::Frame(frame)
    }

    fn is_prompt(&self, due: Instant, now: Instant) -> bool {
        now - due <= PROMPT && self.after_heartbeat(due).is_none_or(|next| now < next)
    }

    /// A heartbeat leaves, which the peer of a socket has to answer.
    fn listen(&mut self, now: Instant) {
        self.listening = now;
        self.heard = false;
        if !self.deaf && self.pong_due.is_none() {
            self.pong_due = self.after_ping(now);
        }
    }

    /// The receiver gets on with what it has taken.
    pub(crate) fn progress(&mut self, id: ReceiverId, now: Instant) {
        if self.receiver == Some(id) {
            self.progress = now;
            if self.pong_due.is_some() {
                // The ping may have been behind what the peer has only now read.
                self.pong_due = self.after_ping(now);
            }
            if self.patient {
                self.expire(now, true);
            }
        }
    }

    /// The socket cannot write all that it has taken, or can again.
    #[cfg(feature = "websocket")]
    pub(crate) fn set_blocked(&mut self, id: ReceiverId, blocked: bool, now: Instant) {
        if self.receiver == Some(id) && self.blocked != blocked {
            self.blocked = blocked;
            self.progress(id, now);
        }
    }

    /// The socket's peer has given a sign of life, if only a pong or a part of a message.
    #[cfg(feature = "websocket")]
    pub(crate) fn heard(&mut self) {
        self.heard = true;
        self.pong_due = None;
    }

    /// The socket reads the rest of this message, or has all of it, or does not read. Each message has a number of its
    /// own, and only the time in which it is read counts.
    #[cfg(feature = "websocket")]
    pub(crate) fn set_unfinished(&mut self, message: Option<u64>, now: Instant) {
        let (last, mut left) = self.unfinished;
        if let Some(since) = self.reading.take() {
            left = left.saturating_sub(now.saturating_duration_since(since));
        }
        let message_or_last = message.unwrap_or(last);
        self.unfinished = (message_or_last, if message_or_last == last { left } else { READ_TIME });
        self.reading = message.map(|_| now);
    }

    /// The close frame has left: from here on the socket only waits for the peer's.
    #[cfg(feature = "websocket")]
    pub(crate) fn close_written(&mut self, now: Instant) {
        if self.phase == Phase::Closed {
            self.told = true;
            self.expire(now, false);
        }
    }

    fn expire(&mut self, now: Instant, slow_reader: bool) {
        let delay = self.settings.disconnect_delay;
        self.patient = slow_reader;
        self.expires = now.checked_add(if slow_reader { delay.max(SLOW_READER) } else { delay });
    }

    /// Lets the receiver go after a frame that it is sure to send.
    pub(crate) fn release(&mut self, id: ReceiverId, now: Instant) {
        if self.detach(id) && (self.end.is_none() || self.patient) {
            self.expire(now, false);
            // Most of what it took may still be on its way, and the client comes back when all of it is there.
            self.expires = self.expires.and_then(|at| at.checked_add(time_on_the_way(self.taken)));
        }
    }

    /// The receiver was cut off: what it had taken may be lost, so the session ends.
    pub(crate) fn interrupt(&mut self, id: ReceiverId, now: Instant) {
        if !self.detach(id) {
            return;
        }
        if !self.end(CloseReason::ConnectionLost, now) {
            // What it had taken is missing before the rest, too.
            self.gap |= !self.outbox.is_empty();
            self.drop_outbox();
            if self.patient {
                self.expire(now, false);
            }
            self.events |= Events::FLUSHED;
        }
        // Nobody has seen `o`, or nobody can come back: there is no one left to tell.
        if !self.opened || !self.settings.resumable {
            self.go();
        }
    }

    pub(crate) fn attached(&self) -> bool {
        self.receiver.is_some() && self.phase != Phase::Gone
    }

    fn detach(&mut self, id: ReceiverId) -> bool {
        let attached = self.receiver == Some(id);
        if attached {
            self.receiver = None;
            self.heartbeat_due = None;
            self.pong_due = None;
            self.events |= Events::DETACHED;
        }
        attached
    }

    // The sending requests' side.

    /// Takes a batch from the client, whole or not at all.
    ///
    /// A batch that is larger than the whole queue is taken by an empty one: its size has a limit of its own.
    pub(crate) fn accept(&mut self, batch: &mut Vec<Message>) -> Result<(), Refused> {
        if self.end.is_some() {
            return if self.is_discarding() { Ok(()) } else { Err(Refused::Closed) };
        }
        if batch.is_empty() {
            return Ok(());
        }
        let room = Room::of_batch(batch);
        // Either way the peer has said something. While a socket is not read, no pong can be seen.
        self.heard = true;
        self.pong_due = None;
        self.deaf = !self.inbox.fits(room, self.bound(Line::In));
        if self.deaf {
            return Err(Refused::Full);
        }
        let bytes = room.bytes;
        self.traffic.received(batch.len(), bytes - batch.len() * MESSAGE_OVERHEAD);
        self.inbox.messages.extend(batch.drain(..));
        self.inbox.bytes += bytes;
        self.traffic.receive_queue_peak = self.traffic.receive_queue_peak.max(self.inbox.bytes);
        self.events |= Events::MESSAGE;
        if self.settings.resumable {
            self.accepted += 1;
            self.events |= Events::DRIVER;
        }
        Ok(())
    }

    /// Whether what the client sends is thrown away: this side has closed and no longer reads, which the client has yet
    /// to learn from its receiver. A refusal would hide that close frame behind a sending error.
    pub(crate) fn is_discarding(&self) -> bool {
        self.phase != Phase::Gone
            && matches!(
                self.end,
                Some(
                    CloseReason::Server(_)
                        | CloseReason::Shutdown(_)
                        | CloseReason::SendQueueFull
                        | CloseReason::WriteTimeout
                )
            )
    }

    /// Ends the session and says whether that was news: the first reason stays.
    pub(crate) fn end(&mut self, reason: CloseReason, now: Instant) -> bool {
        if self.end.is_some() {
            return false;
        }
        if !keeps_queue(&reason) {
            self.drop_outbox();
        }
        self.end = Some(reason);
        self.phase = Phase::Closing;
        self.pong_due = None;
        let on_the_way = self.expires;
        // What the receiver has taken may still be leaving, as what it has yet to take.
        let leaving = !self.outbox.is_empty() || !self.at_rest || self.blocked;
        self.expire(now, self.receiver.is_some() && leaving);
        if self.receiver.is_none() {
            // The client comes back when all of its last response is there, be it later.
            self.expires = self.expires.map(|end| on_the_way.map_or(end, |back| back.max(end)));
        }
        self.events |= Events::FRAME;
        self.events |= Events::MESSAGE;
        self.events |= Events::WRITABLE;
        self.events |= Events::FLUSHED;
        self.events |= Events::ROOM;
        self.events |= Events::ENDED;
        self.events |= Events::ATTENDED;
        self.events |= Events::DRIVER;
        true
    }

    // The application's side.

    /// Queues a message to the client. One that is larger than the whole queue is taken by an empty one.
    ///
    /// `now` is asked only if the session ends over a full queue.
    pub(crate) fn send(&mut self, message: &Message, now: impl FnOnce() -> Instant) -> Result<(), Refused> {
        self.make_room(message, now)?;
        self.queue(message.clone());
        Ok(())
    }

    /// As [`send`](Self::send), but takes the message where that would wait: for a `Sink`, which has promised
    /// to take one.
    pub(crate) fn push(&mut self, message: &Message, now: impl FnOnce() -> Instant) -> Result<(), Refused> {
        match self.make_room(message, now) {
            Ok(()) | Err(Refused::Full) => self.queue(message.clone()),
            Err(Refused::Closed) => return Err(Refused::Closed),
        }
        Ok(())
    }

    fn queue(&mut self, message: Message) {
        self.outbox.bytes += self.cost(&message);
        self.outbox.messages.push_back(message);
        self.traffic.send_queue_peak = self.traffic.send_queue_peak.max(self.outbox.bytes);
        self.events |= Events::FRAME;
    }

    /// Does with a full queue what the policy says.
    fn make_room(&mut self, message: &Message, now: impl FnOnce() -> Instant) -> Result<(), Refused> {
        if self.end.is_some() {
            return Err(Refused::Closed);
        }
        let cost = self.cost(message);
        if self.fits(cost) {
            return Ok(());
        }
        match self.settings.send_overflow {
            Overflow::Wait => Err(Refused::Full),
            Overflow::Close => {
                self.end(CloseReason::SendQueueFull, now());
                Err(Refused::Closed)
            }
            Overflow::DropOldest => {
                while !self.fits(cost) {
                    let Some(oldest) = self.outbox.messages.pop_front() else { break };
                    self.outbox.bytes -= self.cost(&oldest);
                    self.dropped += 1;
                    self.traffic.dropped += 1;
                }
                Ok(())
            }
        }
    }

    fn fits(&self, cost: usize) -> bool {
        self.outbox.fits(Room { bytes: cost, messages: 1 }, self.bound(Line::Out))
    }

    fn bound(&self, line: Line) -> Room {
        let Settings { receive_queue_bytes, receive_queue_messages, send_queue_bytes, .. } = self.settings;
        match line {
            Line::In => Room { bytes: receive_queue_bytes, messages: receive_queue_messages },
            Line::Out => Room { bytes: send_queue_bytes, messages: usize::MAX },
        }
    }

    /// What a message takes of the queue to the client.
    pub(crate) fn room_for(&self, message: &Message) -> Room {
        Room { bytes: self.cost(message), messages: 1 }
    }

    fn queue_of(&mut self, line: Line) -> &mut Queue {
        match line {
            Line::In => &mut self.inbox,
            Line::Out => &mut self.outbox,
        }
    }

    /// Keeps room in a queue for a task that waits for it, if there is so much; nobody else gets it until it is
    /// [withdrawn](Self::withdraw).
    pub(crate) fn promise(&mut self, line: Line, room: Room) -> bool {
        let bound = self.bound(line);
        let queue = self.queue_of(line);
        let fits = queue.fits(room, bound);
        if fits {
            queue.promised.bytes += room.bytes;
            queue.promised.messages += room.messages;
        }
        fits
    }

    /// Ends a promise: the task has come to use the room, or has gone.
    pub(crate) fn withdraw(&mut self, line: Line, room: Room) {
        let promised = &mut self.queue_of(line).promised;
        // At the end of the session all promises have ended.
        promised.bytes = promised.bytes.saturating_sub(room.bytes);
        promised.messages = promised.messages.saturating_sub(room.messages);
        self.room_changed(line);
    }

    /// Those who wait in a line may find room.
    pub(crate) fn room_changed(&mut self, line: Line) {
        self.events |= line.event();
    }

    /// Whether sending a message that costs this much would not wait now.
    pub(crate) fn writable(&self, cost: usize) -> Result<bool, Refused> {
        if self.end.is_some() {
            return Err(Refused::Closed);
        }
        Ok(self.settings.send_overflow != Overflow::Wait || self.fits(cost))
    }

    /// How many messages have made room for newer ones.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    fn cost(&self, message: &Message) -> usize {
        message.held(self.settings.framed) + MESSAGE_OVERHEAD
    }

    /// Whether all that was sent has been taken by a receiver.
    pub(crate) fn flushed(&self) -> bool {
        self.outbox.is_empty()
    }

    /// The next message from the client; `Err` when the session has ended and all accepted ones are read.
    pub(crate) fn receive(&mut self) -> Result<Option<Message>, CloseReason> {
        match (self.inbox.messages.pop_front(), &self.end) {
            (Some(message), _) => {
                self.inbox.bytes -= message.len() + MESSAGE_OVERHEAD;
                self.inbox.give_back();
                self.events |= Events::ROOM;
                Ok(Some(message))
            }
            (None, Some(end)) => Err(end.clone()),
            (None, None) => Ok(None),
        }
    }

    /// Throws away what nobody can receive any more.
    pub(crate) fn stop_receiving(&mut self) {
        self.inbox = Queue::default();
    }

    /// How many batches have been accepted.
    pub(crate) fn accepted(&self) -> u64 {
        self.accepted
    }

    /// The application has had its turn since so many were.
    pub(crate) fn attend(&mut self, accepted: u64) {
        if accepted > self.attended {
            self.attended = accepted;
            self.events |= Events::ATTENDED;
        }
    }

    /// Whether the application has had its turn since so many were, or never will.
    pub(crate) fn has_attended(&self, accepted: u64) -> bool {
        self.attended >= accepted || self.end.is_some()
    }

    pub(crate) fn close_reason(&self) -> Option<&CloseReason> {
        self.end.as_ref()
    }

    // The driver's side.

    /// Whether the client has its `o`, so that the application may begin.
    pub(crate) fn begun(&self) -> bool {
        self.begun
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.phase == Phase::Gone
    }

    /// Forgets the session: no receiver can attach any more.
    pub(crate) fn go(&mut self) {
        if self.phase != Phase::Gone {
            self.phase = Phase::Gone;
            self.drop_outbox();
            self.events |= Events::FRAME;
            self.events |= Events::DRIVER;
            self.events |= Events::DETACHED;
            self.events |= Events::FLUSHED;
        }
    }

    /// The endpoint shuts down: ends the session, and notes whether its client has a close frame to come.
    pub(crate) fn leave(&mut self, frame: &CloseFrame, now: Instant) {
        self.end(CloseReason::Shutdown(frame.clone()), now);
        self.owed |= !self.told && self.phase != Phase::Gone && self.end.as_ref().is_some_and(keeps_queue);
    }

    /// Whether a shutdown has something to wait for: a client to be told, or a socket to close. A client of
    /// the HTTP transports that has been told never comes back, and what it still sends is thrown away.
    pub(crate) fn is_leaving(&self) -> bool {
        self.phase != Phase::Gone && if self.settings.resumable { self.owed && !self.told } else { true }
    }

    /// Whether the client got the close frame that it had to come when the endpoint shut down, and all before it.
    pub(crate) fn farewell(&self) -> Option<Farewell> {
        let whole = self.told && !self.gap;
        self.owed.then_some(if whole { Farewell::Told } else { Farewell::Lost })
    }

    pub(crate) fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    pub(crate) fn state(&self) -> State {
        match self.phase {
            Phase::Opening => State::Opening,
            Phase::Open if self.receiver.is_some() => State::Attached,
            Phase::Open => State::Detached,
            Phase::Closing => State::Closing,
            Phase::Closed | Phase::Gone => State::Closed,
        }
    }

    /// Gives up what has not left.
    fn drop_outbox(&mut self) {
        self.traffic.dropped += self.outbox.messages.len() as u64;
        self.outbox = Queue::default();
    }

    /// Does what is due at `now`; a call that comes early or twice does nothing.
    pub(crate) fn on_deadline(&mut self, now: Instant) {
        // One thing may be due because of another: a receiver that leaves a heartbeat lying is long overdue.
        while self.deadline().is_some_and(|deadline| deadline <= now) {
            self.do_next(now);
        }
    }

    fn do_next(&mut self, now: Instant) {
        let due = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        if self.expires.is_some() {
            self.end(CloseReason::TimedOut, now);
            self.go();
        } else if due(self.write_deadline()) {
            self.end(CloseReason::WriteTimeout, now);
            if !self.settings.resumable {
                // A socket that cannot be written to brings no close frame either.
                self.go();
            }
        } else if due(self.pong_deadline()) {
            self.end(CloseReason::PongTimeout, now);
        } else if due(self.message_deadline()) {
            self.end(CloseReason::ProtocolError(MESSAGE_TOO_SLOW), now);
        } else if self.heard && !due(self.after_heartbeat(self.last_frame)) {
            self.listening = now;
            self.heard = false;
        } else {
            self.heartbeat_due = Some(now);
            self.events |= Events::FRAME;
        }
    }

    /// When [`on_deadline`](Self::on_deadline) has something to do next. May have changed after any call.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        if self.phase == Phase::Gone {
            return None;
        }
        self.expires.or_else(|| {
            if self.receiver.is_none() || self.end.is_some() {
                return None;
            }
            let stalled = earlier(self.write_deadline(), self.pong_deadline());
            earlier(earlier(stalled, self.message_deadline()), self.heartbeat_deadline())
        })
    }

    /// When a receiver that does not get on is given up: there is something for it, and it neither comes for
    /// it nor writes what it has.
    fn write_deadline(&self) -> Option<Instant> {
        let waits = self.blocked || (!self.at_rest && self.has_frame());
        let timeout = self.settings.write_timeout.filter(|_| waits)?;
        self.progress.checked_add(timeout)
    }

    fn has_frame(&self) -> bool {
        !self.opened || !self.outbox.is_empty() || self.heartbeat_due.is_some()
    }

    /// A heartbeat goes to a client that has had no frame for its time, and asks a peer that was silent.
    fn heartbeat_deadline(&self) -> Option<Instant> {
        if self.heartbeat_due.is_some() {
            return None;
        }
        let asks = self.settings.pong_timeout.is_some();
        self.after_heartbeat(if asks { self.last_frame.min(self.listening) } else { self.last_frame })
    }

    /// A socket that waits for its peer to read is not read, and the ping may wait in its buffer.
    fn pong_deadline(&self) -> Option<Instant> {
        self.pong_due.filter(|_| !self.blocked)
    }

    /// When a message has come too slowly.
    fn message_deadline(&self) -> Option<Instant> {
        self.reading?.checked_add(self.unfinished.1)
    }

    fn after_ping(&self, since: Instant) -> Option<Instant> {
        since.checked_add(self.settings.pong_timeout?)
    }

    fn after_heartbeat(&self, since: Instant) -> Option<Instant> {
        since.checked_add(self.settings.heartbeat?)
    }

    /// Notes what the driver will sleep until, so that it is only woken for something earlier.
    pub(crate) fn arm(&mut self, now: Instant) -> Option<Instant> {
        // A heartbeat that is about to leave brings the deadlines for its answer, for the next one, and for the
        // poll after this one.
        let soon = self.heartbeat_due.filter(|_| self.expires.is_none()).and_then(|due| {
            let next_poll = self.settings.polling.then(|| due.checked_add(self.settings.disconnect_delay));
            let answered = earlier(self.after_heartbeat(due), self.after_ping(due));
            earlier(answered, next_poll.flatten()).filter(|&at| at > now)
        });
        let next = earlier(self.deadline(), soon);
        // With polls the deadline goes to and fro. The timer does not follow it away: it would be set twice for
        // each message, and rings in vain only once in the disconnect delay.
        let rings_before =
            |next| self.settings.polling && self.armed.is_some_and(|armed| now < armed && armed <= next);
        if !next.is_some_and(rings_before) {
            self.armed = next;
        }
        self.armed
    }

    /// What has happened since the last call.
    pub(crate) fn take_events(&mut self) -> Events {
        if let Some(deadline) = self.deadline() {
            if self.armed.is_none_or(|armed| deadline < armed) {
                self.events |= Events::DRIVER;
            }
        }
        std::mem::take(&mut self.events)
    }
}

/// Each call on a session asks this several times, and iterators over so little take three times as long.
fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        _ => one.or(other),
    }
}

/// How long a slow link may need for so many bytes.
fn time_on_the_way(bytes: usize) -> Duration {
    Duration::from_secs((bytes / SLOW_LINK) as u64).min(SLOW_READER)
}

/// Whether what was sent before this end still leaves.
fn keeps_queue(end: &CloseReason) -> bool {
    matches!(end, CloseReason::Server(_) | CloseReason::Shutdown(_))
}

#[cfg(test)]
mod tests;
