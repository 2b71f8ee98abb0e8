//! How sessions join rooms and leave them, and how long a room lives.

use std::{
    sync::{Arc, MutexGuard, atomic::Ordering::Relaxed},
    time::Duration,
};

use axum_sockjs::Sender;
use tokio::{sync::watch, time::Instant};

use super::{
    changes::{Subject, ToNotify},
    log::{Discarded, Entry, Lagged, Start},
    members::{About, Members},
    node::{HistoryOf, Node},
    room::{Room, State},
    stream::Stream,
    tab::Tab,
};
use crate::{
    error::JoinError,
    history::History,
    key::{Key, KeyRef, is_same},
    position::Position,
};

/// As many idle rooms are forgotten by one call.
const SWEEP: usize = 8;

/// Thirty years: an instant can be that far away.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// A room that stays while this is held, with members or without.
pub(crate) struct Pin<K, U, D> {
    pub(crate) node: Arc<Node<K, U, D>>,
    pub(crate) room: Arc<Room<K, U, D>>,
}

impl<K, U, D> Drop for Pin<K, U, D> {
    fn drop(&mut self) {
        self.room.lock().pins -= 1;
        self.node.retire(&self.room);
    }
}

/// What a message to a room is sent to.
pub(crate) enum Target<K, U, D> {
    /// The room does not exist, and would keep nothing.
    Nobody,
    Room(Arc<Room<K, U, D>>),
    Pinned(Pin<K, U, D>),
    TooManyRooms,
    /// The room does not exist here, and perhaps on other nodes.
    Elsewhere {
        key: K,
        has_history: bool,
    },
}

/// The place of a session in a room.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) seq: u64,
}

/// What is read of a room's history in one turn of a session that joins.
pub(crate) enum Read {
    /// These come next.
    Entries(Vec<Arc<Entry>>),
    /// The session has all, and is a member.
    Joined(Place),
}

/// Where a session that joins starts to read.
pub(crate) struct Beginning {
    pub(crate) start: Start,
    /// As a position.
    pub(crate) position: Position,
    /// The session is a member, since there is nothing that it has to be sent first.
    pub(crate) joined: Option<Place>,
}

impl<K: Key, U, D> Node<K, U, D> {
    /// Finds what a message to the room with this key is sent to.
    pub(crate) fn target<Q: KeyRef<K> + ?Sized>(self: &Arc<Self>, key: &Q) -> Target<K, U, D> {
        let hash = self.rooms.hash_of(key);
        match self.rooms.find(hash, |room| is_same(&room.key, key)) {
            // The other nodes keep the history too.
            Some(room) if !room.has_history || self.elsewhere().is_some() => Target::Room(room),
            None if self.elsewhere().is_some() => {
                let key = key.to_owned();
                let has_history = self.history_of(&key).is_some();
                Target::Elsewhere { key, has_history }
            }
            None if self.config.history.is_none() => Target::Nobody,
            // It may be forgotten at any time.
            found => {
                let key = key.to_owned();
                let is_kept = |history: &HistoryOf<K>| history(&key).is_some();
                if found.is_none() && !self.config.history.as_deref().is_some_and(is_kept) {
                    return Target::Nobody;
                }
                self.pin(&key).map_or(Target::TooManyRooms, Target::Pinned)
            }
        }
    }

    /// What a room keeps.
    pub(crate) fn history_of(&self, key: &K) -> Option<History> {
        self.config.history.as_ref().and_then(|history| history(key))
    }

    /// Those who watch a room learn that other nodes have told something of it.
    pub(crate) fn presence_changed(&self, key: &K) {
        let room = self.rooms.find(self.rooms.hash_of(key), |room| room.key == *key);
        tell(room.and_then(|room| room.lock().watched.clone()));
    }

    /// Finds a room, or creates it.
    pub(crate) fn pin(self: &Arc<Self>, key: &K) -> Result<Pin<K, U, D>, JoinError> {
        self.sweep();
        let hash = self.rooms.hash_of(key);
        loop {
            let more = |rooms: usize| (rooms < self.config.max_rooms).then(|| rooms + 1);
            // Counted when it is inserted: of those who create it at once, one does.
            let admit = || match self.room_count.fetch_update(Relaxed, Relaxed, more) {
                Ok(_) => Ok(()),
                Err(_) => Err(JoinError::TooManyRooms),
            };
            let is_it = |room: &Room<K, U, D>| room.key == *key;
            let (room, _) = self.rooms.find_or_insert(hash, is_it, || self.create(key, hash), admit)?;
            let is_pinned = {
                let mut state = room.lock();
                if !state.removed {
                    state.pins += 1;
                    self.no_longer_idle(&room, &mut state);
                }
                !state.removed
            };
            if is_pinned {
                return Ok(Pin { node: Arc::clone(self), room });
            }
            // Whoever has left it is about to do the same.
            self.rooms.remove(hash, &room);
        }
    }

    /// Pins a room that has a member, and so is not forgotten meanwhile.
    pub(crate) fn pin_known(self: &Arc<Self>, room: &Arc<Room<K, U, D>>) -> Pin<K, U, D> {
        room.lock().pins += 1;
        Pin { node: Arc::clone(self), room: Arc::clone(room) }
    }

    fn create(&self, key: &K, hash: u64) -> Arc<Room<K, U, D>> {
        let history = self.history_of(key);
        // Nothing can be numbered without an id that is new.
        let id = || getrandom::u64().expect("the operating system gives random bytes");
        let stream = history.map(|history| Stream::new(history, id()));
        Arc::new(Room::new(key.clone(), hash, self.next_serial(), stream))
    }
}

impl<K, U, D> Pin<K, U, D> {
    /// Makes a session a member.
    pub(crate) fn insert(
        &self,
        tab: &Arc<Tab<U>>,
        sender: &Sender,
        data: &Arc<D>,
    ) -> Result<Place, JoinError> {
        check_open(sender)?;
        let mut state = self.room.lock();
        let inserted = self.node.insert(&self.room, &mut state, tab, sender, data);
        self.finish(state, inserted, tab, data)
    }

    /// Releases the lock after a session has become a member, and tells those who want to know.
    fn finish(
        &self,
        state: MutexGuard<'_, State<U, D>>,
        inserted: Result<(Place, ToNotify<K, U, D>), JoinError>,
        tab: &Tab<U>,
        data: &D,
    ) -> Result<Place, JoinError> {
        let watched = state.watched.clone();
        drop(state);
        let (place, to_notify) = inserted?;
        tell(watched);
        to_notify.notify();
        if let Some(elsewhere) = self.node.elsewhere() {
            elsewhere.joined(&self.room, tab, place.seq, data);
        }
        Ok(place)
    }

    /// Finds where a session begins to read. If there is nothing to read, and nothing else it has to be sent first, it
    /// becomes a member.
    pub(crate) fn begin(
        &self,
        tab: &Arc<Tab<U>>,
        sender: &Sender,
        data: &Arc<D>,
        since: Option<Position>,
        last: usize,
        is_greeted: bool,
    ) -> Result<Beginning, JoinError> {
        check_open(sender)?;
        let mut discarded = Discarded::new();
        let mut state = self.room.lock();
        // Now rather than after everything was sent; it is checked again then.
        self.node.check(&self.room, &state, tab)?;
        let stream = state.stream.as_mut().ok_or(JoinError::NoHistory)?;
        self.node.account(stream, |stream| stream.log.trim(Instant::now(), &mut discarded));
        let start = stream.log.start(since, last);
        let position = stream.log.position(start.cursor);
        let mut joined = None;
        if start.messages == 0 && !is_greeted {
            let inserted = self.node.insert(&self.room, &mut state, tab, sender, data);
            joined = Some(self.finish(state, inserted, tab, data)?);
        } else {
            drop(state);
        }
        drop(discarded);
        Ok(Beginning { start, position, joined })
    }

    /// Reads what comes behind a position. If nothing does, the session becomes a member in the same moment: what is sent
    /// from then on reaches it as everybody else.
    pub(crate) fn read(
        &self,
        behind: Position,
        most: usize,
        tab: &Arc<Tab<U>>,
        sender: &Sender,
        data: &Arc<D>,
    ) -> Result<Read, JoinError> {
        check_open(sender)?;
        let mut state = self.room.lock();
        let stream = state.stream.as_ref().ok_or(JoinError::NoHistory)?;
        if stream.log.stream() != behind.stream() {
            return Err(JoinError::Lagged);
        }
        let entries = stream.log.read(behind.number(), most).map_err(|Lagged| JoinError::Lagged)?;
        if !entries.is_empty() {
            return Ok(Read::Entries(entries));
        }
        let inserted = self.node.insert(&self.room, &mut state, tab, sender, data);
        self.finish(state, inserted, tab, data).map(Read::Joined)
    }
}

/// A session may have ended while it waited.
fn check_open(sender: &Sender) -> Result<(), JoinError> {
    if sender.is_closed() { Err(JoinError::Closed) } else { Ok(()) }
}

pub(crate) fn tell(watched: Option<watch::Sender<()>>) {
    if let Some(watched) = watched {
        watched.send_replace(());
    }
}

impl<K, U, D> Node<K, U, D> {
    fn check(&self, room: &Room<K, U, D>, state: &State<U, D>, tab: &Tab<U>) -> Result<(), JoinError> {
        if state.members.len() >= self.config.max_members_per_room {
            return Err(JoinError::RoomFull);
        }
        if tab.is_in(room.serial) {
            return Err(JoinError::AlreadyJoined);
        }
        Ok(())
    }

    fn insert(
        &self,
        room: &Arc<Room<K, U, D>>,
        state: &mut State<U, D>,
        tab: &Arc<Tab<U>>,
        sender: &Sender,
        data: &Arc<D>,
    ) -> Result<(Place, ToNotify<K, U, D>), JoinError> {
        self.check(room, state, tab)?;
        let seq = state.next_seq;
        state.next_seq += 1;
        let about = About { seq, tab: Arc::clone(tab), data: Arc::clone(data) };
        let is_first = state.members.is_empty();
        Arc::make_mut(&mut state.members).push(sender.clone(), about);
        tab.has_joined(room.serial);
        self.counters.memberships.fetch_add(1, Relaxed);
        let to_notify = if is_first {
            self.counters.occupied.fetch_add(1, Relaxed);
            self.events.tell(&Subject::Room(Arc::clone(room)), true)
        } else {
            ToNotify::nobody()
        };
        Ok((Place { seq }, to_notify))
    }

    /// Ends a membership.
    pub(crate) fn remove(&self, room: &Arc<Room<K, U, D>>, place: &Place) {
        let mut to_notify = ToNotify::nobody();
        let (removed, watched) = {
            let mut state = room.lock();
            let removed = Arc::make_mut(&mut state.members).remove(place.seq);
            if let Some((_, about)) = &removed {
                about.tab.has_left(room.serial);
                self.counters.memberships.fetch_sub(1, Relaxed);
                if state.members.is_empty() {
                    self.counters.occupied.fetch_sub(1, Relaxed);
                    to_notify = self.events.tell(&Subject::Room(Arc::clone(room)), false);
                }
            }
            (removed, state.watched.clone())
        };
        if let (Some(elsewhere), Some((_, about))) = (self.elsewhere(), &removed) {
            elsewhere.left(room, &about.tab, place.seq);
        }
        drop(removed);
        tell(watched);
        to_notify.notify();
        self.retire(room);
    }

    /// Changes the data of a member.
    pub(crate) fn set_data(&self, room: &Room<K, U, D>, place: &Place, data: Arc<D>) {
        let (before, watched) = {
            let mut state = room.lock();
            let before = Arc::make_mut(&mut state.members).set_data(place.seq, data);
            (before, state.watched.clone())
        };
        drop(before);
        tell(watched);
        if let Some(elsewhere) = self.elsewhere() {
            elsewhere.changed(room, place.seq);
        }
    }

    /// Forgets a room that nobody needs, or has it forgotten later if it has a history.
    pub(crate) fn retire(&self, room: &Arc<Room<K, U, D>>) {
        let mut discarded = Discarded::new();
        let watched = {
            let mut state = room.lock();
            if state.removed || state.pins > 0 || !state.members.is_empty() {
                return;
            }
            // Somebody may know a position, also before the first message.
            let was_used = |stream: &Stream<U, D>| stream.log.head() > 0 || state.next_seq > 0;
            // A bus keeps it by itself.
            if self.elsewhere().is_none() && state.stream.as_deref().is_some_and(was_used) {
                self.becomes_idle(room, &mut state);
                return;
            }
            if let Some(stream) = &mut state.stream {
                self.account(stream, |stream| stream.log.forget_all(&mut discarded));
            }
            self.no_longer_exists(&mut state);
            state.watched.take()
        };
        drop((watched, discarded));
        self.forgotten(room);
    }

    /// Under the lock, so that whoever finds the room so can create another.
    fn no_longer_exists(&self, state: &mut State<U, D>) {
        state.removed = true;
        self.room_count.fetch_sub(1, Relaxed);
    }

    /// A room that no longer exists is not found.
    fn forgotten(&self, room: &Arc<Room<K, U, D>>) {
        self.rooms.remove(room.hash, room);
        if let Some(elsewhere) = self.elsewhere() {
            elsewhere.vacated(room);
        }
    }

    /// Keeps a room without members for its history, from now on.
    pub(crate) fn becomes_idle(&self, room: &Arc<Room<K, U, D>>, state: &mut State<U, D>) {
        self.no_longer_idle(room, state);
        let Some(stream) = &mut state.stream else { return };
        // A time that is too far away for the clock is not remembered: only `max_history_bytes` ends it.
        let keep = stream.log.settings().keep.min(FAR);
        let until = Instant::now() + keep;
        stream.idle_until = Some(until);
        self.idle.insert(until, room);
    }

    fn no_longer_idle(&self, room: &Room<K, U, D>, state: &mut State<U, D>) {
        if let Some(until) = state.stream.as_mut().and_then(|stream| stream.idle_until.take()) {
            self.idle.remove(until, room);
        }
    }

    /// Forgets idle rooms whose time has come.
    pub(crate) fn sweep(&self) {
        let now = Instant::now();
        for _ in 0..SWEEP {
            if !self.forget_idle(Some(now)) {
                return;
            }
        }
    }

    /// Returns `false` if there is none.
    fn forget_idle(&self, now: Option<Instant>) -> bool {
        let Some((until, room)) = self.idle.pop(now) else { return false };
        let mut discarded = Discarded::new();
        {
            let mut state = room.lock();
            let Some(stream) = &mut state.stream else { return true };
            // Otherwise somebody has come meanwhile.
            if stream.idle_until != Some(until) {
                return true;
            }
            stream.idle_until = None;
            self.account(stream, |stream| stream.log.forget_all(&mut discarded));
            self.no_longer_exists(&mut state);
        }
        drop(discarded);
        self.forgotten(&room);
        true
    }

    /// Counts what a change of a room's history does to the bytes of all.
    pub(crate) fn account<R>(
        &self,
        stream: &mut Stream<U, D>,
        change: impl FnOnce(&mut Stream<U, D>) -> R,
    ) -> R {
        let before = stream.log.bytes();
        let result = change(stream);
        let after = stream.log.bytes();
        if after > before {
            self.history_bytes.fetch_add(after - before, Relaxed);
        } else if before > after {
            self.history_bytes.fetch_sub(before - after, Relaxed);
        }
        result
    }

    /// Keeps the bytes of all histories within their limit: idle rooms go first, then the oldest messages of this room.
    pub(crate) fn limit_history(&self, room: &Room<K, U, D>) {
        let is_over = || self.history_bytes.load(Relaxed) > self.config.max_history_bytes;
        for _ in 0..SWEEP {
            if !is_over() || !self.forget_idle(None) {
                break;
            }
        }
        if !is_over() {
            return;
        }
        let mut discarded = Discarded::new();
        let mut state = room.lock();
        if let Some(stream) = &mut state.stream {
            while is_over() && self.account(stream, |stream| stream.log.forget_oldest(&mut discarded)) {}
        }
        drop(state);
        drop(discarded);
    }

    /// Returns the members of a room, or of none.
    pub(crate) fn members_of(&self, room: Option<&Room<K, U, D>>) -> Arc<Members<U, D>> {
        room.map(Room::members).unwrap_or_default()
    }
}
