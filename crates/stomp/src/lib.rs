//! STOMP for axum.

pub mod broker;
mod events;
mod handler;
mod link;
mod message;
mod messenger;
mod options;
pub mod outbox;
mod outcome;
mod registry;
mod session;
#[cfg(feature = "tcp")]
mod stream;
mod subscription;

pub use self::options::{ClientSend, Denial, StompOptions};
pub use self::subscription::{AckMode, InvalidMessageId, MessageId, Subscription, UnknownAckMode};
pub use self::{
    handler::Context, message::Message, messenger::Messenger, outcome::Outcome, session::Session,
};
