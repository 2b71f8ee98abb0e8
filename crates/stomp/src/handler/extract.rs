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
/// | [`User`](crate::User), `Option<User>` | the user of the session; in `on_connect` the one that the endpoint knows | everywhere |
/// | [`Identity<I>`](crate::Identity), `Option<Identity<I>>` | who the client is for the endpoint | everywhere |
/// | [`Session`](crate::Session) | the session | messages, subscriptions, rules |
/// | [`Messenger`](crate::Messenger) | sends to anybody | everywhere |
/// | [`Credentials`](crate::Credentials) | `login`, and `passcode` if there is one | `on_connect` |
/// | [`Access`](crate::Access) | what a client asks for | rules |
/// | [`State`](axum::extract::State), [`HeaderMap`](http::HeaderMap) and all others that are [`FromRequestParts`] | the request that opened the connection, and the state | everywhere |
///
/// `Option<T>` is `None` where there is nothing to be read (see [`OptionalFromMessage`]), and `Result<T, T::Rejection>`
/// leaves it to the function what a rejection means.
///
/// An argument that cannot be made is a [rejection](crate::ErrorKind::Rejection): the function is not called. The text
/// of the rejection may be sent to the client.
///
/// axum's own [`axum::extract::Path`] reads the path of the request that opened the connection, and not the
/// destination.
///
/// # The marker
///
/// `M` tells the two sorts of extractors apart, and the compiler finds it. Implement `FromMessage<S>` for a type of
/// your own that reads frames ([an example](crate::Rejection::new)), or axum's [`FromRequestParts`] for one that reads
/// the request, and never both for one type.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an argument that a STOMP handler can have",
    label = "neither `axum_stomp::FromMessage` nor axum's `FromRequestParts`",
    note = "arguments are `Json<T>` of axum, `String`, `Bytes`, `axum_stomp::Path<T>`, `User`, `Session`, `Messenger`, \
            `Headers`, `State<T>` and all others that read the parts of a request",
    note = "the `T` of `Json<T>`, `Body<T>` and `Path<T>` must be `serde::de::DeserializeOwned`, and that of `Option<T>` \
            `axum_stomp::OptionalFromMessage` or axum's `OptionalFromRequestParts`",
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
/// | `Option<User>` | the session has no user; in `on_connect`, the endpoint knows none |
/// | `Option<Identity<I>>` | the endpoint has no identity of that type |
/// | `Option<Session>` | the session has not begun: in `on_connect` |
/// | `Option<Credentials>` | the frame has neither `login` nor `passcode` |
///
/// Extractors of requests are optional if axum's [`OptionalFromRequestParts`](axum::extract::OptionalFromRequestParts)
/// says so.
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
// What is no argument at all would be said to lack axum's trait alone.
#[diagnostic::do_not_recommend]
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

#[cfg(test)]
mod tests {
    use axum::{Extension, extract::State};
    use http::{HeaderMap, Uri, request::Parts};
    use stomp_codec::{Command, Frame, Headers};

    use super::{super::testing::World, *};

    #[tokio::test]
    async fn axum_s_extractors_read_the_opening_request_and_the_state() {
        let mut world = World::send("body");
        world.opening.extensions.insert(7_u8);
        let function = |uri: Uri,
                        headers: HeaderMap,
                        State(state): State<&'static str>,
                        Extension(n): Extension<u8>| async move {
            format!("{uri} {:?} {state} {n}", headers["user-agent"])
        };
        assert_eq!(world.call_with(&"state", function).await.unwrap(), "/stomp \"test\" state 7");
    }

    #[tokio::test]
    async fn both_sorts_stand_in_any_order() {
        let function =
            async |body: String, uri: Uri, headers: Headers, again: Option<Extension<u8>>, frame: Frame| {
                assert_eq!((frame.command, headers.len(), again.is_none()), (Command::Send, 1, true));
                format!("{body} {uri} {}", frame.headers.get("a").unwrap())
            };
        let mut world = World::new(Command::Send, &[("a", "1")], b"body");
        assert_eq!(world.call(function).await.unwrap(), "body /stomp 1");
    }

    #[tokio::test]
    async fn sixteen_arguments_are_allowed() {
        type U = Uri;
        type H = Headers;
        #[allow(clippy::too_many_arguments)]
        async fn function(
            _: U,
            _: H,
            _: U,
            _: H,
            _: U,
            _: H,
            _: U,
            _: H,
            _: U,
            _: H,
            _: U,
            _: H,
            _: U,
            _: H,
            _: U,
            body: String,
        ) -> String {
            body
        }
        assert_eq!(World::send("body").call(function).await.unwrap(), "body");
        assert_eq!(World::send("").call(async || 1).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_rejection_of_axum_s_is_told_unless_it_is_a_fault() {
        struct Teapot;

        impl<S: Send + Sync> FromRequestParts<S> for Teapot {
            type Rejection = (http::StatusCode, &'static str);

            async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
                Err((http::StatusCode::IM_A_TEAPOT, "no coffee"))
            }
        }

        struct Bare;

        impl<S: Send + Sync> FromRequestParts<S> for Bare {
            type Rejection = http::StatusCode;

            async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
                Err(http::StatusCode::FORBIDDEN)
            }
        }

        let mut world = World::send("");
        let error = world.call(async |_: Teapot| ()).await.unwrap_err();
        assert_eq!((error.client_text(), error.is_fault()), ("no coffee".to_owned(), false));
        assert_eq!(world.call(async |_: Bare| ()).await.unwrap_err().client_text(), "403 Forbidden");
        let error = world.call(async |_: Extension<u8>| ()).await.unwrap_err();
        assert_eq!((error.client_text(), error.is_fault()), ("internal error".to_owned(), true));
        assert!(error.to_string().contains("u8"), "{error}");
        let taken =
            world.call(async |result: Result<Teapot, (http::StatusCode, &'static str)>| result.is_err());
        assert!(taken.await.unwrap());
    }

    #[tokio::test]
    async fn a_function_may_decide_on_rejections_itself() {
        let function = async |text: Result<String, Rejection>, user: Option<super::super::User>| {
            (text.map_err(|rejection| rejection.to_string()), user.is_some())
        };
        let mut world = World::new(Command::Send, &[], b"\xff");
        let expected = (Err("the body is not text in UTF-8".to_owned()), true);
        assert_eq!(world.call(function).await.unwrap(), expected);
    }
}
