//! What the backends have seen, for the page.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use serde::Serialize;

/// More than happens between two looks of a page.
const MAX_ENTRIES: usize = 2000;

/// What happens at the WebSocket between the gateway and a backend, as the backend sees it.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "what", rename_all = "lowercase")]
pub(crate) enum What {
    /// The gateway asks for a WebSocket, with this head of a request.
    Asked {
        head: String,
    },
    /// The answer, if it is none.
    Refused {
        status: u16,
    },
    /// The answer comes late.
    Waits {
        seconds: u64,
    },
    Opened,
    /// From the gateway.
    Received {
        text: String,
    },
    /// To the gateway.
    Sent {
        text: String,
    },
    /// By the gateway's close frame.
    Closed {
        code: u16,
        reason: String,
    },
    /// By the backend's close frame.
    Closes {
        code: u16,
        reason: String,
    },
    /// Without a close frame.
    Lost,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Entry {
    pub(crate) number: u64,
    /// Milliseconds since 1970.
    at: u64,
    backend: &'static str,
    #[serde(skip)]
    tab: String,
    #[serde(flatten)]
    what: What,
}

#[derive(Debug, Default)]
pub(crate) struct Log {
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    last: u64,
    kept: VecDeque<Entry>,
}

impl Log {
    pub(crate) fn add(&self, backend: &'static str, tab: &str, what: What) {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let at = at.try_into().unwrap_or(u64::MAX);
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.last += 1;
        let entry = Entry { number: entries.last, at, backend, tab: tab.to_owned(), what };
        entries.kept.push_back(entry);
        if entries.kept.len() > MAX_ENTRIES {
            entries.kept.pop_front();
        }
    }

    /// What concerns a tab, behind the entry with the number `since`.
    pub(crate) fn after(&self, tab: &str, since: u64) -> Vec<Entry> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.kept.iter().filter(|entry| entry.number > since && entry.tab == tab).cloned().collect()
    }
}
