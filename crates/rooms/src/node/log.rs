//! What a room has kept of its messages.

use std::{
    collections::VecDeque,
    sync::{Arc, OnceLock},
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
    /// The number of the first entry, or of the next if there is none.
    first: u64,
    entries: VecDeque<Arc<Entry>>,
    bytes: usize,
}

/// Where a member starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Start {
    /// The number of the last entry that he does not need.
    pub(crate) cursor: u64,
    /// Whether he has a position, and what is behind it is no longer there.
    pub(crate) is_gone: bool,
}

/// The room has forgotten what was to be read next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lagged;

impl Log {
    pub(crate) fn new(settings: History, stream: u64) -> Self {
        Self { settings, stream, first: 1, entries: VecDeque::new(), bytes: 0 }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn settings(&self) -> &History {
        &self.settings
    }

    /// The number of the last message, kept or not.
    pub(crate) fn head(&self) -> u64 {
        self.first - 1 + self.entries.len() as u64
    }

    pub(crate) fn position(&self, number: u64) -> Position {
        Position::new(self.stream, number)
    }

    pub(crate) fn append(&mut self, message: Message, now: Instant, discarded: &mut Discarded) -> Arc<Entry> {
        let position = self.position(self.head() + 1);
        let entry = Arc::new(Entry { position, message, at: now, wire: OnceLock::new() });
        self.bytes += entry.cost();
        self.entries.push_back(Arc::clone(&entry));
        self.trim(now, discarded);
        entry
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
        self.first += 1;
        self.bytes -= oldest.cost();
        discarded.push(oldest);
        true
    }

    pub(crate) fn forget_all(&mut self, discarded: &mut Discarded) {
        while self.forget_oldest(discarded) {}
    }

    /// Finds where a member starts who has a position, or wants the last messages.
    pub(crate) fn start(&self, since: Option<Position>, last: usize) -> Start {
        let head = self.head();
        let known = since.filter(|position| {
            position.stream() == self.stream && (self.first - 1..=head).contains(&position.number())
        });
        match known {
            Some(position) => Start { cursor: position.number(), is_gone: false },
            None => Start { cursor: head - last.min(self.entries.len()) as u64, is_gone: since.is_some() },
        }
    }

    /// Returns the next entries behind a number.
    pub(crate) fn read(&self, cursor: u64, most: usize) -> Result<Vec<Arc<Entry>>, Lagged> {
        let skip = (cursor + 1).checked_sub(self.first).ok_or(Lagged)?;
        let skip = usize::try_from(skip).unwrap_or(usize::MAX).min(self.entries.len());
        Ok(self.entries.range(skip..).take(most).cloned().collect())
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
        assert_eq!((log.head(), log.first), (5, 3));
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
    fn a_position_is_known_or_gone() {
        let log = log(History::last(3), 5);
        let at = |stream, number| log.start(Some(Position::new(stream, number)), 2);
        assert_eq!(log.start(None, 2), Start { cursor: 3, is_gone: false });
        assert_eq!(log.start(None, 9), Start { cursor: 2, is_gone: false });
        assert_eq!(at(7, 5), Start { cursor: 5, is_gone: false });
        assert_eq!(at(7, 2), Start { cursor: 2, is_gone: false });
        for (stream, number) in [(7, 1), (7, 0), (7, 6), (8, 4), (7, u64::MAX)] {
            assert_eq!(at(stream, number), Start { cursor: 3, is_gone: true });
        }
    }
}
