//! Arguments of functions.

use std::{convert::Infallible, future::Future};

use axum::{
    BoxError,
    body::to_bytes,
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};

use super::{context::Context, rejection::Rejection};

/// Marks what reads the frame and the session: see [`FromMessage`].
#[derive(Debug, Clone, Copy)]
pub enum ViaFrame {}

/// Marks what reads the request that opened the connection: see [`FromMessage`].
#[derive(Debug, Clone, Copy)]
pub enum ViaRequest {}

/// What a function of the application's may take as an argument.
///
/// | argument | what it is | where |
/// |---|---|---|
/// | [`Json<T>`](axum::Json) of axum | the body, which is JSON | messages |
/// | [`Body<T>`](crate::Body) | the body by its `content-type`: JSON, or text | messages |
/// | `String`, [`ByteString`](stomp_codec::ByteString) | the body, which is text | messages |
/// | [`Bytes`](bytes::Bytes) | the body | messages |
/// | [`Path<T>`](crate::Path) | the parameters of the destination | messages, subscriptions |
/// | [`Destination`](crate::Destination) | the destination as the client has sent it | messages, subscriptions, rules |
/// | [`Headers`](stomp_codec::Headers) | the headers of the frame | everywhere |
/// | [`Frame`](stomp_codec::Frame) | the whole frame | everywhere |
/// | [`User`](crate::User), `Option<User>` | the user of the session | messages, subscriptions, rules |
/// | [`Session`](crate::Session) | the session | messages, subscriptions, rules |
/// | [`Messenger`](crate::Messenger) | sends to anybody | everywhere |
/// | [`Credentials`](crate::Credentials) | `login` and `passcode` | `on_connect` |
/// | [`Access`](crate::Access) | what a client asks for | rules |
/// | [`State`](axum::extract::State), [`HeaderMap`](http::HeaderMap) and all others that are [`FromRequestParts`] | the request that opened the connection, and the state | everywhere |
///
/// `Option<T>` is `None` where there is nothing to be read (see [`OptionalFromMessage`]), and `Result<T, T::Rejection>`
/// leaves it to the function what a rejection means.
///
/// An argument that cannot be made is a [rejection](crate::ErrorKind::Rejection): the function is not called. The text of
/// the rejection may be sent to the client.
///
/// axum's own [`axum::extract::Path`] reads the path of the request that opened the connection, and not the destination.
///
/// # The marker
///
/// `M` tells the two sorts of extractors apart, and the compiler finds it. Implement `FromMessage<S>` for a type of your
/// own that reads frames ([an example](crate::Rejection::new)), or axum's [`FromRequestParts`] for one that reads the
/// request, and never both for one type.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an argument that a STOMP handler with the state `{S}` can have",
    label = "neither `FromMessage<{S}>` nor axum's `FromRequestParts<{S}>`",
    note = "arguments are `Json<T>` of axum, `String`, `Bytes`, `axum_stomp::Path<T>`, `User`, `Session`, `Messenger`, \
            `Headers`, `State<T>` and all others that read the parts of a request",
    note = "for a type of your own write `impl<S: Send + Sync> axum_stomp::FromMessage<S> for MyType`"
)]
pub trait FromMessage<S, M = ViaFrame>: Sized {
    /// Why it cannot be made. For the client its text is what the frame lacks.
    type Rejection: Into<BoxError> + Send;

    /// Makes the value.
    ///
    /// # Errors
    /// If the frame, the session or the request is not as it has to be.
    fn from_message(
        context: &mut Context<'_>,
        state: &S,
    ) -> impl Future<Output = Result<Self, Self::Rejection>> + Send;
}

/// What a function of the application's may take as an `Option`: `None` if there is nothing, and a rejection if there
/// is something wrong.
///
/// | argument | `None` if |
/// |---|---|
/// | `Option<Json<T>>`, `Option<Body<T>>` | the body is empty and there is no `content-type` |
/// | `Option<User>` | the session has no user |
/// | `Option<Session>` | the session has not begun: in `on_connect` |
/// | `Option<Credentials>` | the frame has neither `login` nor `passcode` |
///
/// Extractors of requests are optional if axum's [`OptionalFromRequestParts`](axum::extract::OptionalFromRequestParts) says
/// so.
#[diagnostic::on_unimplemented(
    message = "`Option<{Self}>` is not an argument that a STOMP handler can have",
    note = "`Result<{Self}, Rejection>` may be one"
)]
pub trait OptionalFromMessage<S>: Sized {
    /// Why it cannot be made.
    type Rejection: Into<BoxError> + Send;

    /// Makes the value.
    ///
    /// # Errors
    /// If there is something, which is not as it has to be.
    fn from_message_if_any(
        context: &mut Context<'_>,
        state: &S,
    ) -> impl Future<Output = Result<Option<Self>, Self::Rejection>> + Send;
}

impl<S, T> FromMessage<S> for Option<T>
where
    S: Send + Sync,
    T: OptionalFromMessage<S>,
{
    type Rejection = T::Rejection;

    async fn from_message(context: &mut Context<'_>, state: &S) -> Result<Self, Self::Rejection> {
        T::from_message_if_any(context, state).await
    }
}

impl<S, T> FromMessage<S> for Result<T, T::Rejection>
where
    S: Send + Sync,
    T: FromMessage<S>,
{
    type Rejection = Infallible;

    async fn from_message(context: &mut Context<'_>, state: &S) -> Result<Self, Infallible> {
        Ok(T::from_message(context, state).await)
    }
}

/// What axum's handlers take, of the request that opened the connection.
///
/// The text of a rejection is the body of the response that axum would send. One with a status of 500 or more is
/// [no fault of the client's](Rejection::is_fault).
impl<S, T> FromMessage<S, ViaRequest> for T
where
    S: Send + Sync,
    T: FromRequestParts<S>,
{
    type Rejection = Rejection;

    async fn from_message(context: &mut Context<'_>, state: &S) -> Result<Self, Rejection> {
        let response = match T::from_request_parts(context.opening, state).await {
            Ok(value) => return Ok(value),
            Err(rejection) => rejection.into_response(),
        };
        Err(rejection_of(response).await)
    }
}

/// The most of a response that makes the text of a rejection, in bytes.
const MAX_RESPONSE: usize = 1024;

async fn rejection_of(response: Response) -> Rejection {
    let status = response.status();
    let body = to_bytes(response.into_body(), MAX_RESPONSE).await.unwrap_or_default();
    let text = if body.is_empty() { status.to_string() } else { String::from_utf8_lossy(&body).into_owned() };
    if status.is_server_error() { Rejection::fault(text) } else { Rejection::new(text) }
}
