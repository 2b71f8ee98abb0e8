//! The sessions of one endpoint.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use uuid::Uuid;

use super::{Attachment, CloseReason, Shared, core::Settings, shared::Connection};
use crate::CloseFrame;

/// All sessions of an endpoint: those that clients name by an id, and those that are one socket each.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    maps: Mutex<Maps>,
    /// Sessions that have not ended. An ended one stays in the maps until its client was told.
    live: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct Maps {
    named: HashMap<Box<str>, Slot>,
    /// WebSockets, whose ids may repeat: the key is our own.
    sockets: HashMap<Uuid, Slot>,
    /// Who waits until nothing is left.
    drained: Vec<Waker>,
}

#[derive(Debug)]
enum Slot {
    /// The handler's extractors are still judging the opening request.
    Opening,
    Session(Arc<Shared>),
}

/// Counts one live session for as long as it exists.
#[derive(Debug)]
pub(crate) struct LiveCount(Arc<AtomicUsize>);

impl Drop for LiveCount {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a session id stands for.
pub(crate) enum Lookup {
    /// Nothing: the holder of the reservation may open a session.
    Vacant(Reservation),
    /// A session that is just being opened by another request.
    Opening,
    /// A session.
    Session(Arc<Shared>),
    /// Nothing, and the endpoint has as many sessions as it may.
    Full,
}

impl Registry {
    fn maps(&self) -> MutexGuard<'_, Maps> {
        self.maps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sessions that have not ended.
    pub(crate) fn live(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    fn count(&self) -> LiveCount {
        self.live.fetch_add(1, Ordering::Relaxed);
        LiveCount(Arc::clone(&self.live))
    }

    /// The session that receives under `id`, or the right to open it.
    pub(crate) fn lookup(self: &Arc<Self>, id: &str, max_sessions: usize) -> Lookup {
        let mut maps = self.maps();
        match maps.named.get(id) {
            Some(Slot::Opening) => return Lookup::Opening,
            Some(Slot::Session(shared)) if !shared.is_gone() => return Lookup::Session(Arc::clone(shared)),
            // Its driver has not yet come to take it out.
            Some(Slot::Session(_)) => drop(maps.named.remove(id)),
            None => {}
        }
        if maps.len() >= max_sessions {
            return Lookup::Full;
        }
        maps.named.insert(id.into(), Slot::Opening);
        Lookup::Vacant(Reservation { registry: Arc::clone(self), key: Some(Key::Name(id.into())) })
    }

    /// The right to open a session that is one socket, and has no name.
    #[cfg(feature = "websocket")]
    pub(crate) fn reserve_socket(self: &Arc<Self>, max_sessions: usize) -> Option<Reservation> {
        let mut maps = self.maps();
        if maps.len() >= max_sessions {
            return None;
        }
        let key = Uuid::new_v4();
        maps.sockets.insert(key, Slot::Opening);
        Some(Reservation { registry: Arc::clone(self), key: Some(Key::Socket(key)) })
    }

    /// The session that a sending request names.
    pub(crate) fn get(&self, id: &str) -> Option<Arc<Shared>> {
        self.maps().named.get(id).and_then(Slot::session).cloned()
    }

    /// Completes when no session is left, neither open nor closed.
    pub(crate) fn poll_drained(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut maps = self.maps();
        if maps.len() == 0 {
            return Poll::Ready(());
        }
        if !maps.drained.iter().any(|waker| waker.will_wake(cx.waker())) {
            maps.drained.push(cx.waker().clone());
        }
        Poll::Pending
    }

    fn remove(&self, key: &Key, what: Option<&Arc<Shared>>) {
        let drained = {
            let mut maps = self.maps();
            maps.remove(key, what);
            if maps.len() == 0 { std::mem::take(&mut maps.drained) } else { Vec::new() }
        };
        drained.into_iter().for_each(Waker::wake);
    }

    /// Ends every session with `frame` and says how many there were.
    pub(crate) fn close_all(&self, frame: &CloseFrame) -> usize {
        let sessions: Vec<_> = {
            let maps = self.maps();
            let slots = maps.named.values().chain(maps.sockets.values());
            slots.filter_map(Slot::session).cloned().collect()
        };
        sessions.iter().filter(|shared| shared.end(CloseReason::Shutdown(frame.clone()))).count()
    }
}

impl Slot {
    fn session(&self) -> Option<&Arc<Shared>> {
        match self {
            Self::Session(shared) => Some(shared),
            Self::Opening => None,
        }
    }
}

/// Where in the maps a session is.
#[derive(Debug, Clone)]
enum Key {
    Name(Box<str>),
    #[cfg_attr(not(feature = "websocket"), expect(dead_code, reason = "only sockets have no name"))]
    Socket(Uuid),
}

impl Maps {
    fn len(&self) -> usize {
        self.named.len() + self.sockets.len()
    }

    fn insert(&mut self, key: Key, slot: Slot) {
        match key {
            Key::Name(name) => drop(self.named.insert(name, slot)),
            Key::Socket(id) => drop(self.sockets.insert(id, slot)),
        }
    }

    /// Removes what `key` stands for, unless that is no longer `what`.
    fn remove(&mut self, key: &Key, what: Option<&Arc<Shared>>) {
        fn is(slot: Option<&Slot>, what: Option<&Arc<Shared>>) -> bool {
            slot.is_some_and(|slot| slot.session().map(Arc::as_ptr) == what.map(Arc::as_ptr))
        }
        match key {
            Key::Name(name) if is(self.named.get(name), what) => drop(self.named.remove(name)),
            Key::Socket(id) if is(self.sockets.get(id), what) => drop(self.sockets.remove(id)),
            Key::Name(_) | Key::Socket(_) => {}
        }
    }
}

/// The right to open one session; given back when dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    registry: Arc<Registry>,
    /// Taken when the session opens.
    key: Option<Key>,
}

impl Reservation {
    /// Opens the session, with its first receiver attached.
    pub(crate) fn open(mut self, connection: Connection, settings: Settings) -> (Registered, Attachment) {
        let (shared, receiver) = Shared::new(connection, settings, self.registry.count());
        let key = self.key.take();
        if let Some(key) = &key {
            self.registry.maps().insert(key.clone(), Slot::Session(Arc::clone(&shared)));
        }
        let attachment = Attachment::first(Arc::clone(&shared), receiver);
        (Registered { registry: Arc::clone(&self.registry), key, shared }, attachment)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(key) = &self.key {
            self.registry.remove(key, None);
        }
    }
}

/// A session's place in the registry; dropped by its driver when it is over, or when the runtime stops.
#[derive(Debug)]
pub(crate) struct Registered {
    registry: Arc<Registry>,
    key: Option<Key>,
    pub(crate) shared: Arc<Shared>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.shared.end(CloseReason::ConnectionLost);
        self.shared.go();
        if let Some(key) = &self.key {
            // A new session may have opened under the same name since.
            self.registry.remove(key, Some(&self.shared));
        }
        let Connection { id, transport, .. } = self.shared.connection;
        let reason = self.shared.close_reason();
        tracing::debug!(connection = %id, %transport, reason = reason.map(tracing::field::display), "session closed");
    }
}
