//! A configuration, and a backend whose answers a test says.

use std::{
    error::Error,
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{HeaderMap, header::ORIGIN};
use tokio::time::Instant;

use super::{
    dial::{Dial, DialFailure, Probe},
    members::Members,
    snapshot::DialOutcome,
};
use crate::config::backend::{
    Backend, BackendTls, Balance, Binary, Check, Cookies, Health, Host, Pass, Upstream,
};

pub(crate) const OPEN_TIMEOUT: Duration = Duration::from_secs(8);
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
pub(crate) const INTERVAL: Duration = Duration::from_secs(10);
pub(crate) const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// Three failures take a backend out, two checks bring it back.
pub(crate) fn upstream(urls: &[&str]) -> Upstream {
    Upstream {
        backends: urls.iter().map(|url| Backend { url: url.parse().expect("a URL"), drain: false }).collect(),
        balance: Balance::RoundRobin,
        pass: Pass { headers: vec![ORIGIN], cookies: Cookies::None, query: false, host: Host::Backend },
        set: HeaderMap::new(),
        binary: Binary::Refuse,
        tls: BackendTls::default(),
        connect_timeout: CONNECT_TIMEOUT,
        open_timeout: OPEN_TIMEOUT,
        max_message_bytes: 1 << 20,
        ping_interval: None,
        pong_timeout: Duration::from_secs(10),
        close_timeout: Duration::from_secs(5),
        health: Health { check: Check::Tcp, interval: INTERVAL, timeout: CHECK_TIMEOUT, fall: 3, rise: 2 },
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Well,
    Refuse,
    Unavailable,
    OutOfFiles,
    Fail,
    /// Until the patience of a check ends, or that of `CONNECT_TIMEOUT` for a dial.
    Hang,
    /// A dial that has no patience of its own.
    HangForEver,
}

#[derive(Debug, Clone)]
pub(crate) struct Scripted(Arc<Mutex<Script>>);

#[derive(Debug)]
struct Script {
    dial: Answer,
    probe: Answer,
    /// Checks for a WebSocket are answered as dials are.
    handshakes: Vec<Instant>,
    dials: usize,
    probes: Vec<Instant>,
    /// Checks under way, and the most that there have been.
    probing: (usize, usize),
}

impl Scripted {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Script {
            dial: Answer::Well,
            probe: Answer::Well,
            handshakes: Vec::new(),
            dials: 0,
            probes: Vec::new(),
            probing: (0, 0),
        })))
    }

    fn with<T>(&self, f: impl FnOnce(&mut Script) -> T) -> T {
        f(&mut self.0.lock().expect("no test panics under it"))
    }

    pub(crate) fn dials(&self) -> usize {
        self.with(|script| script.dials)
    }

    pub(crate) fn probes(&self) -> Vec<Instant> {
        self.with(|script| script.probes.clone())
    }

    /// The checks for a WebSocket, which are not among the others.
    pub(crate) fn handshakes(&self) -> Vec<Instant> {
        self.with(|script| script.handshakes.clone())
    }

    pub(crate) fn most_probes_at_once(&self) -> usize {
        self.with(|script| script.probing.1)
    }

    /// How many hold it beside the test.
    pub(crate) fn holders(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }

    pub(crate) fn answer_dials(&self, answer: Answer) {
        self.with(|script| script.dial = answer);
    }

    pub(crate) fn answer_probes(&self, answer: Answer) {
        self.with(|script| script.probe = answer);
    }
}

/// One member for each of them, named `ws://NAME/`.
pub(crate) fn members(upstream: &Upstream, backends: &[&Scripted]) -> Members<Scripted> {
    assert_eq!(upstream.backends.len(), backends.len());
    Members::with(upstream, backends.iter().copied().cloned().collect())
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure(pub(crate) DialOutcome);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

impl Error for Failure {}

impl DialFailure for Failure {
    fn outcome(&self) -> DialOutcome {
        self.0
    }
}

async fn answer(answer: Answer, patience: Duration) -> Result<(), Failure> {
    match answer {
        Answer::Well => Ok(()),
        Answer::Refuse => Err(Failure(DialOutcome::Refused)),
        Answer::Unavailable => Err(Failure(DialOutcome::Unavailable)),
        Answer::OutOfFiles => Err(Failure(DialOutcome::OutOfFiles)),
        Answer::Fail => Err(Failure(DialOutcome::Failed)),
        Answer::Hang => {
            tokio::time::sleep(patience).await;
            Err(Failure(DialOutcome::TimedOut))
        }
        Answer::HangForEver => std::future::pending().await,
    }
}

impl Dial<()> for Scripted {
    type Socket = ();

    async fn dial(&self, (): &()) -> Result<(), Failure> {
        let dial = self.with(|script| {
            script.dials += 1;
            script.dial
        });
        answer(dial, CONNECT_TIMEOUT).await
    }
}

impl Probe for Scripted {
    type Error = Failure;

    async fn probe(&self, check: &Check, patience: Duration) -> Result<(), Failure> {
        if *check == Check::WebSocket {
            let dial = self.with(|script| {
                script.handshakes.push(Instant::now());
                script.dial
            });
            return answer(dial, patience).await;
        }
        let probe = self.with(|script| {
            script.probes.push(Instant::now());
            let now = script.probing.0 + 1;
            script.probing = (now, script.probing.1.max(now));
            script.probe
        });
        let outcome = answer(probe, patience).await;
        self.with(|script| script.probing.0 -= 1);
        outcome
    }
}
