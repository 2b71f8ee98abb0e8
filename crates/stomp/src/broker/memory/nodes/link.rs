//! What ties a broker to those of the other nodes.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::Poll,
    time::{Duration, Instant as StdInstant},
};

use bytestring::ByteString;
use sockjs_bus::{
    Bus, Delivery, Port, PublishError, Status, Subject, SubscribeError, Subscription as Listening,
};
use tokio::{
    sync::{Notify, oneshot, watch},
    task::yield_now,
    time::{Instant, timeout},
};

use super::{
    claims::{Outgoing, Timing, age_at},
    envelope,
    interest::{Interest, Interests, Key, Kind},
    ownership::{Ownership, Turn},
    protocol::{self, Message as Word},
    settings::Settings,
    waiting::{Denied, Op},
};
use crate::{
    broker::{
        BrokerError, Published, Target,
        bus_stats::BusStats,
        is_reply_queue,
        memory::{
            over_bus::BuildError,
            queue::Queue,
            queues::Owned,
            shared::{Place, Shared},
        },
    },
    message::Message,
    outcome::Outcome,
};

/// What ties a broker to those of the other nodes.
pub(crate) struct Link {
    shared: Arc<Shared>,
    port: Port,
    ownership: Ownership,
    /// Wakes the task that speaks with the other nodes.
    pub(super) wake: Arc<Notify>,
    nodes: Subject,
    own: Subject,
    sessions: Subject,
    patterns: Subject,
    interests: Arc<Interests>,
    is_heard: AtomicBool,
    invalid: AtomicU64,
    given_up: AtomicU64,
    refused: AtomicU64,
}

/// So many things are done before other tasks have a turn.
const TURN: usize = 32;
/// A bus that does not answer is not waited for longer.
const GOODBYE: Duration = Duration::from_secs(2);

impl Link {
    /// A broker that hears nothing of the others yet.
    pub(super) fn new(
        shared: &Arc<Shared>,
        bus: Arc<dyn Bus>,
        settings: Settings,
    ) -> Result<Self, BuildError> {
        let port = Port::new(bus, &settings.namespace).map_err(BuildError::Namespace)?;
        Key::check(&port).map_err(BuildError::Namespace)?;
        if !port.claim() {
            return Err(BuildError::NamespaceInUse);
        }
        let subject = |kind, key: &[u8]| port.subject(kind, key).map_err(BuildError::Namespace);
        let (nodes, sessions) = (subject("nodes", b"")?, subject("sessions", b"")?);
        let (own, patterns) = (subject("node", &port.node().to_bytes())?, Key::patterns().subject(&port));
        let patterns = patterns.map_err(BuildError::Namespace)?;
        let wake = Arc::<Notify>::default();
        let timing = Timing { dead_after: settings.dead_after };
        let name = settings.name.map(Box::from);
        Ok(Self {
            ownership: Ownership::new(shared, port.node(), name, timing, Arc::clone(&wake)),
            shared: Arc::clone(shared),
            wake,
            nodes,
            own,
            sessions,
            patterns,
            interests: Arc::default(),
            is_heard: AtomicBool::new(false),
            invalid: AtomicU64::new(0),
            given_up: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            port,
        })
    }

    /// Subscribes to what all nodes are told, and to what this one is.
    pub(super) fn listen_to_nodes(self: &Arc<Self>) -> [Listening; 3] {
        [
            self.hear(&self.nodes, Self::receive_word),
            self.hear(&self.own, Self::receive_word),
            self.hear(&self.sessions, Self::receive_for_session),
        ]
    }

    pub(super) fn status(&self) -> watch::Receiver<Status> {
        self.port.bus().status()
    }

    fn hear(self: &Arc<Self>, subject: &Subject, receive: fn(&Self, Delivery)) -> Listening {
        let link = Arc::downgrade(self);
        self.port.subscribe(subject, move |delivery| {
            if let Some(link) = link.upgrade() {
                receive(&link, delivery);
            }
        })
    }

    fn receive_word(&self, delivery: Delivery) {
        match Word::decode(delivery.payload) {
            Some(word) => self.ownership.receive(delivery.from, word),
            None => self.count_invalid(),
        }
    }

    fn receive_for_session(&self, delivery: Delivery) {
        match envelope::decode(delivery.payload) {
            Some((target @ Target::Session { .. }, message)) => {
                if self.shared.publish(&target, &message).is_err() {
                    self.count_invalid();
                }
            }
            _ => self.count_invalid(),
        }
    }

    /// A message that has come for something that is listened to.
    fn receive(&self, key: &Key, delivery: Delivery) {
        let Some((target, message)) = envelope::decode(delivery.payload) else { return self.count_invalid() };
        let is_valid = match (key.kind(), &target) {
            (Kind::Topic, Target::Destination(name) | Target::Temporary(name)) if key.is_of(name) => {
                self.shared.deliver_exact(name, &message);
                true
            }
            (Kind::Patterns, Target::Destination(destination)) => {
                self.shared.deliver_to_patterns(destination, &message).is_ok()
            }
            (Kind::User, Target::User { name, .. }) if key.is_of(name) => {
                self.shared.publish(&target, &message).is_ok()
            }
            _ => false,
        };
        if !is_valid {
            self.count_invalid();
        }
    }

    fn count_invalid(&self) {
        self.invalid.fetch_add(1, Relaxed);
    }

    /// Publishes a message here, and to the other nodes.
    pub(crate) fn publish(
        &self,
        target: &Target,
        message: &Arc<Message>,
    ) -> Outcome<Result<Published, BrokerError>> {
        if let Target::Destination(destination) = target {
            match self.shared.place(destination) {
                Ok(Place::Topic) => {}
                Ok(Place::Queue) => return self.publish_to_queue(destination, message),
                Err(error) => return Outcome::ready(Err(error)),
            }
        }
        Outcome::ready(self.broadcast(target, message))
    }

    fn broadcast(&self, target: &Target, message: &Message) -> Result<Published, BrokerError> {
        let is_here = match target {
            Target::Destination(_) => false,
            // One subscription or session has it.
            Target::User { name, .. } => self.shared.users.has_anonymous(name),
            Target::Temporary(name) => self.shared.topics.has(name),
            Target::Session { id, .. } => self.shared.users.session(*id).is_some(),
        };
        // Clients write what they like behind the prefix: the bus has no subjects for that.
        let is_nowhere = matches!(target, Target::Temporary(name) if !is_reply_queue(name));
        if is_here || is_nowhere {
            return self.shared.publish(target, message);
        }
        let head = envelope::head(target, message).ok_or(BrokerError::LimitExceeded("max_headers"))?;
        if head.len() + message.body().len() > self.port.max_payload() {
            return Err(BrokerError::LimitExceeded("max_payload"));
        }
        let mut published = self.shared.publish(target, message)?;
        let parts: [&[u8]; 2] = [&head, message.body()];
        let sent = match target {
            Target::Destination(destination) => {
                let sent = self.send(&Key::topic(destination), &parts);
                let to_patterns = match self.shared.settings.has_patterns() {
                    true => self.port.publish(&self.patterns, &parts),
                    false => Ok(()),
                };
                sent.and(to_patterns)
            }
            Target::Temporary(name) => self.send(&Key::topic(name), &parts),
            Target::User { name, .. } => self.send(&Key::user(name), &parts),
            Target::Session { .. } => self.port.publish(&self.sessions, &parts),
        };
        published.bus = sent.err();
        Ok(published)
    }

    fn send(&self, key: &Key, parts: &[&[u8]]) -> Result<(), PublishError> {
        // Each key has one: it was checked at the beginning.
        let Ok(subject) = key.subject(&self.port) else { return Ok(()) };
        self.port.publish(&subject, parts)
    }

    fn publish_to_queue(
        &self,
        queue: &ByteString,
        message: &Arc<Message>,
    ) -> Outcome<Result<Published, BrokerError>> {
        if !self.ownership.is_waited(queue) {
            match self.shared.queues.publish(queue, None, message) {
                Ok(Some(published)) => return Outcome::ready(Ok(published)),
                Ok(None) => {}
                Err(error) => return Outcome::ready(Err(error)),
            }
        }
        let (sender, receiver) = oneshot::channel();
        let shared = Arc::downgrade(&self.shared);
        // Copies: they may be parts of a large buffer.
        let (name, message): (Box<str>, _) = (Box::from(&**queue), message.detached());
        let bytes = name.len() + message.size();
        let op = move |owned: Result<StdInstant, Denied>| {
            let publish = |since| {
                let shared = shared.upgrade().ok_or_else(gone)?;
                let published = shared.queues.publish(&name, Some(Owned { since: Some(since) }), &message)?;
                Ok(published.unwrap_or_default())
            };
            // Whoever does not want to know has dropped the other end.
            _ = sender.send(owned.map_err(BrokerError::from).and_then(publish));
        };
        self.when_owned(queue, bytes, Box::new(op));
        Outcome::later(async { receiver.await.unwrap_or_else(|_| Err(gone())) })
    }

    /// Whether a destination is a queue over which consumers compete.
    pub(super) fn is_queue(&self, destination: &str) -> bool {
        matches!(self.shared.place(destination), Ok(Place::Queue))
    }

    pub(super) fn separator(&self) -> char {
        self.shared.settings.prefixes.separator
    }

    pub(super) fn is_waited(&self, queue: &str) -> bool {
        self.ownership.is_waited(queue)
    }

    /// Does something with a queue once it is known whether the node owns it.
    pub(super) fn when_owned(&self, queue: &str, bytes: usize, op: Op) {
        if Word::claim_len(queue) > self.port.max_payload() {
            return op(Err(Denied::TooMuch("max_payload")));
        }
        let is_connected = !self.port.is_closed() && self.port.bus().status().borrow().is_connected();
        self.ownership.when_known(queue, bytes, is_connected, op);
    }

    /// Listens to something, as long as what is returned is there.
    pub(super) fn listen(self: &Arc<Self>, key: Key) -> Arc<Interest> {
        self.interests.get(key, |key, interest: Weak<Interest>| {
            let (link, subject, key) = (Arc::downgrade(self), key.subject(&self.port), key.clone());
            let receive = move |delivery| {
                // Of an old one and a new one of the same name only the new one delivers.
                let (Some(_interest), Some(link)) = (interest.upgrade(), link.upgrade()) else { return };
                link.receive(&key, delivery);
            };
            match subject {
                Ok(subject) => self.port.subscribe(&subject, receive),
                // It was checked at the beginning.
                Err(error) => {
                    let refused = SubscribeError::Refused(error.to_string().into());
                    Listening::new(std::future::ready(Err(refused)), ())
                }
            }
        })
    }

    /// Waits until messages of all nodes come, or the bus is away: those of this node come all the same.
    pub(super) fn ready(
        &self,
        interest: Arc<Interest>,
    ) -> Option<impl Future<Output = Result<(), SubscribeError>> + Send + use<>> {
        let status = self.port.bus().status();
        let is_connected = status.borrow().is_connected();
        if !is_connected {
            interest.ready_later();
        }
        (is_connected && !interest.is_ready()).then(|| while_connected(interest, status))
    }

    /// Looks after what the node listens to whose subscribers have been answered without waiting for the bus.
    fn check_interests(&self) {
        if !self.port.bus().status().borrow().is_connected() {
            return;
        }
        for (subject, error) in self.interests.check_later() {
            tracing::error!(subject, %error, "messages of other nodes do not come, and subscribers were told that they do");
            self.refused.fetch_add(1, Relaxed);
        }
    }

    /// Says whether the others are heard.
    pub(super) fn set_heard(&self, is_heard: bool) {
        self.is_heard.store(is_heard, Relaxed);
        self.ownership.set_heard(is_heard && !self.port.is_closed());
    }

    /// Says to the others that the node stops, and nothing from then on.
    pub(crate) async fn leave(&self) {
        let said = self.port.close(&self.nodes, &[&Word::Bye.encode()]);
        // No queue is asked for any more.
        self.set_heard(false);
        self.wake.notify_one();
        timeout(GOODBYE, said).await.ok();
    }

    /// Does what is due. Returns when the next is, unless the task is woken before.
    pub(super) async fn turn(&self) -> Instant {
        self.check_interests();
        let Turn { outbox, failed, granted, given_up, due } = self.ownership.turn();
        let mut done = 0;
        for outgoing in outbox {
            // What is refused is said again, or asked for.
            match outgoing {
                Outgoing::ToAll(word) => _ = self.port.publish(&self.nodes, &[&word.encode()]),
                Outgoing::To(node, word) => {
                    if let Ok(subject) = self.port.subject("node", &node.to_bytes()) {
                        self.port.publish(&subject, &[&word.encode()]).ok();
                    }
                }
                Outgoing::Owned => {
                    let owned = self.shared.queues.owned().into_iter();
                    let now = Instant::now().into_std();
                    let age = |(queue, since)| protocol::Owned { age: age_at(since, now), queue };
                    let owned = owned.map(age).collect();
                    for page in protocol::pages(owned, self.port.max_payload()) {
                        self.port.publish(&self.nodes, &[&page.encode()]).ok();
                        yield_now().await;
                    }
                }
            }
            take_turn(&mut done).await;
        }
        for (ops, denied) in failed {
            run(ops, Err(denied), &mut done).await;
        }
        let may_be_more = !granted.is_empty();
        for (ops, since) in granted {
            run(ops, Ok(since), &mut done).await;
        }
        for queue in given_up {
            self.give_up(&queue, &mut done).await;
        }
        if may_be_more {
            // Those who have been answered go first, and what they send belongs to the next turn.
            yield_now().await;
            self.wake.notify_one();
        }
        due
    }

    async fn give_up(&self, queue: &Queue, done: &mut usize) {
        tracing::warn!(queue = queue.name(), "a queue is given up: another node has it");
        self.given_up.fetch_add(1, Relaxed);
        let dead = Shared::close(queue);
        take_turn(done).await;
        let name: Arc<str> = queue.name().into();
        for dead in dead {
            self.shared.dead_letter(&name, dead);
            take_turn(done).await;
        }
    }

    #[cfg(test)]
    pub(crate) fn interests_len(&self) -> usize {
        self.interests.len()
    }

    pub(crate) fn stats(&self) -> BusStats {
        let (nodes, dead) = self.ownership.nodes();
        BusStats {
            status: *self.port.bus().status().borrow(),
            is_heard: self.is_heard.load(Relaxed),
            nodes,
            port: self.port.stats(),
            invalid: self.invalid.load(Relaxed),
            dead,
            queues_given_up: self.given_up.load(Relaxed),
            subscriptions_refused: self.refused.load(Relaxed),
        }
    }
}

async fn run(ops: Vec<Op>, result: Result<StdInstant, Denied>, done: &mut usize) {
    for op in ops {
        op(result);
        take_turn(done).await;
    }
}

/// Lets other tasks have a turn now and then.
async fn take_turn(done: &mut usize) {
    *done += 1;
    if *done % TURN == 0 {
        yield_now().await;
    }
}

async fn while_connected(
    interest: Arc<Interest>,
    mut status: watch::Receiver<Status>,
) -> Result<(), SubscribeError> {
    let lost = status.wait_for(|status| !status.is_connected());
    let (mut ready, mut lost) = (pin!(interest.ready()), pin!(lost));
    poll_fn(|cx| match ready.as_mut().poll(cx) {
        Poll::Ready(result) => Poll::Ready(result),
        Poll::Pending => lost.as_mut().poll(cx).map(|_| {
            interest.ready_later();
            Ok(())
        }),
    })
    .await
}

pub(super) fn gone() -> BrokerError {
    BrokerError::Unavailable("the broker is gone".into())
}

/// The others need not wait for the silence of a node that stops in order, if its bus lives long enough.
impl Drop for Link {
    fn drop(&mut self) {
        self.port.publish(&self.nodes, &[&Word::Bye.encode()]).ok();
        self.wake.notify_one();
    }
}
