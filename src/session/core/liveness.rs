//! When is the client sent a heartbeat, when is a socket's peer dead, and when has a message come too slowly?
//!
//! A *heartbeat* becomes due when no frame has left for an interval, so that proxies and the client see that the
//! connection lives. Sockets send it as a ping, which the peer has to answer in time, by whatever it sends. So that a
//! peer that is sent messages all the time is asked as well, a heartbeat also becomes due when nothing has been heard
//! of it for an interval; a peer that talks is not asked.
//!
//! A session that does not read its socket, since the queue to the application is full, cannot see an answer, and asks
//! for none. A ping that stands in a full write buffer has its time when the buffer moves.

use std::time::{Duration, Instant};

use super::{
    deadline::{earlier, is_due},
    unfinished::Unfinished,
};

/// A heartbeat that leaves this soon after its time counts as having left on time.
pub(super) const PROMPT: Duration = Duration::from_secs(1);

#[cfg_attr(test, derive(Clone))]
#[derive(Debug)]
pub(super) struct Liveness {
    /// The interval between heartbeats.
    heartbeat: Option<Duration>,
    /// How long the peer has to answer one; `None` where it cannot be asked.
    pong_timeout: Option<Duration>,
    /// Since when a heartbeat waits for the receiver to take it.
    heartbeat_due: Option<Instant>,
    /// When a frame last left, or a receiver came: the next heartbeat counts from here.
    last_frame: Instant,
    /// When the present interval of listening to the peer began.
    idle_since: Instant,
    /// Whether the peer has been heard in that interval.
    peer_active: bool,
    /// Whether the socket is not read, because the queue to the application is full.
    reads_paused: bool,
    /// When the answer to a heartbeat must have come.
    pong_due: Option<Instant>,
    unfinished: Unfinished,
}

/// What a deadline that has come asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// The receiver has to take a heartbeat.
    Heartbeat,
    /// Nothing: the peer was heard, and an interval of listening begins.
    Listening,
    /// The peer has not answered.
    PongTimeout,
    /// A message is not whole in its time.
    MessageTooSlow,
}

impl Liveness {
    pub(super) fn new(heartbeat: Option<Duration>, pong_timeout: Option<Duration>, now: Instant) -> Self {
        Self {
            heartbeat,
            pong_timeout,
            heartbeat_due: None,
            last_frame: now,
            idle_since: now,
            peer_active: false,
            reads_paused: false,
            pong_due: None,
            unfinished: Unfinished::new(),
        }
    }

    pub(super) fn receiver_attached(&mut self, now: Instant) {
        self.last_frame = now;
    }

    pub(super) fn receiver_detached(&mut self) {
        self.heartbeat_due = None;
        self.pong_due = None;
    }

    /// No answer is waited for any more.
    pub(super) fn session_ended(&mut self) {
        self.pong_due = None;
    }

    /// The interval between heartbeats from here on: the time since the last one counts. Without one, what waits to
    /// leave does not, and no answer is waited for.
    pub(super) fn set_heartbeat(&mut self, heartbeat: Option<Duration>) {
        self.heartbeat = heartbeat;
        if heartbeat.is_none() {
            self.heartbeat_due = None;
            self.pong_due = None;
        }
    }

    pub(super) fn has_heartbeats(&self) -> bool {
        self.heartbeat.is_some()
    }

    /// Since when a heartbeat waits for the receiver.
    #[inline]
    pub(super) fn heartbeat_due(&self) -> Option<Instant> {
        self.heartbeat_due
    }

    /// A frame of another kind has left, which serves as the heartbeat that was due.
    #[inline]
    pub(super) fn frame_left(&mut self, now: Instant) {
        self.heartbeat_due = None;
        self.last_frame = now;
    }

    /// The heartbeat that was due has left.
    pub(super) fn heartbeat_left(&mut self, now: Instant) {
        // The driver's timer was set when the heartbeat became due: after a prompt one it fires when the next is due.
        let due = self.heartbeat_due.take().filter(|&due| self.is_prompt(due, now));
        self.last_frame = due.unwrap_or(now);
        self.idle_since = now;
        self.peer_active = false;
        if !self.reads_paused && self.pong_due.is_none() {
            self.pong_due = self.after_ping(now);
        }
    }

    fn is_prompt(&self, due: Instant, now: Instant) -> bool {
        now - due <= PROMPT && self.after_interval(due).is_none_or(|next| now < next)
    }

    /// The connection has accepted bytes: the ping may have been behind what the peer has only now read.
    pub(super) fn progress(&mut self, now: Instant) {
        if self.pong_due.is_some() {
            self.pong_due = self.after_ping(now);
        }
    }

    /// The peer has sent something, if only a pong or a part of a message.
    pub(super) fn heard(&mut self) {
        self.peer_active = true;
        self.pong_due = None;
    }

    /// The peer has sent messages. Where the queue to the application has no room for them, its socket is not read
    /// until there is.
    #[inline]
    pub(super) fn heard_messages(&mut self, there_is_room: bool) {
        self.heard();
        self.reads_paused = !there_is_room;
    }

    /// The socket reads the rest of this message; or, with `None`, has all of it, or does not read.
    #[cfg(feature = "websocket")]
    pub(super) fn set_unfinished(&mut self, message: Option<u64>, now: Instant) {
        match message {
            Some(number) => self.unfinished.read(number, now),
            None => self.unfinished.pause(now),
        }
    }

    /// When [`on_deadline`](Self::on_deadline) has something to do, with a receiver attached that is blocked or not.
    #[inline]
    pub(super) fn deadline(&self, is_blocked: bool) -> Option<Instant> {
        let gives_up = earlier(self.pong_deadline(is_blocked), self.unfinished.deadline());
        earlier(gives_up, self.heartbeat_deadline())
    }

    /// Says what is due, of which at least one thing has to be.
    pub(super) fn on_deadline(&mut self, is_blocked: bool, now: Instant) -> Due {
        if is_due(self.pong_deadline(is_blocked), now) {
            Due::PongTimeout
        } else if is_due(self.unfinished.deadline(), now) {
            Due::MessageTooSlow
        } else if self.peer_active && !is_due(self.after_interval(self.last_frame), now) {
            self.idle_since = now;
            self.peer_active = false;
            Due::Listening
        } else {
            self.heartbeat_due = Some(now);
            Due::Heartbeat
        }
    }

    fn heartbeat_deadline(&self) -> Option<Instant> {
        if self.heartbeat_due.is_some() {
            return None;
        }
        let asks = self.pong_timeout.is_some();
        self.after_interval(if asks { self.last_frame.min(self.idle_since) } else { self.last_frame })
    }

    /// A blocked socket is not read, and the ping may wait in its buffer.
    fn pong_deadline(&self, is_blocked: bool) -> Option<Instant> {
        self.pong_due.filter(|_| !is_blocked)
    }

    /// The deadline that a heartbeat brings which leaves at once: for its answer, or for the next one.
    pub(super) fn after_heartbeat(&self, at: Instant) -> Option<Instant> {
        earlier(self.after_interval(at), self.after_ping(at))
    }

    fn after_ping(&self, since: Instant) -> Option<Instant> {
        since.checked_add(self.pong_timeout?)
    }

    fn after_interval(&self, since: Instant) -> Option<Instant> {
        since.checked_add(self.heartbeat?)
    }
}

#[cfg(test)]
mod tests;
