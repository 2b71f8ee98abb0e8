//! STOMP for axum.

mod message;
mod subscription;

pub use self::message::Message;
pub use self::subscription::{AckMode, InvalidMessageId, MessageId, Subscription, UnknownAckMode};
