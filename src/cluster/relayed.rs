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

/// What a client gets at the end of a stream whose node is lost.
pub(crate) struct Farewell {
    pub(crate) frame: Bytes,
    /// The length of what comes before the first frame.
    pub(crate) prelude: u64,
    /// What ends each frame, and is in none.
    pub(crate) terminator: &'static [u8],
}

impl Farewell {
    /// Whether a stream is between two frames, after so many bytes of which these are the last.
    fn fits(&self, length: u64, tail: &[u8]) -> bool {
        length == self.prelude || length > self.prelude && tail.ends_with(self.terminator)
    }
}

/// Keeps the last `length` bytes of what has come in pieces.
fn keep_tail(tail: &mut Vec<u8>, data: &[u8], length: usize) {
    tail.extend_from_slice(&data[data.len().saturating_sub(length)..]);
    tail.drain(..tail.len().saturating_sub(length));
}

/// The body of an answer that another node streams. What the client does not read is not read there.
pub(crate) struct Relayed {
    /// `None` at the end.
    connection: Option<Box<Connection>>,
    body: Incoming,
    lost: Pin<Box<OwnedNotified>>,
    waiting: Waiting,
    /// What tells the client that the node is lost, if it is lost between two frames.
    farewell: Option<Farewell>,
    /// How many bytes have come, and the last ones.
    length: u64,
    tail: Vec<u8>,
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
        Self { connection, body, lost, waiting, farewell: None, length: 0, tail: Vec::new(), held: None }
    }

    /// Sets what the client gets if the node is lost between two frames. Without it, or amid a frame, its connection
    /// breaks.
    pub(crate) fn set_farewell(&mut self, farewell: Farewell) {
        self.farewell = Some(farewell);
    }

    /// Keeps a shutdown waiting until the answer has left.
    pub(crate) fn hold(&mut self, token: Option<TaskTrackerToken>) {
        self.held = token;
    }

    /// The node is lost.
    fn broken(&mut self) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.connection = None;
        let farewell = self.farewell.take().filter(|farewell| farewell.fits(self.length, &self.tail));
        Poll::Ready(Some(
            farewell
                .map(|farewell| Frame::data(farewell.frame))
                .ok_or_else(|| "the node that has the session is lost".into()),
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
                if let (Some(data), Some(farewell)) = (piece.data_ref(), &this.farewell) {
                    this.length += data.len() as u64;
                    keep_tail(&mut this.tail, data, farewell.terminator.len());
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a farewell fits after these pieces.
    fn fits(farewell: &Farewell, pieces: &[&[u8]]) -> bool {
        let (mut length, mut tail) = (0, Vec::new());
        for piece in pieces {
            length += piece.len() as u64;
            keep_tail(&mut tail, piece, farewell.terminator.len());
        }
        assert!(tail.len() <= farewell.terminator.len());
        farewell.fits(length, &tail)
    }

    #[test]
    fn a_farewell_comes_between_two_frames() {
        let farewell =
            |prelude, terminator| Farewell { frame: Bytes::from_static(b"bye"), prelude, terminator };
        let events = farewell(2, b"\r\n\r\n");
        assert!(fits(&events, &[b"\r\n"]));
        assert!(fits(&events, &[b"\r\n", b"data: h\r", b"\n\r", b"\n"]));
        for amid in [&[b"\r\n" as &[u8], b"data: h\r\n"] as &[&[u8]], &[b"\r"], &[b"\r\n", b"data"], &[]] {
            assert!(!fits(&events, amid), "{amid:?}");
        }
        let scripts = farewell(23, b"</script>\r\n");
        assert!(fits(&scripts, &[b"<script></script>\r\n  \r\n", b""]));
        assert!(fits(&scripts, &[b"<script></script>\r\n  \r\n<script>\np();\n</scr", b"ipt>\r\n"]));
        for amid in [
            &[b"<script></script>\r\n" as &[u8]] as &[&[u8]],
            &[b"<script></script>\r\n  \r\n<script>\n"],
            &[b"<script></script>\r\n  \r\n<script>\np();\n"],
        ] {
            assert!(!fits(&scripts, amid), "{amid:?}");
        }
        assert!(fits(&farewell(0, b"\n"), &[]));
    }
}
