//! A client's session, as handlers and others see it.
//!
//! Imports: broker, outbox, subscription.

mod handle;
mod reason;
mod refusal;

pub use self::{handle::Session, reason::DisconnectReason};
pub(crate) use self::{handle::text, refusal::Refusal};
