//! The counters of sessions, and their sums.

use sockjs_core::{Message, Transport};

use super::{close_kind::CloseKind, close_reason::CloseReason};
/// The traffic of one session, or of many.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Traffic {
    pub(crate) messages_received: u64,
    pub(crate) bytes_received: u64,
    pub(crate) messages_sent: u64,
    pub(crate) bytes_sent: u64,
    /// Messages to the client that were dropped for newer ones.
    pub(crate) overflowed: u64,
    /// Messages to the client that had not left when the session ended or was forgotten.
    pub(crate) abandoned: u64,
    pub(crate) receive_queue_peak: usize,
    pub(crate) send_queue_peak: usize,
}

impl Traffic {
    pub(crate) fn received(&mut self, messages: usize, bytes: usize) {
        self.messages_received += messages as u64;
        self.bytes_received += bytes as u64;
    }

    /// Messages that the application has sent and that never left.
    pub(crate) fn dropped(&self) -> u64 {
        self.overflowed + self.abandoned
    }

    pub(crate) fn sent(&mut self, messages: &[Message]) {
        self.messages_sent += messages.len() as u64;
        self.bytes_sent += messages.iter().map(|message| message.len() as u64).sum::<u64>();
    }
}

/// The stage of a session's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Opening,
    Attached,
    Detached,
    Closing,
    Closed,
}

/// One session at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample<'a> {
    pub(crate) transport: Transport,
    pub(crate) state: State,
    pub(crate) end: Option<&'a CloseReason>,
    pub(crate) traffic: &'a Traffic,
}

/// The counters of an endpoint's sessions, by transport.
#[derive(Debug, Clone, Default)]
pub(crate) struct Totals {
    pub(crate) transports: [TransportStats; Transport::ALL.len()],
    pub(crate) closed: [u64; CloseKind::ALL.len()],
    pub(crate) receive_queue_peak: usize,
    pub(crate) send_queue_peak: usize,
    /// Sessions opened over an HTTP transport although WebSocket is enabled.
    pub(crate) fallbacks: u64,
    /// Handlers that have not returned.
    pub(crate) handlers: usize,
}

impl Totals {
    fn transport(&mut self, transport: Transport) -> &mut TransportStats {
        &mut self.transports[transport as usize]
    }

    /// Adds a session that is in the registry.
    pub(crate) fn add(&mut self, session: Sample<'_>) {
        let stats = self.transport(session.transport);
        match session.state {
            State::Opening => stats.opening += 1,
            State::Attached => stats.attached += 1,
            State::Detached => stats.detached += 1,
            State::Closing => stats.closing += 1,
            State::Closed => stats.closed += 1,
        }
        self.add_past(session);
    }

    /// Adds a request that the handler's extractors are checking.
    pub(crate) fn add_opening(&mut self, transport: Transport) {
        self.transport(transport).opening += 1;
    }

    /// Adds the counts that stay after a session has been removed.
    pub(crate) fn add_past(&mut self, session: Sample<'_>) {
        let Sample { transport, end, traffic, .. } = session;
        let stats = self.transport(transport);
        stats.opened += 1;
        stats.messages_received += traffic.messages_received;
        stats.bytes_received += traffic.bytes_received;
        stats.messages_sent += traffic.messages_sent;
        stats.bytes_sent += traffic.bytes_sent;
        stats.messages_dropped += traffic.dropped();
        if let Some(end) = end {
            self.closed[end.kind() as usize] += 1;
        }
        self.receive_queue_peak = self.receive_queue_peak.max(traffic.receive_queue_peak);
        self.send_queue_peak = self.send_queue_peak.max(traffic.send_queue_peak);
    }
}

/// The sessions of one transport: their number in each state, and their traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct TransportStats {
    /// Now: the handler's extractors check the request, or the open frame has not left.
    pub opening: u64,
    /// Now: open, with a receiving request or socket.
    pub attached: u64,
    /// Now: open, between two receiving requests. Never a WebSocket.
    pub detached: u64,
    /// Now: ended, and the client has not got the close frame.
    pub closing: u64,
    /// Now: ended, and the client has got the close frame. The session is remembered for the disconnect delay.
    pub closed: u64,
    /// Opened sessions, in all.
    pub opened: u64,
    /// Messages accepted from clients, in all.
    pub messages_received: u64,
    /// The bytes of these messages, without quoting and framing.
    pub bytes_received: u64,
    /// Messages handed to a connection, in all. A server cannot see whether they reached the client.
    pub messages_sent: u64,
    /// The bytes of these messages, without quoting and framing.
    pub bytes_sent: u64,
    /// Messages that the application has sent and that never left, in all: they were lost with their session, or
    /// dropped for newer ones ([`Overflow::DropOldest`](crate::Overflow::DropOldest)).
    pub messages_dropped: u64,
}

impl TransportStats {
    /// Returns the number of sessions that have not ended.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.opening + self.attached + self.detached
    }

    pub(crate) fn plus(self, other: &Self) -> Self {
        Self {
            opening: self.opening + other.opening,
            attached: self.attached + other.attached,
            detached: self.detached + other.detached,
            closing: self.closing + other.closing,
            closed: self.closed + other.closed,
            opened: self.opened + other.opened,
            messages_received: self.messages_received + other.messages_received,
            bytes_received: self.bytes_received + other.bytes_received,
            messages_sent: self.messages_sent + other.messages_sent,
            bytes_sent: self.bytes_sent + other.bytes_sent,
            messages_dropped: self.messages_dropped + other.messages_dropped,
        }
    }
}
