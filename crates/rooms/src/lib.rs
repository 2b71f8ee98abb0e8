//! Rooms.

mod announce;
mod as_sender;
mod builder;
mod error;
mod events;
mod history;
mod join;
mod key;
mod member;
mod node;
mod position;
mod presence;
mod recovery;
mod rooms;
mod sent;
mod stats;
mod tab;
mod to;

pub use self::{
    as_sender::AsSender,
    builder::Builder,
    error::JoinError,
    events::{Event, Events},
    history::History,
    join::Join,
    key::{Data, Key, KeyRef},
    member::Member,
    position::{InvalidPosition, Position},
    presence::{PresenceChanges, PresenceWatch, Present, PresentTab},
    recovery::{Outcome, Recovery},
    rooms::Rooms,
    sent::{Refused, Sent},
    stats::Stats,
    tab::Tab,
    to::To,
};
