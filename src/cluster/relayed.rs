//! The body of an answer that another node streams.

use std::{
    future::Future as _,
    pin::Pin,
    task::{Context, Poll},
};

use axum::BoxError;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::futures::OwnedNotified;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::{connection::Connection, owner::Waiting};

/// The body of an answer that another node streams. What the client does not read is not read there.
pub(crate) struct Relayed {
    /// `None` at the end.
    connection: Option<Box<Connection>>,
    body: Incoming,
    lost: Pin<Box<OwnedNotified>>,
    waiting: Waiting,
    /// What tells the client that the node is lost, if it is lost between two frames.
    farewell: Option<Bytes>,
    between_frames: bool,
    /// What is held until the answer has left.
    held: Option<TaskTrackerToken>,
}

impl Relayed {
    pub(super) fn new(
        connection: Box<Connection>,
        body: Incoming,
        waiting: Waiting,
        lost: OwnedNotified,
    ) -> Self {
        let (connection, lost) = (Some(connection), Box::pin(lost));
        Self { connection, body, lost, waiting, farewell: None, between_frames: true, held: None }
    }

    /// Sets what the client gets if the node is lost between two frames. Without it, or amid a frame, its connection
    /// breaks.
    pub(crate) fn set_farewell(&mut self, frame: Bytes) {
        self.farewell = Some(frame);
    }

    /// Keeps a shutdown waiting until the answer has left.
    pub(crate) fn hold(&mut self, token: TaskTrackerToken) {
        self.held = Some(token);
    }

    /// The node is lost.
    fn broken(&mut self) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.connection = None;
        let farewell = self.farewell.take().filter(|_| self.between_frames);
        Poll::Ready(Some(
            farewell.map(Frame::data).ok_or_else(|| "the node that has the session is lost".into()),
        ))
    }
}

impl Body for Relayed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let Some(connection) = &mut this.connection else { return Poll::Ready(None) };
        match connection.poll_body(&mut this.body, cx) {
            Poll::Ready(Some(Ok(piece))) => {
                this.waiting.0.heard();
                if let Some(data) = piece.data_ref().filter(|data| !data.is_empty()) {
                    // Every framing ends with a line feed, and JSON has none.
                    this.between_frames = data.ends_with(b"\n");
                }
                Poll::Ready(Some(Ok(piece)))
            }
            Poll::Ready(None) => {
                if let Some(connection) = this.connection.take() {
                    this.waiting.0.keep(connection, cx);
                }
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(_))) => this.broken(),
            Poll::Pending => match this.lost.as_mut().poll(cx) {
                Poll::Ready(()) => this.broken(),
                Poll::Pending => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.connection.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        // A farewell makes it longer; a body of a known length has none.
        if self.farewell.is_none() && self.connection.is_some() {
            self.body.size_hint()
        } else {
            SizeHint::default()
        }
    }
}
