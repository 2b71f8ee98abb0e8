//! Clients that come and go on several nodes, with faults: what each has heard of a room's history is one piece, or it was
//! told where it is not.

use std::{sync::Arc, time::Duration};

use axum_sockjs::{Pair, Peer, Session};
use axum_sockjs_rooms::{History, JoinError, Member, Outcome, Position, Rooms};
use proptest::{collection::vec, prelude::*};
use sockjs_bus::{
    Bus, InProcess,
    in_process::{connection::Connection, faults::Faults},
};
use tokio::time::sleep;

use crate::support::{guest, texts};

const NODES: usize = 3;
const CLIENTS: usize = 6;
const KEY: &str = "lobby";
/// So few that clients come back too late.
const KEPT: usize = 6;
const DELAY: u64 = 300;

#[derive(Debug, Clone)]
enum Step {
    /// A client comes, or comes back, to some node, and asks for so many of the last messages.
    Join(usize, usize, usize),
    /// A client goes, and so many of the last messages are lost with its connection.
    Leave(usize, usize),
    Send(usize),
    Pass(u64),
    Restart(usize),
    Disconnect(usize),
    Reconnect(usize),
    Cut(usize, usize),
    Heal,
    Faults(u8, u64),
}

fn step() -> impl Strategy<Value = Step> {
    let node = || 0..NODES;
    prop_oneof![
        14 => (0..CLIENTS, node(), 0_usize..4).prop_map(|(client, node, last)| Step::Join(client, node, last)),
        8 => (0..CLIENTS, 0_usize..4).prop_map(|(client, lost)| Step::Leave(client, lost)),
        24 => node().prop_map(Step::Send),
        8 => (0_u64..500).prop_map(Step::Pass),
        1 => (500_u64..12_000).prop_map(Step::Pass),
        1 => node().prop_map(Step::Restart),
        2 => node().prop_map(Step::Disconnect),
        4 => node().prop_map(Step::Reconnect),
        1 => (node(), node()).prop_map(|(one, other)| Step::Cut(one, other)),
        1 => Just(Step::Heal),
        1 => (0_u8..50, 0..DELAY).prop_map(|(drop, delay)| Step::Faults(drop, delay)),
    ]
}

struct Node {
    rooms: Rooms,
    connection: Arc<Connection>,
}

/// A message as a client gets it.
#[derive(Debug, Clone, PartialEq)]
struct Heard {
    position: Position,
    text: String,
}

#[derive(Default)]
struct Client {
    here: Option<Here>,
    /// What it has heard: each piece without a hole. Between two pieces there may be one.
    pieces: Vec<Vec<Heard>>,
    /// Where a piece begins that has nothing yet.
    start: Option<Position>,
}

/// A client that is connected.
struct Here {
    node: usize,
    session: Session,
    peer: Peer,
    _member: Member,
}

impl Client {
    fn last(&self) -> Option<Position> {
        self.pieces.last().and_then(|piece| piece.last()).map(|heard| heard.position).or(self.start)
    }

    /// Takes what has come.
    fn hear(&mut self) {
        let Some(here) = &mut self.here else { return };
        for text in texts(&mut here.peer) {
            let (position, text) = text.split_once(' ').unwrap();
            let heard = Heard { position: position.parse().unwrap(), text: text.to_owned() };
            self.pieces.last_mut().expect("it has joined").push(heard);
        }
    }

    fn leave(&mut self) {
        self.hear();
        self.here = None;
    }
}

struct World {
    bus: InProcess,
    nodes: Vec<Node>,
    clients: Vec<Client>,
    /// Has a node of its own, to which nothing happens, and hears all.
    witness: Client,
    witness_node: Node,
    sent: usize,
}

fn start(bus: &InProcess, name: &str) -> Node {
    let connection = Arc::new(bus.connect());
    let rooms = Rooms::builder()
        .bus(Arc::clone(&connection) as Arc<dyn Bus>)
        .node_name(name)
        .history(History::last(KEPT))
        .encode(|position, message| format!("{position} {}", message.as_str().unwrap()).into())
        .build();
    Node { rooms, connection }
}

impl World {
    async fn new() -> Self {
        let bus = InProcess::new();
        let witness_node = start(&bus, "witness");
        let (session, peer) = guest();
        let member = witness_node.rooms.join(&session, KEY).await.unwrap();
        let here = Here { node: NODES, session, peer, _member: member };
        let witness = Client { here: Some(here), pieces: vec![Vec::new()], start: None };
        let nodes = (0..NODES).map(|number| start(&bus, &number.to_string())).collect();
        let clients = (0..CLIENTS).map(|_| Client::default()).collect();
        Self { bus, nodes, clients, witness, witness_node, sent: 0 }
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Join(client, node, last) => self.join(client, node, last).await,
            Step::Leave(client, lost) => {
                let client = &mut self.clients[client];
                if client.here.is_some() {
                    client.leave();
                    let piece = client.pieces.last_mut().expect("it has joined");
                    piece.truncate(piece.len().saturating_sub(lost).max(1));
                }
            }
            Step::Send(node) => {
                self.sent += 1;
                self.nodes[node].rooms.send(KEY, format!("{node} {}", self.sent));
            }
            Step::Pass(millis) => sleep(Duration::from_millis(millis)).await,
            Step::Restart(node) => {
                self.nodes[node].connection.disconnect();
                let theirs = self.clients.iter_mut().filter(|client| client.is_at(node));
                theirs.for_each(Client::leave);
                self.nodes[node] = start(&self.bus, &node.to_string());
            }
            Step::Disconnect(node) => self.nodes[node].connection.disconnect(),
            Step::Reconnect(node) => self.nodes[node].connection.reconnect(),
            Step::Cut(one, other) if one == other => {}
            Step::Cut(one, other) => self.bus.cut(&self.nodes[one].connection, &self.nodes[other].connection),
            Step::Heal => self.bus.heal(),
            Step::Faults(drop, delay) => {
                let delay = Duration::ZERO..Duration::from_millis(delay);
                self.bus.set_faults(Faults::none().drop_percent(drop).delay(delay), self.sent as u64);
            }
        }
        // Its room is not so slow that the library would close it.
        self.witness.hear();
    }

    async fn join(&mut self, client: usize, node: usize, last: usize) {
        // Whoever has been closed comes back.
        if self.clients[client].here.as_ref().is_some_and(|here| here.session.is_closed()) {
            self.clients[client].leave();
        }
        if self.clients[client].here.is_some() {
            return;
        }
        let since = self.clients[client].last();
        let (session, peer) = Pair::new().open();
        let member = match self.nodes[node].rooms.join(&session, KEY).since(since).last(last).await {
            Ok(member) => member,
            Err(JoinError::Unavailable) => return,
            Err(error) => panic!("{error:?}"),
        };
        // What was sent before has come to the witness.
        sleep(Duration::from_millis(1)).await;
        self.witness.hear();
        let recovery = member.recovery().unwrap();
        let client = &mut self.clients[client];
        match (since, recovery.outcome) {
            (None, Outcome::New) => {}
            (Some(_), Outcome::Whole) if !client.pieces.is_empty() => {}
            (Some(since), Outcome::Gone) => {
                let behind = behind(&self.witness.pieces[0], since);
                assert!(behind >= KEPT, "{behind} messages behind {since} are not gone");
                client.pieces.push(Vec::new());
            }
            (since, outcome) => panic!("{since:?} is {outcome:?}"),
        }
        if client.pieces.is_empty() {
            client.pieces.push(Vec::new());
        }
        if client.pieces.last().is_some_and(Vec::is_empty) {
            client.start = Some(recovery.position);
        }
        client.here = Some(Here { node, session, peer, _member: member });
    }

    /// What each has heard are pieces of what was sent, each without a hole, one behind the other.
    fn check(&mut self) {
        self.witness.hear();
        assert!(!self.witness.here.as_ref().unwrap().session.is_closed());
        let all = &self.witness.pieces[0];
        assert!(all.windows(2).all(|two| two[0].position.number() < two[1].position.number()), "{all:?}");
        for node in 0..NODES {
            let numbers = all.iter().filter_map(|heard| heard.text.split_once(' '));
            let numbers = numbers.filter(|(of, _)| *of == node.to_string());
            let numbers: Vec<usize> = numbers.map(|(_, number)| number.parse().unwrap()).collect();
            assert!(numbers.is_sorted_by(|one, next| one < next), "of node {node}: {numbers:?}");
        }
        for client in &mut self.clients {
            client.hear();
            let mut from = 0;
            for piece in client.pieces.iter().filter(|piece| !piece.is_empty()) {
                let first = all.iter().position(|heard| heard == &piece[0]).expect("somebody has sent it");
                assert!(first >= from, "twice: {:?}", client.pieces);
                assert_eq!(piece[..], all[first..first + piece.len()], "a hole, or twice");
                from = first + piece.len();
            }
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
        self.check();
        // All are back, and hear the same.
        for client in 0..CLIENTS {
            self.join(client, client % NODES, 0).await;
        }
        let before = self.witness.pieces[0].len();
        for node in 0..NODES {
            self.step(Step::Send(node)).await;
        }
        assert!(self.witness_node.rooms.send(KEY, "the last").refused.is_none());
        sleep(Duration::from_millis(50)).await;
        self.check();
        let all = &self.witness.pieces[0];
        assert_eq!(all.len(), before + NODES + 1);
        for client in &self.clients {
            assert!(client.here.is_some());
            assert_eq!(client.pieces.last().unwrap().last(), all.last());
        }
    }
}

impl Client {
    fn is_at(&self, node: usize) -> bool {
        self.here.as_ref().is_some_and(|here| here.node == node)
    }
}

fn behind(all: &[Heard], since: Position) -> usize {
    all.iter().filter(|heard| heard.position.number() > since.number()).count()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn who_comes_back_misses_nothing_or_is_told(steps in vec(step(), 1..150)) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async { World::new().await.run(steps).await });
    }
}
