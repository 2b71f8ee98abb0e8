//! A client, which knows what it has sent and checks what it gets.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    pin::Pin,
    task::{Context, Poll, Waker},
};

use axum_stomp::{ByteString, Bytes, Command, Frame, MessageId, Version, broker::Target};
use stomp_codec::{Decoder, Limits};
use tokio::{
    io::{AsyncRead as _, AsyncWrite as _, DuplexStream, ReadBuf},
    task::JoinHandle,
};

use super::ledger::{Ledger, NUMBER};

/// A receipt that a client has asked for.
struct Asked {
    receipt: ByteString,
    /// Whether it may come later than those of the next frames.
    is_parallel: bool,
    /// The subscription that the frame has ended.
    ended: Option<String>,
    frame: usize,
}

/// What a client calls a subscription.
#[derive(Default)]
struct Named {
    destinations: BTreeSet<String>,
    is_open: bool,
    /// The last frame that has begun one, and the last one that has ended one whose receipt has come.
    begun: usize,
    ended: usize,
    /// The numbers of those that have ended.
    closed: BTreeSet<u32>,
    serials: BTreeSet<u32>,
}

pub struct Client {
    /// `None` when it has vanished.
    io: Option<DuplexStream>,
    pub serving: JoinHandle<()>,
    ledger: Ledger,
    /// What is to be sent, and how much of it at once; nothing while it is held back.
    unsent: VecDeque<u8>,
    pub piece: usize,
    pub is_held: bool,
    pub reads: bool,
    /// Reads what has been sent as the server does.
    sent: Option<Decoder>,
    frames: usize,
    asked: VecDeque<Asked>,
    /// The transactions that are open.
    begun: BTreeSet<String>,
    named: HashMap<String, Named>,
    received: Decoder,
    pub session: Option<String>,
    pub user: Option<String>,
    pub version: Version,
    is_over: bool,
    is_at_end: bool,
    messages: BTreeSet<MessageId>,
    /// The frames that others may have got as they are: the subscription and the id.
    shared: BTreeSet<(String, u64)>,
    /// Of each subscription, which has a number here if it is not called anything, and destination the number of the last
    /// message.
    last: BTreeMap<(String, Option<u32>, String), u64>,
    /// What it may acknowledge: the subscription and the id.
    pub read: Vec<(String, String)>,
    /// Where it may reply to.
    pub reply_to: Option<String>,
    /// The numbers of all messages that it has got.
    pub numbers: Vec<u64>,
    pub read_bytes: usize,
}

impl Client {
    pub fn new(io: DuplexStream, serving: JoinHandle<()>, ledger: Ledger, sent: Decoder) -> Self {
        let limits = Limits::new().max_headers(100).max_line_bytes(1 << 16).max_body_bytes(1 << 16);
        Self {
            io: Some(io),
            serving,
            ledger,
            unsent: VecDeque::new(),
            piece: usize::MAX,
            is_held: false,
            reads: true,
            sent: Some(sent),
            frames: 0,
            asked: VecDeque::new(),
            begun: BTreeSet::new(),
            named: HashMap::new(),
            received: Decoder::of_server(limits),
            session: None,
            user: None,
            version: Version::V1_0,
            is_over: false,
            is_at_end: false,
            messages: BTreeSet::new(),
            shared: BTreeSet::new(),
            last: BTreeMap::new(),
            read: Vec::new(),
            reply_to: None,
            numbers: Vec::new(),
            read_bytes: 0,
        }
    }

    /// Whether it has a session, as far as it knows.
    pub fn is_connected(&self) -> bool {
        self.session.is_some() && !self.is_over && !self.is_at_end && self.io.is_some()
    }

    /// Whether nothing more comes of it.
    pub fn is_closed(&self) -> bool {
        self.is_over || self.is_at_end || self.io.is_none() || self.serving.is_finished()
    }

    /// Whether a transaction is open, as far as what has been sent says.
    pub fn has_begun(&self, number: u8) -> bool {
        self.begun.contains(&format!("t{number}"))
    }

    /// An id without a subscription, from this one on.
    pub fn free_id(&self, first: u8) -> u8 {
        let is_free = |id: &u8| self.named.get(&format!("s{id}")).is_none_or(|named| !named.is_open);
        (0..7).map(|number| (first + number) % 7).find(is_free).unwrap_or(first)
    }

    pub fn send(&mut self, bytes: &[u8]) {
        // It is not to have a buffer without bounds.
        if self.unsent.len() < 1 << 17 {
            self.unsent.extend(bytes);
        }
    }

    /// Cuts the connection. What has not been sent is lost.
    pub fn vanish(&mut self) {
        self.io = None;
        self.unsent.clear();
    }

    /// Closes its half of the connection.
    pub fn shutdown(&mut self) {
        if let Some(io) = &mut self.io {
            let _ = Pin::new(io).poll_shutdown(&mut Context::from_waker(Waker::noop()));
        }
        self.unsent.clear();
        self.is_held = true;
    }

    /// Sends a piece and reads what there is. Returns whether there was something.
    pub fn turn(&mut self) -> bool {
        let has_sent = !self.is_held && self.write();
        let has_read = self.reads && self.read(usize::MAX);
        has_sent || has_read
    }

    fn write(&mut self) -> bool {
        let Some(io) = &mut self.io else { return false };
        let unsent = self.unsent.make_contiguous();
        let piece = &unsent[..unsent.len().min(self.piece)];
        if piece.is_empty() {
            return false;
        }
        match Pin::new(io).poll_write(&mut Context::from_waker(Waker::noop()), piece) {
            Poll::Ready(Ok(count)) => {
                let written: Vec<u8> = self.unsent.drain(..count).collect();
                self.note(written.into());
                true
            }
            Poll::Ready(Err(_)) => {
                self.unsent.clear();
                false
            }
            Poll::Pending => false,
        }
    }

    /// Notes what the server may have read.
    fn note(&mut self, mut bytes: Bytes) {
        let Some(mut decoder) = self.sent.take() else { return };
        loop {
            match decoder.decode(&mut bytes) {
                Ok(Some(frame)) => {
                    self.frames += 1;
                    if matches!(frame.command, Command::Connect | Command::Stomp) {
                        let accepted = frame.headers.get("accept-version");
                        let version = accepted.map_or(Some(Version::V1_0), Version::newest);
                        decoder.set_version(version.unwrap_or(Version::V1_0));
                        if self.frames > 1 {
                            return;
                        }
                    } else {
                        self.note_frame(&frame);
                    }
                }
                Ok(None) => break,
                // Nothing more is read.
                Err(_) => return,
            }
        }
        self.sent = Some(decoder);
    }

    fn note_frame(&mut self, frame: &Frame) {
        let header = |name| frame.headers.get(name).map(ToOwned::to_owned);
        let destination = header("destination").unwrap_or_default();
        let id = header("id");
        let mut ended = None;
        match frame.command {
            Command::Subscribe => {
                let named = self.named.entry(id.unwrap_or_default()).or_default();
                named.destinations.insert(destination.clone());
                named.begun = self.frames;
                named.is_open = true;
            }
            Command::Unsubscribe => {
                ended = id.filter(|id| !id.is_empty());
                if let Some(named) = ended.as_ref().and_then(|id| self.named.get_mut(id)) {
                    named.is_open = false;
                }
            }
            Command::Begin => self.begun.extend(header("transaction")),
            Command::Commit | Command::Abort => {
                self.begun.remove(&header("transaction").unwrap_or_default());
            }
            Command::Send => {
                if let Some(own) = header("reply-to").filter(|name| name.starts_with("/temp-queue/")) {
                    let named = self.named.entry(own).or_default();
                    // It may be the same one as before.
                    named.destinations.insert("/reply-queue/*".into());
                    named.begun = self.frames;
                }
            }
            _ => {}
        }
        let is_parallel = frame.command == Command::Send && destination.starts_with("/app/parallel");
        if let Some(receipt) = frame.headers.get_shared("receipt") {
            let frame = self.frames;
            self.asked.push_back(Asked { receipt: receipt.clone(), is_parallel, ended, frame });
        }
    }

    /// Reads what there is, up to so many bytes. Returns whether there was something.
    pub fn read(&mut self, most: usize) -> bool {
        let mut buffer = [0; 2048];
        let mut left = most;
        while let (Some(io), false, 1..) = (&mut self.io, self.is_at_end, left) {
            let wanted = left.min(buffer.len());
            let mut read = ReadBuf::new(&mut buffer[..wanted]);
            match Pin::new(io).poll_read(&mut Context::from_waker(Waker::noop()), &mut read) {
                Poll::Ready(Ok(())) if !read.filled().is_empty() => {
                    let bytes = Bytes::copy_from_slice(read.filled());
                    left -= bytes.len();
                    self.read_bytes += bytes.len();
                    self.receive(bytes);
                }
                Poll::Ready(_) => self.is_at_end = true,
                Poll::Pending => break,
            }
        }
        left < most
    }

    fn receive(&mut self, mut bytes: Bytes) {
        assert!(!self.is_over, "something stands behind an ERROR: {bytes:?}");
        while let Some(frame) = self.received.decode(&mut bytes).expect("what a server sends are frames") {
            self.check(frame);
        }
    }

    fn check(&mut self, frame: Frame) {
        assert!(!self.is_over, "a frame stands behind an ERROR: {frame:?}");
        let header = |name: &str| frame.headers.get(name);
        match frame.command {
            Command::Connected => {
                assert!(self.session.is_none(), "{frame:?}");
                let version = header("version").and_then(Version::newest).expect("a version");
                self.received.set_version(version);
                self.version = version;
                self.session = header("session").map(ToOwned::to_owned);
                self.user = header("user-name").map(ToOwned::to_owned);
                assert!(
                    self.session.is_some() && header("server").is_some() && header("heart-beat").is_some()
                );
            }
            Command::Error => {
                assert!(header("message").is_some_and(|message| !message.is_empty()), "{frame:?}");
                assert_eq!(header("content-length"), Some(&*frame.body.len().to_string()));
                self.is_over = true;
            }
            Command::Receipt => self.check_receipt(header("receipt-id").expect("an id")),
            Command::Message => self.check_message(&frame),
            _ => panic!("not a frame of a server's: {frame:?}"),
        }
        assert!(self.session.is_some() || self.is_over, "{frame:?} comes first");
    }

    fn check_receipt(&mut self, receipt: &str) {
        let place = self.asked.iter().position(|asked| *asked.receipt == *receipt);
        let place = place.unwrap_or_else(|| panic!("nobody has asked for the receipt {receipt:?}"));
        let is_parallel = self.asked[place].is_parallel;
        let asked = self.asked.remove(place).expect("it is there");
        if !is_parallel {
            // Those before have been refused, or come later.
            let mut at = 0;
            self.asked.retain(|asked| {
                at += 1;
                at > place || asked.is_parallel
            });
        }
        if let Some(named) = asked.ended.and_then(|id| self.named.get_mut(&id)) {
            named.ended = asked.frame;
            let serials = std::mem::take(&mut named.serials);
            named.closed.extend(serials);
        }
    }

    fn check_message(&mut self, frame: &Frame) {
        let header = |name: &str| frame.headers.get(name);
        let text = header("message-id").expect("a message-id");
        let id: Option<MessageId> = text.parse().ok();
        let destination = header("destination").expect("a destination");
        assert_eq!(header("content-length"), Some(&*frame.body.len().to_string()), "{frame:?}");
        for name in ["receipt", "transaction", "login", "passcode", "host", "accept-version"] {
            assert_eq!(header(name), None, "{frame:?}");
        }
        assert!(header("ack").is_none_or(|ack| ack == text && id.is_some()));
        let session = self.session.clone().expect("connected before");
        let name = header("subscription").unwrap_or_default();
        assert!(header("subscription").is_some() || self.version == Version::V1_0);
        let named = self.named.get_mut(name).unwrap_or_else(|| panic!("{name:?} is not subscribed"));
        assert!(named.begun > named.ended, "{name:?} has ended before {frame:?}");
        if let Some(id) = id {
            assert!(self.messages.insert(id), "{id} comes twice: {frame:?}");
            assert!(!named.closed.contains(&id.subscription), "{name:?} has ended before {frame:?}");
            named.serials.insert(id.subscription);
        } else {
            let id = text.parse().expect("a message-id");
            assert!(header("subscription").is_some(), "nothing tells the subscription: {frame:?}");
            assert!(self.shared.insert((name.to_owned(), id)), "{id} comes twice: {frame:?}");
        }
        let wildcards = ['*', '?', '{'];
        let fits = |subscribed: &String| is_same(subscribed, destination) || subscribed.contains(wildcards);
        assert!(named.destinations.iter().any(fits), "{:?}: {frame:?}", named.destinations);
        self.read.push((name.to_owned(), text.to_owned()));
        if let Some(reply_to) = header("reply-to") {
            self.reply_to = Some(reply_to.to_owned());
        }
        if destination.starts_with("/app/") {
            // The answer of a handler.
            assert_eq!(header(NUMBER), None);
            return;
        }
        let number = header(NUMBER).and_then(|number| number.parse().ok()).expect("a number");
        let is_redelivered = header("redelivered") == Some("true");
        let target = self.ledger.read(&session, id, number, is_redelivered);
        let serial = id.map(|id| id.subscription).filter(|_| name.is_empty());
        let last = self.last.insert((name.to_owned(), serial, destination.to_owned()), number);
        match target {
            Target::Destination(sent_to) => {
                assert!(is_same(&sent_to, destination), "{sent_to:?} {frame:?}");
                if !destination.starts_with("/queue") {
                    assert!(last < Some(number), "{number} comes behind {last:?}: {frame:?}");
                }
            }
            Target::Temporary(sent_to) => {
                assert!(is_same(&sent_to, destination), "{sent_to:?} {frame:?}");
                assert!(name.starts_with("/temp-queue/") && last < Some(number), "{frame:?}");
            }
            Target::User { name, .. } => {
                assert!(destination.starts_with("/user/") && last < Some(number), "{frame:?}");
                assert!(is_same(self.user.as_ref().unwrap_or(&session), &name), "{name:?} {frame:?}");
            }
            Target::Session { id, .. } => {
                assert!(destination.starts_with("/user/") && last < Some(number), "{frame:?}");
                assert_eq!(id.to_string(), session, "{frame:?}");
            }
        }
        self.numbers.push(number);
    }
}

/// Whether two texts are the same, but for what some versions cannot say.
fn is_same(one: &str, other: &str) -> bool {
    let said = |text: &str| text.replace(['\n', '\r', '\\', 'n', ' '], "");
    one == other || said(one) == said(other)
}
