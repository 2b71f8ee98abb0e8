//! For whoever writes a driver: the parts that each one has.
//!
//! An application needs none of them. [`Front`] is the end at which it calls, [`Back`] what the driver's tasks take from
//! there, and [`State`] what both know of the connection. [`Backoff`] says when to connect again, and a [`Follower`] makes
//! an entry after the other of what an engine publishes and stores.
//!
//! Imports: bus, connect_error, random, status, streams, subject.

mod backoff;
mod counters;
mod follower;
mod front;
mod queue;
mod ready;
mod state;

pub use self::{
    backoff::Backoff,
    counters::Counters,
    follower::{Feed, Follower, Heard, Item},
    front::{Append, Back, Front, Outgoing},
    queue::{Queued, Room},
    ready::{Outcome, ready},
    state::State,
};
