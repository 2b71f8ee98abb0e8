//! STOMP for axum.

mod message;

pub use self::message::Message;
