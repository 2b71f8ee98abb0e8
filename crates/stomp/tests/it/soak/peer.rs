//! A client that knows what it has to get.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum_stomp::{Bytes, Command, Frame, MessageId, Version};
use stomp_codec::{Decoder, Limits};
use tokio::time::timeout;

use super::{
    ledger::{AUTO, Ledger, QUEUE, number},
    wire::Wire,
};

/// How long a client waits for what has to come: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// What all clients share.
#[derive(Debug, Default, Clone)]
pub(super) struct Shared {
    pub(super) ledger: Ledger,
    pub(super) numbers: Arc<Numbers>,
}

/// What is counted.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    next: AtomicU64,
    pub(super) sent: AtomicU64,
    pub(super) received: AtomicU64,
    pub(super) topic_messages: AtomicU64,
    pub(super) user_messages: AtomicU64,
    pub(super) replies: AtomicU64,
    pub(super) queue_messages: AtomicU64,
    pub(super) redelivered: AtomicU64,
    /// Ends that clients did not ask for.
    pub(super) early_ends: AtomicU64,
}

pub(super) fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Numbers {
    /// A number that nobody has.
    pub(super) fn next(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
}

/// The error of a connection that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended;

/// A subscription.
#[derive(Debug, Clone)]
pub(super) struct Subscription {
    pub(super) destination: String,
    pub(super) ack: &'static str,
}

/// A message that is to be acknowledged.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) subscription: String,
    pub(super) ack: String,
    pub(super) number: u64,
}

pub(super) struct Peer {
    pub(super) wire: Wire,
    pub(super) shared: Shared,
    /// What kind of client it is, for whoever reads of a failure.
    pub(super) what: String,
    decoder: Decoder,
    piece: Bytes,
    version: Version,
    session: String,
    pub(super) number: u64,
    receipts: u64,
    pub(super) subscriptions: BTreeMap<String, Subscription>,
    pub(super) held: Vec<Held>,
    /// Where replies are asked for.
    pub(super) reply_to: Vec<String>,
    /// The last number of each sender to each destination, by subscription.
    last: HashMap<(String, String, u64), u64>,
    /// What cannot be, if the session still lives.
    doubtful: Option<String>,
    /// The `message` of the `ERROR` that has come.
    pub(super) error: Option<String>,
}

impl Peer {
    pub(super) fn new(wire: Wire, shared: &Shared, what: String) -> Self {
        let number = shared.numbers.next();
        Self {
            wire,
            shared: shared.clone(),
            what,
            decoder: Decoder::of_server(Limits::new().max_body_bytes(1 << 20)),
            piece: Bytes::new(),
            version: Version::V1_2,
            session: String::new(),
            number,
            receipts: 0,
            subscriptions: BTreeMap::new(),
            held: Vec::new(),
            reply_to: Vec::new(),
            last: HashMap::new(),
            doubtful: None,
            error: None,
        }
    }

    pub(super) fn version(&self) -> Version {
        self.version
    }

    pub(super) async fn send(&mut self, text: &str) -> Result<(), Ended> {
        add(&self.shared.numbers.sent);
        let sent = timeout(PATIENCE, self.wire.send(text)).await;
        if sent.expect("the server reads") { Ok(()) } else { Err(Ended) }
    }

    /// Sends `CONNECT` with header lines.
    pub(super) async fn connect(&mut self, headers: &str) -> Result<(), Ended> {
        self.send(&format!("CONNECT\n{headers}\n\0")).await?;
        let connected = self.next().await?;
        if connected.command != Command::Connected {
            self.take(&connected);
            return Err(Ended);
        }
        let header = |name| connected.headers.get(name).expect("CONNECTED has it");
        self.version = Version::newest(header("version")).expect("a version");
        self.session = header("session").to_owned();
        self.decoder.set_version(self.version);
        Ok(())
    }

    /// The next frame.
    async fn next(&mut self) -> Result<Frame, Ended> {
        loop {
            match self.decoder.decode(&mut self.piece) {
                Ok(Some(frame)) => {
                    add(&self.shared.numbers.received);
                    return Ok(frame);
                }
                Ok(None) => {}
                Err(error) => panic!("the server has sent no frame: {error}"),
            }
            self.piece = self.wire.receive().await.ok_or(Ended)?;
        }
    }

    /// Reads for a while.
    pub(super) async fn read_for(&mut self, time: Duration) -> Result<(), Ended> {
        let read = async {
            loop {
                let frame = self.next().await?;
                self.take(&frame);
            }
        };
        timeout(time, read).await.unwrap_or(Ok(()))
    }

    /// Reads until the end, which the server makes.
    pub(super) async fn read_to_end(&mut self) {
        let read = async {
            while let Ok(frame) = self.next().await {
                self.take(&frame);
            }
        };
        let ended = timeout(PATIENCE, read).await;
        assert!(ended.is_ok(), "{}, {}: the server does not end the connection", self.what, self.session);
    }

    /// Sends a frame with a receipt, and reads until that comes.
    pub(super) async fn ask(&mut self, lines: &str, body: &str) -> Result<(), Ended> {
        // What comes behind this says that the session lived when this was read.
        let doubtful = self.doubtful.take();
        self.receipts += 1;
        let receipt = self.receipts.to_string();
        self.send(&format!("{lines}\nreceipt:{receipt}\n\n{body}\0")).await?;
        let answered = async {
            loop {
                let frame = self.next().await?;
                if frame.command == Command::Receipt {
                    assert_eq!(frame.headers.get("receipt-id"), Some(&*receipt), "{lines}");
                    return Ok(());
                }
                self.take(&frame);
            }
        };
        timeout(PATIENCE, answered)
            .await
            .unwrap_or_else(|_| panic!("{}, {}: no receipt for {lines}", self.what, self.session))?;
        if let Some(doubtful) = doubtful {
            self.shared.ledger.fail(format!("{doubtful}, whose session lived behind it"));
        }
        Ok(())
    }

    fn take(&mut self, frame: &Frame) {
        match frame.command {
            Command::Message => self.message(frame),
            Command::Error => {
                let message = frame.headers.get("message").expect("ERROR has it");
                self.error = Some(format!("{message}: {}", String::from_utf8_lossy(&frame.body)));
            }
            _ => panic!("nobody has asked for {frame:?}"),
        }
    }

    fn message(&mut self, frame: &Frame) {
        let numbers = self.shared.numbers.clone();
        let header = |name| frame.headers.get(name).unwrap_or_default();
        let (id, destination) = (header("subscription"), header("destination"));
        if let Some(address) = frame.headers.get("reply-to") {
            assert!(address.starts_with("/reply-queue/"), "{frame:?}");
            self.reply_to.push(address.to_owned());
        }
        if id.starts_with("/temp-queue/") {
            add(&numbers.replies);
            return;
        }
        // It may have been on its way when the subscription ended.
        let Some(subscription) = self.subscriptions.get(id) else { return };
        if destination.starts_with(QUEUE) || destination.starts_with(AUTO) {
            assert_eq!(destination, subscription.destination);
            let message_id: MessageId = header("message-id").parse().expect("an id as they are made");
            let redelivered = header("redelivered") == "true";
            let number = number(&frame.body).unwrap_or_else(|| panic!("a body is not whole: {frame:?}"));
            add(&numbers.queue_messages);
            if redelivered {
                add(&numbers.redelivered);
            }
            let doubtful = self.shared.ledger.read(&self.session, message_id, number, redelivered);
            self.doubtful = self.doubtful.take().or(doubtful);
            assert_eq!(frame.headers.contains("ack"), subscription.ack != "auto", "{frame:?}");
            if let Some(ack) = frame.headers.get("ack") {
                self.held.push(Held { subscription: id.to_owned(), ack: ack.to_owned(), number });
            }
        } else if destination.starts_with("/topic/ordered/") {
            add(&numbers.topic_messages);
            let body = std::str::from_utf8(&frame.body).expect("text");
            let (sender, count) = body.split_once(' ').expect("two numbers");
            let key = (id.to_owned(), destination.to_owned(), sender.parse().expect("a number"));
            let count: u64 = count.parse().expect("a number");
            if let Some(last) = self.last.insert(key, count) {
                assert_eq!(count, last + 1, "of {sender} to {destination} for {id}");
            }
        } else {
            add(&numbers.user_messages);
        }
    }
}
