//! The numbers of an endpoint.

use std::{collections::BTreeMap, ops::AddAssign};

use sockjs_core::Transport;

use crate::{
    response::cause::RejectionCause,
    session::{
        close_kind::CloseKind,
        traffic::{Totals, TransportStats},
    },
};

/// The numbers of an endpoint at one moment: see [`SockJsHandle::stats`](crate::SockJsHandle::stats).
///
/// Totals count since the creation of the endpoint and never fall. Every session ever opened is either open or
/// closed: the sum of [`closed`](Self::closed) and [`open`](TransportStats::open) equals that of
/// [`opened`](TransportStats::opened), except for requests whose extractors are still running.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    transports: [TransportStats; Transport::ALL.len()],
    /// Total of ended sessions, by the kind of their end. Every kind is present.
    pub closed: BTreeMap<CloseKind, u64>,
    /// Total of rejected requests, by cause. Every cause is present: [the
    /// list](crate::guide::operating#refused-requests).
    pub rejected: BTreeMap<RejectionCause, u64>,
    /// Total of sessions opened over an HTTP transport although WebSocket is enabled.
    ///
    /// sockjs-client tries WebSocket first, so most of these are clients whose WebSocket failed: in the browser, at a
    /// proxy, or at this server (see [`RejectionCause::Handshake`]). A server cannot distinguish them from clients
    /// configured without WebSocket.
    pub fallbacks: u64,
    /// The peak of bytes that waited for the application in any one session, counted as by
    /// [`Options::receive_queue_bytes`](crate::Options::receive_queue_bytes).
    pub receive_queue_peak_bytes: usize,
    /// The peak of bytes that waited for the client in any one session, counted as by
    /// [`Options::send_queue_bytes`](crate::Options::send_queue_bytes).
    pub send_queue_peak_bytes: usize,
    /// Handlers that have not returned: those of open sessions, and those still running after their session ended.
    pub handlers: usize,
}

impl Stats {
    pub(crate) fn new(totals: &Totals, rejected: BTreeMap<RejectionCause, u64>) -> Self {
        Self {
            transports: totals.transports,
            closed: CloseKind::ALL.iter().copied().zip(totals.closed).collect(),
            rejected,
            fallbacks: totals.fallbacks,
            receive_queue_peak_bytes: totals.receive_queue_peak,
            send_queue_peak_bytes: totals.send_queue_peak,
            handlers: totals.handlers,
        }
    }

    /// Returns the numbers of the sessions opened over one transport.
    #[must_use]
    pub fn transport(&self, transport: Transport) -> &TransportStats {
        &self.transports[transport as usize]
    }

    /// Returns the sum over all transports.
    #[must_use]
    pub fn total(&self) -> TransportStats {
        self.transports.iter().fold(TransportStats::default(), |sum, stats| sum.plus(stats))
    }
}

/// Adds the numbers of another endpoint: for several that are one to their users, such as those behind one path, one of
/// which takes the place of the other. Peaks are the higher ones.
impl AddAssign<&Self> for Stats {
    fn add_assign(&mut self, other: &Self) {
        let Self {
            transports,
            closed,
            rejected,
            fallbacks,
            receive_queue_peak_bytes,
            send_queue_peak_bytes,
            handlers,
        } = self;
        for (sum, more) in transports.iter_mut().zip(&other.transports) {
            *sum = sum.plus(more);
        }
        for (kind, total) in &other.closed {
            *closed.entry(*kind).or_default() += total;
        }
        for (cause, total) in &other.rejected {
            *rejected.entry(*cause).or_default() += total;
        }
        *fallbacks += other.fallbacks;
        *receive_queue_peak_bytes = (*receive_queue_peak_bytes).max(other.receive_queue_peak_bytes);
        *send_queue_peak_bytes = (*send_queue_peak_bytes).max(other.send_queue_peak_bytes);
        *handlers += other.handlers;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(number: u64) -> Stats {
        let transport =
            TransportStats { opened: number, messages_sent: 10 * number, ..TransportStats::default() };
        Stats {
            transports: [transport; Transport::ALL.len()],
            closed: CloseKind::ALL.iter().map(|&kind| (kind, number)).collect(),
            rejected: RejectionCause::ALL.iter().map(|&cause| (cause, number)).collect(),
            fallbacks: number,
            receive_queue_peak_bytes: number as usize,
            send_queue_peak_bytes: 100 - number as usize,
            handlers: number as usize,
        }
    }

    #[test]
    fn numbers_of_endpoints_add_up() {
        let mut sum = stats(1);
        sum += &stats(2);
        let expected = Stats { receive_queue_peak_bytes: 2, send_queue_peak_bytes: 99, ..stats(3) };
        assert_eq!(sum, expected);
    }
}
