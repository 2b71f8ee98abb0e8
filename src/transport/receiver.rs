//! The properties of the receiving transports.

use std::{future::Future, pin::Pin};

use bytes::Bytes;
use sockjs_core::{Frame, Transport};

/// The properties of one receiving transport.
pub(crate) struct Receiver {
    pub(crate) transport: Transport,
    pub(crate) content_type: &'static str,
    /// The prelude of a streaming response; a polling response has none and ends after one frame.
    pub(crate) prelude: Option<Bytes>,
    pub(crate) framing: Box<dyn Framing>,
}

/// Completes when a receiver has to end without a loss, for the client to come back with another request.
pub(crate) type Release = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The framing of a transport.
pub(crate) trait Framing: Send {
    fn wrap(&self, frame: &Frame) -> Bytes;
}
