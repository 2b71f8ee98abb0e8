//! A session whose messages are JSON.

use std::{
    borrow::Cow,
    fmt,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use futures_sink::Sink;
use serde::{Serialize, de::DeserializeOwned};
use sockjs_core::Message;

use super::{
    close_reason::CloseReason,
    json_error::JsonError,
    json_sender::{JsonSender, encode},
    session::Session,
};
/// A [`Session`] that receives values of `In` and sends values of `Out`, as JSON. [`Session::json`] creates it.
///
/// The order, the queues and the end are those of the session, and dropping this closes the session. It is also a
/// [`Stream`] and a [`Sink`].
///
/// A message that is not the JSON of an `In` is an error of [`recv`](Self::recv). A handler that returns this error
/// closes the session with 1007 "Invalid JSON" ([`HandlerError`](crate::HandlerError)); any other handler can continue.
///
/// ```
/// use axum_sockjs::{JsonError, Session};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Deserialize)]
/// #[serde(tag = "type", rename_all = "lowercase")]
/// enum FromPage {
///     Add { a: i64, b: i64 },
/// }
///
/// #[derive(Serialize)]
/// struct Sum { sum: i64 }
///
/// async fn serve(session: Session) -> Result<(), JsonError> {
///     let mut session = session.json::<FromPage, Sum>();
///     while let Some(FromPage::Add { a, b }) = session.recv().await? {
///         session.send(&Sum { sum: a.wrapping_add(b) }).await?;
///     }
///     Ok(())
/// }
/// # let _ = axum_sockjs::SockJs::<()>::new(serve);
/// ```
pub struct JsonSession<In, Out> {
    session: Session,
    types: PhantomData<fn(Out) -> In>,
}

impl Session {
    /// Converts this into a session that receives values of `In` and sends values of `Out`, as JSON.
    #[must_use]
    pub fn json<In, Out>(self) -> JsonSession<In, Out> {
        JsonSession { session: self, types: PhantomData }
    }
}

impl<In, Out> JsonSession<In, Out> {
    /// Returns a handle that sends and closes from other tasks. It does not keep the session open.
    #[must_use]
    pub fn sender(&self) -> JsonSender<Out> {
        JsonSender::new(self.session.sender())
    }

    /// Closes the session: see [`Sender::close`](crate::Sender::close).
    pub fn close(&self, code: u16, reason: impl Into<Cow<'static, str>>) {
        self.session.close(code, reason);
    }

    /// Waits for the end of the session and returns its reason.
    ///
    /// # Cancel safety
    /// Safe: the function can be called any number of times.
    pub async fn closed(&self) -> CloseReason {
        self.session.closed().await
    }

    /// Returns the reason why the session has ended, or `None` while it is open.
    #[must_use]
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.session.close_reason()
    }

    /// Returns the session of messages, for its id, transport, peer and other properties.
    #[must_use]
    pub fn get_ref(&self) -> &Session {
        &self.session
    }

    /// Returns the session of messages, to receive a message without parsing it.
    #[must_use]
    pub fn get_mut(&mut self) -> &mut Session {
        &mut self.session
    }

    /// Converts this back into the session of messages.
    #[must_use]
    pub fn into_inner(self) -> Session {
        self.session
    }
}

impl<In: DeserializeOwned, Out> JsonSession<In, Out> {
    /// Receives the next value from the client. Returns `None` once the session has ended and all messages accepted
    /// before have been received: see [`Session::recv`].
    ///
    /// # Errors
    /// [`JsonError::Parse`] with the message that is not the JSON of an `In`. The next call continues with the message
    /// after it.
    ///
    /// # Cancel safety
    /// A message is taken only when its value or the error is returned: safe in `select!`.
    pub async fn recv(&mut self) -> Result<Option<In>, JsonError> {
        self.session.recv().await.map(parse).transpose()
    }

    /// Returns the next value if one is already there. `None` does not mean that the session has ended.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn try_recv(&mut self) -> Result<Option<In>, JsonError> {
        self.session.try_recv().map(parse).transpose()
    }
}

impl<In, Out: Serialize> JsonSession<In, Out> {
    /// Sends a value to the client as JSON, and waits while the queue to it is full: see
    /// [`Sender::send`](crate::Sender::send).
    ///
    /// # Errors
    /// [`JsonError::Encode`] if the value cannot be JSON, [`JsonError::Send`] after the end of the session.
    ///
    /// # Cancel safety
    /// The value is queued only when the future completes: if it is dropped before, the value is not sent.
    pub async fn send(&self, value: &Out) -> Result<(), JsonError> {
        Ok(self.session.send(encode(value)?).await?)
    }

    /// Sends a value to the client as JSON if there is room for it: see [`Sender::try_send`](crate::Sender::try_send).
    ///
    /// # Errors
    /// As [`send`](Self::send), and [`JsonError::Send`] with [`SendError::Full`](crate::SendError::Full) when the
    /// queue is full.
    pub fn try_send(&self, value: &Out) -> Result<(), JsonError> {
        Ok(self.session.try_send(encode(value)?)?)
    }
}

fn parse<In: DeserializeOwned>(message: Message) -> Result<In, JsonError> {
    message.parse_json().map_err(|error| JsonError::Parse { message, error })
}

impl<In, Out> fmt::Debug for JsonSession<In, Out> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JsonSession").field(&self.session).finish()
    }
}

/// The values from the client, until the session ends. The stream continues after an error.
impl<In: DeserializeOwned, Out> Stream for JsonSession<In, Out> {
    type Item = Result<In, JsonError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let message = ready!(Pin::new(&mut self.session).poll_next(cx));
        Poll::Ready(message.map(parse))
    }
}

/// Like the [`Sink`] of a [`Sender`](crate::Sender).
impl<In, Out: Serialize> Sink<Out> for JsonSession<In, Out> {
    type Error = JsonError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), JsonError>> {
        Pin::new(&mut self.session).poll_ready(cx).map_err(JsonError::Send)
    }

    fn start_send(mut self: Pin<&mut Self>, value: Out) -> Result<(), JsonError> {
        Ok(Pin::new(&mut self.session).start_send(encode(&value)?)?)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), JsonError>> {
        Pin::new(&mut self.session).poll_flush(cx).map_err(JsonError::Send)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), JsonError>> {
        Pin::new(&mut self.session).poll_close(cx).map_err(JsonError::Send)
    }
}
