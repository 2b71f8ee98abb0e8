//! STOMP for axum.

pub mod broker;
mod link;
mod message;
pub mod outbox;
mod outcome;
mod subscription;

pub use self::subscription::{AckMode, InvalidMessageId, MessageId, Subscription, UnknownAckMode};
pub use self::{message::Message, outcome::Outcome};
