//! The close frame of a session: which one the client gets, whether it was delivered, and whether a shutdown waits for
//! it.

use sockjs_core::{CloseFrame, close::INTERRUPTED};

use super::super::close_reason::CloseReason;
/// The outcome of the close frame that a shutdown had for a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Farewell {
    /// The close frame was delivered, and all messages before it.
    Delivered,
    /// The close frame was not delivered, or not yet, or messages before it were lost.
    Lost,
}

#[cfg_attr(test, derive(Clone))]
#[derive(Debug)]
pub(super) struct CloseDelivery {
    frame: Frame,
    messages: Messages,
    shutdown: Shutdown,
}

/// The delivery of the close frame, as far as the server can see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frame {
    Pending,
    Delivered,
}

/// The messages before the close frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Messages {
    Complete,
    /// A receiver was cut off after the end, and some messages were lost with it.
    Lost,
}

/// The state that a shutdown of the endpoint has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shutdown {
    /// No close frame to deliver, or there was no shutdown.
    NothingPending,
    ClosePending,
}

impl CloseDelivery {
    pub(super) fn new() -> Self {
        Self { frame: Frame::Pending, messages: Messages::Complete, shutdown: Shutdown::NothingPending }
    }

    /// Returns the close frame for the client. The application's own frame implies that all messages before it have
    /// arrived.
    pub(super) fn frame(&self, reason: &CloseReason) -> CloseFrame {
        match self.messages {
            Messages::Complete => reason.frame(),
            Messages::Lost => INTERRUPTED,
        }
    }

    pub(super) fn close_delivered(&mut self) {
        self.frame = Frame::Delivered;
    }

    pub(super) fn messages_lost_before_close(&mut self) {
        self.messages = Messages::Lost;
    }

    /// Records that the endpoint shuts down before this client has got its close frame.
    pub(super) fn close_pending_at_shutdown(&mut self) {
        self.shutdown = Shutdown::ClosePending;
    }

    pub(super) fn is_delivered(&self) -> bool {
        self.frame == Frame::Delivered
    }

    /// Whether the close frame was pending when the endpoint shut down.
    pub(super) fn concerns_shutdown(&self) -> bool {
        self.shutdown == Shutdown::ClosePending
    }

    /// Returns the outcome of a close frame that was pending when the endpoint shut down.
    pub(super) fn farewell(&self) -> Option<Farewell> {
        self.concerns_shutdown().then_some(match (self.frame, self.messages) {
            (Frame::Delivered, Messages::Complete) => Farewell::Delivered,
            (Frame::Pending, _) | (_, Messages::Lost) => Farewell::Lost,
        })
    }
}

#[cfg(test)]
mod tests;
