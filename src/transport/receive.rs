//! Requests that receive frames: one frame for a poll, many for a stream.

use std::{future::poll_fn, task::Poll};

use axum::{body::Body, response::Response};
use http::{HeaderName, HeaderValue, StatusCode};
use sockjs_core::{CloseFrame, Frame};

use super::{
    receiver::{Receiver, Release},
    stream::{Source, StreamBody, is_due},
};
use crate::{
    response::{cause::RejectionCause, rejection::Rejection, reply},
    session::attachment::Attachment,
};

/// Asks nginx and similar proxies to forward each chunk at once.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Answers with the frames of a session.
///
/// # Cancel safety
/// If it is dropped before it completes, the receiver counts as cut off, and the session ends.
pub(crate) async fn respond(
    receiver: Receiver,
    mut attachment: Attachment,
    response_limit: usize,
    mut release: Option<Release>,
) -> Result<Response, Rejection> {
    if receiver.prelude.is_some() {
        return Ok(stream(receiver, Source::Session(attachment, release), response_limit));
    }
    let frame = poll_fn(|cx| match attachment.poll_frame(response_limit, cx) {
        // A heartbeat, which means nothing, ends a poll in order.
        Poll::Pending if is_due(&mut release, cx) => Poll::Ready(Some(Frame::Heartbeat)),
        frame => frame,
    })
    .await;
    attachment.release();
    match frame {
        Some(frame) => Ok(poll(&receiver, &frame)),
        // The session ended while this request waited: it was closed and its disconnect delay has passed.
        None => Err(Rejection::NoSession),
    }
}

/// Rejects a receiver with a close frame.
pub(crate) fn refuse(receiver: Receiver, cause: RejectionCause, frame: CloseFrame) -> Rejection {
    let response = match receiver.prelude {
        Some(_) => stream(receiver, Source::Refused(frame), 0),
        None => poll(&receiver, &Frame::Close(frame)),
    };
    Rejection::Framed(cause, Box::new(response))
}

fn poll(receiver: &Receiver, frame: &Frame) -> Response {
    head(receiver, Body::from(receiver.framing.wrap(frame)))
}

fn stream(receiver: Receiver, source: Source, response_limit: usize) -> Response {
    let mut response = head(&receiver, Body::empty());
    response.headers_mut().insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    *response.body_mut() = Body::new(StreamBody::new(receiver, source, response_limit));
    response
}

fn head(receiver: &Receiver, body: Body) -> Response {
    reply::body(StatusCode::OK, HeaderValue::from_static(receiver.content_type), body)
}
