//! What ties a node to the others.

use std::{
    collections::{HashMap, HashSet},
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use axum_sockjs::{ConnectionId, Message};
use serde::Serialize;
use sockjs_bus::{Bus, Delivery, Port, PublishError, Status, Subject, Subscription};
use tokio::{
    runtime::Handle,
    sync::{self, Notify, watch},
    time::Instant,
};

use super::{
    envelope::{self, Envelope, Whom},
    following::Follower,
    log_outs::{LogOut, LogOuts},
    room_link::{Following, Progress, RoomLink},
    unsure::{Unsure, ready_now},
};
use crate::{
    build_error::BuildError,
    bus_stats::BusStats,
    error::JoinError,
    history::History,
    key::{Data, Key},
    node::{
        delivery::How,
        elsewhere::{Confirm, Elsewhere},
        end::End,
        node::Node,
        room::Room,
        tab::{Tab, User},
    },
    nodes::{
        bounds::{Bounds, Timing},
        cluster::{Cluster, Garbage, Own},
        known::Remotes,
        wire,
    },
    position::Position,
};

/// How a node is on a bus.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) namespace: String,
    pub(crate) address: Option<String>,
    pub(crate) dead_after: Duration,
    pub(crate) max_remote: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            namespace: "rooms".to_owned(),
            address: None,
            dead_after: Duration::from_secs(10),
            max_remote: 1_000_000,
        }
    }
}

/// Operations of one node wait so long for others, to be told together.
const BATCH: Duration = Duration::from_millis(20);
/// More nodes are not listened to.
const MAX_NODES: usize = 1000;

pub(crate) struct Link<K, U, D> {
    pub(super) node: Weak<Node<K, U, D>>,
    pub(super) port: Port,
    pub(super) cluster: Mutex<Cluster<K, U, D>>,
    /// Wakes the task that tells the other nodes.
    pub(super) wake: Arc<Notify>,
    pub(super) runtime: Handle,
    pub(super) nodes: Subject,
    /// What the node is named, so that it has the name again when it is started again.
    pub(super) name: Option<String>,
    pub(super) all: Subject,
    pub(super) log_outs: Mutex<LogOuts<U>>,
    /// How long a node is silent at the most.
    pub(super) beat: Duration,
    /// By the serial numbers of users.
    pub(super) users: Mutex<HashMap<u64, Arc<OnceLock<Mutex<Subscription>>>>>,
    /// By the serial numbers of rooms.
    pub(super) rooms: Mutex<HashMap<u64, Arc<OnceLock<RoomLink>>>>,
    pub(super) unsure: Unsure,
    /// What all nodes are told reaches this one.
    pub(super) is_listening: AtomicBool,
    /// Subscriptions that the engine has refused, and nobody waited for.
    pub(super) refused: AtomicU64,
    pub(super) not_kept: Arc<AtomicU64>,
    pub(super) histories_lost: Arc<AtomicU64>,
    /// Members that other nodes are not told of.
    pub(super) too_large: AtomicU64,
}

impl<K: Key, U: Key, D: Data> Link<K, U, D> {
    /// A node on a bus, which hears nothing of it yet.
    pub(super) fn new(
        node: &Arc<Node<K, U, D>>,
        bus: Arc<dyn Bus>,
        settings: Settings,
        runtime: &Handle,
    ) -> Result<Self, BuildError> {
        let port = Port::new(bus, &settings.namespace).map_err(BuildError::Namespace)?;
        if !port.claim() {
            return Err(BuildError::NamespaceInUse);
        }
        let subject = |kind| port.subject(kind, b"").map_err(BuildError::Namespace);
        let (nodes, all) = (subject("nodes")?, subject("all")?);
        let timing = Timing { dead_after: settings.dead_after, batch: BATCH };
        let bounds = Bounds { nodes: MAX_NODES, entries: settings.max_remote };
        let name = settings.address;
        let cluster = Cluster::new(port.node(), name.clone(), timing, bounds, Instant::now().into_std());
        Ok(Self {
            node: Arc::downgrade(node),
            name,
            nodes,
            all,
            port,
            cluster: Mutex::new(cluster),
            log_outs: Mutex::default(),
            beat: timing.beat(),
            wake: Arc::default(),
            runtime: runtime.clone(),
            users: Mutex::default(),
            rooms: Mutex::default(),
            unsure: Unsure::default(),
            is_listening: AtomicBool::new(false),
            refused: AtomicU64::new(0),
            not_kept: Arc::default(),
            histories_lost: Arc::default(),
            too_large: AtomicU64::new(0),
        })
    }

    /// Subscribes to what all nodes are told.
    pub(super) fn listen_to_all(self: &Arc<Self>) -> [Subscription; 2] {
        [
            self.listen(&self.nodes, |link, delivery| {
                let Some(message) = wire::decode(delivery.payload) else { return };
                link.with_cluster(|cluster, now| cluster.receive(delivery.from, message, now));
            }),
            self.listen(&self.all, |link, delivery| link.receive_all(delivery)),
        ]
    }

    fn listen(
        self: &Arc<Self>,
        subject: &Subject,
        receive: impl Fn(&Self, Delivery) + Send + Sync + 'static,
    ) -> Subscription {
        let link = Arc::downgrade(self);
        self.hear(subject, move |_, delivery| {
            if let Some(link) = link.upgrade() {
                receive(&link, delivery);
            }
        })
    }

    /// Subscribes to a subject, whatever becomes of a single message.
    fn hear(
        &self,
        subject: &Subject,
        receive: impl Fn(&Arc<Node<K, U, D>>, Delivery) + Send + Sync + 'static,
    ) -> Subscription {
        let node = self.node.clone();
        self.port.subscribe(subject, move |delivery| {
            let Some(node) = node.upgrade() else { return };
            // The traits of keys, users and data are the application's, and the task is the bus's.
            if catch_unwind(AssertUnwindSafe(|| receive(&node, delivery))).is_err() {
                node.counters
                    .panicked("a message of another node was left out: the application's code panicked");
            }
        })
    }

    /// Does something with the cluster, and wakes the task if it has something to do sooner.
    fn with_cluster<R>(&self, act: impl FnOnce(&mut Cluster<K, U, D>, std::time::Instant) -> R) -> R {
        let now = Instant::now().into_std();
        let (result, is_due) = {
            let mut cluster = self.cluster();
            let before = cluster.output_due();
            let result = act(&mut cluster, now);
            let after = cluster.output_due();
            (result, after.is_some_and(|after| before.is_none_or(|before| after < before)))
        };
        if is_due {
            self.wake.notify_one();
        }
        result
    }

    pub(super) fn cluster(&self) -> MutexGuard<'_, Cluster<K, U, D>> {
        self.cluster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Messages to all, and log-outs, of other nodes.
    fn receive_all(&self, delivery: Delivery) {
        let Some(node) = self.node.upgrade() else { return };
        match envelope::decode(delivery.payload) {
            Some(Envelope::Message(message, how)) => _ = node.send_to_all(&message, &how),
            Some(Envelope::Close(Whom::Here, end)) => _ = node.close_all(&end),
            Some(Envelope::Close(Whom::User(user), end)) => {
                let Ok(user) = serde_json::from_slice::<U>(&user) else { return };
                let found = node.users.find(node.users.hash_of(&user), |known| known.user == user);
                if let Some(found) = found {
                    node.close_user(&found, &end);
                }
            }
            Some(Envelope::Close(Whom::Tabs(tabs), end)) => _ = node.close_tabs(&tabs, &end),
            None => {}
        }
    }

    fn close_by_all(&self, whom: &Whom, end: &End) -> Result<(), PublishError> {
        self.port.publish(&self.all, &[&envelope::close(whom, end)])
    }

    pub(super) fn subject(&self, kind: &str, key: &impl Serialize) -> Option<Subject> {
        self.port.subject(kind, &serde_json::to_vec(key).ok()?).ok()
    }

    fn publish(&self, subject: Option<Subject>, message: &Message, how: &How) -> Result<(), PublishError> {
        let subject = subject.ok_or(KEY_TOO_LONG)?;
        self.port.publish(&subject, &[&envelope::head(message, how), &envelope::body(message)])
    }

    /// What a room has on the bus, which is there from then on.
    pub(super) fn room_link(&self, room: &Arc<Room<K, U, D>>) -> Option<Arc<OnceLock<RoomLink>>> {
        let subject = self.subject("room", &room.key)?;
        let link = Arc::clone(lock(&self.rooms).entry(room.serial).or_default());
        // Once: of two subscriptions each would deliver.
        link.get_or_init(|| self.link_room(room, subject));
        Some(link)
    }

    fn link_room(&self, room: &Arc<Room<K, U, D>>, subject: Subject) -> RoomLink {
        let at = Arc::downgrade(room);
        let subscription = self.hear(&subject, move |node, delivery| {
            let Some(room) = at.upgrade() else { return };
            match envelope::decode(delivery.payload) {
                // Otherwise it is in the history, from where it comes.
                Some(Envelope::Message(message, how)) if !room.has_history || how.is_transient => {
                    node.receive(&room, message, how);
                }
                Some(Envelope::Close(Whom::Here, end)) => _ = node.close_room(&room, &end),
                _ => {}
            }
        });
        let following = room.has_history.then(|| {
            let (progress, seen) = watch::channel(Progress::Pending);
            let follower = Follower {
                node: self.node.clone(),
                room: Arc::downgrade(room),
                bus: Arc::clone(self.port.bus()),
                stream: subject,
                progress,
                lost: Arc::clone(&self.histories_lost),
            };
            let history = self.node.upgrade().and_then(|node| node.history_of(&room.key));
            let last = history.map_or(0, History::max_kept);
            Following { progress: seen, task: self.runtime.spawn(follower.run(last)).abort_handle() }
        });
        RoomLink { subscription: sync::Mutex::new(subscription), following }
    }

    fn own<'a>(tab: &'a Tab<U>) -> Own<'a, U> {
        let user = tab.user.as_ref().map(|user| &user.user);
        Own { id: tab.id.as_u128(), tab: tab.address(), user }
    }
}

/// A key that makes no subject is refused as a message would be.
pub(super) const KEY_TOO_LONG: PublishError = PublishError::TooLarge { max: Subject::MAX_LEN };

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<K: Key, U: Key, D: Data> Elsewhere<K, U, D> for Link<K, U, D> {
    fn entered(&self, tab: &Tab<U>) {
        let _garbage: Garbage<K, U, D> = self.with_cluster(|cluster, now| cluster.enter(Self::own(tab), now));
    }

    fn exited(&self, tab: &Tab<U>) {
        let _garbage = self.with_cluster(|cluster, now| cluster.exit(tab.id.as_u128(), tab.address(), now));
    }

    fn online(&self, user: &Arc<User<U>>) {
        let Some(subject) = self.subject("user", &user.user) else { return };
        let of = Arc::downgrade(user);
        let subscribed = Arc::clone(lock(&self.users).entry(user.serial).or_default());
        let mut is_unsure = false;
        subscribed.get_or_init(|| {
            let mut subscription = self.hear(&subject, move |node, delivery| {
                let Some(user) = of.upgrade() else { return };
                if let Some(Envelope::Message(message, how)) = envelope::decode(delivery.payload) {
                    node.send_to_user(Some(&user), &message, &how);
                }
            });
            is_unsure = ready_now(&mut subscription) != Some(Ok(()));
            Mutex::new(subscription)
        });
        if is_unsure {
            self.unsure.add(user.serial);
        }
        // It may have gone meanwhile.
        if user.lock().removed {
            self.offline(user);
        }
    }

    fn offline(&self, user: &User<U>) {
        let ended = lock(&self.users).remove(&user.serial);
        drop(ended);
        self.unsure.remove(user.serial);
    }

    fn joined(&self, room: &Room<K, U, D>, tab: &Tab<U>, seq: u64, data: &D) {
        let token = (room.serial, seq);
        let _garbage =
            self.with_cluster(|cluster, now| cluster.join(Self::own(tab), &room.key, token, data, now));
    }

    fn changed(&self, room: &Room<K, U, D>, seq: u64) {
        let _garbage = self.with_cluster(|cluster, now| {
            // Here, so that what is told last is what was set last.
            let members = room.members();
            let update = members.about(seq).map(|about| {
                let id = about.tab.id.as_u128();
                cluster.update(id, &room.key, (room.serial, seq), &about.data, now)
            });
            (update, members)
        });
    }

    fn left(&self, room: &Room<K, U, D>, tab: &Tab<U>, seq: u64) {
        let (id, token) = (tab.id.as_u128(), (room.serial, seq));
        let _garbage = self.with_cluster(|cluster, now| cluster.leave(id, &room.key, token, now));
    }

    fn vacated(&self, room: &Room<K, U, D>) {
        let ended = lock(&self.rooms).remove(&room.serial);
        drop(ended);
        self.unsure.remove(room.serial);
    }

    fn attach<'a>(
        &'a self,
        room: &'a Arc<Room<K, U, D>>,
    ) -> Pin<Box<dyn Future<Output = Result<(), JoinError>> + Send + 'a>> {
        Box::pin(async {
            let link = self.room_link(room).ok_or(JoinError::Unavailable)?;
            self.wait_for(room.serial, link.get().ok_or(JoinError::Unavailable)?).await
        })
    }

    fn reach<'a>(
        &'a self,
        room: &'a Arc<Room<K, U, D>>,
        position: Position,
    ) -> Pin<Box<dyn Future<Output = Result<(), JoinError>> + Send + 'a>> {
        Box::pin(self.reach_position(room, position))
    }

    fn send_to_room(&self, key: &K, message: &Message, how: &How) -> Result<(), PublishError> {
        self.publish(self.subject("room", key), message, how)
    }

    fn append(
        &self,
        key: &K,
        message: &Message,
        how: &How,
        confirm: Option<Confirm>,
    ) -> Result<(), PublishError> {
        self.keep(key, message, how, confirm)
    }

    fn send_to_user(&self, user: &U, message: &Message, how: &How) -> Result<(), PublishError> {
        self.publish(self.subject("user", user), message, how)
    }

    fn send_to_all(&self, message: &Message, how: &How) -> Result<(), PublishError> {
        self.publish(Some(self.all.clone()), message, how)
    }

    fn close_room(&self, key: &K, end: &End) -> Result<(), PublishError> {
        let subject = self.subject("room", key).ok_or(KEY_TOO_LONG)?;
        self.port.publish(&subject, &[&envelope::close(&Whom::Here, end)])
    }

    fn close_user(&self, user: &U, end: &End) -> Result<(), PublishError> {
        let json = serde_json::to_vec(user).map_err(|_| KEY_TOO_LONG)?;
        let mut tabs: HashSet<_> = self.cluster().known().tabs_of(user).collect();
        if let Some(except) = end.except {
            tabs.remove(&except.as_u128());
        }
        let log_out = LogOut { user: user.clone(), tabs, end: end.clone() };
        let told = self.close_by_all(&Whom::User(json.into()), end);
        let _not_repeated = lock(&self.log_outs).add(log_out, Instant::now() + self.beat);
        self.wake.notify_one();
        told
    }

    fn close_all(&self, end: &End) -> Result<(), PublishError> {
        self.close_by_all(&Whom::Here, end)
    }

    fn close_session(&self, id: ConnectionId, end: &End) -> Result<(), PublishError> {
        self.close_by_all(&Whom::Tabs(vec![id]), end)
    }

    fn members(&self, key: &K) -> Arc<Remotes<U, D>> {
        self.cluster().known().members(key).unwrap_or_default()
    }

    fn tabs_of(&self, user: &U) -> Vec<ConnectionId> {
        self.cluster().known().tabs_of(user).map(ConnectionId::from_u128).collect()
    }

    fn add_users(&self, users: &mut HashSet<U>) {
        let elsewhere: Vec<Arc<U>> = self.cluster().known().users().cloned().collect();
        users.extend(elsewhere.iter().map(|user| U::clone(user)));
    }

    fn add_keys(&self, keys: &mut HashSet<K>) {
        let elsewhere: Vec<Arc<K>> = self.cluster().known().rooms().cloned().collect();
        keys.extend(elsewhere.iter().map(|key| K::clone(key)));
    }

    fn leave(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.say_goodbye())
    }

    fn stats(&self) -> BusStats {
        let (counts, nodes) = {
            let cluster = self.cluster();
            (cluster.counts(), cluster.nodes())
        };
        let status: Status = *self.port.bus().status().borrow();
        BusStats {
            status,
            is_heard: status.is_connected() && self.is_listening.load(Relaxed),
            nodes,
            port: self.port.stats(),
            not_kept: self.not_kept.load(Relaxed),
            histories_lost: self.histories_lost.load(Relaxed),
            holes: counts.holes,
            dead: counts.dead,
            subscriptions_refused: self.refused.load(Relaxed),
            unknown_members: counts.refused + self.too_large.load(Relaxed),
        }
    }
}
