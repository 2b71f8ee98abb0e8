//! What a room has kept of its messages.

use std::{
    collections::VecDeque,
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum_sockjs::Message;
use tokio::time::Instant;

use crate::{history::History, position::Position};

/// What an entry costs beside its message.
const OVERHEAD: usize = 128;

/// Makes what is sent of a message that is kept.
pub(crate) type Encode = dyn Fn(Position, &Message) -> Message + Send + Sync;

/// A message that was kept.
pub(crate) struct Entry {
    pub(crate) position: Position,
    pub(crate) message: Message,
    at: Instant,
    wire: OnceLock<Message>,
}

impl Entry {
    /// Returns what is sent, which is made once. Runs code of the application.
    pub(crate) fn wire(&self, encode: Option<&Encode>) -> &Message {
        match encode {
            Some(encode) => self.wire.get_or_init(|| encode(self.position, &self.message)),
            None => &self.message,
        }
    }

    fn cost(&self) -> usize {
        self.message.len() + OVERHEAD
    }
}

/// Entries that have to be dropped outside of the lock.
pub(crate) type Discarded = Vec<Arc<Entry>>;

pub(crate) struct Log {
    settings: History,
    stream: u64,
    /// The number of the last entry that is not there any more, or before the first.
    dropped: u64,
    /// Up to this number nothing comes behind the last entry.
    end: u64,
    entries: VecDeque<Arc<Entry>>,
    bytes: usize,
}

/// Where a member starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Start {
    /// The number of the last entry that he does not need.
    pub(crate) cursor: u64,
    /// How many there are behind it.
    pub(crate) messages: u64,
    /// Whether he has a position, and what is behind it is no longer there.
    pub(crate) is_gone: bool,
}

/// The room has forgotten what was to be read next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lagged;

impl Log {
    pub(crate) fn new(settings: History, stream: u64) -> Self {
        Self { settings, stream, dropped: 0, end: 0, entries: VecDeque::new(), bytes: 0 }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn settings(&self) -> &History {
        &self.settings
    }

    /// The number of the last message, kept or not.
    pub(crate) fn head(&self) -> u64 {
        self.entries.back().map_or(self.dropped, |entry| entry.position.number())
    }

    pub(crate) fn position(&self, number: u64) -> Position {
        Position::new(self.stream, number)
    }

    pub(crate) fn append(&mut self, message: Message, now: Instant, discarded: &mut Discarded) -> Arc<Entry> {
        let position = self.position(self.head() + 1);
        self.append_at(position, message, Duration::ZERO, now, discarded)
    }

    /// Appends a message that has been given its position elsewhere, so long ago. Its number must be higher than all others.
    pub(crate) fn append_at(
        &mut self,
        position: Position,
        message: Message,
        age: Duration,
        now: Instant,
        discarded: &mut Discarded,
    ) -> Arc<Entry> {
        let at = now.checked_sub(age).unwrap_or(now);
        let entry = Arc::new(Entry { position, message, at, wire: OnceLock::new() });
        self.bytes += entry.cost();
        self.entries.push_back(Arc::clone(&entry));
        self.trim(now, discarded);
        entry
    }

    /// Begins anew behind a position, with what is left of the messages behind it.
    pub(crate) fn restart(&mut self, behind: Position, discarded: &mut Discarded) {
        self.forget_all(discarded);
        self.stream = behind.stream();
        self.dropped = behind.number();
        self.end = behind.number();
    }

    /// Takes a position for known behind which the first entry is this one, if it is the first that is kept.
    pub(crate) fn reach_back(&mut self, position: Position, first: u64) {
        let is_first = self.entries.front().is_some_and(|entry| entry.position.number() == first);
        if is_first && position.stream() == self.stream {
            self.dropped = self.dropped.min(position.number());
        }
    }

    /// Takes a position for known behind the last entry, since nothing stands between the two.
    pub(crate) fn reach_ahead(&mut self, position: Position) {
        if position.stream() == self.stream {
            self.end = self.end.max(position.number());
        }
    }

    /// Whether a position is of this stream, and newer than what is known.
    pub(crate) fn is_newer(&self, position: Position) -> bool {
        position.stream() == self.stream && position.number() > self.head().max(self.end)
    }

    /// Whether a position is of this stream, and older than what is known.
    pub(crate) fn is_older(&self, position: Position) -> bool {
        position.stream() == self.stream && position.number() < self.dropped
    }

    pub(crate) fn stream(&self) -> u64 {
        self.stream
    }

    /// Forgets what is too old or too much.
    pub(crate) fn trim(&mut self, now: Instant, discarded: &mut Discarded) {
        let History { messages, age, bytes, .. } = self.settings;
        while let Some(oldest) = self.entries.front() {
            let is_old = age.is_some_and(|age| now.saturating_duration_since(oldest.at) > age);
            if !is_old && self.entries.len() <= messages && self.bytes <= bytes {
                return;
            }
            self.forget_oldest(discarded);
        }
    }

    /// Returns `false` if there is none.
    pub(crate) fn forget_oldest(&mut self, discarded: &mut Discarded) -> bool {
        let Some(oldest) = self.entries.pop_front() else { return false };
        self.dropped = oldest.position.number();
        self.bytes -= oldest.cost();
        discarded.push(oldest);
        true
    }

    pub(crate) fn forget_all(&mut self, discarded: &mut Discarded) {
        while self.forget_oldest(discarded) {}
    }

    /// Whether all that stands behind a position is here.
    pub(crate) fn knows(&self, position: Position) -> bool {
        let end = self.head().max(self.end);
        position.stream() == self.stream && (self.dropped..=end).contains(&position.number())
    }

    /// Finds where a member starts who has a position, or wants the last messages.
    pub(crate) fn start(&self, since: Option<Position>, last: usize) -> Start {
        match since.filter(|position| self.knows(*position)) {
            Some(position) => {
                let messages = (self.entries.len() - self.behind(position.number())) as u64;
                Start { cursor: position.number(), messages, is_gone: false }
            }
            None => {
                let skip = self.entries.len() - last.min(self.entries.len());
                let before = skip.checked_sub(1).map(|last| self.entries[last].position.number());
                let messages = (self.entries.len() - skip) as u64;
                Start { cursor: before.unwrap_or(self.dropped), messages, is_gone: since.is_some() }
            }
        }
    }

    /// Returns the next entries behind a number.
    pub(crate) fn read(&self, cursor: u64, most: usize) -> Result<Vec<Arc<Entry>>, Lagged> {
        if cursor < self.dropped {
            return Err(Lagged);
        }
        Ok(self.entries.range(self.behind(cursor)..).take(most).cloned().collect())
    }

    /// The place of the first entry behind a number.
    fn behind(&self, number: u64) -> usize {
        self.entries.partition_point(|entry| entry.position.number() <= number)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails so")]

    use std::time::Duration;

    use super::*;

    fn log(settings: History, texts: usize) -> Log {
        let mut log = Log::new(settings, 7);
        for number in 1..=texts {
            log.append(number.to_string().into(), Instant::now(), &mut Vec::new());
        }
        log
    }

    fn texts(log: &Log, cursor: u64) -> Vec<String> {
        let entries = log.read(cursor, 100).unwrap();
        entries.iter().map(|entry| entry.message.as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn the_last_messages_stay() {
        let log = log(History::last(3), 5);
        assert_eq!((log.head(), log.dropped), (5, 2));
        assert_eq!(texts(&log, 2), ["3", "4", "5"]);
        assert_eq!(texts(&log, 5), [""; 0]);
        assert_eq!(log.read(1, 100).map(|_| ()), Err(Lagged));
        assert_eq!(log.read(2, 1).unwrap().len(), 1);
        assert_eq!(log.bytes(), 3 * (OVERHEAD + 1));
    }

    #[test]
    fn messages_go_by_age_and_by_bytes() {
        let mut log = log(History::within(Duration::from_secs(60)).max_bytes(3 * (OVERHEAD + 1)), 5);
        assert_eq!(texts(&log, 2), ["3", "4", "5"]);
        let mut discarded = Vec::new();
        log.trim(Instant::now() + Duration::from_secs(59), &mut discarded);
        assert!(discarded.is_empty());
        log.trim(Instant::now() + Duration::from_secs(61), &mut discarded);
        assert_eq!((discarded.len(), log.head(), log.bytes()), (3, 5, 0));
        log.append("x".repeat(1000).into(), Instant::now(), &mut discarded);
        assert_eq!((discarded.len(), log.head(), log.bytes()), (4, 6, 0), "too large to be kept");
    }

    #[test]
    fn a_position_ahead_is_known_once_nothing_stands_before_it() {
        let mut log = log(History::last(3), 5);
        let at = |number| Position::new(7, number);
        assert!(log.is_newer(at(8)) && !log.is_newer(at(5)) && !log.is_newer(Position::new(6, 8)));
        log.reach_ahead(Position::new(6, 8));
        assert!(log.is_newer(at(8)));
        log.reach_ahead(at(8));
        let start = |log: &Log, number| log.start(Some(at(number)), 0);
        assert_eq!(start(&log, 8), Start { cursor: 8, messages: 0, is_gone: false });
        assert!(start(&log, 9).is_gone && !log.is_newer(at(7)));
        log.append_at(at(9), "9".into(), Duration::ZERO, Instant::now(), &mut Vec::new());
        assert_eq!(start(&log, 8), Start { cursor: 8, messages: 1, is_gone: false });
        log.restart(Position::new(7, 6), &mut Vec::new());
        assert!(start(&log, 8).is_gone && log.is_newer(at(8)));
    }

    #[test]
    fn a_position_is_known_or_gone() {
        let log = log(History::last(3), 5);
        let at = |stream, number| log.start(Some(Position::new(stream, number)), 2);
        assert_eq!(log.start(None, 2), Start { cursor: 3, messages: 2, is_gone: false });
        assert_eq!(log.start(None, 9), Start { cursor: 2, messages: 3, is_gone: false });
        assert_eq!(at(7, 5), Start { cursor: 5, messages: 0, is_gone: false });
        assert_eq!(at(7, 2), Start { cursor: 2, messages: 3, is_gone: false });
        for (stream, number) in [(7, 1), (7, 0), (7, 6), (8, 4), (7, u64::MAX)] {
            assert_eq!(at(stream, number), Start { cursor: 3, messages: 2, is_gone: true });
        }
    }
}
