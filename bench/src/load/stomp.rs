//! STOMP as a client speaks it, so far as a load needs it.

use memchr::memmem;

use super::{
    Shape,
    incoming::Step,
    messages::{Template, Text, shown},
};

/// What the messages of a session are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Content {
    /// Texts alone.
    Text,
    /// The same, once the server says that the session is a member of the room.
    InARoom,
    /// The same bytes as with [`Stomp`](Self::Stomp), as texts: what STOMP costs is seen beside it.
    LikeStomp,
    /// The bodies of STOMP's frames.
    Stomp,
    /// Sessions that only connect.
    StompConnect,
    /// The same bytes as `CONNECT` has, as a text that comes back: what STOMP costs is seen beside it.
    LikeStompConnect,
}

/// The subscription of each session.
const ID: &str = "sub-0";

/// Where a session's messages go, and where they come from.
fn destinations(shape: Shape, number: usize) -> (String, String) {
    match shape {
        Shape::Echo => ("/app/echo".to_owned(), "/user/queue/echo".to_owned()),
        Shape::Broadcast => ("/topic/bench".to_owned(), "/topic/bench".to_owned()),
        Shape::Pairs => {
            let topic = format!("/topic/pair-{:05}", number / 2);
            (topic.clone(), topic)
        }
    }
}

impl Content {
    /// A message as it is sent.
    pub(crate) fn outgoing(self, text: Text, size: usize, shape: Shape, number: usize) -> Text {
        match self {
            Self::Text | Self::InARoom | Self::LikeStompConnect => text,
            Self::LikeStomp => self.incoming(text, size, shape, number),
            Self::Stomp | Self::StompConnect => {
                let (to, _) = destinations(shape, number);
                text.within(&format!("SEND\ndestination:{to}\ncontent-length:{size}\n\n"), "\0")
            }
        }
    }

    /// A message as it comes, where that is known to the byte.
    pub(crate) fn incoming(self, text: Text, size: usize, shape: Shape, number: usize) -> Text {
        if self != Self::LikeStomp {
            return text;
        }
        let (_, from) = destinations(shape, number);
        // The number is one of many.
        let head = format!(
            "MESSAGE\nsubscription:{ID}\nmessage-id:0-1234\ndestination:{from}\ncontent-length:{size}\n\n"
        );
        text.within(&head, "\0")
    }

    /// What opens a session.
    pub(crate) fn steps(self, shape: Shape, number: usize) -> Vec<Step> {
        let connect =
            "CONNECT\naccept-version:1.2\nhost:/\nheart-beat:0,0\nlogin:guest\npasscode:guest\n\n\0";
        let (_, from) = destinations(shape, number);
        let subscribe = format!("SUBSCRIBE\nid:{ID}\ndestination:{from}\nreceipt:1\n\n\0");
        match (self, shape) {
            (Self::Text | Self::LikeStomp, Shape::Pairs) => {
                let side = if number & 1 == 0 { "sends" } else { "receives" };
                vec![(format!("{side} {}", number / 2), "ok")]
            }
            (Self::Text | Self::LikeStomp, _) => Vec::new(),
            (Self::InARoom, _) => vec![("joined?".to_owned(), "joined")],
            (Self::StompConnect, _) => vec![(connect.to_owned(), "CONNECTED\n")],
            (Self::LikeStompConnect, _) => vec![(connect.to_owned(), "CONNECT\n")],
            (Self::Stomp, Shape::Pairs) if number & 1 == 0 => vec![(connect.to_owned(), "CONNECTED\n")],
            (Self::Stomp, _) => vec![(connect.to_owned(), "CONNECTED\n"), (subscribe, "RECEIPT\n")],
        }
    }

    pub(crate) fn is_stomp(self) -> bool {
        matches!(self, Self::Stomp | Self::StompConnect)
    }
}

/// Checks that the bodies of a session's messages come once each, in order, intact.
///
/// The other headers are the server's, and bodies need no escapes.
#[derive(Debug)]
pub(crate) struct Checker {
    body: Template,
    received: u64,
}

impl Checker {
    pub(crate) fn new(text: &Text) -> Self {
        Self { body: Template::quoted(text, 0), received: 0 }
    }

    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Takes what stands between `head` and `end`, of which `behind` is left.
    fn take<'a>(&mut self, bytes: &'a [u8], head: &[u8], blank: &[u8], end: &[u8]) -> Option<&'a [u8]> {
        let rest = bytes.strip_prefix(head)?;
        let body = memmem::find(rest, blank)? + blank.len();
        let behind = rest[body..].strip_prefix(self.body.bytes())?.strip_prefix(end)?;
        self.body.advance();
        self.received += 1;
        Some(behind)
    }

    /// Takes a bare message; some servers end it with a line.
    pub(crate) fn message(&mut self, message: &[u8]) -> Result<(), String> {
        let mut rest = message;
        while let [b'\n', behind @ ..] = rest {
            rest = behind;
        }
        while !rest.is_empty() {
            let behind = self.take(rest, b"MESSAGE\n", b"\n\n", b"\0");
            rest = behind.ok_or_else(|| self.wrong(message))?;
            while let [b'\n', behind @ ..] = rest {
                rest = behind;
            }
        }
        Ok(())
    }

    /// Takes a SockJS frame of messages.
    pub(crate) fn array(&mut self, frame: &[u8]) -> Result<(), String> {
        let Some(mut rest) = frame.strip_prefix(b"a[") else { return Err(self.wrong(frame)) };
        loop {
            let behind = self.take(rest, b"\"MESSAGE\\n", b"\\n\\n", b"\\u0000\"");
            match behind {
                Some([b',', behind @ ..]) => rest = behind,
                Some(b"]") => return Ok(()),
                _ => return Err(self.wrong(frame)),
            }
        }
    }

    fn wrong(&self, message: &[u8]) -> String {
        format!("expected a message with {}, got {}", shown(self.body.bytes()), shown(message))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::messages::Body, *};

    fn frame(number: u64) -> String {
        let head = "MESSAGE\nsubscription:sub-0\nmessage-id:0-1\n\n000007";
        format!("{head}{number:010} the quick brown fox jumps over the lazy dog the\0")
    }

    #[test]
    fn bodies_are_checked_in_each_framing() {
        let mut checker = Checker::new(&Text::new(Body::Ascii, 64, 7));
        checker.message(frame(0).as_bytes()).expect("the first");
        checker.message(format!("\n{}\n{}\n", frame(1), frame(2)).as_bytes()).expect("two");
        let array = |numbers: &[u64]| {
            let texts: Vec<_> = numbers.iter().map(|number| frame(*number)).collect();
            format!("a{}", serde_json::to_string(&texts).expect("JSON"))
        };
        checker.array(array(&[3, 4]).as_bytes()).expect("two more");
        assert_eq!(checker.received(), 5);
        assert!(checker.array(array(&[4]).as_bytes()).is_err());
        assert!(checker.array(array(&[5, 7]).as_bytes()).is_err());
        assert!(checker.message(b"ERROR\n\n\0").is_err());
    }

    #[test]
    fn texts_are_as_long_as_the_frames() {
        let text = Text::new(Body::Ascii, 64, 0);
        let like = Content::LikeStomp.incoming(text, 64, Shape::Broadcast, 0);
        let like = String::from_utf8(Template::quoted(&like, 0).bytes().to_vec()).expect("text");
        let head =
            "MESSAGE\nsubscription:sub-0\nmessage-id:0-1234\ndestination:/topic/bench\ncontent-length:64\n\n";
        let body = like.strip_prefix(head).and_then(|rest| rest.strip_suffix('\0')).expect("a frame");
        assert_eq!(body.len(), 64);
    }
}
