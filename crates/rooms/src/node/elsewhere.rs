//! What a node says to the other nodes, and asks of what is known of them. How is none of its business.

use std::{collections::HashSet, pin::Pin, sync::Arc};

use axum_sockjs::{ConnectionId, Message};
use sockjs_bus::{PublishError, StreamError};
use tokio::sync::oneshot;

use super::{
    delivery::How,
    end::End,
    room::Room,
    tab::{Tab, User},
};
use crate::{bus_stats::BusStats, error::JoinError, nodes::known::Remotes, position::Position};

/// Learns what has become of a message that was to be kept.
pub(crate) type Confirm = oneshot::Sender<Result<Position, StreamError>>;

/// The other nodes. No method waits, but for those that return futures, and none is called under a lock.
pub(crate) trait Elsewhere<K, U, D>: Send + Sync {
    /// A session is known here.
    fn entered(&self, tab: &Tab<U>);

    /// A session is no longer known here.
    fn exited(&self, tab: &Tab<U>);

    /// A user has a first tab here.
    fn online(&self, user: &Arc<User<U>>);

    /// A user has no tab here any more.
    fn offline(&self, user: &User<U>);

    fn joined(&self, room: &Room<K, U, D>, tab: &Tab<U>, seq: u64, data: &D);

    /// The data of a member may have changed.
    fn changed(&self, room: &Room<K, U, D>, seq: u64);

    fn left(&self, room: &Room<K, U, D>, tab: &Tab<U>, seq: u64);

    /// A room no longer exists here.
    fn vacated(&self, room: &Room<K, U, D>);

    /// Completes when messages from other nodes reach a room, and its history is there.
    fn attach<'a>(
        &'a self,
        room: &'a Arc<Room<K, U, D>>,
    ) -> Pin<Box<dyn Future<Output = Result<(), JoinError>> + Send + 'a>>;

    /// Asks the bus about a position that is none of those that this node has of a room's history. If it is the one
    /// before them, it is known from then on; if this node is behind, it waits for a short time. What cannot be found out
    /// is an error.
    fn reach<'a>(
        &'a self,
        room: &'a Arc<Room<K, U, D>>,
        position: Position,
    ) -> Pin<Box<dyn Future<Output = Result<(), JoinError>> + Send + 'a>>;

    fn send_to_room(&self, key: &K, message: &Message, how: &How) -> Result<(), PublishError>;

    /// Appends to the history of a room: all nodes deliver it, this one too.
    ///
    /// `confirm` learns what has become of it once that is known.
    fn append(
        &self,
        key: &K,
        message: &Message,
        how: &How,
        confirm: Option<Confirm>,
    ) -> Result<(), PublishError>;

    fn send_to_user(&self, user: &U, message: &Message, how: &How) -> Result<(), PublishError>;

    fn send_to_all(&self, message: &Message, how: &How) -> Result<(), PublishError>;

    fn close_room(&self, key: &K, end: &End) -> Result<(), PublishError>;

    /// It is repeated where it may not have arrived.
    fn close_user(&self, user: &U, end: &End) -> Result<(), PublishError>;

    fn close_all(&self, end: &End) -> Result<(), PublishError>;

    fn close_session(&self, id: ConnectionId, end: &End) -> Result<(), PublishError>;

    /// The members of a room on other nodes.
    fn members(&self, key: &K) -> Arc<Remotes<U, D>>;

    /// The sessions of a user on other nodes.
    fn tabs_of(&self, user: &U) -> Vec<ConnectionId>;

    /// Adds the users of other nodes.
    fn add_users(&self, users: &mut HashSet<U>);

    /// Adds the rooms that have members on other nodes.
    fn add_keys(&self, keys: &mut HashSet<K>);

    /// Says to the others that the node stops, and nothing from then on. Completes when they will hear it, or cannot.
    fn leave(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;

    fn stats(&self) -> BusStats;
}
