//! Arguments that are the body of the frame.

use std::convert::Infallible;

use axum::Json;
use bytes::Bytes;
use bytestring::ByteString;
use serde::de::DeserializeOwned;
use stomp_codec::Headers;

use super::{
    context::Context,
    extract::{FromMessage, OptionalFromMessage},
    path::from_text,
    rejection::Rejection,
};

/// The body by its `content-type`: JSON, or text.
///
/// | `content-type` | body |
/// |---|---|
/// | none, `application/json`, or one that ends with `+json` | JSON, as [`Json<T>`](axum::Json) |
/// | `text/…` | UTF-8 text that is the value itself: a string, number, boolean, or the name of an enum's variant |
/// | any other | rejected: "the content-type is neither JSON nor text" |
///
/// The text of a rejection has the place of the mistake in JSON, and never the body.
///
/// ```
/// # use axum_stomp::{Body, Routes};
/// // Takes `"5"` and `5` as JSON, and `5` as `text/plain`.
/// async fn add(Body(number): Body<u32>) {}
/// # let _ = Routes::<()>::new().message("/add", add);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Body<T>(pub T);

enum Sort {
    Unknown,
    Json,
    Text,
    Other,
}

/// Of a media type, such as `application/json;charset=utf-8`. Its case does not matter.
fn sort_of(headers: &Headers) -> Sort {
    let Some(value) = headers.get("content-type") else { return Sort::Unknown };
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.split_once('/') {
        Some(("application", "json")) => Sort::Json,
        Some((_, subtype)) if subtype.ends_with("+json") => Sort::Json,
        Some(("text", _)) => Sort::Text,
        _ => Sort::Other,
    }
}

fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Rejection> {
    serde_json::from_slice(body).map_err(|error| {
        let what = if error.is_data() {
            "the JSON of the body is not what is expected"
        } else {
            "the body is not JSON"
        };
        let text = format!("{what}: line {}, column {}", error.line(), error.column());
        Rejection::new(text).with_source(error)
    })
}

fn text(body: &Bytes) -> Result<ByteString, Rejection> {
    ByteString::try_from(body.clone())
        .map_err(|error| Rejection::new("the body is not text in UTF-8").with_source(error))
}

/// Nothing to be read: for `Option`.
fn is_absent(context: &Context<'_>) -> bool {
    context.body().is_empty() && !context.headers().contains("content-type")
}

/// Reads the body as JSON.
///
/// Rejected if there is a `content-type` that is not JSON ("the content-type is not JSON"), and if the body is not JSON or
/// not what `T` is made from ("the body is not JSON: line 1, column 5"). The text never repeats what the client sent.
impl<S: Send + Sync, T: DeserializeOwned> FromMessage<S> for Json<T> {
    type Rejection = Rejection;

    async fn from_message(context: &mut Context<'_>, _: &S) -> Result<Self, Rejection> {
        match sort_of(context.headers()) {
            Sort::Unknown | Sort::Json => json(context.body()).map(Self),
            Sort::Text | Sort::Other => Err(Rejection::new("the content-type is not JSON")),
        }
    }
}

impl<S: Send + Sync, T: DeserializeOwned> OptionalFromMessage<S> for Json<T> {
    type Rejection = Rejection;

    async fn from_message_if_any(context: &mut Context<'_>, state: &S) -> Result<Option<Self>, Rejection> {
        if is_absent(context) { Ok(None) } else { Self::from_message(context, state).await.map(Some) }
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromMessage<S> for Body<T> {
    type Rejection = Rejection;

    async fn from_message(context: &mut Context<'_>, _: &S) -> Result<Self, Rejection> {
        match sort_of(context.headers()) {
            Sort::Unknown | Sort::Json => json(context.body()).map(Self),
            Sort::Text => from_text(&text(context.body())?).map(Self),
            Sort::Other => Err(Rejection::new("the content-type is neither JSON nor text")),
        }
    }
}

impl<S: Send + Sync, T: DeserializeOwned> OptionalFromMessage<S> for Body<T> {
    type Rejection = Rejection;

    async fn from_message_if_any(context: &mut Context<'_>, state: &S) -> Result<Option<Self>, Rejection> {
        if is_absent(context) { Ok(None) } else { Self::from_message(context, state).await.map(Some) }
    }
}

/// The body as text, whatever its `content-type` is. Rejected with "the body is not text in UTF-8".
impl<S: Send + Sync> FromMessage<S> for String {
    type Rejection = Rejection;

    async fn from_message(context: &mut Context<'_>, _: &S) -> Result<Self, Rejection> {
        text(context.body()).map(|text| text.to_string())
    }
}

/// The body as text, without a copy, whatever its `content-type` is. Rejected with "the body is not text in UTF-8".
impl<S: Send + Sync> FromMessage<S> for ByteString {
    type Rejection = Rejection;

    async fn from_message(context: &mut Context<'_>, _: &S) -> Result<Self, Rejection> {
        text(context.body())
    }
}

/// The body, without a copy, whatever its `content-type` is.
impl<S: Send + Sync> FromMessage<S> for Bytes {
    type Rejection = Infallible;

    async fn from_message(context: &mut Context<'_>, _: &S) -> Result<Self, Infallible> {
        Ok(context.body().clone())
    }
}
