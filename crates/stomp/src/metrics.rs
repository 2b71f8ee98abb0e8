//! Passes the numbers of a server to the application's metrics recorder.
//!
//! Imports: stats, stomp.

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};

use crate::{stats::StompStats, stomp::StompServer};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
}

use Kind::{Counter, Gauge};

/// Every metric: its name, kind, unit, labels besides `server`, and description.
const METRICS: &[(&str, Kind, Unit, &str, &str)] = &[
    (SESSIONS, Gauge, Unit::Count, "", "Sessions that are open."),
    (USERS, Gauge, Unit::Count, "", "Users that have a session."),
    (CONNECTED, Counter, Unit::Count, "", "Sessions that have begun."),
    (REFUSED, Counter, Unit::Count, "", "Connections refused before a session began."),
    (DISCONNECTED, Counter, Unit::Count, "reason", "Sessions that have ended."),
    (FRAMES, Counter, Unit::Count, "command", "Frames taken from clients."),
    (ERRORS, Counter, Unit::Count, "message", "ERROR frames sent."),
    (DELIVERED, Counter, Unit::Count, "", "Messages delivered to subscribers."),
    (DROPPED, Counter, Unit::Count, "", "Messages dropped for slow clients."),
    (PUBLISHED, Counter, Unit::Count, "to", "SEND frames that no handler gets."),
    (CALLS, Counter, Unit::Count, "command, handler", "Calls of handlers that have ended."),
    (FAILURES, Counter, Unit::Count, "command, handler", "Calls of handlers that have failed."),
    (TIME, Counter, Unit::Milliseconds, "command, handler", "Time that handlers took."),
    (BUS_CONNECTED, Gauge, Unit::Count, "", "Whether the bus reaches the other nodes: 1 or 0."),
    (BUS_HEARD, Gauge, Unit::Count, "", "Whether this node hears the others: 1 or 0."),
    (BUS_NODES, Gauge, Unit::Count, "", "Other nodes that are known."),
    (BUS_PUBLISHED, Counter, Unit::Count, "", "Messages that the bus has taken."),
    (BUS_REFUSED, Counter, Unit::Count, "", "Messages that the bus has refused."),
    (BUS_RECEIVED, Counter, Unit::Count, "", "Messages of other nodes."),
    (BUS_MISSED, Counter, Unit::Count, "", "Messages of other nodes that were lost on the way."),
    (BUS_INVALID, Counter, Unit::Count, "", "Messages of other nodes that cannot be read."),
    (BUS_DEAD, Counter, Unit::Count, "", "Nodes that have fallen silent."),
    (BUS_GIVEN_UP, Counter, Unit::Count, "", "Queues given up to another node."),
    (
        BUS_SUBSCRIPTIONS_REFUSED,
        Counter,
        Unit::Count,
        "",
        "Subscriptions on the bus refused after their receipts.",
    ),
];

const SESSIONS: &str = "stomp_sessions";
const USERS: &str = "stomp_users";
const CONNECTED: &str = "stomp_sessions_connected_total";
const REFUSED: &str = "stomp_connections_refused_total";
const DISCONNECTED: &str = "stomp_sessions_disconnected_total";
const FRAMES: &str = "stomp_frames_received_total";
const ERRORS: &str = "stomp_errors_total";
const DELIVERED: &str = "stomp_messages_delivered_total";
const DROPPED: &str = "stomp_messages_dropped_total";
const PUBLISHED: &str = "stomp_messages_published_total";
const CALLS: &str = "stomp_handler_calls_total";
const FAILURES: &str = "stomp_handler_failures_total";
const TIME: &str = "stomp_handler_milliseconds_total";
const BUS_CONNECTED: &str = "stomp_bus_connected";
const BUS_HEARD: &str = "stomp_bus_heard";
const BUS_NODES: &str = "stomp_bus_nodes";
const BUS_PUBLISHED: &str = "stomp_bus_messages_published_total";
const BUS_REFUSED: &str = "stomp_bus_messages_refused_total";
const BUS_RECEIVED: &str = "stomp_bus_messages_received_total";
const BUS_MISSED: &str = "stomp_bus_messages_missed_total";
const BUS_INVALID: &str = "stomp_bus_messages_invalid_total";
const BUS_DEAD: &str = "stomp_bus_nodes_dead_total";
const BUS_GIVEN_UP: &str = "stomp_bus_queues_given_up_total";
const BUS_SUBSCRIPTIONS_REFUSED: &str = "stomp_bus_subscriptions_refused_total";

impl<S> StompServer<S>
where
    S: Clone + Send + Sync + 'static,
{
    /// Passes [`stats`](Self::stats) to the recorder of the [`metrics`](https://docs.rs/metrics) facade. The label
    /// `server` distinguishes this server from others.
    ///
    /// Nothing is recorded between calls: call it before a Prometheus exporter renders the metrics. Without a recorder
    /// it does nothing.
    ///
    /// | metric | kind | labels | |
    /// |---|---|---|---|
    /// | `stomp_sessions` | gauge | | Sessions that are open. |
    /// | `stomp_users` | gauge | | Users that have a session. |
    /// | `stomp_sessions_connected_total` | counter | | Sessions that have begun. |
    /// | `stomp_connections_refused_total` | counter | | Connections refused before a session began. |
    /// | `stomp_sessions_disconnected_total` | counter | reason | Sessions that have ended. |
    /// | `stomp_frames_received_total` | counter | command | Frames taken from clients. |
    /// | `stomp_errors_total` | counter | message | ERROR frames sent. |
    /// | `stomp_messages_delivered_total` | counter | | Messages delivered to subscribers. |
    /// | `stomp_messages_dropped_total` | counter | | Messages dropped for slow clients. |
    /// | `stomp_messages_published_total` | counter | to | SEND frames that no handler gets. |
    /// | `stomp_handler_calls_total` | counter | command, handler | Calls of handlers that have ended. |
    /// | `stomp_handler_failures_total` | counter | command, handler | Calls of handlers that have failed. |
    /// | `stomp_handler_milliseconds_total` | counter | command, handler | Time that handlers took. |
    /// | `stomp_bus_connected` | gauge | | Whether the bus reaches the other nodes: 1 or 0. |
    /// | `stomp_bus_heard` | gauge | | Whether this node hears the others: 1 or 0. |
    /// | `stomp_bus_nodes` | gauge | | Other nodes that are known. |
    /// | `stomp_bus_messages_published_total` | counter | | Messages that the bus has taken. |
    /// | `stomp_bus_messages_refused_total` | counter | | Messages that the bus has refused. |
    /// | `stomp_bus_messages_received_total` | counter | | Messages of other nodes. |
    /// | `stomp_bus_messages_missed_total` | counter | | Messages of other nodes that were lost on the way. |
    /// | `stomp_bus_messages_invalid_total` | counter | | Messages of other nodes that cannot be read. |
    /// | `stomp_bus_nodes_dead_total` | counter | | Nodes that have fallen silent. |
    /// | `stomp_bus_queues_given_up_total` | counter | | Queues given up to another node. |
    /// | `stomp_bus_subscriptions_refused_total` | counter | | Subscriptions on the bus refused after their receipts. |
    ///
    /// Those of the bus are there if the broker is over one.
    pub fn record_metrics(&self, server: &str) {
        for &(name, kind, unit, _, help) in METRICS {
            match kind {
                Counter => describe_counter!(name, unit, help),
                Gauge => describe_gauge!(name, unit, help),
            }
        }
        record(&self.stats(), server);
    }
}

fn record(stats: &StompStats, server: &str) {
    let server = || server.to_owned();
    gauge!(SESSIONS, "server" => server()).set(stats.sessions as f64);
    gauge!(USERS, "server" => server()).set(stats.users as f64);
    for (name, total) in [
        (CONNECTED, stats.connected),
        (REFUSED, stats.refused),
        (DELIVERED, stats.delivered),
        (DROPPED, stats.dropped),
    ] {
        counter!(name, "server" => server()).absolute(total);
    }
    for (name, label, totals) in [
        (DISCONNECTED, "reason", &stats.disconnected),
        (FRAMES, "command", &stats.frames),
        (ERRORS, "message", &stats.errors),
        (PUBLISHED, "to", &stats.published),
    ] {
        for (&value, &total) in totals {
            let labels = [("server", server()), (label, value.to_owned())];
            counter!(name, &labels).absolute(total);
        }
    }
    if let Some(bus) = &stats.bus {
        gauge!(BUS_CONNECTED, "server" => server()).set(f64::from(u8::from(bus.status.is_connected())));
        gauge!(BUS_HEARD, "server" => server()).set(f64::from(u8::from(bus.is_heard)));
        gauge!(BUS_NODES, "server" => server()).set(bus.nodes as f64);
        for (name, total) in [
            (BUS_PUBLISHED, bus.port.published),
            (BUS_REFUSED, bus.port.refused),
            (BUS_RECEIVED, bus.port.received),
            (BUS_MISSED, bus.port.missed),
            (BUS_INVALID, bus.port.invalid + bus.invalid),
            (BUS_DEAD, bus.dead),
            (BUS_GIVEN_UP, bus.queues_given_up),
            (BUS_SUBSCRIPTIONS_REFUSED, bus.subscriptions_refused),
        ] {
            counter!(name, "server" => server()).absolute(total);
        }
    }
    for handler in &stats.handlers {
        let labels = [
            ("server", server()),
            ("command", handler.command.to_owned()),
            ("handler", handler.pattern.to_string()),
        ];
        counter!(CALLS, &labels).absolute(handler.calls);
        counter!(FAILURES, &labels).absolute(handler.failures);
        let millis = u64::try_from(handler.time.as_millis()).unwrap_or(u64::MAX);
        counter!(TIME, &labels).absolute(millis);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_dashboard_shows_every_metric() {
        let dashboard = include_str!("../docs/dashboard.json");
        serde_json::from_str::<serde_json::Value>(dashboard).expect("the dashboard is JSON");
        let is_part = |char: char| char.is_ascii_lowercase() || char == '_';
        let shown: BTreeSet<&str> =
            dashboard.split(|char| !is_part(char)).filter(|name| name.starts_with("stomp_")).collect();
        let known: BTreeSet<&str> = METRICS.iter().map(|(name, ..)| *name).collect();
        assert_eq!(shown, known);
    }

    #[test]
    fn the_documented_metrics_are_the_real_ones() {
        let documented: Vec<String> = include_str!("metrics.rs")
            .lines()
            .filter_map(|line| line.trim().strip_prefix("/// "))
            .filter(|line| line.starts_with("| `stomp_"))
            .map(str::to_owned)
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
