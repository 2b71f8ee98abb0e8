//! What a node knows of the others, and they of it: without IO, and with the time as an argument.
//!
//! Each node tells the others which sessions it has and in which rooms they are, and keeps what it is told: presence is
//! answered without asking anyone.
//!
//! Imports: nothing.

pub(crate) mod bounds;
pub(crate) mod cluster;
mod counts;
pub(crate) mod known;
mod peer;
pub(crate) mod places;
pub(crate) mod protocol;
pub(crate) mod replica;
pub(crate) mod wire;
