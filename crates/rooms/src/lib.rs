//! Rooms for [axum-sockjs](https://docs.rs/axum-sockjs): who is where, what is said to many, and what was said.
//!
//! ```
//! use axum::{Router, extract::State};
//! use axum_sockjs::{Session, SockJs};
//! use axum_sockjs_rooms::{JoinError, Rooms};
//!
//! async fn chat(State(rooms): State<Rooms>, mut session: Session) -> Result<(), JoinError> {
//!     let room = rooms.join(&session, "lobby").await?;
//!     while let Some(line) = session.recv().await {
//!         room.send(line);
//!     }
//!     Ok(())
//! }
//!
//! let app: Router = Router::new().merge(SockJs::new(chat).into_router("/chat")).with_state(Rooms::new());
//! ```
//!
//! A session leaves when its [`Member`] is dropped: at the end of the handler, however it ends.
//!
//! # What is where
//!
//! | for | see |
//! |---|---|
//! | joining rooms and leaving them | [`Rooms::join`], [`Member`] |
//! | messages to a room, to all but one, to a user, to all | [`Rooms::send`], [`Rooms::to`], [`To`], [`Sent`] |
//! | users, their tabs, log-outs | [`Rooms::enter`], [`Rooms::close_user`], [`To::close`]; [guide](guide::users) |
//! | who is there | [`Rooms::presence`], [`Rooms::watch`], [`Builder::announce`]; [guide](guide::presence) |
//! | the last messages, clients that come back | [`History`], [`Join::since`], [`To::send_confirmed`], [`Position`]; [guide](guide::history) |
//! | first members and last ones, first tabs and last ones | [`Rooms::events`], [`Rooms::user_events`] |
//! | several nodes | [`Builder::bus`], [`BusStats`]; [guide](guide::nodes) |
//! | settings and limits | [`Builder`] |
//! | numbers | [`Rooms::stats`] |
//!
//! # What holds
//!
//! - Sending never waits, and a slow member costs the others nothing: [`Builder::overflow`] says what becomes of it, and
//!   each call may say it otherwise. [`Sent`] counts who got the message, who missed it, and who had gone.
//! - A message is quoted once, however many get it, and the room copies nothing for a call.
//! - What one task sends to a room comes in its order to each member. In a room with history all members get all messages
//!   in one order.
//! - No lock is held while a message is delivered, a task is woken, or code of the application runs: not even `Eq`,
//!   `Hash`, `Clone` and `Drop` of its keys, users and data.
//! - Everything has a limit: see [`Builder`].
//!
//! [`Rooms::send`] from anywhere in the process reaches the members of a room, whatever endpoint their sessions are of. With a
//! [bus](Builder::bus) it reaches those of every node, and presence is that of all: see the [guide](guide::nodes).
//!
//! # Cancel safety
//!
//! Every future here can be dropped at any await: a session whose [`Join`] is dropped has not joined, and no event or
//! change is lost.
//!
//! # Features
//!
//! | feature | default | effect |
//! |---|---|---|
//! | `metrics` | no | [`Rooms::record_metrics`](Rooms#method.record_metrics), for exporters of the [`metrics`](https://docs.rs/metrics) facade |

/// The README's programs, which are compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod announce;
mod as_sender;
mod build_error;
mod builder;
mod bus_stats;
mod error;
mod events;
#[cfg(any(doc, doctest))]
pub mod guide;
mod history;
mod join;
mod key;
mod link;
mod member;
#[cfg(feature = "metrics")]
mod metrics;
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
mod user_events;

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
    sent::{Closed, ConfirmError, Refused, Sent},
    stats::Stats,
    tab::Tab,
    to::To,
    user_events::{UserEvent, UserEvents},
};
