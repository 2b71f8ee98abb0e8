//! What sets the receiving transports apart.

use bytes::Bytes;

use crate::protocol::{frame::Frame, transport::Transport};

/// What sets one receiving transport apart.
pub(crate) struct Receiver {
    pub(crate) transport: Transport,
    pub(crate) content_type: &'static str,
    /// What a streaming response begins with; a polling one has none and ends after one frame.
    pub(crate) prelude: Option<Bytes>,
    pub(crate) framing: Box<dyn Framing>,
}

/// How a transport wraps a frame.
pub(crate) trait Framing: Send {
    fn wrap(&self, frame: &Frame) -> Bytes;
}
