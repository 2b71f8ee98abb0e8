//! The phase of a session: which of its frames have been taken, why it has ended, and whether a receiver can attach.

use super::super::{close_reason::CloseReason, traffic::State};

#[cfg_attr(test, derive(Clone))]
#[derive(Debug)]
pub(super) enum Phase {
    /// The open frame has not been taken.
    Opening,
    Open,
    Ended(End),
}

/// The end of a session: its reason and its stage.
#[cfg_attr(test, derive(Clone))]
#[derive(Debug)]
pub(super) struct End {
    reason: CloseReason,
    open_frame: OpenFrame,
    stage: Stage,
}

/// The open frame of a session that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OpenFrame {
    /// It was taken before the end.
    InTime,
    /// It has not been taken: a client gets no close frame before it.
    Pending,
    /// It was taken after the end: the application does not get the session.
    Late,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The close frame has not been taken.
    Closing,
    /// The close frame has been taken, and every receiver that attaches gets it again.
    Closed,
    /// No receiver can attach any more.
    Gone,
}

impl Phase {
    #[inline]
    pub(super) fn is_open_frame_taken(&self) -> bool {
        match self {
            Self::Opening => false,
            Self::Open => true,
            Self::Ended(end) => end.open_frame != OpenFrame::Pending,
        }
    }

    pub(super) fn take_open_frame(&mut self) {
        match self {
            Self::Opening => *self = Self::Open,
            Self::Open => {}
            Self::Ended(end) if end.open_frame == OpenFrame::Pending => end.open_frame = OpenFrame::Late,
            Self::Ended(_) => {}
        }
    }

    /// Whether the open frame was taken before the session ended, so that the handler has to run.
    pub(super) fn is_handler_due(&self) -> bool {
        matches!(self, Self::Open | Self::Ended(End { open_frame: OpenFrame::InTime, .. }))
    }

    /// Ends a session that has not ended.
    pub(super) fn end(&mut self, reason: CloseReason) {
        let open_frame = match self {
            Self::Opening => OpenFrame::Pending,
            Self::Open => OpenFrame::InTime,
            Self::Ended(_) => return,
        };
        *self = Self::Ended(End { reason, open_frame, stage: Stage::Closing });
    }

    #[inline]
    pub(super) fn has_ended(&self) -> bool {
        matches!(self, Self::Ended(_))
    }

    #[inline]
    pub(super) fn reason(&self) -> Option<&CloseReason> {
        match self {
            Self::Opening | Self::Open => None,
            Self::Ended(end) => Some(&end.reason),
        }
    }

    /// Records that the close frame is taken. Returns whether this is the first time.
    pub(super) fn take_close_frame(&mut self) -> bool {
        self.advance(Stage::Closing, Stage::Closed)
    }

    fn advance(&mut self, from: Stage, to: Stage) -> bool {
        match self {
            Self::Ended(end) if end.stage == from => {
                end.stage = to;
                true
            }
            _ => false,
        }
    }

    /// Whether the close frame has been taken, and the session is remembered.
    #[cfg(feature = "websocket")]
    pub(super) fn is_closed(&self) -> bool {
        matches!(self, Self::Ended(End { stage: Stage::Closed, .. }))
    }

    /// Forgets a session that has ended. Returns `false` if that was done before.
    pub(super) fn discard(&mut self) -> bool {
        self.advance(Stage::Closing, Stage::Gone) || self.advance(Stage::Closed, Stage::Gone)
    }

    #[inline]
    pub(super) fn is_gone(&self) -> bool {
        matches!(self, Self::Ended(End { stage: Stage::Gone, .. }))
    }

    /// Whether messages from the client are discarded: this side has closed and no longer reads, and the client will
    /// learn that from its receiver. A refusal would hide the close frame behind a sending error.
    pub(super) fn discards_messages(&self) -> bool {
        use CloseReason::{RateExceeded, SendQueueFull, Server, Shutdown, WriteTimeout};
        !self.is_gone()
            && matches!(
                self.reason(),
                Some(Server(_) | Shutdown(_) | SendQueueFull | WriteTimeout | RateExceeded)
            )
    }

    pub(super) fn state(&self, is_attached: bool) -> State {
        match self {
            Self::Opening => State::Opening,
            Self::Open if is_attached => State::Attached,
            Self::Open => State::Detached,
            Self::Ended(End { stage: Stage::Closing, .. }) => State::Closing,
            Self::Ended(End { stage: Stage::Closed | Stage::Gone, .. }) => State::Closed,
        }
    }
}

/// Whether messages that were sent before an end for this reason still leave.
pub(super) fn keeps_queue(reason: &CloseReason) -> bool {
    matches!(reason, CloseReason::Server(_) | CloseReason::Shutdown(_))
}

#[cfg(test)]
mod tests;
