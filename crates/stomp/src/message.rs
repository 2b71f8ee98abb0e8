//! A message on its way to subscribers.
//!
//! Everything that all subscribers get alike, which is all but the subscription and the number, is encoded once: for
//! each version if a header needs escapes, and once for all versions otherwise. Whole frames are shared by those whose
//! subscriptions have the same name, as those of a page on many screens have.
//!
//! Imports: nothing.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        LazyLock, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use axum_sockjs::Message as Piece;
use bytes::Bytes;
use bytestring::ByteString;
use data_encoding::BASE64;
use stomp_codec::{Headers, Version, is_plain, write_header};

/// Headers of a `SEND` frame that are for the server, or that the server writes itself: they never travel on.
const NOT_FORWARDED: [&str; 12] = [
    "destination",
    "content-length",
    "receipt",
    "transaction",
    "login",
    "passcode",
    "ack",
    "subscription",
    "message-id",
    "redelivered",
    "host",
    "accept-version",
];

/// The header that says that a body is in base64: see [`Carriage::Text`].
pub(crate) const ENCODING: (&str, &str) = ("content-transfer-encoding", "base64");

/// What a connection carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carriage {
    /// Text only, as SockJS: a body that is not UTF-8 goes in base64, with [`ENCODING`].
    Text,
    /// Text and binary data: a body that is not UTF-8, or is an `application/octet-stream`, makes the frame binary.
    Any,
}

/// A message: where it was sent, its headers and its body.
#[derive(Debug)]
pub struct Message {
    destination: ByteString,
    headers: Headers,
    body: Bytes,
    /// Whether all headers are written as they are in all versions.
    is_plain: bool,
    /// Whether the body is UTF-8.
    is_text: bool,
    /// Whether a connection that carries binary data carries the message so.
    is_binary: bool,
    /// Whether somebody has got it. Most messages have one subscriber, for whom nothing is kept.
    was_delivered: AtomicBool,
    /// Whether it has been published.
    was_published: AtomicBool,
    encoded: OnceLock<Box<Encoded>>,
}

/// What several subscribers get alike.
#[derive(Debug)]
struct Encoded {
    /// The `message-id` of all who need none of their own.
    id: u64,
    tails: [OnceLock<Piece>; 3],
    /// For connections that carry text, where that is something else.
    text_tails: [OnceLock<Piece>; 3],
    frames: [OnceLock<SharedFrame>; MAX_SHARED_FRAMES],
}

/// A frame for all whose frames begin alike.
#[derive(Debug)]
struct SharedFrame {
    start: Piece,
    version: Version,
    carriage: Carriage,
    frame: Piece,
}

/// Of how many beginnings the frames are kept: two carriages, and pages that have some subscriptions each.
const MAX_SHARED_FRAMES: usize = 8;

impl Encoded {
    fn new() -> Self {
        static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        static NEXT: AtomicU64 = AtomicU64::new(0);
        // A count would tell each client how many messages others have been sent.
        let id = KEY.hash_one(NEXT.fetch_add(1, Ordering::Relaxed));
        Self { id, tails: Default::default(), text_tails: Default::default(), frames: Default::default() }
    }
}

impl Message {
    /// Creates a message. `destination` is what subscribers see.
    ///
    /// Of headers with the same name the first one is sent on. Those that a server writes itself are left out:
    /// `destination`, `content-length`, `subscription`, `message-id`, `ack`, `redelivered`; and so are those that are
    /// meant for the server: `receipt`, `transaction`, `login`, `passcode`, `host`, `accept-version`.
    pub fn new(destination: impl Into<ByteString>, headers: &Headers, body: impl Into<Bytes>) -> Self {
        let destination = destination.into();
        let mut own = Headers::new();
        for (name, value) in headers.iter_shared() {
            // Some clients take spaces off names.
            if !NOT_FORWARDED.contains(&name.trim()) && !own.contains(name) {
                own.append(name.clone(), value.clone());
            }
        }
        let is_plain = is_plain(&destination)
            && own.iter().all(|(name, value)| !name.is_empty() && is_plain(name) && is_plain(value));
        let body = body.into();
        let is_text = std::str::from_utf8(&body).is_ok();
        let is_stream =
            own.get("content-type").is_some_and(|each| each.starts_with("application/octet-stream"));
        Self {
            destination,
            headers: own,
            body,
            is_plain,
            is_text,
            is_binary: is_stream || !is_text,
            was_delivered: AtomicBool::new(false),
            was_published: AtomicBool::new(false),
            encoded: OnceLock::new(),
        }
    }

    /// Where it was sent.
    #[must_use]
    pub fn destination(&self) -> &str {
        &self.destination
    }

    /// The sender's own headers.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// How much memory it accounts for in queues, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
        self.destination.len() + headers + self.body.len()
    }

    /// Copies the message, for whoever keeps it: what was read from a connection may share a buffer with much else.
    pub(crate) fn detached(&self) -> Self {
        // One allocation for all text.
        let mut text = String::with_capacity(self.size());
        text.push_str(&self.destination);
        for (name, value) in self.headers.iter() {
            text.push_str(name);
            text.push_str(value);
        }
        let text = ByteString::from(text);
        let mut rest = &*text;
        let mut take = |length: usize| {
            let (taken, behind) = rest.split_at(length);
            rest = behind;
            text.slice_ref(taken)
        };
        let destination = take(self.destination.len());
        let headers =
            self.headers.iter().map(|(name, value)| (take(name.len()), take(value.len()))).collect();
        Self {
            destination,
            headers,
            body: Bytes::copy_from_slice(&self.body),
            is_plain: self.is_plain,
            is_text: self.is_text,
            is_binary: self.is_binary,
            was_delivered: AtomicBool::new(false),
            was_published: AtomicBool::new(false),
            encoded: OnceLock::new(),
        }
    }

    /// `None` if the message is published for the first time, and otherwise one like it with a `message-id` of its own:
    /// a client that has got the message before may drop one with the same.
    pub(crate) fn again(&self) -> Option<Self> {
        self.was_published.swap(true, Ordering::Relaxed).then(|| Self {
            destination: self.destination.clone(),
            headers: self.headers.clone(),
            body: self.body.clone(),
            is_plain: self.is_plain,
            is_text: self.is_text,
            is_binary: self.is_binary,
            was_delivered: AtomicBool::new(false),
            was_published: AtomicBool::new(true),
            encoded: OnceLock::new(),
        })
    }

    /// Drops what has been encoded, of a message that is kept after its delivery.
    pub(crate) fn forget_encoded(&mut self) {
        self.encoded = OnceLock::new();
    }

    #[cfg(test)]
    pub(crate) fn is_encoded(&self) -> bool {
        self.encoded.get().is_some()
    }

    fn encoded(&self) -> &Encoded {
        self.encoded.get_or_init(|| Box::new(Encoded::new()))
    }

    /// The frame of all subscriptions that need nothing of their own but their beginning, `start`.
    pub(crate) fn shared_frame(&self, start: &Piece, version: Version, carriage: Carriage) -> Piece {
        let encoded = self.encoded();
        let make = || {
            let is_framed = carriage == Carriage::Text;
            let mut digits = [0; 20];
            let id = decimal(encoded.id, &mut digits);
            let frame = Piece::between(start, id, self.tail(version, carriage), is_framed);
            SharedFrame { start: start.clone(), version, carriage, frame }
        };
        for slot in &encoded.frames {
            let shared = slot.get_or_init(make);
            let is_alike = shared.version == version && shared.carriage == carriage;
            if is_alike && shared.start.as_bytes() == start.as_bytes() {
                return shared.frame.clone();
            }
        }
        make().frame
    }

    /// The end of the frame that all subscribers get alike, from the end of the line with the message's number on.
    pub(crate) fn tail(&self, version: Version, carriage: Carriage) -> &Piece {
        let slot = if self.is_plain { 0 } else { version as usize };
        let differs = carriage == Carriage::Text && self.is_binary;
        let encoded = self.encoded();
        let tails = if differs { &encoded.text_tails } else { &encoded.tails };
        tails[slot].get_or_init(|| self.encode_tail(version, differs))
    }

    fn encode_tail(&self, version: Version, as_text: bool) -> Piece {
        let text = if self.is_text { std::str::from_utf8(&self.body).ok() } else { None };
        let encoded = if as_text && text.is_none() { Some(BASE64.encode(&self.body)) } else { None };
        let body = encoded.as_deref().map_or(&self.body[..], str::as_bytes);
        let mut tail = String::with_capacity(self.tail_len() - self.body.len() + body.len());
        self.write_tail_head(&mut tail, version, body.len(), encoded.is_some());
        match (text, &encoded) {
            (Some(text), _) if as_text || !self.is_binary => tail.push_str(text),
            (_, Some(encoded)) => tail.push_str(encoded),
            _ => {
                let mut tail = tail.into_bytes();
                tail.extend_from_slice(&self.body);
                tail.push(0);
                return Piece::binary(tail);
            }
        }
        tail.push('\0');
        Piece::from(tail)
    }

    /// How long the [`tail`](Self::tail) is, if it has neither escapes nor base64.
    pub(crate) fn tail_len(&self) -> usize {
        let digits = self.body.len().checked_ilog10().unwrap_or(0) as usize + 1;
        "\ndestination:\ncontent-length:\n\n\0".len() + digits + self.size()
    }

    /// The body of a message that nobody has got yet, where it is carried as it is: see
    /// [`write_tail`](Self::write_tail).
    pub(crate) fn first_body(&self, carriage: Carriage) -> Option<&str> {
        let is_as_it_is = self.is_text && (carriage == Carriage::Text || !self.is_binary);
        // A look is cheaper than a change, and enough for all but the first.
        let was_delivered =
            || self.was_delivered.load(Ordering::Relaxed) || self.was_delivered.swap(true, Ordering::Relaxed);
        if !is_as_it_is || was_delivered() {
            return None;
        }
        std::str::from_utf8(&self.body).ok()
    }

    /// Writes the [`tail`](Self::tail) of a message whose body is carried as it is, which need not be kept if nobody else
    /// gets the message.
    pub(crate) fn write_tail(&self, out: &mut String, version: Version, body: &str) {
        self.write_tail_head(out, version, body.len(), false);
        out.push_str(body);
        out.push('\0');
    }

    fn write_tail_head(&self, out: &mut String, version: Version, length: usize, is_encoded: bool) {
        // The end of the line that the number of the message is in.
        out.push('\n');
        let mut header = |name: &str, value: &str| {
            if !self.is_plain {
                return write_header(out, Some(version), name, value);
            }
            for part in [name, ":", value, "\n"] {
                out.push_str(part);
            }
        };
        header("destination", &self.destination);
        header("content-length", decimal(length as u64, &mut [0; 20]));
        if is_encoded {
            header(ENCODING.0, ENCODING.1);
        }
        for (name, value) in self.headers.iter().filter(|(name, _)| !is_encoded || *name != ENCODING.0) {
            header(name, value);
        }
        out.push('\n');
    }
}

/// Writes a number without the formatting machinery, which takes more time than the rest of a frame.
fn decimal(number: u64, digits: &mut [u8; 20]) -> &str {
    let start = write_decimal(number, digits);
    // They are ASCII.
    std::str::from_utf8(&digits[start..]).unwrap_or_default()
}

/// Writes a number to the end of `digits`, which has room for it, and returns where it starts.
pub(crate) fn write_decimal(mut number: u64, digits: &mut [u8]) -> usize {
    let mut start = digits.len();
    while start == digits.len() || number > 0 {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(headers: &[(&'static str, &'static str)], body: &'static [u8]) -> Message {
        Message::new("/topic/a", &headers.iter().copied().collect(), body)
    }

    fn tail(message: &Message, version: Version, carriage: Carriage) -> (bool, String) {
        let piece = message.tail(version, carriage);
        (piece.is_binary(), String::from_utf8_lossy(piece.as_bytes()).into_owned())
    }

    #[test]
    fn what_is_for_the_server_does_not_travel_on() {
        let names = NOT_FORWARDED.map(|name| (name, "x"));
        let message = message(&[&names[..], &[("a", "1"), ("a", "2")]].concat(), b"body");
        let text = "\ndestination:/topic/a\ncontent-length:4\na:1\n\nbody\0".to_owned();
        assert_eq!(tail(&message, Version::V1_2, Carriage::Text), (false, text));
    }

    /// Clients of STOMP 1.0 take spaces off, and some of others, too.
    #[test]
    fn spaces_round_a_name_do_not_let_it_travel_on() {
        let message = message(&[("ack ", "1-1"), (" receipt", "x"), ("a ", "1")], b"");
        assert_eq!(message.headers().iter().collect::<Vec<_>>(), [("a ", "1")]);
    }

    #[test]
    fn a_tail_is_made_once_for_all_versions_unless_they_differ() {
        let same = |message: &Message| {
            let tail = |version| message.tail(version, Carriage::Any).as_bytes().as_ptr();
            tail(Version::V1_0) == tail(Version::V1_2)
        };
        assert!(same(&message(&[("a", "b c")], b"")));
        assert!(!same(&message(&[("a", "b:c")], b"")));
        let message = message(&[("a", "b:c\n")], b"");
        let head = "\ndestination:/topic/a\ncontent-length:0\n";
        for (version, line) in
            [(Version::V1_0, "a:b:c\\n"), (Version::V1_1, "a:b\\cc\\n"), (Version::V1_2, "a:b\\cc\\n")]
        {
            assert_eq!(tail(&message, version, Carriage::Any).1, format!("{head}{line}\n\n\0"), "{version}");
        }
    }

    /// A page on many screens has the same names for its subscriptions on each.
    #[test]
    fn frames_that_begin_alike_are_shared() {
        let message = message(&[("a", "b:c")], b"body");
        let frame = |start: &str, version, carriage| {
            message.shared_frame(&Piece::from_raw_text(start), version, carriage)
        };
        let at = |piece: &Piece| piece.as_bytes().as_ptr();
        let (one, same) =
            (frame("x:1 ", Version::V1_2, Carriage::Any), frame("x:1 ", Version::V1_2, Carriage::Any));
        assert_eq!(at(&one), at(&same));
        let rest = one.as_str().unwrap().strip_prefix("x:1 ").unwrap().to_owned();
        let (id, tail) = rest.split_once('\n').unwrap();
        assert!(id.parse::<u64>().is_ok(), "{id}");
        assert_eq!(tail, "destination:/topic/a\ncontent-length:4\na:b\\cc\n\nbody\0");
        for (start, version, carriage) in [
            ("x:2 ", Version::V1_2, Carriage::Any),
            ("x:1 ", Version::V1_0, Carriage::Any),
            ("x:1 ", Version::V1_2, Carriage::Text),
        ] {
            let other = frame(start, version, carriage);
            assert_ne!(at(&one), at(&other));
            let expected = if version == Version::V1_0 { rest.replace("\\c", ":") } else { rest.clone() };
            assert_eq!(other, format!("{start}{expected}"));
        }
        // The last of these find no place, and are made each time.
        for number in 0..2 * MAX_SHARED_FRAMES {
            let start = format!("x:{number} ");
            assert_eq!(frame(&start, Version::V1_2, Carriage::Any), format!("{start}{rest}"));
        }
        assert_eq!(at(&one), at(&frame("x:1 ", Version::V1_2, Carriage::Any)));
    }

    #[test]
    fn ids_do_not_tell_how_many_messages_there_are() {
        let ids = std::collections::HashSet::from([(); 100].map(|()| Encoded::new().id));
        assert_eq!(ids.len(), 100);
        assert!(ids.iter().all(|id| !ids.contains(&(id + 1))));
    }

    #[test]
    fn numbers_are_decimal() {
        for number in [0, 1, 9, 10, 1_234_567_890, u64::MAX] {
            assert_eq!(decimal(number, &mut [0; 20]), number.to_string());
        }
    }

    #[test]
    fn a_header_without_a_name_is_left_out() {
        let text = "\ndestination:/topic/a\ncontent-length:1\nb:2\n\nx\0".to_owned();
        assert_eq!(
            tail(&message(&[("", "1"), ("b", "2")], b"x"), Version::V1_2, Carriage::Text),
            (false, text)
        );
    }

    #[test]
    fn a_copy_says_the_same_and_shares_nothing() {
        let message = message(&[("a", "b:c"), ("é", ""), ("x", "y")], b"\xffbody");
        let mut copy = message.detached();
        for version in [Version::V1_0, Version::V1_2] {
            assert_eq!(tail(&copy, version, Carriage::Text), tail(&message, version, Carriage::Text));
        }
        assert_ne!(copy.body().as_ptr(), message.body().as_ptr());
        assert_ne!(copy.destination().as_ptr(), message.destination().as_ptr());
        assert_eq!(copy.headers(), message.headers());
        copy.forget_encoded();
        assert!(message.is_encoded() && !copy.is_encoded());
    }

    #[test]
    fn lengths_are_octets() {
        assert!(
            tail(&message(&[], "é😀".as_bytes()), Version::V1_2, Carriage::Text)
                .1
                .contains("content-length:6\n")
        );
    }

    #[test]
    fn bytes_that_are_no_text_are_binary_or_base64() {
        let bytes = message(&[], b"\xff\0");
        assert!(tail(&bytes, Version::V1_2, Carriage::Any).0);
        assert_eq!(bytes.tail(Version::V1_2, Carriage::Any).as_bytes().last_chunk(), Some(b"\n\n\xff\0\0"));
        let text = "\ndestination:/topic/a\ncontent-length:4\ncontent-transfer-encoding:base64\n\n/wA=\0";
        assert_eq!(tail(&bytes, Version::V1_2, Carriage::Text), (false, text.to_owned()));
    }

    #[test]
    fn an_octet_stream_is_binary_where_that_can_be_said() {
        let bytes = message(&[("content-type", "application/octet-stream")], b"text");
        assert!(tail(&bytes, Version::V1_2, Carriage::Any).0);
        let (is_binary, text) = tail(&bytes, Version::V1_2, Carriage::Text);
        assert!(!is_binary && text.ends_with("\n\ntext\0"), "{text}");
    }
}
