//! What clients may send and subscribe to.

use std::{
    num::NonZero,
    sync::{Mutex, PoisonError},
};

use axum::{Json, Router, extract::State};
use axum_stomp::{Credentials, Event, Login, Path, Rejection, SendTo, Stomp, StompOptions, User};
use serde::Deserialize;

use super::{
    common::{CSS, HTML, JAVASCRIPT, Libraries},
    rooms::{Line, Room, RoomName, Rooms, Summary},
};

/// Characters.
const LONGEST_NAME: usize = 30;
const LONGEST_LINE: usize = 500;

/// Frames of one client. Who sends more has to wait.
const PER_SECOND: NonZero<u32> = NonZero::new(20).unwrap();

const PAGE: [(&str, &str, &str); 3] = [
    ("/", HTML, include_str!("index.html")),
    ("/chat.js", JAVASCRIPT, include_str!("chat.js")),
    ("/chat.css", CSS, include_str!("chat.css")),
];

/// The chat and its page.
pub(crate) fn app(libraries: Libraries) -> Router {
    let rooms = Rooms::default();
    let presence = rooms.clone();
    // One change after the other is told: the last that a page gets is what is so.
    let turn = Mutex::new(());
    let server = Stomp::new()
        .options(StompOptions::new().frame_rate(PER_SECOND))
        .on_connect(connect)
        .on_event(move |event, messenger| {
            let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(room) = come_or_go(&presence, event) {
                messenger.send(format!("/topic/rooms/{room}/people"), Json(presence.get(&room).people));
                messenger.send("/topic/rooms", Json(presence.list()));
            }
        })
        .message("/rooms/{room}", say)
        .subscribe("/rooms", list)
        .subscribe("/rooms/{room}", enter)
        .build();
    let sockjs = server.sockjs_with(libraries.sockjs(server.sockjs_options()));
    sockjs.into_router("/stomp").with_state(rooms).merge(libraries.page(&PAGE))
}

/// The text without spaces around it, if something is left and not too much.
fn within(text: &str, longest: usize) -> Option<&str> {
    let text = text.trim();
    (1..=longest).contains(&text.chars().count()).then_some(text)
}

async fn connect(Credentials { login, .. }: Credentials) -> Result<Login, Rejection> {
    let name = within(&login, LONGEST_NAME);
    let name = name.filter(|name| !name.contains(char::is_control));
    Ok(Login::new(name.ok_or_else(|| Rejection::new("a name that does not fit"))?))
}

#[derive(Deserialize)]
struct Say {
    text: String,
}

async fn say(
    State(rooms): State<Rooms>,
    Path(room): Path<RoomName>,
    User(name): User,
    Json(Say { text }): Json<Say>,
) -> Result<SendTo<Json<Line>>, Rejection> {
    let text = within(&text, LONGEST_LINE)
        .ok_or_else(|| Rejection::new(format!("a line has 1 to {LONGEST_LINE} characters")))?;
    let line = rooms.say(&room, &name, text).ok_or_else(|| Rejection::new("enter the room first"))?;
    Ok(SendTo::new(format!("/topic/rooms/{room}"), Json(line)))
}

async fn list(State(rooms): State<Rooms>) -> Json<Vec<Summary>> {
    Json(rooms.list())
}

async fn enter(State(rooms): State<Rooms>, Path(room): Path<RoomName>) -> Json<Room> {
    Json(rooms.get(&room))
}

/// Who has subscribed to a room is in it. Returns the room, if that has changed it.
///
/// The subscriptions of a session end before it does, each with an event.
fn come_or_go(rooms: &Rooms, event: &Event) -> Option<RoomName> {
    let (session, subscription, is_there) = match event {
        Event::Subscribed(session, subscription) => (session, subscription, true),
        Event::Unsubscribed(session, subscription) => (session, subscription, false),
        _ => return None,
    };
    let room = subscription.destination().strip_prefix("/topic/rooms/")?;
    let room = RoomName::try_from(room.to_owned()).ok()?;
    let name = session.user()?;
    if is_there { rooms.enter(&room, name) } else { rooms.leave(&room, name) }.then_some(room)
}
