//! The numbers of an endpoint: what a session counts, how that is added up, and what an operator sees.
//!
//! A session counts under its own lock, which it holds anyway: nothing on the way of a message is shared
//! between sessions. Who wants the numbers adds up the sessions of the moment and the totals of those gone.

use std::collections::BTreeMap;

use crate::{CloseReason, Message, Transport};

/// What has gone through one session, or through many.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Traffic {
    pub(crate) messages_received: u64,
    pub(crate) bytes_received: u64,
    pub(crate) messages_sent: u64,
    pub(crate) bytes_sent: u64,
    pub(crate) dropped: u64,
    pub(crate) receive_queue_peak: usize,
    pub(crate) send_queue_peak: usize,
}

impl Traffic {
    pub(crate) fn received(&mut self, messages: usize, bytes: usize) {
        self.messages_received += messages as u64;
        self.bytes_received += bytes as u64;
    }

    pub(crate) fn sent(&mut self, messages: &[Message]) {
        self.messages_sent += messages.len() as u64;
        self.bytes_sent += messages.iter().map(|message| message.len() as u64).sum::<u64>();
    }
}

/// How far a session is.
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

/// What the sessions of an endpoint have come to, by transport.
#[derive(Debug, Clone, Default)]
pub(crate) struct Totals {
    transports: [TransportStats; Transport::ALL.len()],
    closed: [u64; CloseReason::NAMES.len()],
    receive_queue_peak: usize,
    send_queue_peak: usize,
}

impl Totals {
    fn transport(&mut self, transport: Transport) -> &mut TransportStats {
        &mut self.transports[transport as usize]
    }

    /// Adds a session that is there.
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

    /// Adds a request that the handler's extractors are judging.
    pub(crate) fn add_opening(&mut self, transport: Transport) {
        self.transport(transport).opening += 1;
    }

    /// Adds what a session leaves behind.
    pub(crate) fn add_past(&mut self, session: Sample<'_>) {
        let Sample { transport, end, traffic, .. } = session;
        let stats = self.transport(transport);
        stats.opened += 1;
        stats.messages_received += traffic.messages_received;
        stats.bytes_received += traffic.bytes_received;
        stats.messages_sent += traffic.messages_sent;
        stats.bytes_sent += traffic.bytes_sent;
        stats.messages_dropped += traffic.dropped;
        if let Some(end) = end {
            self.closed[end.index()] += 1;
        }
        self.receive_queue_peak = self.receive_queue_peak.max(traffic.receive_queue_peak);
        self.send_queue_peak = self.send_queue_peak.max(traffic.send_queue_peak);
    }
}

/// The numbers of an endpoint at one moment: see [`SockJsHandle::stats`](crate::SockJsHandle::stats).
///
/// What is counted "in all" counts from when the endpoint was made and never falls. All sessions ever
/// opened are either open or closed: the sum of [`closed`](Self::closed) and of those that are
/// [`open`](TransportStats::open) is that of [`opened`](TransportStats::opened), except for requests whose
/// extractors are still at work.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    transports: [TransportStats; Transport::ALL.len()],
    /// Sessions that have ended, in all, by [`CloseReason::name`]. Every name is there.
    pub closed: BTreeMap<&'static str, u64>,
    /// Requests that were refused, in all, by cause. Every cause is there: [the list](crate#refused-requests).
    pub rejected: BTreeMap<&'static str, u64>,
    /// Sessions opened over one of the HTTP transports although WebSocket is switched on, in all.
    ///
    /// sockjs-client tries WebSocket first, so most of these are clients whose WebSocket failed, be it in
    /// their browser, at a proxy or at this server, where `rejected["handshake"]` shows it. A server cannot
    /// tell them from clients that were told not to try it.
    pub fallbacks: u64,
    /// The most bytes that have waited for the application in any one session: as
    /// [`Options::receive_queue_bytes`](crate::Options::receive_queue_bytes) counts them.
    pub receive_queue_peak_bytes: usize,
    /// The most bytes that have waited for the client in any one session: as
    /// [`Options::send_queue_bytes`](crate::Options::send_queue_bytes) counts them.
    pub send_queue_peak_bytes: usize,
    /// Handlers that have not returned: those of open sessions, and those still busy after the end of theirs.
    pub handlers: usize,
}

impl Stats {
    pub(crate) fn new(
        totals: &Totals,
        rejected: BTreeMap<&'static str, u64>,
        fallbacks: u64,
        handlers: usize,
    ) -> Self {
        Self {
            transports: totals.transports,
            closed: CloseReason::NAMES.into_iter().zip(totals.closed).collect(),
            rejected,
            fallbacks,
            receive_queue_peak_bytes: totals.receive_queue_peak,
            send_queue_peak_bytes: totals.send_queue_peak,
            handlers,
        }
    }

    /// The numbers of one transport: of the sessions that were opened over it.
    #[must_use]
    pub fn transport(&self, transport: Transport) -> &TransportStats {
        &self.transports[transport as usize]
    }

    /// The numbers of all transports together.
    #[must_use]
    pub fn total(&self) -> TransportStats {
        self.transports.iter().fold(TransportStats::default(), |sum, stats| sum.plus(stats))
    }
}

/// The sessions of one transport: how many there are in each state, and what has gone through them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct TransportStats {
    /// Now: the handler's extractors judge the request, or the open frame has not left.
    pub opening: u64,
    /// Now: open, with a request or socket that receives.
    pub attached: u64,
    /// Now: open, between two receiving requests. Never a WebSocket.
    pub detached: u64,
    /// Now: ended, and the client has not been told.
    pub closing: u64,
    /// Now: ended and told, and remembered for the disconnect delay.
    pub closed: u64,
    /// Sessions, in all.
    pub opened: u64,
    /// Messages taken from clients, in all.
    pub messages_received: u64,
    /// The bytes of those, without quoting and framing.
    pub bytes_received: u64,
    /// Messages handed to a connection, in all. Whether it carried them to the client, no server sees.
    pub messages_sent: u64,
    /// The bytes of those, without quoting and framing.
    pub bytes_sent: u64,
    /// Messages that the application has sent and that never left, in all: they went with their session, or made
    /// room for newer ones ([`Overflow::DropOldest`](crate::Overflow::DropOldest)).
    pub messages_dropped: u64,
}

impl TransportStats {
    /// Now: sessions that have not ended.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.opening + self.attached + self.detached
    }

    fn plus(self, other: &Self) -> Self {
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
