//! The sessions of one endpoint.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sockjs_core::{CloseFrame, Transport};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::{
    attachment::Attachment,
    close_reason::CloseReason,
    connection::Connection,
    connection_id::ConnectionId,
    core::settings::Settings,
    drain::{Drain, ShutdownReport},
    limits::{Counts, LiveSessions, Peer, SessionPermit, SessionPermits},
    owner::Owner,
    shared::Shared,
    traffic::Totals,
};
/// All sessions of an endpoint.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    maps: Mutex<Maps>,
    peers: Arc<Counts<Peer>>,
    /// The key is the hash of the owner.
    owners: Arc<Counts<u64>>,
    /// The sessions that have not ended. One that has ended stays in the maps until its driver removes it.
    live: LiveSessions,
    permits: SessionPermits,
    drain: Drain,
}

#[derive(Debug, Default)]
struct Maps {
    /// All sessions.
    slots: HashMap<ConnectionId, Slot>,
    /// The sessions that clients name by an id of the protocol, which the requests of a session share. A WebSocket is
    /// not among them: it is one request, and its id may repeat.
    named: HashMap<Box<str>, Slot>,
    /// The sessions that have an owner, by the owner's hash.
    owned: HashMap<u64, HashSet<ConnectionId>>,
    /// The counts of the sessions that have been removed.
    past: Totals,
    /// Sessions opened over an HTTP transport although WebSocket is enabled.
    fallbacks: u64,
    /// The close frame for all clients, once the endpoint shuts down.
    farewell: Option<CloseFrame>,
    /// The outcomes of the sessions that have been removed since then.
    report: ShutdownReport,
}

#[derive(Debug, Clone)]
enum Slot {
    /// The handler's extractors are still checking the opening request.
    Opening(Transport, Option<Owner>),
    Session(Arc<Shared>),
}

/// The result of looking up a session id.
pub(crate) enum Lookup {
    /// No session: the holder of the reservation may open one.
    Vacant(Reservation),
    /// A session that another request is just opening, for this owner.
    Opening(Option<Owner>),
    /// A session.
    Session(Arc<Shared>),
    /// No session, and none may open.
    Refused(NoRoom),
}

/// The reason why no session may open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// The endpoint has reached its limit.
    Sessions,
    /// The peer has reached its limit.
    Peer,
    /// The identity has reached its limit.
    Identity,
    /// The endpoint is shutting down.
    Shutdown,
}

impl Registry {
    /// Counts sessions together with another registry, for their limits.
    pub(crate) fn share_limits(&mut self, other: &Self) {
        self.peers = Arc::clone(&other.peers);
        self.owners = Arc::clone(&other.owners);
        self.permits = other.permits.clone();
    }

    fn maps(&self) -> MutexGuard<'_, Maps> {
        self.maps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of sessions that have not ended.
    pub(crate) fn live(&self) -> usize {
        self.live.len()
    }

    /// Returns the session that receives under `id`, or the right to open it.
    pub(crate) fn lookup(
        self: &Arc<Self>,
        id: &str,
        transport: Transport,
        owner: Option<&Owner>,
        max_sessions: usize,
    ) -> Lookup {
        let mut maps = self.maps();
        let mut max_sessions = max_sessions;
        match maps.named.get(id) {
            Some(Slot::Opening(_, owner)) => return Lookup::Opening(owner.clone()),
            Some(Slot::Session(shared)) if !shared.is_gone() => return Lookup::Session(Arc::clone(shared)),
            // The session is gone, and its driver has not removed it yet.
            Some(Slot::Session(shared)) => {
                let shared = Arc::clone(shared);
                maps.remove(shared.connection.id, Some(id), Some(&shared));
                // If it has no handler, its driver drops its permit as soon as it runs: the new session may use the
                // permit.
                max_sessions = max_sessions.saturating_add(usize::from(!shared.handler_due()));
            }
            None => {}
        }
        match self.reserve(&mut maps, Some(id), transport, owner, max_sessions) {
            Ok(reservation) => Lookup::Vacant(reservation),
            Err(why) => Lookup::Refused(why),
        }
    }

    /// Returns the right to open a session over one socket, which no id of the protocol names.
    #[cfg(feature = "websocket")]
    pub(crate) fn reserve_socket(
        self: &Arc<Self>,
        transport: Transport,
        owner: Option<&Owner>,
        max_sessions: usize,
    ) -> Result<Reservation, NoRoom> {
        self.reserve(&mut self.maps(), None, transport, owner, max_sessions)
    }

    fn reserve(
        self: &Arc<Self>,
        maps: &mut Maps,
        name: Option<&str>,
        transport: Transport,
        owner: Option<&Owner>,
        max_sessions: usize,
    ) -> Result<Reservation, NoRoom> {
        if maps.farewell.is_some() {
            return Err(NoRoom::Shutdown);
        }
        let permit = self.permits.take(max_sessions).ok_or(NoRoom::Sessions)?;
        let key = Key { id: ConnectionId::random(), name: name.map(Box::from) };
        maps.insert(&key, Slot::Opening(transport, owner.cloned()));
        Ok(Reservation {
            registry: Arc::clone(self),
            id: key.id,
            key: Some(key),
            permit: Some(permit),
            _pending: self.drain.session(),
            _owner: owner.cloned(),
        })
    }

    /// Returns the session that a sending request names.
    pub(crate) fn get(&self, id: &str) -> Option<Arc<Shared>> {
        self.maps().named.get(id).and_then(Slot::session).cloned()
    }

    /// Whether an HTTP session has this id now: one that is opening, that is open, or that has ended and whose client may
    /// still ask for its close frame.
    pub(crate) fn has(&self, id: &str) -> bool {
        self.maps().named.get(id).is_some_and(|slot| slot.session().is_none_or(|shared| !shared.is_gone()))
    }

    /// Returns the session of a connection, unless it has ended.
    pub(crate) fn by_id(&self, id: ConnectionId) -> Option<Arc<Shared>> {
        let shared = self.maps().slots.get(&id).and_then(Slot::session).cloned()?;
        (!shared.has_ended()).then_some(shared)
    }

    /// Returns the sessions that have not ended.
    pub(crate) fn open_sessions(&self) -> Vec<Arc<Shared>> {
        let mut sessions = self.maps().sessions();
        sessions.retain(|shared| !shared.has_ended());
        sessions
    }

    /// Returns the sessions that have not ended and whose owner has this hash.
    pub(crate) fn by_owner_hash(&self, hash: u64) -> Vec<Arc<Shared>> {
        let mut sessions: Vec<_> = {
            let maps = self.maps();
            let ids = maps.owned.get(&hash).into_iter().flatten();
            ids.filter_map(|id| maps.slots.get(id)?.session().cloned()).collect()
        };
        sessions.retain(|shared| !shared.has_ended());
        sessions
    }

    /// Completes when a shutdown has nothing more to wait for: every client has got its close frame, every socket is
    /// closed, and every handler has returned.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub(crate) async fn idle(&self) {
        self.drain.idle().await;
    }

    /// Ends every session with `frame`, and returns the number of sessions that had not ended before.
    pub(crate) fn close_all(&self, frame: &CloseFrame) -> usize {
        let sessions = self.maps().sessions();
        sessions.iter().filter(|shared| shared.end(CloseReason::Server(frame.clone()))).count()
    }

    /// Refuses new sessions, and ends all that exist. If it is called again, the frame of the first call stays.
    pub(crate) fn begin_shutdown(&self, frame: CloseFrame) {
        let (frame, sessions) = {
            let mut maps = self.maps();
            let frame = maps.farewell.get_or_insert(frame).clone();
            (frame, maps.sessions())
        };
        sessions.iter().for_each(|shared| shared.leave(&frame, self.drain.session()));
        self.drain.begin();
    }

    /// Discards the sessions that the shutdown would otherwise go on waiting for, and returns its report. Sessions
    /// whose clients have got the close frame stay for the disconnect delay, as always: if such a client still sends
    /// something, an error response might reach it before the close frame.
    pub(crate) fn end_shutdown(&self) -> ShutdownReport {
        let sessions = self.maps().sessions();
        sessions.iter().filter(|shared| shared.is_leaving()).for_each(|shared| shared.discard());
        let maps = self.maps();
        let mut report = maps.report;
        for shared in maps.sessions() {
            report.add(shared.farewell());
        }
        report.handlers_running = self.drain.handlers_running();
        report
    }

    /// Counts a request for another node, which a shutdown waits for.
    #[cfg(feature = "cluster")]
    pub(crate) fn request(&self) -> TaskTrackerToken {
        self.drain.session()
    }

    pub(crate) fn is_shutting_down(&self) -> bool {
        self.maps().farewell.is_some()
    }

    /// Adds up the current numbers. The sessions are read one after the other.
    pub(crate) fn totals(&self) -> Totals {
        let (mut totals, sessions) = {
            let maps = self.maps();
            let mut totals = maps.past.clone();
            for slot in maps.slots.values() {
                if let Slot::Opening(transport, _) = slot {
                    totals.add_opening(*transport);
                }
            }
            totals.fallbacks = maps.fallbacks;
            (totals, maps.sessions())
        };
        for shared in &sessions {
            shared.sample(|session| totals.add(session));
        }
        totals.handlers = self.drain.handlers_running();
        totals
    }
}

impl Slot {
    fn owner(&self) -> Option<&Owner> {
        match self {
            Self::Opening(_, owner) => owner.as_ref(),
            Self::Session(shared) => shared.connection.owner.as_ref(),
        }
    }

    fn session(&self) -> Option<&Arc<Shared>> {
        match self {
            Self::Session(shared) => Some(shared),
            Self::Opening(..) => None,
        }
    }
}

/// The place of a session in the maps.
#[derive(Debug)]
struct Key {
    id: ConnectionId,
    /// `None` for a socket.
    name: Option<Box<str>>,
}

impl Maps {
    fn sessions(&self) -> Vec<Arc<Shared>> {
        self.slots.values().filter_map(Slot::session).cloned().collect()
    }

    fn insert(&mut self, key: &Key, slot: Slot) {
        if let Some(owner) = slot.owner() {
            self.owned.entry(owner.hash()).or_default().insert(key.id);
        }
        if let Some(name) = &key.name {
            self.named.insert(name.clone(), slot.clone());
        }
        self.slots.insert(key.id, slot);
    }

    /// Removes `what` from the maps, unless that was done before. `None` is a session that is opening.
    fn remove(&mut self, id: ConnectionId, name: Option<&str>, what: Option<&Arc<Shared>>) {
        let Some(slot) = self.slots.remove(&id) else { return };
        if let Some(owner) = slot.owner() {
            if let Some(ids) = self.owned.get_mut(&owner.hash()) {
                ids.remove(&id);
                if ids.is_empty() {
                    self.owned.remove(&owner.hash());
                }
            }
        }
        if let Some(name) = name {
            self.named.remove(name);
        }
        // The counts move from the session to the past in one step, so that no sum ever falls.
        if let Some(shared) = what {
            shared.sample(|session| self.past.add_past(session));
            self.report.add(shared.farewell());
        }
    }
}

/// The right to open one session. Dropping it gives the right back.
#[derive(Debug)]
pub(crate) struct Reservation {
    registry: Arc<Registry>,
    pub(crate) id: ConnectionId,
    /// Both this and the permit are taken when the session opens.
    key: Option<Key>,
    permit: Option<SessionPermit>,
    /// A shutdown waits until this is dropped.
    _pending: TaskTrackerToken,
    /// This outlives the owner in the maps: dropping the last reference may run code of the application, which must not
    /// happen under the lock.
    _owner: Option<Owner>,
}

impl Reservation {
    /// Counts the session for its peer, which may have `limit` sessions.
    pub(crate) fn admit_peer(&mut self, peer: Peer, limit: usize) -> Result<(), NoRoom> {
        let of_peer = self.registry.peers.admit(peer, limit).ok_or(NoRoom::Peer)?;
        if let Some(permit) = &mut self.permit {
            permit.of_peer = Some(of_peer);
        }
        Ok(())
    }

    /// Counts the session for its owner, which may have `limit` sessions.
    pub(crate) fn admit_owner(&mut self, owner: &Owner, limit: usize) -> Result<(), NoRoom> {
        let of_owner = self.registry.owners.admit(owner.hash(), limit).ok_or(NoRoom::Identity)?;
        if let Some(permit) = &mut self.permit {
            permit.of_owner = Some(of_owner);
        }
        Ok(())
    }

    /// Opens the session with its first receiver attached, unless the endpoint has begun to shut down. `fallback`
    /// counts it as one opened over HTTP although WebSocket is enabled.
    ///
    /// The permit is kept beyond the session until its handler has returned.
    pub(crate) fn open(
        mut self,
        connection: Connection,
        settings: Settings,
        fallback: bool,
    ) -> Result<(Registered, Option<SessionPermit>, Attachment), NoRoom> {
        let (shared, receiver) = Shared::new(connection, settings, self.registry.live.count());
        {
            let mut maps = self.registry.maps();
            if maps.farewell.is_some() {
                return Err(NoRoom::Shutdown);
            }
            if let Some(key) = &self.key {
                maps.insert(key, Slot::Session(Arc::clone(&shared)));
            }
            maps.fallbacks += u64::from(fallback);
        }
        let (key, permit) = (self.key.take(), self.permit.take());
        let attachment = Attachment::first(Arc::clone(&shared), receiver);
        let registry = Arc::clone(&self.registry);
        Ok((Registered { registry, key, shared }, permit, attachment))
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(key) = &self.key {
            self.registry.maps().remove(key.id, key.name.as_deref(), None);
        }
    }
}

/// A session's entry in the registry. Its driver drops it when the session is over, or when the runtime stops.
#[derive(Debug)]
pub(crate) struct Registered {
    registry: Arc<Registry>,
    key: Option<Key>,
    pub(crate) shared: Arc<Shared>,
}

impl Registered {
    /// Counts the session's handler until the token is dropped.
    pub(super) fn count_handler(&self) -> TaskTrackerToken {
        self.registry.drain.handler()
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.shared.discard();
        if let Some(key) = &self.key {
            self.registry.maps().remove(key.id, key.name.as_deref(), Some(&self.shared));
        }
        let Connection { id, transport, .. } = self.shared.connection;
        let traffic = self.shared.traffic();
        tracing::debug!(
            connection = %id,
            %transport,
            reason = self.shared.close_reason().map(tracing::field::display),
            received = traffic.messages_received,
            sent = traffic.messages_sent,
            dropped = traffic.dropped(),
            "session closed"
        );
    }
}
