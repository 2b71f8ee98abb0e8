//! One figure of one server.

use std::{fmt, time::Duration};

use super::{
    Times,
    rows::Work,
    servers::{Running, Server},
};
use crate::{
    load::{self, Body, Load, Report, Spec, Transport},
    procfs,
};

/// What was measured.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    /// The figure that the row is about.
    pub(crate) value: f64,
    pub(crate) report: Option<Report>,
    /// What else is worth to be said.
    pub(crate) note: String,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>11}", super::table::figure(self.value))?;
        if let Some(report) = &self.report {
            write!(
                f,
                "  p50 {:.0} us, p99 {:.0} us, server {:.0} % of a core, generator {:.0} %",
                report.p50_us,
                report.p99_us,
                100.0 * report.server_seconds / report.seconds,
                100.0 * report.generator_share
            )?;
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
        target: running.address,
        path: "/echo".to_owned(),
        transport,
        sessions: 1,
        in_flight: 0,
        body: Body::Ascii,
        size: 64,
        echoes: true,
        warm_up: times.warm_up,
        measure: times.measure,
        pid: Some(running.pid()),
    };
    match work {
        Work::Echo { transport, sessions, in_flight, size, body } => {
            let Some(transport) = as_spoken_by(server, transport) else { return Ok(None) };
            let running = start(None)?;
            let spec = Spec { sessions, in_flight, size, body, ..spec(&running, transport) };
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
            let path = "/broadcast".to_owned();
            let spec = Spec { path, sessions, in_flight, echoes: false, ..spec(&running, transport) };
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
            let before = procfs::resident(running.pid());
            let mut load = Load::open(Spec { sessions, ..spec(&running, transport) }).await?;
            load.pass(Duration::from_secs(1)).await?;
            let grown = procfs::resident(running.pid()).saturating_sub(before);
            load.finish().await?;
            let value = grown as f64 / sessions as f64 / 1024.0;
            Ok(Some(Cell { value, report: None, note: format!("{} MiB in all", grown >> 20) }))
        }
        Work::Heartbeat { transport, sessions } => {
            if !server.speaks_sockjs() {
                return Ok(None);
            }
            const EVERY: Duration = Duration::from_secs(3);
            let running = start(Some(EVERY))?;
            let mut load = Load::open(Spec { sessions, ..spec(&running, transport) }).await?;
            // Two rounds of heartbeats, wherever they start.
            load.pass(EVERY).await?;
            let report = load.sample(EVERY * 2).await?;
            load.finish().await?;
            if report.heartbeats < sessions as u64 {
                return Err(format!("only {} heartbeats", report.heartbeats));
            }
            let value = report.server_seconds / report.heartbeats as f64 * 1e6;
            let note = format!("{} heartbeats", report.heartbeats);
            Ok(Some(Cell { value, report: None, note }))
        }
    }
}

fn rate(report: Report) -> Cell {
    Cell { value: report.per_server_second, report: Some(report), note: String::new() }
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
