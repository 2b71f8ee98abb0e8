//! What the frames of a session mean, without IO.
//!
//! Imports: `broker`, `message`, `options`, `subscription`.

use std::{
    collections::{BTreeMap, HashMap},
    num::NonZero,
    sync::Arc,
};

use bytes::Bytes;
use bytestring::ByteString;
use stomp_codec::{Command, Frame, Headers, Version};
use uuid::Uuid;

use super::{
    destination::{Address, Recipient, TEMPORARY_PREFIX, Topic, address, copy, topic},
    transactions::Transactions,
};
use crate::{
    broker::{Broker, REPLY_PREFIX, Settlement, Source, Target},
    message::Message,
    options::StompOptions,
    session::Refusal,
    subscription::{AckMode, MessageId, Subscription},
};

#[cfg(test)]
mod tests;

/// A session after `CONNECTED`: its subscriptions and transactions.
pub(super) struct Core {
    version: Version,
    options: Arc<StompOptions>,
    broker: Arc<dyn Broker>,
    /// By what the client calls them.
    serials: HashMap<Name, u32>,
    subscriptions: BTreeMap<u32, Arc<Subscription>>,
    /// How others know the temporary queues, by what the client calls them.
    temporary: HashMap<ByteString, ByteString>,
    next_serial: u32,
    /// Whether there is or was a subscription whose messages need no acknowledgement.
    has_had_auto: bool,
    transactions: Transactions<Action>,
    /// How long the headers of all subscriptions are together.
    subscription_bytes: usize,
}

/// What a client calls a subscription.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Name {
    Id(ByteString),
    /// In version 1.0, without an id.
    Destination(ByteString),
}

/// What a frame asks for.
#[derive(Debug)]
pub(super) enum Request {
    /// To be [accepted](Core::send) if it is allowed.
    Send(Send),
    /// To be [accepted](Core::subscribe) if it is allowed.
    Subscribe(Subscribe),
    /// It needs no permission.
    Other(Action),
}

#[derive(Debug)]
pub(super) struct Send {
    pub(super) destination: ByteString,
    recipient: Recipient,
    /// Why the settings do not let clients send there. Apart, since nearly always there is nothing.
    pub(super) denied: Option<Box<Refusal>>,
    pub(super) frame: Frame,
}

#[derive(Debug)]
pub(super) struct Subscribe {
    pub(super) destination: ByteString,
    topic: Topic,
    name: Name,
    ack: AckMode,
    prefetch: NonZero<usize>,
    pub(super) frame: Frame,
}

/// What is to be done.
#[derive(Debug)]
pub(super) enum Action {
    Nothing,
    /// A handler is called with a message.
    Handle {
        path: ByteString,
        destination: ByteString,
        frame: Frame,
    },
    Publish(Target, Arc<Message>),
    Subscribe(Source, Arc<Subscription>),
    /// A handler answers a subscription.
    Answer {
        path: ByteString,
        frame: Frame,
        subscription: Arc<Subscription>,
    },
    Unsubscribe(u32),
    Settle(MessageId, Settlement),
    /// All of these, and nothing of the session between them.
    Commit(Vec<Self>),
    Disconnect,
}

impl Core {
    pub(super) fn new(version: Version, options: Arc<StompOptions>, broker: Arc<dyn Broker>) -> Self {
        Self {
            version,
            options,
            broker,
            serials: HashMap::new(),
            subscriptions: BTreeMap::new(),
            temporary: HashMap::new(),
            next_serial: 0,
            has_had_auto: false,
            transactions: Transactions::new(),
            subscription_bytes: 0,
        }
    }

    /// Reads a frame.
    pub(super) fn read(&mut self, frame: Frame) -> Result<Request, Refusal> {
        Ok(Request::Other(match frame.command {
            Command::Send => {
                let destination = destination(&frame)?;
                let Address { recipient, denied } = address(&destination, &self.options, &*self.broker)?;
                return Ok(Request::Send(Send {
                    destination,
                    recipient,
                    denied: denied.map(Box::new),
                    frame,
                }));
            }
            Command::Subscribe => return self.read_subscribe(frame).map(Request::Subscribe),
            Command::Unsubscribe => self.unsubscribe(&frame)?,
            Command::Ack => self.settle(&frame, Settlement::Accepted)?,
            Command::Nack => {
                let requeue = frame.headers.get("requeue") != Some("false");
                self.settle(&frame, Settlement::Rejected { requeue })?
            }
            Command::Begin => {
                self.transactions.begin(copy(&transaction(&frame)?), &self.options)?;
                Action::Nothing
            }
            Command::Commit => Action::Commit(self.transactions.end(&transaction(&frame)?)?),
            Command::Abort => {
                self.transactions.end(&transaction(&frame)?)?;
                Action::Nothing
            }
            Command::Disconnect => Action::Disconnect,
            Command::Connect | Command::Stomp => return Err(Refusal::new("already connected")),
            // The decoder lets no frames of servers pass.
            Command::Connected | Command::Message | Command::Receipt | Command::Error => {
                return Err(Refusal::new("not a command of clients"));
            }
        }))
    }

    /// Accepts a message that is allowed. Returns what comes before it, too.
    pub(super) fn send(&mut self, send: Send) -> Result<(Option<Action>, Action), Refusal> {
        let Send { destination, recipient, mut frame, .. } = send;
        let before = self.reply_queue(&mut frame.headers)?;
        let Some(transaction) = frame.headers.remove("transaction") else {
            return Ok((before, action(destination, recipient, frame)));
        };
        let bytes = frame.body.len() + size(&frame.headers);
        self.transactions.check(&transaction, bytes, &self.options)?;
        // It may wait for long.
        let (destination, recipient) = (copy(&destination), recipient.copied());
        let (headers, body) = (copied(&frame.headers), Bytes::copy_from_slice(&frame.body));
        let action = action(destination, recipient, Frame { command: frame.command, headers, body });
        self.transactions.add(&transaction, action, bytes, &self.options)?;
        Ok((before, Action::Nothing))
    }

    /// Gives a client the temporary queue that it asks replies to, if it does. The message gets the name that others
    /// know.
    fn reply_queue(&mut self, headers: &mut Headers) -> Result<Option<Action>, Refusal> {
        let Some(own) = headers.get_shared("reply-to").filter(|name| name.starts_with(TEMPORARY_PREFIX))
        else {
            return Ok(None);
        };
        let own = copy(own);
        if let Some(name) = self.temporary.get(&own) {
            headers.insert("reply-to", name.clone());
            return Ok(None);
        }
        let name = ByteString::from(format!("{REPLY_PREFIX}{}", Uuid::new_v4().simple()));
        let subscription = self.add(
            Name::Id(own.clone()),
            &name,
            &Headers::from_iter([("id", own.clone())]),
            AckMode::Auto,
            self.options.max_unacknowledged,
        )?;
        self.temporary.insert(own, name.clone());
        headers.insert("reply-to", name.clone());
        Ok(Some(Action::Subscribe(Source::Temporary(name), subscription)))
    }

    fn read_subscribe(&self, frame: Frame) -> Result<Subscribe, Refusal> {
        let destination = destination(&frame)?;
        let topic = topic(&destination, &self.options, &*self.broker)?;
        let name = match frame.headers.get_shared("id") {
            Some(id) => Name::Id(id.clone()),
            None if self.version == Version::V1_0 => Name::Destination(destination.clone()),
            None => return Err(missing("id")),
        };
        self.check_new(&name)?;
        let ack: AckMode = match frame.headers.get("ack") {
            Some(ack) => ack.parse().map_err(|_| Refusal::new("unknown ack mode"))?,
            None => AckMode::Auto,
        };
        if ack == AckMode::ClientIndividual && self.version == Version::V1_0 {
            return Err(Refusal::new("unknown ack mode"));
        }
        let most = self.options.max_unacknowledged;
        let prefetch = match frame.headers.get("prefetch-count") {
            // Zero is no bound of the client's own.
            Some(count) => {
                let count: usize = count.parse().map_err(|_| Refusal::new("invalid prefetch-count"))?;
                NonZero::new(count).map_or(most, |count| count.min(most))
            }
            None => most,
        };
        Ok(Subscribe { destination, topic, name, ack, prefetch, frame })
    }

    fn check_new(&self, name: &Name) -> Result<(), Refusal> {
        if self.serials.contains_key(name) {
            return Err(Refusal::new("subscription already exists"));
        }
        if self.serials.len() >= self.options.max_subscriptions {
            return Err(Refusal::limit("max_subscriptions"));
        }
        Ok(())
    }

    /// Accepts a subscription that is allowed.
    pub(super) fn subscribe(&mut self, subscribe: Subscribe) -> Result<Action, Refusal> {
        let Subscribe { destination, topic, name, ack, prefetch, frame } = subscribe;
        match topic {
            Topic::Broker(source) => {
                let subscription = self.add(name, &destination, &frame.headers, ack, prefetch)?;
                Ok(Action::Subscribe(source, subscription))
            }
            // It is answered once, and then it is over.
            Topic::Handler(path) => {
                let serial = self.next_serial()?;
                self.has_had_auto = true;
                let headers = frame.headers.clone();
                let subscription =
                    Subscription::new(serial, self.version, destination, headers, AckMode::Auto, prefetch);
                Ok(Action::Answer { path, frame, subscription: Arc::new(subscription) })
            }
        }
    }

    fn add(
        &mut self,
        name: Name,
        destination: &ByteString,
        headers: &Headers,
        ack: AckMode,
        prefetch: NonZero<usize>,
    ) -> Result<Arc<Subscription>, Refusal> {
        self.check_new(&name)?;
        let bytes = size(headers);
        if self.subscription_bytes.saturating_add(bytes) > self.options.max_subscription_bytes {
            return Err(Refusal::limit("max_subscription_bytes"));
        }
        let serial = self.next_serial()?;
        let headers = copied(headers);
        let shared = |name| headers.get_shared(name).cloned();
        let destination = shared("destination").unwrap_or_else(|| copy(destination));
        let name = match name {
            Name::Id(id) => Name::Id(shared("id").unwrap_or(id)),
            Name::Destination(_) => Name::Destination(destination.clone()),
        };
        let subscription =
            Arc::new(Subscription::new(serial, self.version, destination, headers, ack, prefetch));
        self.subscription_bytes += bytes;
        self.has_had_auto |= ack == AckMode::Auto;
        self.serials.insert(name, serial);
        self.subscriptions.insert(serial, subscription.clone());
        Ok(subscription)
    }

    fn next_serial(&mut self) -> Result<u32, Refusal> {
        let serial = self.next_serial;
        self.next_serial = serial.checked_add(1).ok_or_else(|| Refusal::new("too many subscriptions"))?;
        Ok(serial)
    }

    fn unsubscribe(&mut self, frame: &Frame) -> Result<Action, Refusal> {
        let name = match (frame.headers.get_shared("id"), self.version) {
            (Some(id), _) => Name::Id(id.clone()),
            (None, Version::V1_0) => Name::Destination(destination(frame)?),
            (None, _) => return Err(missing("id")),
        };
        // Page code unsubscribes twice.
        let Some(serial) = self.serials.remove(&name) else { return Ok(Action::Nothing) };
        if let Some(ended) = self.subscriptions.remove(&serial) {
            self.subscription_bytes -= size(ended.headers());
        }
        if let Name::Id(id) = &name {
            self.temporary.remove(id);
        }
        Ok(Action::Unsubscribe(serial))
    }

    /// Whether a message may have come by a subscription in `auto` mode: by the named one, if one is named.
    fn may_be_auto(&self, subscription: Option<&ByteString>) -> bool {
        let named = subscription.and_then(|name| self.serials.get(&Name::Id(name.clone())));
        match named.and_then(|serial| self.subscriptions.get(serial)) {
            Some(subscription) => subscription.ack() == AckMode::Auto,
            // One that has ended may have been any.
            None => self.has_had_auto,
        }
    }

    fn settle(&mut self, frame: &Frame, settlement: Settlement) -> Result<Action, Refusal> {
        let header = if self.version == Version::V1_2 { "id" } else { "message-id" };
        let id = frame.headers.get(header).ok_or_else(|| missing(header))?;
        let subscription = match self.version {
            Version::V1_1 => {
                Some(frame.headers.get_shared("subscription").ok_or_else(|| missing("subscription"))?)
            }
            _ => None,
        };
        // The name of a message that several have got, in `auto` mode: some pages acknowledge those too.
        if is_shared_id(id) && self.may_be_auto(subscription) {
            return Ok(Action::Nothing);
        }
        let id: MessageId = id.parse().map_err(|_| never_delivered())?;
        if let Some(subscription) = subscription {
            // One that has ended may have been any.
            let serial = self.serials.get(&Name::Id(subscription.clone()));
            if serial.is_some_and(|serial| *serial != id.subscription)
                && self.subscriptions.contains_key(&id.subscription)
            {
                return Err(never_delivered());
            }
        }
        let action = match self.subscriptions.get(&id.subscription) {
            Some(subscription) if id.number == 0 || id.number > subscription.delivered() => {
                return Err(never_delivered());
            }
            Some(_) => Action::Settle(id, settlement),
            None if id.subscription >= self.next_serial => return Err(never_delivered()),
            // Its messages were given back when it ended.
            None => Action::Nothing,
        };
        let Some(transaction) = frame.headers.get("transaction") else { return Ok(action) };
        self.transactions.add(transaction, action, 0, &self.options)?;
        Ok(Action::Nothing)
    }
}

/// Whether a `message-id` is one that several clients have got alike: a number.
fn is_shared_id(id: &str) -> bool {
    id.bytes().all(|byte| byte.is_ascii_digit()) && id.parse::<u64>().is_ok()
}

fn action(destination: ByteString, recipient: Recipient, frame: Frame) -> Action {
    match recipient {
        Recipient::Handler(path) => Action::Handle { path, destination, frame },
        Recipient::Broker(target, seen) => {
            Action::Publish(target, Arc::new(Message::new(seen, &frame.headers, frame.body)))
        }
    }
}

/// How long headers are together.
fn size(headers: &Headers) -> usize {
    headers.iter().map(|(name, value)| name.len() + value.len()).sum()
}

/// Copies headers that are kept: those of a frame share a buffer with all else that was read at once.
fn copied(headers: &Headers) -> Headers {
    // One allocation for all.
    let text: ByteString = headers.iter().flat_map(|(name, value)| [name, value]).collect::<String>().into();
    let mut at = 0;
    let mut take = |length: usize| {
        at += length;
        text.slice_ref(&text[at - length..at])
    };
    headers.iter().map(|(name, value)| (take(name.len()), take(value.len()))).collect()
}

fn destination(frame: &Frame) -> Result<ByteString, Refusal> {
    let destination = frame.headers.get_shared("destination").filter(|destination| !destination.is_empty());
    destination.cloned().ok_or_else(|| missing("destination"))
}

fn transaction(frame: &Frame) -> Result<ByteString, Refusal> {
    frame.headers.get_shared("transaction").cloned().ok_or_else(|| missing("transaction"))
}

fn missing(header: &str) -> Refusal {
    Refusal::new("missing header").details(format!("The header {header} is missing."))
}

fn never_delivered() -> Refusal {
    Refusal::new("unknown message").details("No message with this id was delivered on this connection.")
}
