//! The numbers of an endpoint.

use std::collections::BTreeMap;

use crate::{
    protocol::transport::Transport,
    session::{
        close_reason::CloseReason,
        traffic::{Totals, TransportStats},
    },
};

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
    /// Requests that were refused, in all, by cause. Every cause is there: [the list](crate::guide::operating#refused-requests).
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
    pub(crate) fn new(totals: &Totals, rejected: BTreeMap<&'static str, u64>) -> Self {
        Self {
            transports: totals.transports,
            closed: CloseReason::NAMES.into_iter().zip(totals.closed).collect(),
            rejected,
            fallbacks: totals.fallbacks,
            receive_queue_peak_bytes: totals.receive_queue_peak,
            send_queue_peak_bytes: totals.send_queue_peak,
            handlers: totals.handlers,
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
