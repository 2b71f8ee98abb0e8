//! The numbers of a server.
//!
//! Imports: broker, outbox, registry, session.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use stomp_codec::Command;

use crate::{broker::bus_stats::BusStats, outbox::Traffic, registry::Registry, session::DisconnectReason};

/// The numbers of a server at one moment: see [`StompServer::stats`](crate::StompServer::stats).
///
/// Totals count since the server was built and never fall.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StompStats {
    /// Sessions that are open.
    pub sessions: usize,
    /// Users that have a session.
    pub users: usize,
    /// Total of sessions that have begun.
    pub connected: u64,
    /// Total of connections that have got an `ERROR` before a session began.
    pub refused: u64,
    /// Total of sessions that have ended, by the [name](DisconnectReason::name) of the reason.
    pub disconnected: BTreeMap<&'static str, u64>,
    /// Total of frames taken from clients, by command.
    pub frames: BTreeMap<&'static str, u64>,
    /// Total of `ERROR` frames by their `message`; those whose text is the application's are `application`, and those
    /// that a clock has caused `heart-beat-timeout` and `expired`.
    pub errors: BTreeMap<&'static str, u64>,
    /// Total of messages for subscribers that were handed to their connections or to wait for them.
    pub delivered: u64,
    /// Total of messages that were dropped because their clients read too slowly.
    pub dropped: u64,
    /// Total of `SEND` frames past the handlers, by where they went: `broker`, `user`, `temporary`.
    pub published: BTreeMap<&'static str, u64>,
    /// What handlers did, those of messages first.
    pub handlers: Vec<HandlerStats>,
    /// What concerns other nodes, if the broker is over a [bus](crate::broker::memory::MemoryBrokerBuilder::bus). All other
    /// numbers are of this node.
    pub bus: Option<BusStats>,
}

/// What a handler did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HandlerStats {
    /// `SEND` or `SUBSCRIBE`.
    pub command: &'static str,
    /// The path that it was registered with, such as `/chat/{room}`.
    pub pattern: Arc<str>,
    /// How many calls have ended.
    pub calls: u64,
    /// How many of them have failed.
    pub failures: u64,
    /// How long they took together.
    pub time: Duration,
}

/// Commands of clients, in the order of the enum.
const COMMANDS: [Command; 11] = [
    Command::Connect,
    Command::Stomp,
    Command::Send,
    Command::Subscribe,
    Command::Unsubscribe,
    Command::Ack,
    Command::Nack,
    Command::Begin,
    Command::Commit,
    Command::Abort,
    Command::Disconnect,
];

/// Where `SEND` frames go that no handler gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Broker,
    User,
    Temporary,
}

const WAYS: [(&str, Way); 3] = [("broker", Way::Broker), ("user", Way::User), ("temporary", Way::Temporary)];

/// What `ERROR` frames are counted as whose text is the application's.
const APPLICATION: &str = "application";

/// What is counted.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    connected: AtomicU64,
    refused: AtomicU64,
    frames: [AtomicU64; COMMANDS.len()],
    published: [AtomicU64; WAYS.len()],
    disconnected: [AtomicU64; DisconnectReason::NAMES.len()],
    errors: Mutex<BTreeMap<&'static str, u64>>,
    /// Of the sessions that have ended.
    traffic: Mutex<Traffic>,
}

impl Counters {
    pub(crate) fn connected(&self) {
        add(&self.connected);
    }

    /// Counts a connection that has got an `ERROR` before a session began.
    pub(crate) fn refused(&self, message: &'static str) {
        add(&self.refused);
        self.error(message);
    }

    pub(crate) fn frame(&self, command: Command) {
        let place = command as usize;
        if COMMANDS.get(place) == Some(&command) {
            add(&self.frames[place]);
        }
    }

    pub(crate) fn published(&self, way: Way) {
        add(&self.published[way as usize]);
    }

    fn error(&self, message: &'static str) {
        *self.errors.lock().unwrap_or_else(PoisonError::into_inner).entry(message).or_default() += 1;
    }

    /// Counts the end of a session. `traffic` takes what it has counted itself, so that nothing is counted twice.
    pub(crate) fn disconnected(&self, reason: &DisconnectReason, traffic: impl FnOnce() -> Traffic) {
        let name = reason.name();
        if let Some(place) = DisconnectReason::NAMES.iter().position(|each| *each == name) {
            add(&self.disconnected[place]);
        }
        match reason {
            DisconnectReason::Error(Cow::Borrowed(message)) => self.error(message),
            DisconnectReason::Error(Cow::Owned(_)) | DisconnectReason::Server => self.error(APPLICATION),
            DisconnectReason::HeartBeatTimeout | DisconnectReason::Expired => self.error(name),
            DisconnectReason::Client
            | DisconnectReason::ConnectionLost(_)
            | DisconnectReason::TooSlow
            | DisconnectReason::Cancelled => {}
        }
        let mut sum = self.traffic.lock().unwrap_or_else(PoisonError::into_inner);
        *sum += traffic();
    }

    pub(crate) fn stats(
        &self,
        registry: &Registry,
        handlers: Vec<HandlerStats>,
        bus: Option<BusStats>,
    ) -> StompStats {
        let traffic = {
            // A session that ends meanwhile is counted here or there.
            let ended = self.traffic.lock().unwrap_or_else(PoisonError::into_inner);
            registry.sessions().iter().fold(*ended, |sum, session| sum + session.traffic())
        };
        let numbers = |names: &[&'static str], counts: &[AtomicU64]| {
            names.iter().copied().zip(counts.iter().map(get)).collect::<BTreeMap<_, _>>()
        };
        StompStats {
            sessions: registry.len(),
            users: registry.users_len(),
            connected: get(&self.connected),
            refused: get(&self.refused),
            disconnected: numbers(&DisconnectReason::NAMES, &self.disconnected),
            frames: numbers(&COMMANDS.map(Command::as_str), &self.frames),
            errors: self.errors.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            delivered: traffic.delivered,
            dropped: traffic.dropped,
            published: numbers(&WAYS.map(|(name, _)| name), &self.published),
            handlers,
            bus,
        }
    }
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// What a handler did.
#[derive(Debug, Default)]
pub(crate) struct HandlerCounters {
    calls: AtomicU64,
    failures: AtomicU64,
    micros: AtomicU64,
}

impl HandlerCounters {
    pub(crate) fn called(&self, is_failure: bool, time: Duration) {
        add(&self.calls);
        if is_failure {
            add(&self.failures);
        }
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    pub(crate) fn stats(&self, command: Command, pattern: Arc<str>) -> HandlerStats {
        HandlerStats {
            command: command.as_str(),
            pattern,
            calls: get(&self.calls),
            failures: get(&self.failures),
            time: Duration::from_micros(get(&self.micros)),
        }
    }
}
