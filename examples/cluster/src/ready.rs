//! Whether a node is ready for new clients: what a balancer or an orchestrator asks for.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Instant,
};

use axum::{Router, http::StatusCode, routing::get};
use sockjs_bus::Status;
use tokio::sync::watch;

/// What `GET /ready` of a node goes by.
#[derive(Clone)]
pub(crate) struct Ready {
    bus: watch::Receiver<Status>,
    /// Whether it has been connected.
    was_connected: Arc<AtomicBool>,
    is_draining: Arc<AtomicBool>,
}

impl Ready {
    pub(crate) fn new(bus: watch::Receiver<Status>) -> Self {
        let (was_connected, is_draining) = Default::default();
        Self { bus, was_connected, is_draining }
    }

    /// New clients are to go elsewhere from now on.
    pub(crate) fn drain(&self) {
        self.is_draining.store(true, Relaxed);
    }

    /// 503 until the bus has been there for once, and while the node drains. A later outage of the bus is one of all nodes:
    /// if each of them said that it is not ready, nobody would be served, so the body alone says it.
    fn answer(&self) -> (StatusCode, String) {
        if self.is_draining.load(Relaxed) {
            return (StatusCode::SERVICE_UNAVAILABLE, "draining\n".to_owned());
        }
        let status = *self.bus.borrow();
        let was_connected = self.was_connected.fetch_or(status.is_connected(), Relaxed);
        match status {
            Status::Connected => (StatusCode::OK, "ready\n".to_owned()),
            _ if !was_connected => (StatusCode::SERVICE_UNAVAILABLE, "waits for the bus\n".to_owned()),
            Status::Reconnecting { since } => {
                let seconds = Instant::now().saturating_duration_since(since).as_secs();
                (StatusCode::OK, format!("degraded: no bus for {seconds} s\n"))
            }
            _ => (StatusCode::OK, "degraded: the bus is closed\n".to_owned()),
        }
    }

    pub(crate) fn router(self) -> Router {
        Router::new().route("/ready", get(async move || self.answer()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_node_is_ready_once_the_bus_was_there_and_until_it_drains() {
        let lost = |seconds| {
            let since = Instant::now().checked_sub(Duration::from_secs(seconds));
            Status::Reconnecting { since: since.expect("the machine runs for longer") }
        };
        let (bus, status) = watch::channel(lost(0));
        let ready = Ready::new(status);
        let answers = |status, text: &str| {
            assert_eq!(ready.answer(), (status, format!("{text}\n")));
        };
        answers(StatusCode::SERVICE_UNAVAILABLE, "waits for the bus");
        bus.send_replace(Status::Connected);
        answers(StatusCode::OK, "ready");
        bus.send_replace(lost(3));
        answers(StatusCode::OK, "degraded: no bus for 3 s");
        bus.send_replace(Status::Closed);
        answers(StatusCode::OK, "degraded: the bus is closed");
        bus.send_replace(Status::Connected);
        ready.drain();
        answers(StatusCode::SERVICE_UNAVAILABLE, "draining");
    }
}
