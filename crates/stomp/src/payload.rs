//! Bodies of messages.
//!
//! Imports: nothing.

use axum::{BoxError, Json};
use bytes::Bytes;
use bytestring::ByteString;
use serde::Serialize;
use stomp_codec::Headers;

const JSON: &str = "application/json";
const TEXT: &str = "text/plain;charset=utf-8";
const OCTETS: &str = "application/octet-stream";

/// What can be the body of a message.
///
/// | type | `content-type` |
/// |---|---|
/// | [`Json<T>`](axum::Json) of axum, with a `T: Serialize` | `application/json` |
/// | `String`, `&'static str`, [`ByteString`] | `text/plain;charset=utf-8` |
/// | [`Bytes`], `Vec<u8>`, `&'static [u8]` | `application/octet-stream`: as text over SockJS, which carries nothing else, it goes in base64 |
/// | [`Encoded`] | what it has |
/// | [`WithHeaders`] | what it has, or that of the payload |
///
/// Implement it for a format of your own:
///
/// ```
/// use axum::BoxError;
/// use axum_stomp::{Encoded, Payload};
///
/// struct Csv(Vec<[u32; 2]>);
///
/// impl Payload for Csv {
///     fn encode(self) -> Result<Encoded, BoxError> {
///         let lines: String = self.0.iter().map(|[a, b]| format!("{a},{b}\n")).collect();
///         Ok(Encoded::new(lines).content_type("text/csv"))
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the body of a STOMP message",
    label = "not a payload",
    note = "payloads are `axum::Json<T>` with a `T: Serialize`, `String`, `&'static str`, `Bytes`, `Vec<u8>`, and types \
            that implement `axum_stomp::Payload`"
)]
pub trait Payload: Sized {
    /// Makes the body and its headers.
    ///
    /// # Errors
    /// If the value cannot be serialised.
    fn encode(self) -> Result<Encoded, BoxError>;

    /// Adds a header to the message, in place of any other with this name: also `content-type`.
    ///
    /// ```
    /// # use axum_stomp::Payload;
    /// let text = "# Hello".with_header("content-type", "text/markdown").with_header("priority", "9");
    /// ```
    fn with_header(self, name: impl Into<ByteString>, value: impl Into<ByteString>) -> WithHeaders<Self> {
        let mut with = WithHeaders { payload: self, headers: Headers::new() };
        with.headers.insert(name, value);
        with
    }
}

/// A body as bytes, and the headers that say what it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Encoded {
    /// The headers, such as `content-type`.
    pub headers: Headers,
    /// The body.
    pub body: Bytes,
}

impl Encoded {
    /// A body without a `content-type`.
    #[must_use]
    pub fn new(body: impl Into<Bytes>) -> Self {
        Self { headers: Headers::new(), body: body.into() }
    }

    /// Sets the `content-type`.
    #[must_use]
    pub fn content_type(mut self, content_type: impl Into<ByteString>) -> Self {
        self.headers.insert("content-type", content_type);
        self
    }

    /// Sets headers, in place of others with the same names.
    #[must_use]
    pub(crate) fn with_headers(mut self, headers: &Headers) -> Self {
        for (name, value) in headers.iter_shared() {
            self.headers.insert(name.clone(), value.clone());
        }
        self
    }
}

/// A payload with headers: see [`Payload::with_header`].
#[derive(Debug, Clone)]
pub struct WithHeaders<P> {
    payload: P,
    headers: Headers,
}

impl<P: Payload> WithHeaders<P> {
    /// Adds another header, in place of any with this name.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<ByteString>, value: impl Into<ByteString>) -> Self {
        self.headers.insert(name, value);
        self
    }
}

impl<P: Payload> Payload for WithHeaders<P> {
    fn encode(self) -> Result<Encoded, BoxError> {
        Ok(self.payload.encode()?.with_headers(&self.headers))
    }
}

impl Payload for Encoded {
    fn encode(self) -> Result<Self, BoxError> {
        Ok(self)
    }
}

impl<T: Serialize> Payload for Json<T> {
    fn encode(self) -> Result<Encoded, BoxError> {
        Ok(Encoded::new(serde_json::to_vec(&self.0)?).content_type(ByteString::from_static(JSON)))
    }
}

impl Payload for ByteString {
    fn encode(self) -> Result<Encoded, BoxError> {
        Ok(Encoded::new(self.into_bytes()).content_type(Self::from_static(TEXT)))
    }
}

macro_rules! payloads {
    ($($type:ty: $content_type:expr),* $(,)?) => {
        $(impl Payload for $type {
            fn encode(self) -> Result<Encoded, BoxError> {
                Ok(Encoded::new(self).content_type(ByteString::from_static($content_type)))
            }
        })*
    };
}

payloads! {
    String: TEXT,
    &'static str: TEXT,
    Bytes: OCTETS,
    Vec<u8>: OCTETS,
    &'static [u8]: OCTETS,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content_type(payload: impl Payload) -> Option<ByteString> {
        payload.encode().unwrap().headers.get_shared("content-type").cloned()
    }

    #[test]
    fn payloads_say_what_they_are() {
        assert_eq!(content_type(Json(1)).unwrap(), JSON);
        assert_eq!(content_type(Json(serde_json::json!({"a": 1}))).unwrap(), JSON);
        for text in [content_type("a"), content_type(String::new()), content_type(ByteString::from("a"))] {
            assert_eq!(text.unwrap(), TEXT);
        }
        for octets in [content_type(Bytes::new()), content_type(vec![1]), content_type(&b"a"[..])] {
            assert_eq!(octets.unwrap(), OCTETS);
        }
        assert_eq!(content_type(Encoded::new("a")), None);
    }

    #[test]
    fn headers_replace_others() {
        let payload =
            "a".with_header("a", "1").with_header("content-type", "text/markdown").with_header("a", "2");
        let encoded = payload.with_header("b", "3").encode().unwrap();
        let headers: Vec<_> = encoded.headers.iter().collect();
        assert_eq!(headers, [("content-type", "text/markdown"), ("a", "2"), ("b", "3")]);
        assert_eq!(encoded.body, "a");
    }

    #[test]
    fn a_value_that_is_no_json_is_an_error() {
        let keys = std::collections::HashMap::from([((1, 2), 3)]);
        assert!(Json(keys).encode().is_err());
    }
}
