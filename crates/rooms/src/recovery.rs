//! What a session that has joined a room with history is sent first.
//!
//! Imports: position.

use serde::{Deserialize, Serialize};

use crate::position::Position;

/// What a session that joins a room with history is sent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Recovery {
    /// What has become of the position that the client has come back with.
    pub outcome: Outcome,
    /// The number of messages that the session is sent before it is a member. More may have come until it was one.
    pub messages: u64,
    /// The position before the first of them: a client that keeps it, and then the position of each message that comes,
    /// can come back with it at any time.
    pub position: Position,
}

/// What has become of the position that a client has come back with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Outcome {
    /// The client came without one.
    New,
    /// The client gets exactly what it has missed.
    Whole,
    /// Some of what is behind it is no longer there, or it is a position of another stream. The client starts anew, with
    /// the [last messages](crate::Join::last): what it has shown has a hole.
    Gone,
}
