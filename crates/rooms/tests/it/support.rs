//! Sessions in process.

use axum_sockjs::{Options, Pair, Peer, Session};
use axum_sockjs_rooms::{Builder, Data, Key, Rooms};

/// A session of a user.
pub(crate) fn of(user: &str) -> (Session, Peer) {
    Pair::new().identity(user.to_owned()).open()
}

/// A session of a guest.
pub(crate) fn guest() -> (Session, Peer) {
    Pair::new().open()
}

/// The bytes of a queue that holds this many messages of one character.
pub(crate) const fn room_for(messages: usize) -> usize {
    // Each costs 128 bytes beside its text.
    messages * 150
}

/// A session whose queue has so little room.
pub(crate) fn slow(user: &str, queue_bytes: usize) -> (Session, Peer) {
    let options = Options::new().send_queue_bytes(queue_bytes);
    Pair::new().identity(user.to_owned()).options(&options).open()
}

/// The texts that a client has got and not read.
pub(crate) fn texts(peer: &mut Peer) -> Vec<String> {
    std::iter::from_fn(|| peer.try_recv()).map(|message| message.as_str().unwrap().to_owned()).collect()
}

/// The rooms of a test: of one node, with or without a bus.
pub(crate) fn rooms() -> Rooms {
    builder().build()
}

/// Their settings.
pub(crate) fn builder<K: Key, U: Key, D: Data>() -> Builder<K, U, D> {
    crate::configure(Rooms::builder())
}

/// Whether nothing is left of what was there.
pub(crate) fn assert_empty<K: Key, U: Key, D: Data>(rooms: &Rooms<K, U, D>) {
    let stats = rooms.stats();
    let left =
        [stats.rooms, stats.occupied_rooms, stats.members, stats.sessions, stats.users, stats.history_bytes];
    assert_eq!(left, [0; 6]);
}
