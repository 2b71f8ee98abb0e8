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

#[derive(Clone, Serialize)]
pub(crate) struct Line {
    from: String,
    text: String,
}

/// What a page is sent.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(crate) enum ToPage {
    Room { users: Vec<String>, lines: VecDeque<Line> },
    Users { users: Vec<String> },
    Line(Line),
}

#[derive(Default)]
struct Inside {
    /// How many tabs each user has.
    tabs: BTreeMap<String, usize>,
    lines: VecDeque<Line>,
}

impl Inside {
    fn users(&self) -> Vec<String> {
        self.tabs.keys().cloned().collect()
    }
}

#[derive(Clone)]
pub(crate) struct Room {
    inside: Arc<Mutex<Inside>>,
    /// Each event is made JSON once, for all tabs.
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
            let line = Line { from: from.to_owned(), text: text.to_owned() };
            inside.lines.push_back(line.clone());
            if inside.lines.len() > HISTORY {
                inside.lines.pop_front();
            }
            Some(ToPage::Line(line))
        });
    }

    /// The room as it is, and all that happens from now on.
    pub(crate) fn listen(&self) -> (ToPage, Receiver<Message>) {
        let inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = ToPage::Room { users: inside.users(), lines: inside.lines.clone() };
        (whole, self.news.subscribe())
    }

    /// Changes the room, and tells all tabs. The lock is held meanwhile, so that they hear of changes in their order.
    fn change(&self, change: impl FnOnce(&mut Inside) -> Option<ToPage>) {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(event) = change(&mut inside) {
            let event = Message::json(&event).expect("texts and lists can be JSON");
            // Fails when nobody listens.
            self.news.send(event).ok();
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
