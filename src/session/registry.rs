//! The sessions of one endpoint.

use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use uuid::Uuid;

use super::{
    Attachment, CloseReason, Shared,
    core::Settings,
    peers::{Admission, Peer, Peers},
    shared::Connection,
};
use crate::{
    CloseFrame, ShutdownReport, Transport,
    identity::Owner,
    response::reply::Rejection,
    stats::{Stats, Totals},
};

/// All sessions of an endpoint: those that clients name by an id, and those that are one socket each.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    maps: Mutex<Maps>,
    peers: Arc<Peers>,
    /// Sessions that have not ended. An ended one stays in the maps until its client was told.
    live: Arc<AtomicUsize>,
    /// What `max_sessions` compares: the [`Place`]s there are.
    places: Arc<AtomicUsize>,
    /// Requests that were refused, by cause.
    rejections: [AtomicU64; Rejection::ALL.len()],
}

#[derive(Debug, Default)]
struct Maps {
    named: HashMap<Box<str>, Slot>,
    /// WebSockets, whose ids may repeat: the key is our own.
    sockets: HashMap<Uuid, Slot>,
    /// How many slots are openings.
    opening: usize,
    /// Sessions that a shutdown waits for.
    leaving: usize,
    /// Handlers that have not returned.
    handlers: usize,
    /// What the sessions that are no longer here have left behind.
    past: Totals,
    /// Sessions opened over an HTTP transport where WebSocket is on.
    fallbacks: u64,
    /// What all clients are told, once the endpoint shuts down.
    farewell: Option<CloseFrame>,
    /// What has become of the sessions since then that are no longer here.
    report: ShutdownReport,
    /// Who waits until nothing is left, each under the number of its wait.
    idle: HashMap<u64, Waker>,
    last_wait: u64,
}

#[derive(Debug)]
enum Slot {
    /// The handler's extractors are still judging the opening request.
    Opening(Transport, Option<Owner>),
    Session(Arc<Shared>),
}

/// Counts one live session for as long as it exists.
#[derive(Debug)]
#[cfg_attr(test, derive(Default))]
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
    /// A session that is just being opened by another request, for this owner.
    Opening(Option<Owner>),
    /// A session.
    Session(Arc<Shared>),
    /// Nothing, and no session may open.
    Refused(Rejection),
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
            // Its driver has not yet come to take it out.
            Some(Slot::Session(shared)) => {
                let shared = Arc::clone(shared);
                maps.remove(&Key::Name(id.into()), Some(&shared));
                // Without a handler it gives its place back as soon as it comes: to this one.
                max_sessions = max_sessions.saturating_add(usize::from(!shared.has_begun()));
            }
            None => {}
        }
        match self.reserve(&mut maps, Key::Name(id.into()), transport, owner.cloned(), max_sessions) {
            Ok(reservation) => Lookup::Vacant(reservation),
            Err(why) => Lookup::Refused(why),
        }
    }

    /// The right to open a session that is one socket, and has no name.
    #[cfg(feature = "websocket")]
    pub(crate) fn reserve_socket(
        self: &Arc<Self>,
        transport: Transport,
        max_sessions: usize,
    ) -> Result<Reservation, Rejection> {
        let key = Key::Socket(crate::random::uuid());
        self.reserve(&mut self.maps(), key, transport, None, max_sessions)
    }

    fn reserve(
        self: &Arc<Self>,
        maps: &mut Maps,
        key: Key,
        transport: Transport,
        owner: Option<Owner>,
        max_sessions: usize,
    ) -> Result<Reservation, Rejection> {
        if maps.farewell.is_some() {
            return Err(Rejection::Shutdown);
        }
        // Places are taken under the lock of the maps only, so this is no race.
        if self.places.load(Ordering::Relaxed) >= max_sessions {
            return Err(Rejection::SessionsFull);
        }
        let place = Place::take(&self.places);
        maps.insert(key.clone(), Slot::Opening(transport, owner.clone()));
        maps.opening += 1;
        Ok(Reservation { registry: Arc::clone(self), key: Some(key), place: Some(place), _owner: owner })
    }

    /// The session that a sending request names.
    pub(crate) fn get(&self, id: &str) -> Option<Arc<Shared>> {
        self.maps().named.get(id).and_then(Slot::session).cloned()
    }

    /// Completes when a shutdown has nothing more to wait for: every client has been told, every socket is
    /// closed, every handler has returned.
    ///
    /// # Cancel safety
    /// Dropping it leaves nothing behind.
    pub(crate) fn idle(&self) -> Idle<'_> {
        Idle { registry: self, ticket: None }
    }

    /// Takes something out of the maps, and wakes who waits for the last of it.
    fn take_out(&self, take: impl FnOnce(&mut Maps)) {
        let idle = {
            let mut maps = self.maps();
            take(&mut maps);
            if maps.is_idle() { std::mem::take(&mut maps.idle) } else { HashMap::new() }
        };
        idle.into_values().for_each(Waker::wake);
    }

    /// Ends every session with `frame` and says how many there were.
    pub(crate) fn close_all(&self, frame: &CloseFrame) -> usize {
        let sessions = self.maps().sessions();
        sessions.iter().filter(|shared| shared.end(CloseReason::Shutdown(frame.clone()))).count()
    }

    /// Lets no more session open, and ends all there are. The first call's frame counts.
    pub(crate) fn begin_shutdown(self: &Arc<Self>, frame: CloseFrame) {
        let (frame, sessions) = {
            let mut maps = self.maps();
            let frame = maps.farewell.get_or_insert(frame).clone();
            let sessions = maps.sessions();
            maps.leaving += sessions.len();
            (frame, sessions)
        };
        sessions.iter().for_each(|shared| shared.leave(&frame, LeavingCount(Arc::clone(self))));
    }

    /// Cuts off what the shutdown would have to wait for longer. Sessions whose clients were told stay for the
    /// disconnect delay, as ever: what those still send must not be answered by an error, which they might see
    /// before their close frame.
    pub(crate) fn end_shutdown(&self) -> ShutdownReport {
        let sessions = self.maps().sessions();
        sessions.iter().filter(|shared| shared.is_leaving()).for_each(|shared| shared.go());
        let maps = self.maps();
        let mut report = maps.report;
        for shared in maps.sessions() {
            report.add(shared.farewell());
        }
        report.handlers_running = maps.handlers;
        report
    }

    pub(crate) fn is_shutting_down(&self) -> bool {
        self.maps().farewell.is_some()
    }

    pub(crate) fn count_rejection(&self, why: Rejection) {
        self.rejections[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Adds up the numbers of the moment. The sessions are looked at one after the other.
    pub(crate) fn stats(&self) -> Stats {
        let (mut totals, sessions, fallbacks, handlers) = {
            let maps = self.maps();
            let mut totals = maps.past.clone();
            for slot in maps.slots() {
                if let Slot::Opening(transport, _) = slot {
                    totals.add_opening(*transport);
                }
            }
            (totals, maps.sessions(), maps.fallbacks, maps.handlers)
        };
        for shared in &sessions {
            shared.sample(|session| totals.add(session));
        }
        let counts = self.rejections.iter().map(|count| count.load(Ordering::Relaxed));
        let rejected = Rejection::ALL.into_iter().map(Rejection::name).zip(counts).collect();
        Stats::new(&totals, rejected, fallbacks, handlers)
    }
}

/// A wait until nothing is left.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub(crate) struct Idle<'a> {
    registry: &'a Registry,
    ticket: Option<u64>,
}

impl Future for Idle<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut maps = self.registry.maps();
        if maps.is_idle() {
            return Poll::Ready(());
        }
        let ticket = self.ticket.unwrap_or(maps.last_wait + 1);
        maps.last_wait = maps.last_wait.max(ticket);
        let replaced = maps.idle.insert(ticket, cx.waker().clone());
        drop(maps);
        // A waker may hold its task, and that this registry: it goes without the lock.
        drop(replaced);
        self.ticket = Some(ticket);
        Poll::Pending
    }
}

impl Drop for Idle<'_> {
    fn drop(&mut self) {
        let forgotten = self.ticket.and_then(|ticket| self.registry.maps().idle.remove(&ticket));
        drop(forgotten);
    }
}

impl Slot {
    fn session(&self) -> Option<&Arc<Shared>> {
        match self {
            Self::Session(shared) => Some(shared),
            Self::Opening(..) => None,
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
    /// Whether a shutdown has nothing to wait for.
    fn is_idle(&self) -> bool {
        self.opening == 0 && self.leaving == 0 && self.handlers == 0
    }

    fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.named.values().chain(self.sockets.values())
    }

    fn sessions(&self) -> Vec<Arc<Shared>> {
        self.slots().filter_map(Slot::session).cloned().collect()
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
            Key::Name(_) | Key::Socket(_) => return,
        }
        // Its counts move from the sessions to the past in one step, so that no sum ever falls.
        if let Some(shared) = what {
            shared.sample(|session| self.past.add_past(session));
            self.report.add(shared.farewell());
        }
    }
}

/// The right to open one session; given back when dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    registry: Arc<Registry>,
    /// Both taken when the session opens.
    key: Option<Key>,
    place: Option<Place>,
    /// Outlives the one in the maps: dropping the last may run code of the application's, and must not under
    /// the lock.
    _owner: Option<Owner>,
}

impl Reservation {
    /// Counts the session for its peer, who may have `limit`.
    pub(crate) fn admit(&mut self, peer: Peer, limit: usize) -> Result<(), Rejection> {
        let admission = self.registry.peers.admit(peer, limit).ok_or(Rejection::PeerFull)?;
        if let Some(place) = &mut self.place {
            place._admission = Some(admission);
        }
        Ok(())
    }

    /// Opens the session, with its first receiver attached; not if the endpoint shuts down by now. `fallback`
    /// is counted.
    pub(crate) fn open(
        mut self,
        connection: Connection,
        settings: Settings,
        fallback: bool,
    ) -> Result<(Registered, Attachment), Rejection> {
        let (shared, receiver) = Shared::new(connection, settings, self.registry.count());
        {
            let mut maps = self.registry.maps();
            if maps.farewell.is_some() {
                return Err(Rejection::Shutdown);
            }
            if let Some(key) = &self.key {
                maps.insert(key.clone(), Slot::Session(Arc::clone(&shared)));
            }
            maps.opening -= 1;
            maps.fallbacks += u64::from(fallback);
        }
        let (key, place) = (self.key.take(), self.place.take());
        let attachment = Attachment::first(Arc::clone(&shared), receiver);
        let registry = Arc::clone(&self.registry);
        Ok((Registered { registry, key, shared, place }, attachment))
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(key) = &self.key {
            self.registry.take_out(|maps| {
                maps.remove(key, None);
                maps.opening -= 1;
            });
        }
    }
}

/// A session's entry in the registry; dropped by its driver when it is over, or when the runtime stops.
#[derive(Debug)]
pub(crate) struct Registered {
    registry: Arc<Registry>,
    key: Option<Key>,
    pub(crate) shared: Arc<Shared>,
    place: Option<Place>,
}

impl Registered {
    pub(super) fn count_handler(&self) -> HandlerCount {
        self.registry.maps().handlers += 1;
        HandlerCount(Arc::clone(&self.registry))
    }

    /// Its place, to be kept beyond the session for as long as its handler runs.
    pub(super) fn take_place(&mut self) -> Option<Place> {
        self.place.take()
    }
}

/// What one session counts for, against the limits of its endpoint and of its peer: from the request that opens
/// it until it is over and its handler has returned. A client could else leave any number of handlers behind.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<AtomicUsize>,
    _admission: Option<Admission>,
}

impl Place {
    fn take(places: &Arc<AtomicUsize>) -> Self {
        places.fetch_add(1, Ordering::Relaxed);
        Self { places: Arc::clone(places), _admission: None }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts one session for as long as a shutdown waits for it.
#[derive(Debug)]
pub(crate) struct LeavingCount(Arc<Registry>);

impl Drop for LeavingCount {
    fn drop(&mut self) {
        self.0.take_out(|maps| maps.leaving -= 1);
    }
}

/// Counts one handler until it has returned.
#[derive(Debug)]
pub(super) struct HandlerCount(Arc<Registry>);

impl Drop for HandlerCount {
    fn drop(&mut self) {
        self.0.take_out(|maps| maps.handlers -= 1);
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.shared.end(CloseReason::ConnectionLost);
        self.shared.go();
        if let Some(key) = &self.key {
            // A new session may have opened under the same name since.
            self.registry.take_out(|maps| maps.remove(key, Some(&self.shared)));
        }
        let Connection { id, transport, .. } = self.shared.connection;
        let traffic = self.shared.traffic();
        tracing::debug!(
            connection = %id,
            %transport,
            reason = self.shared.close_reason().map(tracing::field::display),
            received = traffic.messages_received,
            sent = traffic.messages_sent,
            dropped = traffic.dropped,
            "session closed"
        );
    }
}
