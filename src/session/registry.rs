//! The sessions of one endpoint.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
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
    sockets: HashMap<Uuid, Arc<Shared>>,
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
            Some(Slot::Session(_)) | None => {}
        }
        if maps.len() >= max_sessions {
            return Lookup::Full;
        }
        maps.named.insert(id.into(), Slot::Opening);
        Lookup::Vacant(Reservation { registry: Arc::clone(self), name: Some(id.into()) })
    }

    /// The right to open a session that is one socket, and has no name.
    #[cfg(feature = "websocket")]
    pub(crate) fn reserve_socket(self: &Arc<Self>, max_sessions: usize) -> Option<Reservation> {
        (self.maps().len() < max_sessions).then(|| Reservation { registry: Arc::clone(self), name: None })
    }

    /// The session that a sending request names.
    pub(crate) fn get(&self, id: &str) -> Option<Arc<Shared>> {
        match self.maps().named.get(id) {
            Some(Slot::Session(shared)) => Some(Arc::clone(shared)),
            Some(Slot::Opening) | None => None,
        }
    }

    /// Ends every session with `frame` and says how many there were.
    pub(crate) fn close_all(&self, frame: &CloseFrame) -> usize {
        let sessions: Vec<_> = {
            let maps = self.maps();
            let named = maps.named.values().filter_map(|slot| match slot {
                Slot::Session(shared) => Some(shared),
                Slot::Opening => None,
            });
            named.chain(maps.sockets.values()).cloned().collect()
        };
        sessions.iter().filter(|shared| shared.end(CloseReason::Shutdown(frame.clone()))).count()
    }
}

impl Maps {
    fn len(&self) -> usize {
        self.named.len() + self.sockets.len()
    }
}

/// The right to open one session; given back when dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    registry: Arc<Registry>,
    name: Option<Box<str>>,
}

impl Reservation {
    /// Opens the session, with its first receiver attached.
    pub(crate) fn open(mut self, connection: Connection, settings: Settings) -> (Registered, Attachment) {
        let (shared, receiver) = Shared::new(connection, settings, self.registry.count());
        let name = self.name.take();
        {
            let mut maps = self.registry.maps();
            match &name {
                Some(name) => drop(maps.named.insert(name.clone(), Slot::Session(Arc::clone(&shared)))),
                None => drop(maps.sockets.insert(connection.id, Arc::clone(&shared))),
            }
        }
        let attachment = Attachment::first(Arc::clone(&shared), receiver);
        (Registered { registry: Arc::clone(&self.registry), name, shared }, attachment)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            self.registry.maps().named.remove(name);
        }
    }
}

/// A session's place in the registry; dropped by its driver when it is over, or when the runtime stops.
#[derive(Debug)]
pub(crate) struct Registered {
    registry: Arc<Registry>,
    name: Option<Box<str>>,
    pub(crate) shared: Arc<Shared>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.shared.end(CloseReason::ConnectionLost);
        self.shared.go();
        let mut maps = self.registry.maps();
        match self.name.take() {
            // A new session may have opened under the same name since.
            Some(name) => {
                if let Entry::Occupied(entry) = maps.named.entry(name) {
                    if matches!(entry.get(), Slot::Session(shared) if Arc::ptr_eq(shared, &self.shared)) {
                        entry.remove();
                    }
                }
            }
            None => drop(maps.sockets.remove(&self.shared.connection.id)),
        }
    }
}
