//! Messages are compared with each other and with texts.

use std::hash::{Hash, Hasher};

use super::Message;

impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        self.is_binary() == other.is_binary() && self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Message {}

impl Hash for Message {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.is_binary().hash(state);
        self.as_bytes().hash(state);
    }
}

impl PartialEq<Message> for str {
    fn eq(&self, other: &Message) -> bool {
        other == self
    }
}

impl PartialEq<Message> for &str {
    fn eq(&self, other: &Message) -> bool {
        other == *self
    }
}

impl PartialEq<str> for Message {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == Some(other)
    }
}

impl PartialEq<&str> for Message {
    fn eq(&self, other: &&str) -> bool {
        self == *other
    }
}

impl PartialEq<String> for Message {
    fn eq(&self, other: &String) -> bool {
        self == other.as_str()
    }
}
