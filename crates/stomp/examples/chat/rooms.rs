//! Who is in which room, and what was said there.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

/// The rooms that are always there.
const ALWAYS: [&str; 3] = ["lobby", "music", "rust"];
/// How many there are at the most.
const MAX_ROOMS: usize = 100;
/// How many lines who comes later is shown.
const HISTORY: usize = 50;
/// Characters.
const LONGEST_NAME: usize = 30;

/// The name of a room: small letters, digits and hyphens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(try_from = "String")]
pub(crate) struct RoomName(String);

impl TryFrom<String> for RoomName {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let is_fine = (1..=LONGEST_NAME).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if is_fine { Ok(Self(name)) } else { Err("the name of a room has small letters, digits and hyphens") }
    }
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What somebody has said.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Line {
    /// Grows within a room. Who subscribes to a room and asks for its lines may get one twice, and knows it by this.
    id: u64,
    from: String,
    text: String,
    /// Milliseconds since 1970.
    at: u64,
}

/// A room as it is.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Room {
    pub(crate) people: Vec<String>,
    lines: VecDeque<Line>,
}

/// A room in the list of all.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    name: RoomName,
    people: usize,
}

#[derive(Debug, Default)]
struct Inside {
    /// How many subscriptions everybody has: one for each window.
    people: BTreeMap<String, usize>,
    lines: VecDeque<Line>,
    said: u64,
}

/// All rooms. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Rooms(Arc<Mutex<BTreeMap<RoomName, Inside>>>);

impl Default for Rooms {
    fn default() -> Self {
        let rooms = ALWAYS.map(|name| (RoomName(name.to_owned()), Inside::default()));
        Self(Arc::new(Mutex::new(rooms.into())))
    }
}

impl Rooms {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<RoomName, Inside>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody comes. Returns whether the people have changed: they have not if there are too many rooms already.
    pub(crate) fn enter(&self, room: &RoomName, name: &str) -> bool {
        let mut rooms = self.lock();
        if rooms.len() >= MAX_ROOMS && !rooms.contains_key(room) {
            return false;
        }
        let windows = rooms.entry(room.clone()).or_default().people.entry(name.to_owned()).or_default();
        *windows += 1;
        // The window itself is told as well, although others see no change.
        true
    }

    /// Somebody goes. A room that was made for its people goes with the last one.
    pub(crate) fn leave(&self, room: &RoomName, name: &str) -> bool {
        let mut rooms = self.lock();
        let Some(inside) = rooms.get_mut(room) else { return false };
        let Some(windows) = inside.people.get_mut(name) else { return false };
        *windows -= 1;
        if *windows > 0 {
            return false;
        }
        inside.people.remove(name);
        if inside.people.is_empty() && !ALWAYS.contains(&&*room.0) {
            rooms.remove(room);
        }
        true
    }

    /// Says something. `None` if the speaker is not there.
    pub(crate) fn say(&self, room: &RoomName, from: &str, text: &str) -> Option<Line> {
        let mut rooms = self.lock();
        let inside = rooms.get_mut(room).filter(|inside| inside.people.contains_key(from))?;
        inside.said += 1;
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis();
        let (from, text, at) = (from.to_owned(), text.to_owned(), u64::try_from(at).unwrap_or(u64::MAX));
        let line = Line { id: inside.said, from, text, at };
        inside.lines.push_back(line.clone());
        if inside.lines.len() > HISTORY {
            inside.lines.pop_front();
        }
        Some(line)
    }

    /// A room as it is; an empty one if there is none of that name.
    pub(crate) fn get(&self, room: &RoomName) -> Room {
        let rooms = self.lock();
        let Some(inside) = rooms.get(room) else { return Room::default() };
        Room { people: inside.people.keys().cloned().collect(), lines: inside.lines.clone() }
    }

    pub(crate) fn list(&self) -> Vec<Summary> {
        let summary = |(name, inside): (&RoomName, &Inside)| Summary {
            name: name.clone(),
            people: inside.people.len(),
        };
        self.lock().iter().map(summary).collect()
    }
}
