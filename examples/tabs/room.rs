//! Who is there, and what was said.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use axum_sockjs::Message;
use serde::Serialize;
use tokio::sync::broadcast::{self, Receiver, Sender};

/// How many lines who comes later is shown.
const HISTORY: usize = 50;
/// How many events a tab may be behind before it is shown the whole room again.
const BEHIND: usize = 256;

#[derive(Serialize)]
struct Line {
    from: String,
    text: String,
}

/// What a page is sent.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum ToPage<'a> {
    Room { users: Vec<&'a str>, lines: &'a VecDeque<Line> },
    Users { users: Vec<&'a str> },
    Line(&'a Line),
}

impl From<ToPage<'_>> for Message {
    fn from(event: ToPage<'_>) -> Self {
        // Text and lists cannot fail to serialize.
        serde_json::to_string(&event).unwrap_or_default().into()
    }
}

#[derive(Default)]
struct Inside {
    /// How many tabs each user has.
    tabs: BTreeMap<String, usize>,
    lines: VecDeque<Line>,
}

impl Inside {
    fn users(&self) -> Vec<&str> {
        self.tabs.keys().map(String::as_str).collect()
    }
}

#[derive(Clone)]
pub(crate) struct Room {
    inside: Arc<Mutex<Inside>>,
    /// Each event is encoded once, for all tabs.
    news: Sender<Message>,
}

impl Default for Room {
    fn default() -> Self {
        Self { inside: Arc::default(), news: broadcast::channel(BEHIND).0 }
    }
}

/// A tab that is there; it has gone when this is dropped.
pub(crate) struct Tab {
    room: Room,
    name: String,
}

impl Room {
    pub(crate) fn join(&self, name: &str) -> Tab {
        self.change(|inside| {
            let tabs = inside.tabs.entry(name.to_owned()).or_default();
            *tabs += 1;
            (*tabs == 1).then(|| ToPage::Users { users: inside.users() })
        });
        Tab { room: self.clone(), name: name.to_owned() }
    }

    pub(crate) fn say(&self, from: &str, text: &str) {
        self.change(|inside| {
            inside.lines.push_back(Line { from: from.to_owned(), text: text.to_owned() });
            if inside.lines.len() > HISTORY {
                inside.lines.pop_front();
            }
            inside.lines.back().map(ToPage::Line)
        });
    }

    /// The room as it is, and all that happens from now on.
    pub(crate) fn listen(&self) -> (Message, Receiver<Message>) {
        let inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = ToPage::Room { users: inside.users(), lines: &inside.lines };
        (whole.into(), self.news.subscribe())
    }

    /// Changes the room, and tells all tabs. The lock is held meanwhile, so that they hear of changes in their order.
    fn change(&self, change: impl FnOnce(&mut Inside) -> Option<ToPage<'_>>) {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(event) = change(&mut inside) {
            // Fails when nobody listens.
            self.news.send(event.into()).ok();
        }
    }
}

impl Drop for Tab {
    fn drop(&mut self) {
        self.room.change(|inside| {
            let tabs = inside.tabs.get_mut(&self.name)?;
            *tabs -= 1;
            if *tabs > 0 {
                return None;
            }
            inside.tabs.remove(&self.name);
            Some(ToPage::Users { users: inside.users() })
        });
    }
}
