//! The sending half of a session whose messages are JSON.

use std::{
    borrow::Cow,
    fmt,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
};

use futures_sink::Sink;
use serde::Serialize;
use sockjs_core::Message;

use super::{close_reason::CloseReason, json_error::JsonError, sender::Sender};
/// A cloneable handle to the sending side of a [`JsonSession`](crate::JsonSession): a [`Sender`] of values.
///
/// To send one value to many sessions, convert it once with [`Message::json`] and send the message through each
/// [`get_ref`](Self::get_ref).
pub struct JsonSender<Out> {
    sender: Sender,
    types: PhantomData<fn(Out)>,
}

impl<Out> JsonSender<Out> {
    pub(super) fn new(sender: Sender) -> Self {
        Self { sender, types: PhantomData }
    }

    /// Closes the session: see [`Sender::close`].
    pub fn close(&self, code: u16, reason: impl Into<Cow<'static, str>>) {
        self.sender.close(code, reason);
    }

    /// Waits for the end of the session and returns its reason.
    ///
    /// # Cancel safety
    /// Safe: the function can be called any number of times.
    pub async fn closed(&self) -> CloseReason {
        self.sender.closed().await
    }

    /// Returns the sender of messages.
    #[must_use]
    pub fn get_ref(&self) -> &Sender {
        &self.sender
    }

    /// Converts this into the sender of messages.
    #[must_use]
    pub fn into_inner(self) -> Sender {
        self.sender
    }
}

impl<Out: Serialize> JsonSender<Out> {
    /// Sends a value to the client as JSON, and waits while the queue to it is full: see [`Sender::send`].
    ///
    /// # Errors
    /// [`JsonError::Encode`] if the value cannot be JSON, [`JsonError::Send`] after the end of the session.
    ///
    /// # Cancel safety
    /// The value is queued only when the future completes: if it is dropped before, the value is not sent.
    pub async fn send(&self, value: &Out) -> Result<(), JsonError> {
        Ok(self.sender.send(encode(value)?).await?)
    }

    /// Sends a value to the client as JSON if there is room for it: see [`Sender::try_send`].
    ///
    /// # Errors
    /// As [`send`](Self::send), and [`JsonError::Send`] with [`SendError::Full`](crate::SendError::Full) when the
    /// queue is full.
    pub fn try_send(&self, value: &Out) -> Result<(), JsonError> {
        Ok(self.sender.try_send(encode(value)?)?)
    }
}

pub(super) fn encode<Out: Serialize>(value: &Out) -> Result<Message, JsonError> {
    Message::json(value).map_err(JsonError::Encode)
}

impl<Out> Clone for JsonSender<Out> {
    fn clone(&self) -> Self {
        Self::new(self.sender.clone())
    }
}

impl<Out> fmt::Debug for JsonSender<Out> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sender.fmt_as("JsonSender", f)
    }
}

/// Like the [`Sink`] of a [`Sender`].
impl<Out: Serialize> Sink<Out> for JsonSender<Out> {
    type Error = JsonError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), JsonError>> {
        Pin::new(&mut self.sender).poll_ready(cx).map_err(JsonError::Send)
    }

    fn start_send(mut self: Pin<&mut Self>, value: Out) -> Result<(), JsonError> {
        Ok(Pin::new(&mut self.sender).start_send(encode(&value)?)?)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), JsonError>> {
        Pin::new(&mut self.sender).poll_flush(cx).map_err(JsonError::Send)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), JsonError>> {
        Pin::new(&mut self.sender).poll_close(cx).map_err(JsonError::Send)
    }
}
