//! The numbers of an endpoint.

use std::collections::BTreeMap;

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
