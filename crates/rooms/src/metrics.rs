//! Passes the numbers of the rooms to the application's metrics recorder.
//!
//! Imports: rooms, stats.

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};

use crate::{rooms::Rooms, stats::Stats};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
}

use Kind::{Counter, Gauge};

/// How a number is read.
type Read = fn(&Stats) -> u64;

/// Every metric: its name, kind, unit, value and description.
const METRICS: &[(&str, Kind, Unit, Read, &str)] = &[
    ("sockjs_rooms", Gauge, Unit::Count, |stats| stats.rooms as u64, "Rooms that exist."),
    (
        "sockjs_rooms_occupied",
        Gauge,
        Unit::Count,
        |stats| stats.occupied_rooms as u64,
        "Rooms that have members.",
    ),
    ("sockjs_rooms_members", Gauge, Unit::Count, |stats| stats.members as u64, "Memberships."),
    ("sockjs_rooms_sessions", Gauge, Unit::Count, |stats| stats.sessions as u64, "Sessions that are known."),
    ("sockjs_rooms_users", Gauge, Unit::Count, |stats| stats.users as u64, "Users that have a tab."),
    (
        "sockjs_rooms_history_bytes",
        Gauge,
        Unit::Bytes,
        |stats| stats.history_bytes as u64,
        "The bytes of all histories.",
    ),
    ("sockjs_rooms_messages_sent_total", Counter, Unit::Count, |stats| stats.sent, "Messages sent to many."),
    (
        "sockjs_rooms_deliveries_total",
        Counter,
        Unit::Count,
        |stats| stats.delivered,
        "Deliveries of these to sessions.",
    ),
    (
        "sockjs_rooms_dropped_total",
        Counter,
        Unit::Count,
        |stats| stats.dropped,
        "Deliveries missed by sessions whose queue was full.",
    ),
    (
        "sockjs_rooms_gone_total",
        Counter,
        Unit::Count,
        |stats| stats.gone,
        "Deliveries missed by sessions that had ended.",
    ),
    (
        "sockjs_rooms_unsupported_total",
        Counter,
        Unit::Count,
        |stats| stats.unsupported,
        "Deliveries of binary messages to sessions that carry none.",
    ),
    (
        "sockjs_rooms_refused_total",
        Counter,
        Unit::Count,
        |stats| stats.refused,
        "Messages that were sent to nobody.",
    ),
    (
        "sockjs_rooms_recovered_total",
        Counter,
        Unit::Count,
        |stats| stats.recovered,
        "Clients that have got all that they had missed.",
    ),
    (
        "sockjs_rooms_positions_gone_total",
        Counter,
        Unit::Count,
        |stats| stats.positions_gone,
        "Clients that have come back too late.",
    ),
    (
        "sockjs_rooms_panics_total",
        Counter,
        Unit::Count,
        |stats| stats.panics,
        "Panics of the application's code that were caught.",
    ),
    (
        "sockjs_rooms_bus_connected",
        Gauge,
        Unit::Count,
        |stats| stats.bus.map_or(0, |bus| u64::from(bus.status.is_connected())),
        "Whether the bus reaches other nodes.",
    ),
    (
        "sockjs_rooms_bus_heard",
        Gauge,
        Unit::Count,
        |stats| stats.bus.map_or(0, |bus| u64::from(bus.is_heard)),
        "Whether this node hears the others.",
    ),
    (
        "sockjs_rooms_nodes",
        Gauge,
        Unit::Count,
        |stats| stats.bus.map_or(0, |bus| bus.nodes as u64),
        "Other nodes that are known.",
    ),
    (
        "sockjs_rooms_nodes_dead_total",
        Counter,
        Unit::Count,
        |stats| stats.bus.map_or(0, |bus| bus.dead),
        "Nodes that have fallen silent.",
    ),
    (
        "sockjs_rooms_bus_published_total",
        Counter,
        Unit::Count,
        |stats| stats.bus.map_or(0, |bus| bus.port.published),
        "Messages that the bus has taken.",
    ),
    (
        "sockjs_rooms_bus_refused_total",
        Counter,
        Unit::Count,
        |stats| stats.bus.map_or(0, |bus| bus.port.refused),
        "Messages that the bus has refused.",
    ),
    (
        "sockjs_rooms_bus_received_total",
        Counter,
        Unit::Count,
        |stats| stats.bus.map_or(0, |bus| bus.port.received),
        "Messages of other nodes.",
    ),
    (
        "sockjs_rooms_bus_missed_total",
        Counter,
        Unit::Count,
        |stats| stats.bus.map_or(0, |bus| bus.port.missed),
        "Messages of other nodes that are missing between others.",
    ),
    (
        "sockjs_rooms_bus_subscriptions_refused_total",
        Counter,
        Unit::Count,
        |stats| stats.bus.map_or(0, |bus| bus.subscriptions_refused),
        "Users and rooms for which nothing of other nodes comes.",
    ),
    (
        "sockjs_rooms_bus_not_kept_total",
        Counter,
        Unit::Count,
        |stats| stats.bus.map_or(0, |bus| bus.not_kept),
        "Messages to histories that the bus has not taken.",
    ),
    (
        "sockjs_rooms_histories_lost_total",
        Counter,
        Unit::Count,
        |stats| stats.bus.map_or(0, |bus| bus.histories_lost),
        "Histories that members could not be sent whole.",
    ),
];

impl<K, U, D> Rooms<K, U, D> {
    /// Passes [`stats`](Self::stats) to the recorder of the [`metrics`](https://docs.rs/metrics) facade. The label
    /// `rooms` distinguishes these from others.
    ///
    /// Nothing is recorded between calls: call it before a Prometheus exporter renders the metrics. Without a recorder
    /// it does nothing.
    ///
    /// | metric | kind | |
    /// |---|---|---|
    /// | `sockjs_rooms` | gauge | Rooms that exist. |
    /// | `sockjs_rooms_occupied` | gauge | Rooms that have members. |
    /// | `sockjs_rooms_members` | gauge | Memberships. |
    /// | `sockjs_rooms_sessions` | gauge | Sessions that are known. |
    /// | `sockjs_rooms_users` | gauge | Users that have a tab. |
    /// | `sockjs_rooms_history_bytes` | gauge | The bytes of all histories. |
    /// | `sockjs_rooms_messages_sent_total` | counter | Messages sent to many. |
    /// | `sockjs_rooms_deliveries_total` | counter | Deliveries of these to sessions. |
    /// | `sockjs_rooms_dropped_total` | counter | Deliveries missed by sessions whose queue was full. |
    /// | `sockjs_rooms_gone_total` | counter | Deliveries missed by sessions that had ended. |
    /// | `sockjs_rooms_unsupported_total` | counter | Deliveries of binary messages to sessions that carry none. |
    /// | `sockjs_rooms_refused_total` | counter | Messages that were sent to nobody. |
    /// | `sockjs_rooms_recovered_total` | counter | Clients that have got all that they had missed. |
    /// | `sockjs_rooms_positions_gone_total` | counter | Clients that have come back too late. |
    /// | `sockjs_rooms_panics_total` | counter | Panics of the application's code that were caught. |
    /// | `sockjs_rooms_bus_connected` | gauge | Whether the bus reaches other nodes. |
    /// | `sockjs_rooms_bus_heard` | gauge | Whether this node hears the others. |
    /// | `sockjs_rooms_nodes` | gauge | Other nodes that are known. |
    /// | `sockjs_rooms_nodes_dead_total` | counter | Nodes that have fallen silent. |
    /// | `sockjs_rooms_bus_published_total` | counter | Messages that the bus has taken. |
    /// | `sockjs_rooms_bus_refused_total` | counter | Messages that the bus has refused. |
    /// | `sockjs_rooms_bus_received_total` | counter | Messages of other nodes. |
    /// | `sockjs_rooms_bus_missed_total` | counter | Messages of other nodes that are missing between others. |
    /// | `sockjs_rooms_bus_subscriptions_refused_total` | counter | Users and rooms for which nothing of other nodes comes. |
    /// | `sockjs_rooms_bus_not_kept_total` | counter | Messages to histories that the bus has not taken. |
    /// | `sockjs_rooms_histories_lost_total` | counter | Histories that members could not be sent whole. |
    ///
    /// Those of nodes and of the bus are 0 without one.
    pub fn record_metrics(&self, rooms: &str) {
        let stats = self.stats();
        for &(name, kind, unit, read, help) in METRICS {
            let value = read(&stats);
            match kind {
                Counter => {
                    describe_counter!(name, unit, help);
                    counter!(name, "rooms" => rooms.to_owned()).absolute(value);
                }
                Gauge => {
                    describe_gauge!(name, unit, help);
                    gauge!(name, "rooms" => rooms.to_owned()).set(value as f64);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_lists_every_metric() {
        let source = include_str!("metrics.rs");
        for (name, kind, _, _, help) in METRICS {
            let kind = if *kind == Counter { "counter" } else { "gauge" };
            let row = format!("    /// | `{name}` | {kind} | {help} |\n");
            assert!(source.contains(&row), "{row}");
            assert_eq!(name.ends_with("_total"), kind == "counter");
        }
    }

    #[tokio::test]
    async fn the_numbers_are_recorded() {
        let rooms = Rooms::new();
        let (session, _peer) = axum_sockjs::Pair::new().identity("ada".to_owned()).open();
        let member = rooms.join(&session, "lobby").await.expect("there is room");
        member.send("hello");
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || rooms.record_metrics("chat"));
        let text = handle.render();
        for (name, ..) in METRICS {
            assert!(text.contains(&format!("{name}{{rooms=\"chat\"}}")), "{name}: {text}");
        }
        for line in
            ["sockjs_rooms_users{rooms=\"chat\"} 1", "sockjs_rooms_deliveries_total{rooms=\"chat\"} 1"]
        {
            assert!(text.contains(line), "{line}: {text}");
        }
    }
}
