//! What goes over the connections to backends, and how their sessions end.

use std::sync::atomic::{AtomicU64, Ordering};

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
    pub(crate) fn count(&self, bytes: usize) {
        self.messages.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn messages(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// Who ended a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndedBy {
    Client,
    Backend,
    /// A limit or a stop of the gateway, or an error of its own.
    Gateway,
}

impl EndedBy {
    pub(crate) const ALL: [Self; 3] = [Self::Client, Self::Backend, Self::Gateway];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Backend => "backend",
            Self::Gateway => "gateway",
        }
    }
}

/// What a close code says: few words, however many codes there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CodeClass {
    /// No code: the connection broke, or its end has none.
    None,
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
    pub(crate) const ALL: [Self; 6] =
        [Self::None, Self::Normal, Self::GoingAway, Self::Protocol, Self::Library, Self::Application];

    pub(crate) fn of(code: Option<u16>) -> Self {
        match code {
            None => Self::None,
            Some(1000) => Self::Normal,
            Some(1001) => Self::GoingAway,
            Some(..3000) => Self::Protocol,
            Some(..4000) => Self::Library,
            Some(_) => Self::Application,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
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
pub(crate) struct Ended([[AtomicU64; CodeClass::ALL.len()]; EndedBy::ALL.len()]);

impl Ended {
    pub(crate) fn count(&self, by: EndedBy, code: Option<u16>) {
        self.0[by as usize][CodeClass::of(code) as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn all(&self) -> Vec<(EndedBy, CodeClass, u64)> {
        let classes = |by: EndedBy| {
            CodeClass::ALL.map(|class| (by, class, self.0[by as usize][class as usize].load(Ordering::Relaxed)))
        };
        EndedBy::ALL.into_iter().flat_map(classes).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_counted_by_who_and_by_the_class_of_the_code() {
        let ended = Ended::default();
        for code in [None, Some(0), Some(1000), Some(1001), Some(1011), Some(3000), Some(3999), Some(4999)] {
            ended.count(EndedBy::Backend, code);
        }
        ended.count(EndedBy::Client, Some(u16::MAX));
        let counted: Vec<_> =
            ended.all().into_iter().map(|(by, class, count)| (by.name(), class.name(), count)).collect();
        assert_eq!(counted.len(), 18);
        let of = |by| counted.iter().filter(move |(who, ..)| *who == by).map(|&(_, class, count)| (class, count));
        assert_eq!(
            of("backend").collect::<Vec<_>>(),
            [("none", 1), ("1000", 1), ("1001", 1), ("1xxx", 2), ("3xxx", 2), ("4xxx", 1)]
        );
        assert_eq!(of("client").filter(|(_, count)| *count > 0).collect::<Vec<_>>(), [("4xxx", 1)]);
        assert!(of("gateway").all(|(_, count)| count == 0));
    }
}
