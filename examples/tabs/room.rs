//! Who is there, and what was said.

use std::time::Duration;

use axum_sockjs::Message;
use axum_sockjs_rooms::{History, PresenceChanges, Present, Rooms};
use serde::Serialize;

/// How many lines who comes later is shown.
const HISTORY: usize = 50;
/// Comings and leavings within this time are told together.
const TOGETHER: Duration = Duration::from_millis(100);

/// What a page is sent.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(crate) enum ToPage {
    /// The page begins anew: the last lines follow.
    Room,
    /// Who is there, or has gone.
    Users {
        here: Vec<String>,
        gone: Vec<String>,
    },
    Line {
        from: String,
        text: String,
    },
}

impl From<&ToPage> for Message {
    fn from(event: &ToPage) -> Self {
        Self::json(event).expect("texts and lists can be JSON")
    }
}

fn names(present: &[Present]) -> Vec<String> {
    present.iter().filter_map(|present| present.user.clone()).collect()
}

/// All who are there.
pub(crate) fn all(present: &[Present]) -> ToPage {
    ToPage::Users { here: names(present), gone: Vec::new() }
}

/// Another tab of a user who is there is no news.
fn news(_room: &String, changes: &PresenceChanges) -> Option<Message> {
    let (here, gone) = (names(&changes.joined), names(&changes.left));
    let is_news = !here.is_empty() || !gone.is_empty();
    is_news.then(|| Message::from(&ToPage::Users { here, gone }))
}

/// A tab that is too slow for a burst is closed, comes back, and begins anew with the last lines.
pub(crate) fn rooms() -> Rooms {
    Rooms::builder().history(History::last(HISTORY)).announce(TOGETHER, news).build()
}
