//! `/metrics`: the numbers of the gateway, of its endpoints and of its cluster, for Prometheus.

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::PrometheusBuilder;

use super::{histogram::write_dial_seconds, process::Process, shown::Shown};
use crate::pool::{
    pool::PoolSnapshot,
    snapshot::{Admission, DialOutcome},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

use Kind::{Counter, Gauge, Histogram};

/// Every metric of the gateway itself: its name, kind, unit, labels, and description.
const METRICS: &[(&str, Kind, Unit, &str, &str)] = &[
    (UP, Gauge, Unit::Count, "route, backend", "1 if the backend is up, 0 if it is down."),
    (
        DRAINING,
        Gauge,
        Unit::Count,
        "route, backend",
        "1 if the backend drains: its sessions stay, and no new one comes.",
    ),
    (SESSIONS, Gauge, Unit::Count, "route, backend", "Sessions of now."),
    (DIALLING, Gauge, Unit::Count, "route, backend", "Dials under way."),
    (DIALS, Counter, Unit::Count, "route, backend, outcome", "Dials that have ended."),
    (DIAL_SECONDS, Histogram, Unit::Seconds, "route, backend", DIAL_SECONDS_HELP),
    (LOST, Counter, Unit::Count, "route, backend", "Sessions whose connection to the backend broke."),
    (MESSAGES, Counter, Unit::Count, "route, backend, direction", "Messages carried."),
    (BYTES, Counter, Unit::Bytes, "route, backend, direction", "Bytes of these messages, without framing."),
    (ENDED, Counter, Unit::Count, "route, by, code", "Sessions that have ended."),
    (RELOADS, Counter, Unit::Count, "outcome", "Times that the configuration was read again."),
    (OPEN_FILES, Gauge, Unit::Count, "", "Open file descriptors of the process, on Linux."),
    (MAX_OPEN_FILES, Gauge, Unit::Count, "", "How many it may have open, on Linux."),
    (RESIDENT, Gauge, Unit::Bytes, "", "Memory of the process that is resident, on Linux."),
];

const UP: &str = "sockjs_gateway_backend_up";
const DRAINING: &str = "sockjs_gateway_backend_draining";
const SESSIONS: &str = "sockjs_gateway_backend_sessions";
const DIALLING: &str = "sockjs_gateway_backend_dialling";
const DIALS: &str = "sockjs_gateway_dials_total";
const DIAL_SECONDS: &str = "sockjs_gateway_dial_seconds";
const DIAL_SECONDS_HELP: &str = "How long dials took, but those abandoned or without a file descriptor.";
const LOST: &str = "sockjs_gateway_backend_lost_total";
const MESSAGES: &str = "sockjs_gateway_backend_messages_total";
const BYTES: &str = "sockjs_gateway_backend_bytes_total";
const ENDED: &str = "sockjs_gateway_sessions_ended_total";
const RELOADS: &str = "sockjs_gateway_reloads_total";
const OPEN_FILES: &str = "process_open_fds";
const MAX_OPEN_FILES: &str = "process_max_fds";
const RESIDENT: &str = "process_resident_memory_bytes";

/// Returns a scrape.
///
/// Its recorder is new: there is no series of a backend or an endpoint that has gone, however often the configuration
/// changes. Whoever embeds the gateway keeps the global recorder.
pub(super) fn scrape(shown: &Shown) -> String {
    let recorder = PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, || record(shown, Process::now()));
    let mut scrape = recorder.handle().render();
    write_dial_seconds(&mut scrape, DIAL_SECONDS, DIAL_SECONDS_HELP, &shown.pools);
    scrape
}

fn record(shown: &Shown, process: Process) {
    for (endpoint, stats) in &shown.endpoints {
        stats.record_metrics(endpoint);
    }
    if let Some((node, cluster)) = &shown.cluster {
        cluster.record_metrics(node);
    }
    for &(name, kind, unit, _, help) in METRICS {
        match kind {
            Counter => describe_counter!(name, unit, help),
            Gauge => describe_gauge!(name, unit, help),
            // It is described where it is written.
            Histogram => {}
        }
    }
    for pool in &shown.pools {
        record_pool(pool);
    }
    for (outcome, count) in [("succeeded", shown.reloads.succeeded), ("failed", shown.reloads.failed)] {
        counter!(RELOADS, "outcome" => outcome).increment(count);
    }
    for (name, number) in [
        (OPEN_FILES, process.open_files),
        (MAX_OPEN_FILES, process.max_open_files),
        (RESIDENT, process.resident_bytes),
    ] {
        if let Some(number) = number {
            gauge!(name).set(number as f64);
        }
    }
}

/// Two backends of a pool may have the same name, if one is no longer configured: they are one series, hence the increments.
fn record_pool(pool: &PoolSnapshot) {
    let route = || pool.route.clone();
    for (backend, traffic) in &pool.backends {
        let name = || backend.name.clone();
        if !matches!(backend.admission, Admission::Removed(_)) {
            gauge!(UP, "route" => route(), "backend" => name()).set(f64::from(u8::from(backend.up)));
            let draining = matches!(backend.admission, Admission::Draining(_));
            gauge!(DRAINING, "route" => route(), "backend" => name()).set(f64::from(u8::from(draining)));
        }
        gauge!(SESSIONS, "route" => route(), "backend" => name()).increment(backend.sessions as f64);
        gauge!(DIALLING, "route" => route(), "backend" => name()).increment(backend.dialling as f64);
        for outcome in DialOutcome::ALL {
            counter!(DIALS, "route" => route(), "backend" => name(), "outcome" => outcome.name())
                .increment(backend.dials.of(outcome));
        }
        counter!(LOST, "route" => route(), "backend" => name()).increment(backend.lost);
        for (direction, flow) in
            [("to-backend", &traffic.to_backend), ("from-backend", &traffic.from_backend)]
        {
            counter!(MESSAGES, "route" => route(), "backend" => name(), "direction" => direction)
                .increment(flow.messages());
            counter!(BYTES, "route" => route(), "backend" => name(), "direction" => direction)
                .increment(flow.bytes());
        }
    }
    for &(by, code, count) in &pool.ended {
        counter!(ENDED, "route" => route(), "by" => by, "code" => code).increment(count);
    }
}

#[cfg(test)]
mod tests;
