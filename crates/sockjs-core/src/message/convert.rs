//! Messages are made of texts, and become bytes.

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;

use super::Message;
use crate::quote::is_clean;

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        if is_clean(text) { Self::from_clean(text) } else { Self::from_text(text.into()) }
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        if is_clean(&text) { Self::from_clean(&text) } else { Self::from_text(text.into()) }
    }
}

impl From<&String> for Message {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<Cow<'_, str>> for Message {
    fn from(text: Cow<'_, str>) -> Self {
        match text {
            Cow::Borrowed(text) => Self::from(text),
            Cow::Owned(text) => Self::from(text),
        }
    }
}

impl From<Arc<str>> for Message {
    fn from(text: Arc<str>) -> Self {
        Self::from(&*text)
    }
}

/// Shares the memory: see [`Message::to_bytes`].
impl From<Message> for Bytes {
    fn from(message: Message) -> Self {
        message.to_bytes()
    }
}
