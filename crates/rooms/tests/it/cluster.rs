//! Random operations and faults on several nodes: what is never to happen to a message, and who is there in the end.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use axum_sockjs::{Pair, Peer, Session};
use axum_sockjs_rooms::{Member, Rooms};
use proptest::{collection::vec, prelude::*};
use sockjs_bus::{
    Bus, InProcess,
    in_process::{connection::Connection, faults::Faults},
};
use tokio::time::sleep;

use crate::support::texts;

const NODES: usize = 3;
/// Of each node, each of another user, and two of them of one user that is on all nodes.
const SESSIONS: usize = 3;
const KEYS: [&str; 2] = ["a", "b"];
/// The most that a message is on its way.
const DELAY: u64 = 300;

#[derive(Debug, Clone)]
enum Step {
    Join(usize, usize, usize),
    Leave(usize, usize, usize),
    Send(usize, usize),
    SendToEverywhere(usize),
    Pass(u64),
    /// The node is gone without a word, and another one starts with its name.
    Restart(usize),
    Disconnect(usize),
    Reconnect(usize),
    Cut(usize, usize),
    Heal,
    Faults {
        drop: u8,
        repeat: u8,
        delay: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let node = || 0..NODES;
    let key = || 0..KEYS.len();
    prop_oneof![
        12 => (node(), 0..SESSIONS, key()).prop_map(|(node, session, key)| Step::Join(node, session, key)),
        5 => (node(), 0..SESSIONS, key()).prop_map(|(node, session, key)| Step::Leave(node, session, key)),
        20 => (node(), key()).prop_map(|(node, key)| Step::Send(node, key)),
        4 => node().prop_map(Step::SendToEverywhere),
        8 => (0_u64..500).prop_map(Step::Pass),
        2 => (500_u64..12_000).prop_map(Step::Pass),
        1 => node().prop_map(Step::Restart),
        1 => node().prop_map(Step::Disconnect),
        2 => node().prop_map(Step::Reconnect),
        1 => (node(), node()).prop_map(|(one, other)| Step::Cut(one, other)),
        1 => Just(Step::Heal),
        2 => (0_u8..50, 0_u8..50, 0..DELAY).prop_map(|(drop, repeat, delay)| Step::Faults { drop, repeat, delay }),
    ]
}

struct Node {
    /// Which run of which node it is.
    boot: usize,
    rooms: Rooms,
    connection: Arc<Connection>,
    sessions: Vec<Client>,
    /// Dropped before the sessions are.
    members: BTreeMap<(usize, usize), Member>,
}

struct Client {
    user: String,
    session: Session,
    peer: Peer,
    /// What it is to hear of its own node, in this order.
    certain: Vec<String>,
}

struct World {
    bus: InProcess,
    nodes: Vec<Node>,
    /// How many nodes there have been.
    boots: usize,
    sent: usize,
}

impl World {
    fn new() -> Self {
        let mut world = Self { bus: InProcess::new(), nodes: Vec::new(), boots: 0, sent: 0 };
        for number in 0..NODES {
            let node = world.start(number);
            world.nodes.push(node);
        }
        world
    }

    fn start(&mut self, number: usize) -> Node {
        self.boots += 1;
        let connection = Arc::new(self.bus.connect());
        let bus = Arc::clone(&connection) as Arc<dyn Bus>;
        let rooms = Rooms::builder().bus(bus).node_name(format!("node {number}")).build();
        let sessions = (0..SESSIONS).map(|session| {
            let user = if session == 0 { "everywhere".to_owned() } else { format!("{number} {session}") };
            let (session, peer) = Pair::new().identity(user.clone()).open();
            Client { user, session, peer, certain: Vec::new() }
        });
        Node { boot: self.boots, sessions: sessions.collect(), rooms, connection, members: BTreeMap::new() }
    }

    /// A message says from which run of which node, to what, and which it is.
    fn text(&mut self, node: usize, to: &str) -> String {
        self.sent += 1;
        format!("{} {node} {to} {}", self.nodes[node].boot, self.sent)
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Join(at, session, key) => {
                let node = &mut self.nodes[at];
                if !node.members.contains_key(&(session, key)) {
                    let member = node.rooms.join(&node.sessions[session].session, KEYS[key]).await.unwrap();
                    node.members.insert((session, key), member);
                }
            }
            Step::Leave(at, session, key) => _ = self.nodes[at].members.remove(&(session, key)),
            Step::Send(at, key) => {
                let text = self.text(at, KEYS[key]);
                let node = &mut self.nodes[at];
                let here = node.members.keys().filter(|(_, of)| *of == key).map(|(session, _)| *session);
                let here: Vec<_> = here.collect();
                assert_eq!(node.rooms.send(KEYS[key], text.as_str()).delivered, here.len());
                here.iter().for_each(|&session| node.sessions[session].certain.push(text.clone()));
            }
            Step::SendToEverywhere(at) => {
                let text = self.text(at, "user");
                let node = &mut self.nodes[at];
                let is_here = node.members.keys().any(|(session, _)| *session == 0);
                let sent = node.rooms.send_to_user("everywhere", text.as_str());
                assert_eq!(sent.delivered, usize::from(is_here));
                if is_here {
                    node.sessions[0].certain.push(text);
                }
            }
            Step::Pass(millis) => sleep(Duration::from_millis(millis)).await,
            Step::Restart(at) => {
                self.check_messages(at);
                // It cannot say that it stops.
                self.nodes[at].connection.disconnect();
                self.nodes[at] = self.start(at);
            }
            Step::Disconnect(at) => self.nodes[at].connection.disconnect(),
            Step::Reconnect(at) => self.nodes[at].connection.reconnect(),
            Step::Cut(one, other) if one == other => {}
            Step::Cut(one, other) => self.bus.cut(&self.nodes[one].connection, &self.nodes[other].connection),
            Step::Heal => self.bus.heal(),
            Step::Faults { drop, repeat, delay } => {
                let faults = Faults::none().drop_percent(drop).repeat_percent(repeat);
                let delay = Duration::ZERO..Duration::from_millis(delay);
                self.bus.set_faults(faults.delay(delay), self.sent as u64);
            }
        }
    }

    /// Each message comes once, those of one node to one room or user in order, and all of the own node.
    fn check_messages(&mut self, at: usize) {
        for client in &mut self.nodes[at].sessions {
            let heard = texts(&mut client.peer);
            let distinct: BTreeSet<_> = heard.iter().collect();
            assert_eq!(distinct.len(), heard.len(), "twice: {heard:?}");
            let mut last: BTreeMap<(&str, &str), usize> = BTreeMap::new();
            for text in &heard {
                let parts: Vec<_> = text.split(' ').collect();
                let [boot, _, to, number] = parts[..] else { panic!("{text}") };
                let number = number.parse().unwrap();
                let before = last.insert((boot, to), number);
                assert!(before.is_none_or(|before| before < number), "out of order: {heard:?}");
            }
            let certain = heard.into_iter().filter(|text| text.split(' ').nth(1) == Some(&at.to_string()));
            // Those of the node that has been here before may still have come.
            let certain: Vec<_> = certain.filter(|text| client.certain.contains(text)).collect();
            assert_eq!(certain, client.certain, "messages of the own node are lost");
            client.certain.clear();
        }
    }

    fn check_presence(&self) {
        for (at, node) in self.nodes.iter().enumerate() {
            for (key, name) in KEYS.iter().enumerate() {
                let all = self.nodes.iter().flat_map(|node| {
                    node.members
                        .keys()
                        .filter(|(_, of)| *of == key)
                        .map(|(session, _)| &node.sessions[*session].user)
                });
                let mut expected: BTreeMap<Option<String>, usize> = BTreeMap::new();
                all.for_each(|user| *expected.entry(Some(user.clone())).or_default() += 1);
                let present = node.rooms.presence(*name);
                let found: BTreeMap<_, _> =
                    present.into_iter().map(|user| (user.user, user.tabs.len())).collect();
                assert_eq!(found, expected, "room {name} at {at}");
            }
            let here = self.nodes.iter().flat_map(|node| {
                node.members.keys().map(|(session, _)| node.sessions[*session].user.clone())
            });
            let here: BTreeSet<_> = here.collect();
            assert_eq!(node.rooms.users().into_iter().collect::<BTreeSet<_>>(), here);
        }
    }

    async fn run(mut self, steps: Vec<Step>) {
        for step in steps {
            self.step(step).await;
        }
        self.bus.set_faults(Faults::none(), 0);
        self.bus.heal();
        for node in &self.nodes {
            if !node.connection.status().borrow().is_connected() {
                node.connection.reconnect();
            }
        }
        sleep(Duration::from_secs(10) + Duration::from_millis(DELAY)).await;
        self.check_presence();
        (0..NODES).for_each(|at| self.check_messages(at));
        // And now each message reaches everybody.
        for at in 0..NODES {
            for key in KEYS {
                let text = self.text(at, key);
                self.nodes[at].rooms.send(key, text);
            }
        }
        sleep(Duration::from_millis(1)).await;
        for node in &mut self.nodes {
            for session in 0..SESSIONS {
                let rooms = (0..KEYS.len()).filter(|&key| node.members.contains_key(&(session, key))).count();
                assert_eq!(texts(&mut node.sessions[session].peer).len(), NODES * rooms);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn messages_come_once_and_presence_is_right_in_the_end(steps in vec(step(), 1..100)) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async { World::new().run(steps).await });
    }
}
