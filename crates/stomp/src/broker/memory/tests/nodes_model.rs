//! Random subscriptions and messages on several nodes, with faults of the bus, compared with what is promised.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    num::NonZero,
    sync::Arc,
    time::Duration,
};

use futures_util::FutureExt as _;
use proptest::{collection::vec, prelude::*, sample::Index};
use sockjs_bus::{
    Bus, InProcess,
    in_process::{connection::Connection as BusConnection, faults::Faults},
};
use stomp_codec::{Headers, Version};
use tokio::{runtime, time::sleep};

use super::{
    super::{MemoryBroker, MemoryBrokerStats},
    support::{ALWAYS, Client, body, header, message},
    topic_model::is_match,
};
use crate::{
    AckMode, Subscription,
    broker::{Broker as _, Source, Target},
};

const NODES: usize = 3;
const CLIENTS: usize = 4;
/// Longer than any message is on its way.
const SETTLE: Duration = Duration::from_millis(500);

#[derive(Debug, Clone)]
enum Step {
    Connect(usize, usize, Option<&'static str>),
    /// Its own destination, or one of the broker.
    Subscribe(usize, bool, String),
    Unsubscribe(usize, Index),
    End(usize),
    Publish(usize, String),
    ToUser(usize, &'static str, String),
    /// To a session of any node, or to the user with the name of its id.
    ToSession(usize, usize, bool, String),
    Delay(u64),
    Loss(u8),
    Cut(usize, usize),
    Disconnect(usize),
    /// No faults any more.
    Heal,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let (client, node) = (0..CLIENTS, 0..NODES);
    let pattern = "/topic(/(a|b|\\*|\\*\\*|\\{x\\})){1,2}";
    let plain = "/topic(/(a|b)){1,2}";
    let user = prop_oneof![Just("ann"), Just("bob")];
    prop_oneof![
        3 => (client.clone(), node.clone(), prop::option::of(user.clone()))
            .prop_map(|(client, node, user)| Step::Connect(client, node, user)),
        8 => (client.clone(), prop::bool::weighted(0.3), prop_oneof![pattern, plain])
            .prop_map(|(client, is_own, pattern)| Step::Subscribe(client, is_own, pattern)),
        2 => (client.clone(), any::<Index>()).prop_map(|(client, which)| Step::Unsubscribe(client, which)),
        1 => client.clone().prop_map(Step::End),
        8 => (node.clone(), plain).prop_map(|(node, destination)| Step::Publish(node, destination)),
        3 => (node.clone(), user, plain).prop_map(|(node, user, destination)| Step::ToUser(node, user, destination)),
        3 => (node.clone(), client, any::<bool>(), plain)
            .prop_map(|(node, client, is_user, destination)| Step::ToSession(node, client, is_user, destination)),
        1 => (0..300_u64).prop_map(Step::Delay),
        1 => (0..50_u8).prop_map(Step::Loss),
        1 => (node.clone(), node.clone()).prop_map(|(one, other)| Step::Cut(one, other)),
        1 => node.prop_map(Step::Disconnect),
        1 => Just(Step::Heal),
        2 => (0..300_u64).prop_map(Step::Wait),
    ]
}

struct Node {
    broker: MemoryBroker,
    connection: Arc<BusConnection>,
}

struct Tab {
    client: Client,
    /// No other one has had it.
    serial: usize,
    node: usize,
    user: Option<&'static str>,
    /// What it has subscribed to: whether that is its own, and the pattern.
    subscribed: BTreeMap<u32, (bool, String)>,
}

/// A subscription of a client.
type Name = (usize, u32);

struct Sent {
    node: usize,
    target: Target,
    destination: String,
    /// By which way it goes: those of one way come in order.
    way: u8,
    /// Who is to get it, and whether that is certain.
    to: HashMap<Name, bool>,
}

struct Model {
    bus: InProcess,
    nodes: Vec<Node>,
    tabs: [Option<Tab>; CLIENTS],
    next_serial: usize,
    sent: Vec<Sent>,
    got: Vec<(Name, usize)>,
    delay: u64,
    loss: u8,
    is_cut: bool,
    disconnected: HashSet<usize>,
}

/// Whether a message is for a subscription of a client.
fn is_for(target: &Target, destination: &str, tab: &Tab, (is_own, pattern): &(bool, String)) -> bool {
    let (own, is_there) = match target {
        Target::Destination(_) | Target::Temporary(_) => (false, true),
        Target::Session { id, .. } => (true, *id == tab.client.id),
        Target::User { name, .. } => match tab.user {
            Some(user) => (true, name == user),
            None => (true, *name == tab.client.id.to_string()),
        },
    };
    let (pattern, destination): (Vec<_>, Vec<_>) =
        (pattern.split('/').collect(), destination.split('/').collect());
    is_there && own == *is_own && is_match(&pattern, &destination)
}

impl Model {
    fn new() -> Self {
        let bus = InProcess::new();
        let nodes = (0..NODES).map(|_| {
            let connection = Arc::new(bus.connect());
            let broker = MemoryBroker::builder().bus(Arc::clone(&connection) as Arc<dyn Bus>).build();
            Node { broker, connection }
        });
        let nodes = nodes.collect();
        Self {
            bus,
            nodes,
            tabs: Default::default(),
            next_serial: 0,
            sent: Vec::new(),
            got: Vec::new(),
            delay: 0,
            loss: 0,
            is_cut: false,
            disconnected: HashSet::new(),
        }
    }

    fn set_faults(&self) {
        let delay = Duration::ZERO..Duration::from_millis(self.delay);
        self.bus.set_faults(Faults::none().drop_percent(self.loss).delay(delay), self.sent.len() as u64);
    }

    fn collect(&mut self, which: usize) {
        let Some(tab) = &self.tabs[which] else { return };
        for frame in tab.client.frames() {
            let serial = header(&frame, "subscription").unwrap()[1..].parse().unwrap();
            self.got.push(((tab.serial, serial), body(&frame).parse().unwrap()));
        }
    }

    fn end(&mut self, which: usize) {
        self.collect(which);
        let Some(tab) = self.tabs[which].take() else { return };
        self.forget(tab.serial, |_| true);
    }

    /// What comes to a subscription that has ended is not certain any more.
    fn forget(&mut self, client: usize, is_it: impl Fn(u32) -> bool) {
        for sent in &mut self.sent {
            for ((of, serial), is_certain) in &mut sent.to {
                *is_certain &= *of != client || !is_it(*serial);
            }
        }
    }

    async fn subscribe(&mut self, which: usize, is_own: bool, pattern: String) {
        let Some(tab) = &mut self.tabs[which] else { return };
        let text = pattern.clone().into();
        let source = if is_own { Source::User(text) } else { Source::Destination(text) };
        let serial = tab.client.next_serial();
        let headers = Headers::from_iter([("id", format!("s{serial}"))]);
        let subscription = Subscription::new(
            serial,
            Version::V1_2,
            pattern.clone().into(),
            headers,
            AckMode::Auto,
            NonZero::<usize>::MIN,
        );
        tab.client.connection.subscribe(source, Arc::new(subscription)).await.unwrap();
        let subscribed = (is_own, pattern);
        // What is on its way may come.
        for sent in self.sent.iter_mut().filter(|sent| sent.node != tab.node) {
            if is_for(&sent.target, &sent.destination, tab, &subscribed) {
                sent.to.insert((tab.serial, serial), false);
            }
        }
        tab.subscribed.insert(serial, subscribed);
    }

    fn publish(&mut self, node: usize, target: Target, destination: &str) {
        let way = match target {
            Target::Session { .. } => 1,
            _ => 0,
        };
        let is_well = self.loss == 0 && !self.is_cut && self.disconnected.is_empty();
        let mut to = HashMap::new();
        for tab in self.tabs.iter().flatten() {
            for (serial, subscribed) in &tab.subscribed {
                if is_for(&target, destination, tab, subscribed) {
                    to.insert((tab.serial, *serial), tab.node == node || is_well);
                }
            }
        }
        let message = message(destination, self.sent.len());
        let published =
            self.nodes[node].broker.publish(target.clone(), message).now_or_never().unwrap().unwrap();
        assert!(published.bus.is_none() || self.disconnected.contains(&node), "{published:?}");
        self.sent.push(Sent { node, target, destination: destination.to_owned(), way, to });
    }

    async fn act(&mut self, step: Step) {
        match step {
            Step::Connect(which, node, user) => {
                self.end(which);
                let client = Client::new(&self.nodes[node].broker, user, ALWAYS, ALWAYS);
                let serial = self.next_serial;
                self.next_serial += 1;
                self.tabs[which] = Some(Tab { client, serial, node, user, subscribed: BTreeMap::new() });
            }
            Step::Subscribe(which, is_own, pattern) => self.subscribe(which, is_own, pattern).await,
            Step::Unsubscribe(which, index) => {
                let Some(tab) = &mut self.tabs[which] else { return };
                let serial = u32::try_from(index.index(10)).unwrap();
                tab.client.unsubscribe(serial);
                tab.subscribed.remove(&serial);
                let client = tab.serial;
                self.forget(client, |each| each == serial);
            }
            Step::End(which) => self.end(which),
            Step::Publish(node, destination) => {
                self.publish(node, Target::Destination(destination.as_str().into()), &destination);
            }
            Step::ToUser(node, user, destination) => {
                let to = destination.as_str().into();
                self.publish(node, Target::User { name: user.into(), destination: to }, &destination);
            }
            Step::ToSession(node, which, is_user, destination) => {
                let Some(id) = self.tabs[which].as_ref().map(|tab| tab.client.id) else { return };
                let to = destination.as_str().into();
                let target = if is_user {
                    Target::User { name: id.to_string().into(), destination: to }
                } else {
                    Target::Session { id, destination: to }
                };
                self.publish(node, target, &destination);
            }
            Step::Delay(delay) => {
                self.delay = delay;
                self.set_faults();
            }
            Step::Loss(percent) => {
                self.loss = percent;
                self.set_faults();
            }
            Step::Cut(one, other) => {
                self.is_cut |= one != other;
                if one != other {
                    self.bus.cut(&self.nodes[one].connection, &self.nodes[other].connection);
                }
            }
            Step::Disconnect(node) => {
                // What is on its way would be lost.
                sleep(SETTLE).await;
                if self.disconnected.insert(node) {
                    self.nodes[node].connection.disconnect();
                }
            }
            Step::Heal => self.heal(),
            Step::Wait(time) => sleep(Duration::from_millis(time)).await,
        }
    }

    fn heal(&mut self) {
        (self.loss, self.delay, self.is_cut) = (0, 0, false);
        self.bus.heal();
        self.set_faults();
        for node in self.disconnected.drain() {
            self.nodes[node].connection.reconnect();
        }
    }

    fn check(&self) {
        let mut got = HashSet::new();
        let mut last = HashMap::new();
        for &(name, number) in &self.got {
            let sent = &self.sent[number];
            assert!(sent.to.contains_key(&name), "{number} was not for {name:?}");
            assert!(got.insert((name, number)), "{number} has come twice to {name:?}");
            let before = last.insert((name, sent.node, sent.way), number);
            assert!(before < Some(number), "{number} has come behind {before:?} to {name:?}");
        }
        for (number, sent) in self.sent.iter().enumerate() {
            for (&name, _) in sent.to.iter().filter(|&(_, &is_certain)| is_certain) {
                assert!(
                    got.contains(&(name, number)),
                    "{number} of node {} is missing at {name:?}",
                    sent.node
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    /// A message goes to the subscriptions of all nodes that match it, once to each, to no other, in order for each node that
    /// sends; and none is missing where nothing was lost, nor on the node that sends.
    #[test]
    fn messages_reach_the_subscriptions_of_all_nodes(steps in vec(step(), 1..60)) {
        let runtime = runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async move {
            let mut model = Model::new();
            for step in steps {
                model.act(step).await;
            }
            model.heal();
            sleep(SETTLE).await;
            (0..CLIENTS).for_each(|which| model.collect(which));
            model.check();
            (0..CLIENTS).for_each(|which| model.end(which));
            for node in &model.nodes {
                let stats = node.broker.stats();
                assert_eq!(MemoryBrokerStats { bus: None, ..stats }, MemoryBrokerStats::default());
                assert_eq!(node.broker.link.as_ref().unwrap().interests_len(), 0, "it listens to something");
                assert_eq!((stats.bus.unwrap().invalid, stats.bus.unwrap().port.invalid), (0, 0));
            }
        });
    }
}
