//! Which close frame is the client sent, has it come there, and does a shutdown wait for it?

use super::super::close_reason::CloseReason;
use crate::protocol::close::{CloseFrame, INTERRUPTED};

/// What came of the close frame that a shutdown had for a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Farewell {
    /// It was delivered, and all messages before it.
    Delivered,
    /// It was not, or not yet, or messages before it were lost.
    Lost,
}

#[cfg_attr(test, derive(Clone))]
#[derive(Debug)]
pub(super) struct CloseDelivery {
    frame: Frame,
    messages: Messages,
    shutdown: Shutdown,
}

/// The close frame, as far as can be seen from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frame {
    Pending,
    Delivered,
}

/// The messages before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Messages {
    Complete,
    /// A receiver was cut off after the end, and some went with it.
    Lost,
}

/// What a shutdown of the endpoint found.
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

    /// What the client is told. A close frame of the application's says that all before it has come.
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

    /// The endpoint shuts down, and this client is one that has yet to get its close frame.
    pub(super) fn close_pending_at_shutdown(&mut self) {
        self.shutdown = Shutdown::ClosePending;
    }

    pub(super) fn is_delivered(&self) -> bool {
        self.frame == Frame::Delivered
    }

    /// Whether it was pending when the endpoint shut down.
    pub(super) fn concerns_shutdown(&self) -> bool {
        self.shutdown == Shutdown::ClosePending
    }

    /// What came of a close frame that was pending when the endpoint shut down.
    pub(super) fn farewell(&self) -> Option<Farewell> {
        self.concerns_shutdown().then_some(match (self.frame, self.messages) {
            (Frame::Delivered, Messages::Complete) => Farewell::Delivered,
            (Frame::Pending, _) | (_, Messages::Lost) => Farewell::Lost,
        })
    }
}

#[cfg(test)]
mod tests;
