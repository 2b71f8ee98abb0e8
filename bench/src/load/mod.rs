//! The load generator: many sessions on one thread, each message checked.

mod churn;
mod connection;
mod http;
mod incoming;
mod info;
pub(crate) mod messages;
mod session;
mod slow;
mod stomp;
mod transport;
mod websocket;

use std::{
    future::poll_fn,
    hash::{BuildHasher, RandomState},
    net::SocketAddr,
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::Poll,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use serde::Serialize;
use tokio::{
    sync::{Notify, Semaphore, watch},
    task::JoinSet,
    time::{Interval, MissedTickBehavior, interval, sleep, timeout},
};

use self::session::Session;
pub(crate) use self::{
    churn::churn,
    slow::{SlowReport, beside_slow_readers},
    stomp::Content,
};
pub(crate) use self::{messages::Body, transport::Transport};
use crate::procfs;

/// How many sessions open at once.
const OPENING: usize = 100;
/// How long all of them may take, and how long the last messages may.
const PATIENCE: Duration = Duration::from_secs(60);
const DRAIN: Duration = Duration::from_secs(10);

/// Who gets whose messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Shape {
    /// Each session its own.
    Echo,
    /// All sessions the first one's.
    Broadcast,
    /// Each second session those of the one before it.
    Pairs,
}

impl Shape {
    fn sends(self, number: usize) -> bool {
        match self {
            Self::Echo => true,
            Self::Broadcast => number == 0,
            Self::Pairs => number & 1 == 0,
        }
    }

    /// Whose messages a session gets.
    fn sender(self, number: usize) -> usize {
        match self {
            Self::Echo => number,
            Self::Broadcast => 0,
            Self::Pairs => number - number % 2,
        }
    }

    /// How many sessions send, and how many get each message.
    fn counts(self, sessions: usize) -> (usize, u64) {
        match self {
            Self::Echo => (sessions, 1),
            Self::Broadcast => (1, sessions as u64),
            Self::Pairs => (sessions / 2, 1),
        }
    }
}

/// What to do.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    /// The servers; each session's is the next one.
    pub(crate) targets: Vec<SocketAddr>,
    /// The path of the service.
    pub(crate) path: String,
    pub(crate) transport: Transport,
    pub(crate) sessions: usize,
    /// Messages in flight in each session; none leaves the sessions idle.
    pub(crate) in_flight: u64,
    /// Messages per second of a broadcast, however many are in flight. Their latencies are kept.
    pub(crate) rate: Option<f64>,
    pub(crate) body: Body,
    pub(crate) size: usize,
    pub(crate) shape: Shape,
    pub(crate) content: Content,
    pub(crate) warm_up: Duration,
    pub(crate) measure: Duration,
    /// The servers' processes.
    pub(crate) pids: Vec<u32>,
    /// The process of what is between the servers, whose processor time is told apart.
    pub(crate) between: Option<u32>,
}

impl Spec {
    /// The server of a session.
    fn target(&self, number: usize) -> SocketAddr {
        self.targets[number % self.targets.len()]
    }
}

/// What was seen.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    /// Messages received while measuring; in a broadcast, by all sessions together.
    pub(crate) messages: u64,
    pub(crate) heartbeats: u64,
    pub(crate) seconds: f64,
    pub(crate) per_second: f64,
    /// Processor time of the servers.
    pub(crate) server_seconds: f64,
    /// Processor time of what is between them.
    pub(crate) between_seconds: f64,
    pub(crate) per_server_second: f64,
    /// The part of a core that the generator needed: below 1, it was not what limited the rate.
    pub(crate) generator_share: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    pub(crate) max_us: f64,
}

/// What all sessions share.
pub(crate) struct Run {
    spec: Spec,
    nonce: u32,
    sending: AtomicBool,
    received: AtomicU64,
    heartbeats: AtomicU64,
    pings: AtomicU64,
    /// In a broadcast, tells the sender that everyone has got a message.
    delivered: Notify,
    /// Of each pair, what has been received, and what tells the sender.
    pairs: Vec<(AtomicU64, Notify)>,
    /// When each message of a broadcast at a fixed rate was sent.
    sent_at: Mutex<Vec<Instant>>,
    /// In nanoseconds.
    latencies: Mutex<Option<Histogram<u64>>>,
    open: AtomicUsize,
}

impl Run {
    fn new(spec: Spec) -> Arc<Self> {
        Arc::new(Self {
            nonce: RandomState::new().hash_one(0) as u32,
            sending: AtomicBool::new(true),
            received: AtomicU64::new(0),
            heartbeats: AtomicU64::new(0),
            pings: AtomicU64::new(0),
            delivered: Notify::new(),
            pairs: match spec.shape {
                Shape::Pairs => (0..spec.sessions / 2).map(|_| Default::default()).collect(),
                Shape::Echo | Shape::Broadcast => Vec::new(),
            },
            sent_at: Mutex::default(),
            latencies: Mutex::new(None),
            open: AtomicUsize::new(0),
            spec,
        })
    }

    /// A session's id, which was not used before.
    fn session_id(&self, number: usize) -> String {
        format!("{:06x}{number:05}", self.nonce & 0xff_ffff)
    }

    fn count(&self, received: u64, heartbeats: u64, now: Instant, sent: impl Iterator<Item = Instant>) {
        let before = self.received.fetch_add(received, Relaxed);
        self.heartbeats.fetch_add(heartbeats, Relaxed);
        let mut latencies = self.latencies.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *latencies {
            Some(latencies) => {
                sent.for_each(|sent| latencies.saturating_record((now - sent).as_nanos() as u64));
            }
            None => drop(sent),
        }
        drop(latencies);
        if self.spec.shape == Shape::Broadcast {
            let all = self.spec.sessions as u64;
            if before / all != (before + received) / all {
                self.delivered.notify_one();
            }
        }
    }

    /// Notes when a message of a broadcast at a fixed rate is sent.
    fn note_sent(&self, now: Instant) {
        self.sent_at.lock().unwrap_or_else(PoisonError::into_inner).push(now);
    }

    /// When messages of a broadcast were sent, by their numbers; none if their latencies are not kept.
    fn sent_at(&self, numbers: Range<u64>) -> Vec<Instant> {
        let sent_at = self.sent_at.lock().unwrap_or_else(PoisonError::into_inner);
        sent_at.get(numbers.start as usize..numbers.end as usize).map(<[_]>::to_vec).unwrap_or_default()
    }

    /// Counts what the second of a pair has received.
    fn count_of_pair(&self, number: usize, received: u64) {
        if let Some((of_pair, sender)) = self.pairs.get(number / 2) {
            of_pair.fetch_add(received, Relaxed);
            sender.notify_one();
        }
    }

    /// How many messages of a session all have received that are to.
    fn delivered(&self, number: usize, session: &Session) -> u64 {
        match self.spec.shape {
            Shape::Echo => session.received(),
            Shape::Broadcast => self.received.load(Relaxed) / self.spec.sessions as u64,
            Shape::Pairs => self.pairs[number / 2].0.load(Relaxed),
        }
    }

    /// What tells a session that its messages were delivered, unless they come back to it.
    async fn delivery(&self, number: usize) {
        match self.spec.shape {
            Shape::Echo => std::future::pending().await,
            Shape::Broadcast => self.delivered.notified().await,
            Shape::Pairs => self.pairs[number / 2].1.notified().await,
        }
    }

    fn count_ping(&self) {
        self.pings.fetch_add(1, Relaxed);
    }

    fn is_sending(&self) -> bool {
        self.sending.load(Relaxed)
    }

    /// How many messages follow on so many received.
    fn follow(&self, received: u64) -> u64 {
        if self.spec.shape == Shape::Echo && self.is_sending() { received } else { 0 }
    }
}

/// Of latencies from a nanosecond to a minute, each to one part in a hundred.
fn no_latencies() -> Histogram<u64> {
    Histogram::new_with_max(60_000_000_000, 2).expect("these bounds are valid")
}

/// Sessions that are open.
pub(crate) struct Load {
    run: Arc<Run>,
    tasks: JoinSet<Result<u64, String>>,
    go: watch::Sender<bool>,
}

impl Load {
    /// Opens all sessions.
    pub(crate) async fn open(spec: Spec) -> Result<Self, String> {
        let run = Run::new(spec);
        let mut tasks = JoinSet::new();
        let (go, _) = watch::channel(false);
        let opening = Arc::new(Semaphore::new(OPENING));
        for number in 0..run.spec.sessions {
            tasks.spawn(session(run.clone(), number, opening.clone(), go.subscribe()));
        }
        let mut load = Self { run, tasks, go };
        let all_open = async {
            while load.run.open.load(Relaxed) < load.run.spec.sessions {
                load.check()?;
                sleep(Duration::from_millis(5)).await;
            }
            Ok(())
        };
        timeout(PATIENCE, all_open).await.unwrap_or_else(|_| Err("the sessions do not open".to_owned()))?;
        Ok(load)
    }

    /// Fails if a session has.
    pub(crate) fn check(&mut self) -> Result<(), String> {
        match self.tasks.try_join_next() {
            None | Some(Ok(Ok(_))) => Ok(()),
            Some(Ok(Err(error))) => Err(error),
            Some(Err(error)) => Err(error.to_string()),
        }
    }

    /// How many heartbeats have come. Some servers send frames on a WebSocket, some pings, some both.
    pub(crate) fn heartbeats(&self) -> u64 {
        self.run.heartbeats.load(Relaxed).max(self.run.pings.load(Relaxed))
    }

    pub(crate) fn received(&self) -> u64 {
        self.run.received.load(Relaxed)
    }

    /// Lets the messages go.
    pub(crate) fn start(&self) {
        self.go.send_replace(true);
    }

    /// Waits, while the sessions work on.
    pub(crate) async fn pass(&mut self, time: Duration) -> Result<(), String> {
        sleep(time).await;
        self.check()
    }

    /// Warms up, measures, and takes the last messages in.
    pub(crate) async fn measure(mut self) -> Result<Report, String> {
        self.start();
        let Spec { warm_up, measure, .. } = self.run.spec;
        self.pass(warm_up).await?;
        let report = self.sample(measure).await?;
        self.finish().await?;
        Ok(report)
    }

    /// Measures for a while.
    pub(crate) async fn sample(&mut self, time: Duration) -> Result<Report, String> {
        let Spec { ref pids, between, .. } = self.run.spec;
        let (pids, between) = (pids.clone(), Vec::from_iter(between));
        let cpu = |pids: &[u32]| pids.iter().map(|pid| procfs::cpu(*pid)).sum::<Duration>();
        *self.latencies() = Some(no_latencies());
        let before = (
            Instant::now(),
            self.received(),
            self.heartbeats(),
            cpu(&pids),
            cpu(&between),
            procfs::own_cpu(),
        );
        let passed = self.pass(time).await;
        let seconds = before.0.elapsed().as_secs_f64();
        let messages = self.received() - before.1;
        let heartbeats = self.heartbeats() - before.2;
        let server_seconds = cpu(&pids).saturating_sub(before.3).as_secs_f64();
        let between_seconds = cpu(&between).saturating_sub(before.4).as_secs_f64();
        let own_seconds = procfs::own_cpu().saturating_sub(before.5).as_secs_f64();
        let latencies = self.latencies().take().unwrap_or_else(no_latencies);
        passed?;
        let us = |nanos: u64| nanos as f64 / 1000.0;
        Ok(Report {
            messages,
            heartbeats,
            seconds,
            per_second: messages as f64 / seconds,
            server_seconds,
            between_seconds,
            per_server_second: if server_seconds > 0.0 { messages as f64 / server_seconds } else { 0.0 },
            generator_share: own_seconds / seconds,
            p50_us: us(latencies.value_at_quantile(0.5)),
            p99_us: us(latencies.value_at_quantile(0.99)),
            p999_us: us(latencies.value_at_quantile(0.999)),
            max_us: us(latencies.max()),
        })
    }

    fn latencies(&self) -> std::sync::MutexGuard<'_, Option<Histogram<u64>>> {
        self.run.latencies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops sending, and sees that each message sent has arrived.
    pub(crate) async fn finish(mut self) -> Result<(), String> {
        self.run.sending.store(false, Relaxed);
        self.go.send_replace(true);
        self.run.delivered.notify_one();
        self.run.pairs.iter().for_each(|(_, sender)| sender.notify_one());
        if self.run.spec.in_flight == 0 {
            return self.check();
        }
        let drained = async {
            // Only senders end by themselves.
            let (senders, receivers) = self.run.spec.shape.counts(self.run.spec.sessions);
            let mut sent = 0;
            for _ in 0..senders {
                let Some(session) = self.tasks.join_next().await else { break };
                sent += session.map_err(|error| error.to_string())?? * receivers;
            }
            while self.run.received.load(Relaxed) < sent {
                sleep(Duration::from_millis(1)).await;
            }
            match self.run.received.load(Relaxed) {
                received if received == sent => Ok(()),
                received => Err(format!("{sent} messages were sent, {received} came")),
            }
        };
        timeout(DRAIN, drained).await.unwrap_or_else(|_| Err("messages are missing".to_owned()))
    }
}

/// Asks for `/info` on many connections, and measures that.
pub(crate) async fn info(spec: Spec) -> Result<Report, String> {
    const CONNECTIONS: usize = 16;
    let spec = Spec { sessions: CONNECTIONS, in_flight: 1, shape: Shape::Echo, ..spec };
    let run = Run::new(spec);
    let mut tasks = JoinSet::new();
    for number in 0..CONNECTIONS {
        tasks.spawn(info::Asking::connect(run.clone(), number).await?.ask());
    }
    let (go, _) = watch::channel(true);
    Load { run, tasks, go }.measure().await
}

/// Opens a session, with all that it has to say for that.
async fn open(run: &Arc<Run>, number: usize) -> Result<Session, String> {
    let mut session = Session::connect(run.clone(), number).await?;
    if run.spec.content != Content::Text {
        session.prepare_to_send().await?;
    }
    poll_fn(|cx| session.poll_open(cx)).await?;
    Ok(session)
}

/// Waits until the next message is due, if messages are sent at a fixed rate.
async fn tick(ticks: &mut Option<Interval>) {
    match ticks {
        Some(ticks) => _ = ticks.tick().await,
        None => std::future::pending().await,
    }
}

/// Holds one session; says how many messages it sent.
async fn session(
    run: Arc<Run>,
    number: usize,
    opening: Arc<Semaphore>,
    mut go: watch::Receiver<bool>,
) -> Result<u64, String> {
    let permit = opening.acquire().await.map_err(|error| error.to_string())?;
    let sends = run.spec.in_flight > 0 && run.spec.shape.sends(number);
    let mut session = open(&run, number).await?;
    if sends {
        session.prepare_to_send().await?;
    } else if run.spec.content != Content::Text {
        session.only_receive().await?;
    }
    drop(permit);
    run.open.fetch_add(1, Relaxed);
    if !sends {
        return poll_fn(|cx| {
            session.poll(cx).map_or_else(|error| Poll::Ready(Err(error)), |()| Poll::Pending)
        })
        .await;
    }
    go.wait_for(|go| *go).await.map_err(|error| error.to_string())?;
    let mut ticks = run.spec.rate.map(|rate| {
        let mut ticks = interval(Duration::from_secs_f64(1.0 / rate));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    });
    loop {
        if run.is_sending() && ticks.is_none() {
            let in_flight = session.sent() - run.delivered(number, &session);
            session.send(run.spec.in_flight.saturating_sub(in_flight), Instant::now());
        }
        let done = poll_fn(|cx| match session.poll(cx) {
            Err(error) => Poll::Ready(Err(error)),
            Ok(()) if !run.is_sending() && run.delivered(number, &session) == session.sent() => {
                Poll::Ready(Ok(session.sent()))
            }
            Ok(()) => Poll::Pending,
        });
        tokio::select! {
            done = done => return done,
            () = run.delivery(number) => {}
            () = tick(&mut ticks), if run.is_sending() => {
                let now = Instant::now();
                run.note_sent(now);
                session.send(1, now);
            }
        }
    }
}
