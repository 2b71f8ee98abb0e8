//! What is measured, and sent to whoever has subscribed.

use std::{
    convert::Infallible,
    time::{Duration, SystemTime},
};

use axum::Json;
use axum_sockjs::{Origins, SockJs, SockJsHandle};
use axum_stomp::{Stomp, StompServer, broker::memory::MemoryBroker};
use serde::Serialize;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::measure::{self, Cpu, CpuMeter, Memory};

const EVERY: Duration = Duration::from_secs(1);

/// A measurement, with its time in milliseconds since 1970.
#[derive(Serialize)]
struct At<T> {
    at: u64,
    #[serde(flatten)]
    measured: T,
}

/// The sessions of STOMP that are open, and their subscriptions.
#[derive(Serialize)]
struct Sessions {
    open: usize,
    subscriptions: usize,
}

/// Messages per second at the SockJS endpoint. A frame of STOMP is one, and so is a heart-beat.
#[derive(Serialize)]
struct Messages {
    sent: f64,
    received: f64,
}

/// A server of STOMP that has nothing to say but measurements.
pub(crate) struct Monitor {
    server: StompServer,
}

impl Monitor {
    pub(crate) fn new() -> Self {
        let broker =
            MemoryBroker::builder().topic_prefixes(["/monitoring"]).queue_prefixes(None::<String>).build();
        Self { server: Stomp::new().broker(broker).build() }
    }

    /// The endpoint, for pages of any origin: whoever reaches the server may see what it measures.
    pub(crate) fn sockjs(&self) -> SockJs {
        self.server.sockjs_with(self.server.sockjs_options().origins(Origins::any()))
    }

    /// Measures and sends once a second, for ever. The handle is that of the endpoint.
    pub(crate) async fn run(self, handle: SockJsHandle) -> Infallible {
        let mut cpu = CpuMeter::new();
        let mut traffic = Traffic::new(&handle);
        let mut ticks = interval_at(Instant::now() + EVERY, EVERY);
        // After a pause of the machine one measurement is enough.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // First, so that all is counted that was sent a second ago, and nothing of what follows.
            let messages = traffic.measure(&handle);
            if let Some(cpu) = cpu.measure() {
                self.send::<Cpu>("/monitoring/cpu", cpu).await;
            }
            if let Some(memory) = measure::memory() {
                self.send::<Memory>("/monitoring/memory", memory).await;
            }
            self.send("/monitoring/sessions", self.sessions()).await;
            self.send("/monitoring/messages", messages).await;
        }
    }

    async fn send<T: Serialize>(&self, destination: &'static str, measured: T) {
        let since_1970 = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let at = u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX);
        if let Err(error) = self.server.messenger().send(destination, Json(At { at, measured })).await {
            eprintln!("{destination}: {error}");
        }
    }

    fn sessions(&self) -> Sessions {
        let sessions = self.server.registry().sessions();
        let subscriptions = sessions.iter().map(|session| session.subscriptions().len()).sum();
        Sessions { open: sessions.len(), subscriptions }
    }
}

/// The traffic of the endpoint until now.
struct Traffic {
    time: Instant,
    sent: u64,
    received: u64,
}

impl Traffic {
    fn new(handle: &SockJsHandle) -> Self {
        let total = handle.stats().total();
        Self { time: Instant::now(), sent: total.messages_sent, received: total.messages_received }
    }

    /// What has come and gone in each second since the last call.
    fn measure(&mut self, handle: &SockJsHandle) -> Messages {
        let now = Self::new(handle);
        let seconds = now.time.duration_since(self.time).as_secs_f64();
        let rate = |now: u64, before: u64| measure::rounded(now.saturating_sub(before) as f64 / seconds);
        let messages =
            Messages { sent: rate(now.sent, self.sent), received: rate(now.received, self.received) };
        *self = now;
        messages
    }
}
