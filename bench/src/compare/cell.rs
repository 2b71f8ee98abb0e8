//! One figure of one server.

use std::{fmt, time::Duration};

use super::{
    Times,
    rows::Work,
    servers::{Running, Server},
};
use crate::{
    load::{self, Body, Content, Load, Report, Shape, SlowReport, Spec, Transport},
    procfs,
};

/// What was measured.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    /// The figure that the row is about.
    pub(crate) value: f64,
    pub(crate) report: Option<Report>,
    /// The part of their rate that others kept, in rows about that.
    pub(crate) kept: Option<f64>,
    /// What else is worth to be said.
    pub(crate) note: String,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>11}", super::table::figure(self.value))?;
        if let Some(report) = &self.report {
            if report.p50_us > 0.0 {
                write!(f, "  p50 {:.0} us, p99 {:.0} us,", report.p50_us, report.p99_us)?;
            }
            let server = 100.0 * report.server_seconds / report.seconds;
            let generator = 100.0 * report.generator_share;
            write!(f, "  server {server:.0} % of a core, generator {generator:.0} %")?;
        }
        write!(f, "  {}", self.note)
    }
}

/// Measures on a server of its own; none where the server has no part in the row.
pub(crate) async fn measure(
    server: Server,
    work: Work,
    times: Times,
    core: Option<usize>,
) -> Result<Option<Cell>, String> {
    let start = |heartbeat| server.start(core, heartbeat, 1);
    let spec = |running: &Running, transport| Spec {
        targets: vec![running.address],
        path: running.path("/echo"),
        transport,
        sessions: 1,
        in_flight: 0,
        rate: None,
        body: Body::Ascii,
        size: 64,
        shape: Shape::Echo,
        content: Content::Text,
        warm_up: times.warm_up,
        measure: times.measure,
        pids: vec![running.pid()],
        between: None,
    };
    match work {
        Work::Echo { transport, sessions, in_flight, size, body } => {
            let Some(transport) = as_spoken_by(server, transport) else { return Ok(None) };
            let running = start(None)?;
            let spec = Spec { sessions, in_flight, body, size, ..spec(&running, transport) };
            let report = Load::open(spec).await?.measure().await?;
            Ok(Some(rate(report)))
        }
        Work::Info => {
            if server == Server::Tcp {
                return Ok(None);
            }
            let running = start(None)?;
            let report = load::info(spec(&running, Transport::WebSocket)).await?;
            Ok(Some(rate(report)))
        }
        Work::Broadcast { transport, sessions, in_flight } => {
            if !server.speaks_sockjs() {
                return Ok(None);
            }
            let running = start(None)?;
            let path = running.path("/broadcast");
            let spec =
                Spec { path, sessions, in_flight, shape: Shape::Broadcast, ..spec(&running, transport) };
            let report = Load::open(spec).await?.measure().await?;
            Ok(Some(rate(report)))
        }
        Work::Idle { transport, sessions } => {
            let Some(transport) = as_spoken_by(server, transport).filter(|_| server != Server::Tcp) else {
                return Ok(None);
            };
            let running = start(None)?;
            // What a server loads with its first sessions is no part of a session.
            Load::open(Spec { sessions: 50, ..spec(&running, transport) }).await?.finish().await?;
            tokio::time::sleep(Duration::from_millis(500)).await;
            let before = procfs::resident_of_each(running.pid());
            let mut load = Load::open(Spec { sessions, ..spec(&running, transport) }).await?;
            load.pass(Duration::from_secs(1)).await?;
            let after = procfs::resident_of_each(running.pid());
            load.finish().await?;
            let grown: Vec<u64> =
                after.iter().zip(&before).map(|(after, before)| after.saturating_sub(*before)).collect();
            let each = |bytes: u64| bytes as f64 / sessions as f64 / 1024.0;
            let value = each(grown.iter().sum());
            let mut note = format!("{} MiB in all", grown.iter().sum::<u64>() >> 20);
            if let [edge, owner] = grown[..] {
                note += &format!("; edge {:.1}, owner {:.1}", each(edge), each(owner));
            }
            Ok(Some(Cell { value, report: None, kept: None, note }))
        }
        Work::Heartbeat { transport, sessions } => {
            let Some(transport) = as_spoken_by(server, transport) else { return Ok(None) };
            const EVERY: Duration = Duration::from_secs(2);
            let running = start(Some(EVERY))?;
            let mut load = Load::open(Spec { sessions, ..spec(&running, transport) }).await?;
            // Until all beat steadily; then two beats of each.
            load.pass(EVERY).await?;
            let report = load.sample(EVERY * 2).await?;
            load.finish().await?;
            if report.heartbeats < sessions as u64 {
                return Err(format!("only {} heartbeats", report.heartbeats));
            }
            let value = report.server_seconds / report.heartbeats as f64 * 1e6;
            let note = format!("{} heartbeats", report.heartbeats);
            Ok(Some(Cell { value, report: None, kept: None, note }))
        }
        Work::SlowReaders => {
            let Some(transport) = as_spoken_by(server, Transport::XhrStreaming) else { return Ok(None) };
            let running = start(None)?;
            let spec = Spec { sessions: 16, in_flight: 16, ..spec(&running, transport) };
            let SlowReport { grown, taken, kept } = load::beside_slow_readers(spec, running.pid()).await?;
            let value = grown as f64 / f64::from(1 << 20);
            let note = format!("took {} MiB, others kept {kept:.2}", taken >> 20);
            Ok(Some(Cell { value, report: None, kept: Some(kept), note }))
        }
        Work::Churn { transport, idle } => {
            if !server.speaks_sockjs() {
                return Ok(None);
            }
            let running = start(None)?;
            let mut background = Vec::new();
            for transport in [Transport::WebSocket, Transport::XhrStreaming, Transport::XhrPolling] {
                let spec = Spec { sessions: idle / 3, ..spec(&running, transport) };
                background.push(Load::open(spec).await?);
            }
            let report = load::churn(spec(&running, transport)).await?;
            for mut load in background {
                load.check()?;
            }
            Ok(Some(rate(report)))
        }
        Work::Cost { transport, sessions } => {
            let Some(transport) = as_spoken_by(server, transport) else { return Ok(None) };
            let running = start(None)?;
            let spec = Spec { sessions, in_flight: 1, ..spec(&running, transport) };
            let report = Load::open(spec).await?.measure().await?;
            Ok(Some(Cell { value: 1e6 / report.per_server_second, ..rate(report) }))
        }
        Work::TwoWorkers { transport, size, in_flight } => {
            if matches!(server, Server::Node | Server::Aiohttp | Server::Tornado) {
                return Ok(None);
            }
            let Some(transport) = as_spoken_by(server, transport) else { return Ok(None) };
            let pinned = core.map(|_| pin_this("0-1")).transpose()?;
            let mut rates = Vec::new();
            for workers in [1, 2] {
                let running = server.start(None, None, workers)?;
                let spec = Spec { sessions: 16, in_flight, size, ..spec(&running, transport) };
                rates.push(Load::open(spec).await?.measure().await?);
            }
            pinned.map(|()| pin_this("1")).transpose()?;
            let value = rates[1].per_second / rates[0].per_second;
            let cost = rates[0].per_server_second / rates[1].per_server_second;
            let note = format!(
                "processor time per message x {cost:.2}; generator {:.0} %, then {:.0} % of a core",
                100.0 * rates[0].generator_share,
                100.0 * rates[1].generator_share
            );
            Ok(Some(Cell { value, report: Some(rates.remove(1)), kept: None, note }))
        }
        Work::BesideHeartbeats { sessions, every } => {
            if !server.speaks_sockjs() {
                return Ok(None);
            }
            let running = start(Some(every))?;
            let mut idle = Load::open(Spec { sessions, ..spec(&running, Transport::WebSocket) }).await?;
            idle.pass(Duration::from_secs(1)).await?;
            let before = idle.heartbeats();
            let measure = Duration::from_secs(7);
            let spec = Spec { in_flight: 1, measure, ..spec(&running, Transport::WebSocket) };
            let report = Load::open(spec).await?.measure().await?;
            idle.check()?;
            let note = format!("{} heartbeats meanwhile", idle.heartbeats() - before);
            Ok(Some(Cell { value: report.max_us / 1000.0, note, ..rate(report) }))
        }
    }
}

/// Lets this process, and the servers that it starts, run on some cores.
fn pin_this(cores: &str) -> Result<(), String> {
    let own = std::process::id().to_string();
    let output = std::process::Command::new("taskset").args(["-acp", cores, &own]).output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        _ => Err("taskset fails".to_owned()),
    }
}

fn rate(report: Report) -> Cell {
    Cell { value: report.per_server_second, report: Some(report), kept: None, note: String::new() }
}

/// What a server that is no SockJS server has instead of a transport.
fn as_spoken_by(server: Server, transport: Transport) -> Option<Transport> {
    match (server, transport) {
        (Server::Tcp, Transport::WebSocket) => Some(Transport::Tcp),
        (Server::Tcp, _) => None,
        (Server::Axum, Transport::WebSocket | Transport::RawWebSocket) => Some(Transport::RawWebSocket),
        (Server::Axum, Transport::XhrStreaming | Transport::EventSource | Transport::HtmlFile) => {
            Some(Transport::PlainStreaming)
        }
        (Server::Axum, Transport::XhrPolling | Transport::JsonpPolling) => Some(Transport::PlainPolling),
        _ => Some(transport),
    }
}
