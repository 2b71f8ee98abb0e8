//! One room.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::{members::Members, stream::Stream};

pub(crate) struct Room<K, U, D> {
    pub(crate) key: K,
    pub(crate) hash: u64,
    /// Distinguishes it from all other rooms and users, also from those with the same key at other times.
    pub(crate) serial: u64,
    /// Whether it has a stream, for those who do not hold the lock.
    pub(crate) has_history: bool,
    state: Mutex<State<U, D>>,
}

pub(crate) struct State<U, D> {
    pub(crate) members: Arc<Members<U, D>>,
    /// The number of the next member.
    pub(crate) next_seq: u64,
    /// Whoever needs the room without being a member: those who join, and those who watch.
    pub(crate) pins: u32,
    /// It is no longer in the index: whoever finds it looks again.
    pub(crate) removed: bool,
    pub(crate) stream: Option<Box<Stream<U, D>>>,
    /// Tells those who watch that members have changed. It is created for the first of them.
    pub(crate) watched: Option<watch::Sender<()>>,
    /// A task tells the members what changes.
    pub(crate) is_announced: bool,
}

impl<K, U, D> Room<K, U, D> {
    pub(crate) fn new(key: K, hash: u64, serial: u64, stream: Option<Stream<U, D>>) -> Self {
        let has_history = stream.is_some();
        let state = State {
            members: Arc::default(),
            next_seq: 0,
            pins: 0,
            removed: false,
            stream: stream.map(Box::new),
            watched: None,
            is_announced: false,
        };
        Self { key, hash, serial, has_history, state: Mutex::new(state) }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State<U, D>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The members of now.
    pub(crate) fn members(&self) -> Arc<Members<U, D>> {
        Arc::clone(&self.lock().members)
    }
}
