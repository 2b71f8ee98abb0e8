//! Passes the numbers of an endpoint to the application's metrics recorder.

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};
use sockjs_core::Transport;

use super::{handle::SockJsHandle, stats::Stats};
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
}

use Kind::{Counter, Gauge};

/// Every metric: its name, kind, unit, labels besides `endpoint`, and description.
const METRICS: &[(&str, Kind, Unit, &str, &str)] = &[
    (SESSIONS, Gauge, Unit::Count, "transport, state", "Sessions of now."),
    (OPENED, Counter, Unit::Count, "transport", "Sessions opened."),
    (CLOSED, Counter, Unit::Count, "reason", "Sessions that have ended."),
    (FALLBACKS, Counter, Unit::Count, "", "Sessions opened over HTTP where WebSocket is on."),
    (RECEIVED, Counter, Unit::Count, "transport", "Messages taken from clients."),
    (RECEIVED_BYTES, Counter, Unit::Bytes, "transport", "Bytes of the messages taken from clients."),
    (SENT, Counter, Unit::Count, "transport", "Messages handed to connections."),
    (SENT_BYTES, Counter, Unit::Bytes, "transport", "Bytes of the messages handed to connections."),
    (DROPPED, Counter, Unit::Count, "transport", "Messages sent by the application that never left."),
    (REJECTED, Counter, Unit::Count, "cause", "Requests refused."),
    (HANDLERS, Gauge, Unit::Count, "", "Handlers that have not returned."),
    (RECEIVE_PEAK, Gauge, Unit::Bytes, "", "The fullest that a queue to the application has been."),
    (SEND_PEAK, Gauge, Unit::Bytes, "", "The fullest that a queue to a client has been."),
];

const SESSIONS: &str = "sockjs_sessions";
const OPENED: &str = "sockjs_sessions_opened_total";
const CLOSED: &str = "sockjs_sessions_closed_total";
const FALLBACKS: &str = "sockjs_fallbacks_total";
const RECEIVED: &str = "sockjs_messages_received_total";
const RECEIVED_BYTES: &str = "sockjs_received_bytes_total";
const SENT: &str = "sockjs_messages_sent_total";
const SENT_BYTES: &str = "sockjs_sent_bytes_total";
const DROPPED: &str = "sockjs_messages_dropped_total";
const REJECTED: &str = "sockjs_requests_rejected_total";
const HANDLERS: &str = "sockjs_handlers";
const RECEIVE_PEAK: &str = "sockjs_receive_queue_peak_bytes";
const SEND_PEAK: &str = "sockjs_send_queue_peak_bytes";

impl SockJsHandle {
    /// Passes [`stats`](Self::stats) to the recorder of the [`metrics`](https://docs.rs/metrics) facade, under [these
    /// names](crate::guide::operating#metrics). The label `endpoint` distinguishes this endpoint from others.
    ///
    /// Nothing is recorded between calls: call it before a Prometheus exporter renders the metrics, or every few
    /// seconds if an exporter pushes them. Without a recorder it does nothing.
    ///
    /// ```
    /// # fn scrape(handle: &axum_sockjs::SockJsHandle, prometheus: &metrics_exporter_prometheus::PrometheusHandle) -> String {
    /// handle.record_metrics("chat");
    /// prometheus.render()
    /// # }
    /// ```
    pub fn record_metrics(&self, endpoint: &str) {
        self.stats().record_metrics(endpoint);
    }
}

impl Stats {
    /// Passes these numbers to the recorder of the `metrics` facade, as [`SockJsHandle::record_metrics`] does: for
    /// numbers that were [added up](Stats#impl-AddAssign%3C%26Stats%3E-for-Stats).
    pub fn record_metrics(&self, endpoint: &str) {
        for &(name, kind, unit, _, help) in METRICS {
            match kind {
                Counter => describe_counter!(name, unit, help),
                Gauge => describe_gauge!(name, unit, help),
            }
        }
        record(self, endpoint);
    }
}

fn record(stats: &Stats, endpoint: &str) {
    let endpoint = || endpoint.to_owned();
    for &transport in Transport::ALL {
        let now = stats.transport(transport);
        let states = [
            ("opening", now.opening),
            ("attached", now.attached),
            ("detached", now.detached),
            ("closing", now.closing),
            ("closed", now.closed),
        ];
        let transport = transport.name();
        for (state, sessions) in states {
            let labels = [("endpoint", endpoint()), ("transport", transport.into()), ("state", state.into())];
            gauge!(SESSIONS, &labels).set(sessions as f64);
        }
        let totals = [
            (OPENED, now.opened),
            (RECEIVED, now.messages_received),
            (RECEIVED_BYTES, now.bytes_received),
            (SENT, now.messages_sent),
            (SENT_BYTES, now.bytes_sent),
            (DROPPED, now.messages_dropped),
        ];
        for (name, total) in totals {
            counter!(name, "endpoint" => endpoint(), "transport" => transport).absolute(total);
        }
    }
    for (&reason, &total) in &stats.closed {
        counter!(CLOSED, "endpoint" => endpoint(), "reason" => reason.name()).absolute(total);
    }
    for (&cause, &total) in &stats.rejected {
        counter!(REJECTED, "endpoint" => endpoint(), "cause" => cause.name()).absolute(total);
    }
    counter!(FALLBACKS, "endpoint" => endpoint()).absolute(stats.fallbacks);
    gauge!(HANDLERS, "endpoint" => endpoint()).set(stats.handlers as f64);
    gauge!(RECEIVE_PEAK, "endpoint" => endpoint()).set(stats.receive_queue_peak_bytes as f64);
    gauge!(SEND_PEAK, "endpoint" => endpoint()).set(stats.send_queue_peak_bytes as f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_metrics_are_the_real_ones() {
        let documented: Vec<&str> = include_str!("../docs/operating.md")
            .lines()
            .filter(|line| line.starts_with("| `sockjs_"))
            .collect();
        let real: Vec<String> = METRICS
            .iter()
            .map(|(name, kind, _, labels, help)| {
                let kind = if *kind == Counter { "counter" } else { "gauge" };
                format!("| `{name}` | {kind} | {labels} | {help} |").replace("|  |", "| |")
            })
            .collect();
        assert_eq!(documented, real);
    }
}
