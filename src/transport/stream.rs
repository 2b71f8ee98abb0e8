//! The body of a streaming response.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame as BodyFrame};
use sockjs_core::{CloseFrame, Frame};

use super::receiver::{Receiver, Release};
use crate::session::attachment::Attachment;

/// The source of the frames.
pub(super) enum Source {
    Session(Attachment, Option<Release>),
    /// This receiver gets only a close frame.
    Refused(CloseFrame),
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

/// Whether a receiver that has nothing to give now has to end.
pub(super) fn is_due(release: &mut Option<Release>, cx: &mut Context<'_>) -> bool {
    let is_due = release.as_mut().is_some_and(|release| release.as_mut().poll(cx).is_ready());
    if is_due {
        *release = None;
    }
    is_due
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
                        Source::Session(attachment, release) => {
                            match attachment.poll_frame(this.remaining, cx) {
                                Poll::Pending if is_due(release, cx) => {
                                    attachment.release();
                                    None
                                }
                                frame => ready!(frame),
                            }
                        }
                        Source::Refused(frame) => Some(Frame::Close(frame.clone())),
                    };
                    let Some(frame) = frame else {
                        this.stage = Stage::Done;
                        return Poll::Ready(None);
                    };
                    this.rest = this.receiver.framing.wrap(&frame);
                    this.remaining = this.remaining.saturating_sub(this.rest.len());
                    this.last = this.remaining == 0 || matches!(frame, Frame::Close(_));
                } else if let Source::Session(attachment, _) = source {
                    attachment.progress();
                }
                let chunk = if this.rest.len() <= CHUNK {
                    std::mem::take(&mut this.rest)
                } else {
                    this.rest.split_to(CHUNK)
                };
                if this.last && this.rest.is_empty() {
                    if let Source::Session(attachment, _) = source {
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
