//! What a client has subscribed to, and the messages that it got for it.
//!
//! Imports: message.

use std::{
    fmt,
    num::NonZero,
    str::FromStr,
    sync::atomic::{AtomicU64, Ordering},
};

use axum_sockjs::Message as Piece;
use bytestring::ByteString;
use stomp_codec::{Headers, Version, write_header};

use crate::message::{Carriage, Message, write_decimal};

/// How a client acknowledges messages: the `ack` header of its `SUBSCRIBE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum AckMode {
    /// `auto`: a message is acknowledged by being written to the client.
    #[default]
    Auto,
    /// `client`: an `ACK` is for all messages of the subscription up to the one that it names.
    Client,
    /// `client-individual`: an `ACK` is for one message.
    ClientIndividual,
}

impl FromStr for AckMode {
    type Err = UnknownAckMode;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        match value {
            "auto" => Ok(Self::Auto),
            "client" => Ok(Self::Client),
            "client-individual" => Ok(Self::ClientIndividual),
            _ => Err(UnknownAckMode(())),
        }
    }
}

/// The error of an `ack` header that STOMP does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownAckMode(());

impl fmt::Display for UnknownAckMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ack is none of auto, client and client-individual")
    }
}

impl std::error::Error for UnknownAckMode {}

/// Names a message on the connection that it was delivered on: the `ack` header, and the `message-id`.
///
/// The text is two numbers, such as `3-17`, since clients do not always resolve escapes. A message that several
/// subscriptions in `auto` mode get from a topic may have one `message-id` for all of them instead, which is one number: so
/// they can be sent the same frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId {
    /// The [number](Subscription::serial) of the subscription in its session, from 0.
    pub subscription: u32,
    /// The number of the message in its subscription, from 1.
    pub number: u64,
}

impl MessageId {
    /// Calls `make` with the text, which is written without the formatting machinery.
    fn with_text<T>(self, make: impl FnOnce(&str) -> T) -> T {
        // Digits of a `u32`, a hyphen, and digits of a `u64`.
        let mut text = [0; 10 + 1 + 20];
        let hyphen = write_decimal(self.number, &mut text) - 1;
        text[hyphen] = b'-';
        let start = write_decimal(self.subscription.into(), &mut text[..hyphen]);
        // It is ASCII.
        make(std::str::from_utf8(&text[start..]).unwrap_or_default())
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.subscription, self.number)
    }
}

impl FromStr for MessageId {
    type Err = InvalidMessageId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let id = || {
            let (subscription, number) = text.split_once('-')?;
            let id = Self { subscription: subscription.parse().ok()?, number: number.parse().ok()? };
            // Only what was written here: no sign, no zero in front.
            (id.to_string() == text).then_some(id)
        };
        id().ok_or(InvalidMessageId(()))
    }
}

/// The error of a text that names no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidMessageId(());

impl fmt::Display for InvalidMessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this names no message")
    }
}

impl std::error::Error for InvalidMessageId {}

/// A subscription of a client.
#[derive(Debug)]
pub struct Subscription {
    serial: u32,
    destination: ByteString,
    headers: Headers,
    ack: AckMode,
    prefetch: NonZero<usize>,
    /// The beginning of each of its frames, up to the `message-id`.
    start: Piece,
    delivered: AtomicU64,
}

impl Subscription {
    /// `headers` are those of the `SUBSCRIBE` frame.
    pub(crate) fn new(
        serial: u32,
        version: Version,
        destination: ByteString,
        headers: Headers,
        ack: AckMode,
        prefetch: NonZero<usize>,
    ) -> Self {
        let mut start = String::from("MESSAGE\n");
        if let Some(id) = headers.get("id") {
            write_header(&mut start, Some(version), "subscription", id);
        }
        start.push_str("message-id:");
        Self {
            serial,
            destination,
            headers,
            ack,
            prefetch,
            start: Piece::from_raw_text(&start),
            delivered: AtomicU64::new(0),
        }
    }

    /// Its number in its session, from 0. No other one of that session ever has it.
    #[must_use]
    pub fn serial(&self) -> u32 {
        self.serial
    }

    /// The client's own name for it; clients of STOMP 1.0 may have none.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.headers.get("id")
    }

    /// The destination or pattern that the client has subscribed to.
    #[must_use]
    pub fn destination(&self) -> &str {
        &self.destination
    }

    /// The headers of the `SUBSCRIBE` frame.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// How messages are acknowledged.
    #[must_use]
    pub fn ack(&self) -> AckMode {
        self.ack
    }

    /// How many messages may be unacknowledged, or in `auto` mode not yet written.
    #[must_use]
    pub fn prefetch(&self) -> NonZero<usize> {
        self.prefetch
    }

    /// How many messages it has been given so far: their numbers are 1 to this.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    /// Numbers the next message.
    pub(crate) fn next_id(&self) -> MessageId {
        let number = self.delivered.fetch_add(1, Ordering::Relaxed) + 1;
        MessageId { subscription: self.serial, number }
    }

    /// About how long the beginning of a frame is: the number of the message is left out.
    pub(crate) fn head_len(&self) -> usize {
        let digits = self.serial.checked_ilog10().unwrap_or(0) as usize + 1;
        self.start.len() + digits + "-".len()
    }

    /// The beginning of each of its frames, up to the `message-id`, if its frames need nothing else of their own.
    ///
    /// Clients of STOMP 1.0 may have several subscriptions without a name, whose frames nothing else tells apart.
    pub(crate) fn shared_start(&self) -> Option<&Piece> {
        (self.ack == AckMode::Auto && self.id().is_some()).then_some(&self.start)
    }

    /// A frame of a message: what only this subscription gets, and the end that all get alike.
    pub(crate) fn frame(
        &self,
        id: MessageId,
        is_redelivered: bool,
        tail: &Piece,
        carriage: Carriage,
    ) -> Piece {
        // Everything else has been quoted before.
        self.with_own(id, is_redelivered, |own| {
            Piece::between(&self.start, own, tail, carriage == Carriage::Text)
        })
    }

    /// The same, of a message that nobody else has got: its [`first_body`](Message::first_body) is `body`.
    pub(crate) fn whole_frame(
        &self,
        id: MessageId,
        is_redelivered: bool,
        message: &Message,
        body: &str,
        version: Version,
    ) -> Piece {
        let start = self.start.as_str().unwrap_or_default();
        self.with_own(id, is_redelivered, |own| {
            let mut frame = String::with_capacity(start.len() + own.len() + message.tail_len());
            frame.push_str(start);
            frame.push_str(own);
            message.write_tail(&mut frame, version, body);
            Piece::from(frame)
        })
    }

    /// Calls `make` with what stands between the beginning of a frame and the end that all get alike.
    fn with_own(&self, id: MessageId, is_redelivered: bool, make: impl FnOnce(&str) -> Piece) -> Piece {
        if self.ack == AckMode::Auto && !is_redelivered {
            return id.with_text(make);
        }
        let ack = if self.ack == AckMode::Auto { String::new() } else { format!("\nack:{id}") };
        let redelivered = if is_redelivered { "\nredelivered:true" } else { "" };
        make(&format!("{id}{ack}{redelivered}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscription(id: &'static str, ack: AckMode) -> Subscription {
        let headers = Headers::from_iter([("id", id)]);
        let prefetch = NonZero::new(1).unwrap();
        Subscription::new(3, Version::V1_1, "/topic/a".into(), headers, ack, prefetch)
    }

    fn next(subscription: &Subscription, is_redelivered: bool) -> String {
        let id = subscription.next_id();
        let tail = Piece::from("\ndestination:/a\ncontent-length:4\n\nbody\0");
        let frames = [Carriage::Text, Carriage::Any]
            .map(|carriage| subscription.frame(id, is_redelivered, &tail, carriage));
        assert_eq!(frames[0], frames[1]);
        let message = Message::new("/a", &Headers::new(), "body");
        let body = message.first_body(Carriage::Text).unwrap();
        let whole = subscription.whole_frame(id, is_redelivered, &message, body, Version::V1_1);
        assert_eq!(frames[0], whole);
        assert_eq!(message.first_body(Carriage::Text), None);
        let frame = String::from_utf8(frames[0].to_bytes().to_vec()).unwrap();
        frame.strip_suffix("destination:/a\ncontent-length:4\n\nbody\0").unwrap().to_owned()
    }

    #[test]
    fn a_frame_names_the_subscription_and_the_message() {
        let auto = subscription("sub:0", AckMode::Auto);
        assert_eq!(next(&auto, false), "MESSAGE\nsubscription:sub\\c0\nmessage-id:3-1\n");
        assert_eq!(next(&auto, false), "MESSAGE\nsubscription:sub\\c0\nmessage-id:3-2\n");
        let client = subscription("a", AckMode::Client);
        let head = next(&client, true);
        assert_eq!(head, "MESSAGE\nsubscription:a\nmessage-id:3-1\nack:3-1\nredelivered:true\n");
        assert_eq!((auto.delivered(), client.delivered()), (2, 1));
    }

    #[test]
    fn without_an_id_there_is_no_subscription_header() {
        let prefetch = NonZero::new(1).unwrap();
        let old = Subscription::new(0, Version::V1_0, "/a".into(), Headers::new(), AckMode::Auto, prefetch);
        assert_eq!(next(&old, false), "MESSAGE\nmessage-id:0-1\n");
        assert!(old.shared_start().is_none());
    }

    #[test]
    fn frames_are_shared_by_subscriptions_with_a_name_that_need_no_acknowledgement() {
        let start =
            |ack| subscription("a", ack).shared_start().map(|start| start.as_str().unwrap().to_owned());
        assert_eq!(start(AckMode::Auto).as_deref(), Some("MESSAGE\nsubscription:a\nmessage-id:"));
        assert_eq!([AckMode::Client, AckMode::ClientIndividual].map(start), [None, None]);
    }

    #[test]
    fn message_ids_are_read_as_they_are_written() {
        let id = MessageId { subscription: 3, number: 17 };
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in ["", "3", "3-", "-17", "3-+17", "03-17", "3-017", "3-17 ", "4294967296-1"] {
            assert!(text.parse::<MessageId>().is_err(), "{text:?}");
        }
        for id in [id, MessageId { subscription: u32::MAX, number: u64::MAX }] {
            id.with_text(|text| assert_eq!(text, id.to_string()));
        }
    }
}
