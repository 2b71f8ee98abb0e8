//! The body of a streaming response.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame as BodyFrame};
use sockjs_core::{Frame, close::ANOTHER_CONNECTION};

use super::receiver::Receiver;
use crate::session::attachment::Attachment;

/// The source of the frames.
pub(super) enum Source {
    Session(Attachment),
    /// Another receiver holds the session: this one gets only the close frame 2010.
    Refused,
}

/// A larger frame is sent in chunks of this size, so that the progress of a slow client is visible.
const CHUNK: usize = 32 << 10;

/// Sends the prelude, then frames in chunks, until a close frame or the response limit.
///
/// The receiver is released before the last chunk is returned. If the body is dropped earlier, the receiver counts as
/// cut off.
pub(super) struct StreamBody {
    receiver: Receiver,
    stage: Stage,
    remaining: usize,
    /// The rest of the last frame.
    rest: Bytes,
    /// Whether that frame is the last one.
    last: bool,
}

enum Stage {
    Prelude(Source),
    Frames(Source),
    Done,
}

impl StreamBody {
    pub(super) fn new(receiver: Receiver, source: Source, response_limit: usize) -> Self {
        Self {
            receiver,
            stage: Stage::Prelude(source),
            remaining: response_limit,
            rest: Bytes::new(),
            last: false,
        }
    }
}

impl Body for StreamBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, Infallible>>> {
        let this = &mut *self;
        let chunk = match &mut this.stage {
            Stage::Prelude(_) => {
                if let Stage::Prelude(source) = std::mem::replace(&mut this.stage, Stage::Done) {
                    this.stage = Stage::Frames(source);
                }
                this.receiver.prelude.take().unwrap_or_default()
            }
            Stage::Frames(source) => {
                if this.rest.is_empty() {
                    let frame = match source {
                        Source::Session(attachment) => ready!(attachment.poll_frame(this.remaining, cx)),
                        Source::Refused => Some(Frame::Close(ANOTHER_CONNECTION)),
                    };
                    let Some(frame) = frame else {
                        this.stage = Stage::Done;
                        return Poll::Ready(None);
                    };
                    this.rest = this.receiver.framing.wrap(&frame);
                    this.remaining = this.remaining.saturating_sub(this.rest.len());
                    this.last = this.remaining == 0 || matches!(frame, Frame::Close(_));
                } else if let Source::Session(attachment) = source {
                    attachment.progress();
                }
                let chunk = if this.rest.len() <= CHUNK {
                    std::mem::take(&mut this.rest)
                } else {
                    this.rest.split_to(CHUNK)
                };
                if this.last && this.rest.is_empty() {
                    if let Source::Session(attachment) = source {
                        attachment.release();
                    }
                    this.stage = Stage::Done;
                }
                chunk
            }
            Stage::Done => return Poll::Ready(None),
        };
        Poll::Ready(Some(Ok(BodyFrame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.stage, Stage::Done)
    }
}
