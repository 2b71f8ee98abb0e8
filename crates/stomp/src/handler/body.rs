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
/// Rejected if there is a `content-type` that is not JSON ("the content-type is not JSON"), and if the body is not JSON
/// or not what `T` is made from ("the body is not JSON: line 1, column 5"). The text never repeats what the client
/// sent.
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
            Sort::Text => from_text(text(context.body())?).map(Self),
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

/// The body as text, whatever its `content-type` is. Rejected with "the body is not text in UTF-8".
///
/// It is not copied, and keeps the memory of what was read with it, which may be more.
impl<S: Send + Sync> FromMessage<S> for ByteString {
    type Rejection = Rejection;

    async fn from_message(context: &mut Context<'_>, _: &S) -> Result<Self, Rejection> {
        text(context.body())
    }
}

/// The body, whatever its `content-type` is.
///
/// It is not copied, and keeps the memory of what was read with it, which may be more.
impl<S: Send + Sync> FromMessage<S> for Bytes {
    type Rejection = Infallible;

    async fn from_message(context: &mut Context<'_>, _: &S) -> Result<Self, Infallible> {
        Ok(context.body().clone())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde::Deserialize;
    use stomp_codec::Command;

    use super::{super::testing::World, *};

    fn world(content_type: &'static str, body: &'static [u8]) -> World {
        let headers = [("content-type", content_type)];
        World::new(Command::Send, if content_type.is_empty() { &[] } else { &headers }, body)
    }

    async fn json(content_type: &'static str, body: &'static str) -> Result<u32, String> {
        let result = world(content_type, body.as_bytes()).call(async |Json(value): Json<u32>| value).await;
        result.map_err(|error| error.client_text())
    }

    #[tokio::test]
    async fn json_is_read_if_it_is_said_to_be_that_or_nothing_is_said() {
        for content_type in [
            "",
            "application/json",
            "Application/JSON ; charset=utf-8",
            "application/a+json",
            "model/gltf+json;v=1",
        ] {
            assert_eq!(json(content_type, "5").await, Ok(5), "{content_type}");
        }
        for content_type in ["text/plain", "application/jsonx", "json", ";", "application/xml"] {
            assert_eq!(json(content_type, "5").await, Err("the content-type is not JSON".to_owned()));
        }
    }

    #[tokio::test]
    async fn a_rejection_of_json_does_not_repeat_it() {
        let told = json("", "5secret").await;
        assert_eq!(told, Err("the body is not JSON: line 1, column 2".to_owned()));
        let told = json("", "\n\"secret\"").await;
        assert_eq!(told, Err("the JSON of the body is not what is expected: line 2, column 8".to_owned()));
        assert_eq!(json("", "").await, Err("the body is not JSON: line 1, column 0".to_owned()));
        let error = world("", b"\"secret\"").call(async |_: Json<u32>| ()).await.unwrap_err();
        assert!(error.report().contains("invalid type: string"), "{}", error.report());
    }

    #[tokio::test]
    async fn an_option_is_none_if_there_is_nothing() {
        let function = async |json: Option<Json<u32>>, body: Option<Body<u32>>| {
            json.map(|json| json.0).zip(body.map(|body| body.0))
        };
        assert_eq!(world("", b"").call(function).await.unwrap(), None);
        assert_eq!(world("", b"5").call(function).await.unwrap(), Some((5, 5)));
        assert!(world("", b"x").call(function).await.is_err());
        assert!(world("application/json", b"").call(function).await.is_err());
    }

    #[tokio::test]
    async fn a_body_is_json_or_text() {
        #[derive(Debug, PartialEq, Deserialize)]
        #[serde(rename_all = "lowercase")]
        enum Color {
            Red,
        }

        async fn body<T: DeserializeOwned + Send + 'static>(
            content_type: &'static str,
            body: &'static [u8],
        ) -> Result<T, String> {
            let result = world(content_type, body).call(async |Body(value): Body<T>| value).await;
            result.map_err(|error| error.client_text())
        }

        assert_eq!(body("", b"\"a\"").await, Ok("a".to_owned()));
        assert_eq!(body("text/plain", b"\"a\"").await, Ok("\"a\"".to_owned()));
        assert_eq!((body("text/plain", b"5").await, body("", b"5").await), (Ok(5), Ok(5)));
        assert_eq!(
            (body("text/x", b"red").await, body("", b"\"red\"").await),
            (Ok(Color::Red), Ok(Color::Red))
        );
        assert_eq!(
            body::<u32>("text/plain", b"x").await,
            Err("the text of the body is not `u32`".to_owned())
        );
        let error = "the text of the body is not what is expected".to_owned();
        assert_eq!(body::<Color>("text/plain", b"blue").await, Err(error.clone()));
        // A text is one value.
        assert_eq!(body::<Vec<String>>("text/plain", b"a").await, Err(error.clone()));
        assert_eq!(body::<(String,)>("text/plain", b"a").await, Err(error.clone()));
        assert_eq!(body::<HashMap<String, String>>("text/plain", b"a").await, Err(error));
        assert_eq!(
            body::<String>("text/plain", b"\xff").await,
            Err("the body is not text in UTF-8".to_owned())
        );
        let error = "the content-type is neither JSON nor text".to_owned();
        assert_eq!(body::<String>("application/octet-stream", b"a").await, Err(error));
    }

    #[tokio::test]
    async fn text_and_bytes_have_any_content_type() {
        let function = async |string: String, text: ByteString, bytes: Bytes| {
            assert_eq!((&*text, &bytes[..]), (&*string, string.as_bytes()));
            string
        };
        assert_eq!(world("application/json", "é".as_bytes()).call(function).await.unwrap(), "é");
        assert!(world("", b"\xff").call(async |_: ByteString| ()).await.is_err());
        assert_eq!(world("", b"\xff").call(async |bytes: Bytes| bytes).await.unwrap(), b"\xff"[..]);
    }
}
