//! Rooms.

mod announce;
mod as_sender;
mod build_error;
mod builder;
mod bus_stats;
mod error;
mod events;
mod history;
mod join;
mod key;
mod link;
mod member;
mod node;
mod nodes;
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
    build_error::BuildError,
    builder::Builder,
    bus_stats::BusStats,
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
