//! Heartbeats, dead peers of sockets, and messages that come too slowly.
//!
//! A *heartbeat* is due when no frame has left for an interval, so that proxies and the client see that the connection
//! is alive. A socket sends it as a ping, and the peer has to answer in time, by sending anything. A heartbeat is also
//! due when the peer has sent nothing for an interval: so a peer that gets messages all the time is pinged too, and a
//! peer that sends messages is not.
//!
//! A session that does not read its socket, since the queue to the application is full, cannot see an answer, and
//! expects none. For a ping in a full write buffer, the time begins again when the connection accepts bytes.

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
    /// How long the peer may take to answer a ping. `None` if there is no limit, or if the peer answers no pings.
    pong_timeout: Option<Duration>,
    /// The time since which a heartbeat waits for the receiver to take it.
    heartbeat_due: Option<Instant>,
    /// The time at which a frame last left, or a receiver attached. The next heartbeat is due an interval later.
    last_frame: Instant,
    /// The beginning of the current interval in which the peer has to be heard.
    idle_since: Instant,
    /// Whether the peer has sent anything in that interval.
    peer_active: bool,
    /// Whether the socket is not read, because the queue to the application is full.
    reads_paused: bool,
    /// The time by which the peer has to answer.
    pong_due: Option<Instant>,
    unfinished: Unfinished,
}

/// The effect of a deadline that has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// The receiver has to take a heartbeat.
    Heartbeat,
    /// None: the peer has sent something, and a new interval begins.
    Listening,
    /// The peer has not answered in time.
    PongTimeout,
    /// A message is not complete in time.
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

    /// Stops waiting for an answer.
    pub(super) fn session_ended(&mut self) {
        self.pong_due = None;
    }

    /// Sets the interval between heartbeats, which counts from the last one. Without an interval, a heartbeat that
    /// waits for the receiver is dropped, and no answer is expected.
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

    /// The time since which a heartbeat waits for the receiver.
    #[inline]
    pub(super) fn heartbeat_due(&self) -> Option<Instant> {
        self.heartbeat_due
    }

    /// Records that a frame of another kind has left. It serves as the heartbeat that was due.
    #[inline]
    pub(super) fn frame_left(&mut self, now: Instant) {
        self.heartbeat_due = None;
        self.last_frame = now;
    }

    /// Records that the heartbeat that was due has left.
    pub(super) fn heartbeat_left(&mut self, now: Instant) {
        // The driver's timer was set when the heartbeat became due. After a prompt heartbeat it fires when the next one
        // is due.
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

    /// Records that the connection has accepted bytes. The ping may have waited behind them, so its time begins again.
    pub(super) fn progress(&mut self, now: Instant) {
        if self.pong_due.is_some() {
            self.pong_due = self.after_ping(now);
        }
    }

    /// Records that the peer has sent something, even if only a pong or a part of a message.
    pub(super) fn heard(&mut self) {
        self.peer_active = true;
        self.pong_due = None;
    }

    /// Records that the peer has sent messages. If the queue to the application has no room for them, the socket is not
    /// read until it has.
    #[inline]
    pub(super) fn heard_messages(&mut self, there_is_room: bool) {
        self.heard();
        self.reads_paused = !there_is_room;
    }

    /// Records the number of the message whose rest the socket reads, or `None` if the message is complete or the
    /// socket is not read.
    #[cfg(feature = "websocket")]
    pub(super) fn set_unfinished(&mut self, message: Option<u64>, now: Instant) {
        match message {
            Some(number) => self.unfinished.read(number, now),
            None => self.unfinished.pause(now),
        }
    }

    /// The time at which [`on_deadline`](Self::on_deadline) has something to do, while a receiver is attached.
    #[inline]
    pub(super) fn deadline(&self, is_blocked: bool) -> Option<Instant> {
        let gives_up = earlier(self.pong_deadline(is_blocked), self.unfinished.deadline());
        earlier(gives_up, self.heartbeat_deadline())
    }

    /// Returns the effect of a deadline that has come. At least one must have come.
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

    /// A blocked socket is not read, and the ping may still be in its buffer: it has no such deadline.
    fn pong_deadline(&self, is_blocked: bool) -> Option<Instant> {
        self.pong_due.filter(|_| !is_blocked)
    }

    /// The next deadline after a heartbeat that leaves at this time: for its answer, or for the next heartbeat.
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
