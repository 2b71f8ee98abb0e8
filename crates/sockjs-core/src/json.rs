//! Messages whose text is JSON.

use serde::{Deserialize, Serialize, de::Error as _};

use super::message::Message;

impl Message {
    /// Creates text of a value as JSON.
    ///
    /// # Errors
    /// The value cannot be JSON: its `Serialize` fails, or it has a map whose keys are not strings.
    ///
    /// ```
    /// use sockjs_core::Message;
    /// use serde::Serialize;
    ///
    /// #[derive(Serialize)]
    /// struct Said<'a> { text: &'a str }
    ///
    /// let message = Message::json(&Said { text: "hello" })?;
    /// assert_eq!(message, r#"{"text":"hello"}"#);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn json<T: Serialize + ?Sized>(value: &T) -> serde_json::Result<Self> {
        serde_json::to_string(value).map(Self::from)
    }

    /// Parses the text as JSON. The value may borrow from the message.
    ///
    /// # Errors
    /// The text is not JSON or not of this type, has [lone surrogates](Self#lone-surrogates), or is no text but binary
    /// data.
    ///
    /// ```
    /// use sockjs_core::Message;
    /// use serde::Deserialize;
    ///
    /// #[derive(Deserialize)]
    /// struct Say<'a> { text: &'a str }
    ///
    /// let message = Message::from(r#"{"text":"hello"}"#);
    /// let say: Say<'_> = message.parse_json()?;
    /// assert_eq!(say.text, "hello");
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn parse_json<'a, T: Deserialize<'a>>(&'a self) -> serde_json::Result<T> {
        match self.as_str() {
            Some(text) => serde_json::from_str(text),
            None if self.is_binary() => Err(serde_json::Error::custom("binary data")),
            None => Err(serde_json::Error::custom("lone surrogate")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Value = std::collections::BTreeMap<String, Vec<Option<i64>>>;

    #[test]
    fn only_text_is_json() {
        let error = |message: Message| message.parse_json::<u8>().unwrap_err().to_string();
        assert_eq!(Message::from("7").parse_json::<u8>().unwrap(), 7);
        assert_eq!(error(Message::binary("7")), "binary data");
        let lone = Message::from_wtf8(b"\"\xed\xa0\x80\"".to_vec());
        assert_eq!(lone.parse_json::<serde::de::IgnoredAny>().unwrap_err().to_string(), "lone surrogate");
        assert_eq!(error("256".into()), "invalid value: integer `256`, expected u8 at line 1 column 3");
        assert!(error("7 8".into()).starts_with("trailing characters"));
    }

    #[test]
    fn a_value_that_cannot_be_json_is_an_error() {
        assert!(Message::json(&std::collections::BTreeMap::from([((), 1)])).is_err());
    }

    proptest! {
        #[test]
        fn values_survive(value: Value) {
            let message = Message::json(&value).unwrap();
            prop_assert_eq!(message.parse_json::<Value>().unwrap(), value);
        }
    }
}
