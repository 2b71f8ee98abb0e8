//! What goes over the connections to backends, and how their sessions end.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::pump::ended::By;

/// What a backend and its clients have said to each other.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) to_backend: Flow,
    pub(crate) from_backend: Flow,
}

/// The messages of one direction, and their bytes without what frames add.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    messages: AtomicU64,
    bytes: AtomicU64,
}

impl Flow {
    pub(crate) fn count(&self, messages: u64, bytes: u64) {
        self.messages.fetch_add(messages, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn messages(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// Whoever may end a session, with the name of it.
pub(crate) const ENDED_BY: [(By, &str); 3] =
    [(By::Client, "client"), (By::Backend, "backend"), (By::Gateway, "gateway")];

/// What a close code says: few words, however many codes there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CodeClass {
    /// 1000.
    Normal,
    /// 1001.
    GoingAway,
    /// Any other below 3000.
    Protocol,
    /// 3000 to 3999, of libraries.
    Library,
    /// 4000 to 4999, of applications.
    Application,
}

impl CodeClass {
    pub(crate) const ALL: [Self; 5] =
        [Self::Normal, Self::GoingAway, Self::Protocol, Self::Library, Self::Application];

    pub(crate) fn of(code: u16) -> Self {
        match code {
            1000 => Self::Normal,
            1001 => Self::GoingAway,
            ..3000 => Self::Protocol,
            3000..4000 => Self::Library,
            4000.. => Self::Application,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Normal => "1000",
            Self::GoingAway => "1001",
            Self::Protocol => "1xxx",
            Self::Library => "3xxx",
            Self::Application => "4xxx",
        }
    }
}

/// The sessions of a route that have ended.
#[derive(Debug, Default)]
pub(crate) struct EndedSessions([[AtomicU64; CodeClass::ALL.len()]; ENDED_BY.len()]);

impl EndedSessions {
    pub(crate) fn count(&self, by: By, code: u16) {
        self.0[by as usize][CodeClass::of(code) as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Each with the name of who ended them, and that of the class of their codes.
    pub(crate) fn all(&self) -> Vec<(&'static str, &'static str, u64)> {
        let of = |by: By, class: CodeClass| self.0[by as usize][class as usize].load(Ordering::Relaxed);
        let all = ENDED_BY.into_iter().flat_map(|by| CodeClass::ALL.map(|class| (by, class)));
        all.map(|((by, name), class)| (name, class.name(), of(by, class))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_counted_by_who_and_by_the_class_of_the_code() {
        let ended = EndedSessions::default();
        for code in [0, 1000, 1001, 1011, 3000, 3999, 4999] {
            ended.count(By::Backend, code);
        }
        ended.count(By::Client, u16::MAX);
        let all = ended.all();
        assert_eq!(all.len(), 15);
        let of = |by| all.iter().filter(move |(who, ..)| *who == by).map(|&(_, class, count)| (class, count));
        assert_eq!(
            of("backend").collect::<Vec<_>>(),
            [("1000", 1), ("1001", 1), ("1xxx", 2), ("3xxx", 2), ("4xxx", 1)]
        );
        assert_eq!(of("client").filter(|(_, count)| *count > 0).collect::<Vec<_>>(), [("4xxx", 1)]);
        assert!(of("gateway").all(|(_, count)| count == 0));
    }
}
