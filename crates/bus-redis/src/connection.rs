//! The life of a connection: made, kept, lost, made again.
//!
//! Imports: appends, error, options, registry, shared.

use std::{
    collections::HashSet,
    io,
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use redis::{
    AsyncConnectionConfig, PushInfo, PushKind, Value,
    aio::{ConnectionLike, MultiplexedConnection},
};
use sockjs_bus::{
    ConnectError, SubscribeError,
    driver::{Back, Backoff, Front, Outgoing, Queued, State},
};
use tokio::{
    sync::{Notify, mpsc, watch},
    task::AbortHandle,
    time::{Instant, timeout},
};

use crate::{
    appends,
    error::connect_error,
    options::Options,
    registry::Registry,
    shared::{Connections, Shared},
};

/// Commands that are sent before the first is answered.
const IN_FLIGHT: usize = 64;
/// Messages and bytes that are sent at once.
const BATCH: usize = 256;
const BATCH_BYTES: usize = 1 << 20;

/// Connections of one life.
struct Link {
    connections: Connections,
    /// Signalled when one is lost.
    lost: Arc<Notify>,
    /// What the server has been asked for.
    subscribed: HashSet<Arc<str>>,
}

/// The connection is lost.
struct Lost;

/// What has been started.
pub(crate) struct Running {
    pub(crate) shared: Arc<Shared>,
    pub(crate) front: Front,
    pub(crate) tasks: Vec<AbortHandle>,
}

pub(crate) async fn start(options: Options) -> Result<Running, ConnectError> {
    let state = Arc::new(State::new(options.max_payload));
    let (front, back) = Front::new(Arc::clone(&state), options.queue_messages, options.queue_bytes);
    let Back { outgoing, appends, .. } = back;
    let (changes, changed) = mpsc::unbounded_channel();
    let shared = Arc::new(Shared {
        options,
        registry: Registry::default(),
        state,
        connections: watch::Sender::new(None),
        changes,
    });
    let first = if shared.options.wait_for_server {
        let link = connect(&shared).await?;
        shared.connections.send_replace(Some(link.connections.clone()));
        shared.state.connected();
        Some(link)
    } else {
        None
    };
    let tasks = vec![
        tokio::spawn(publish(Arc::clone(&shared), outgoing)).abort_handle(),
        tokio::spawn(appends::append(Arc::clone(&shared), appends)).abort_handle(),
        tokio::spawn(keep(Arc::clone(&shared), first, changed)).abort_handle(),
    ];
    Ok(Running { shared, front, tasks })
}

/// Connects once.
async fn connect(shared: &Arc<Shared>) -> Result<Link, ConnectError> {
    let time = shared.options.connect_timeout;
    let lost = Arc::new(Notify::new());
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(time))
        .set_response_timeout(Some(time))
        .set_push_sender(receive(Arc::downgrade(shared), Arc::clone(&lost)));
    let attempt = async {
        let client = shared.options.client()?;
        let open = || client.get_multiplexed_async_connection_with_config(&config);
        let mut connections = Connections {
            messages: open().await.map_err(connect_error)?,
            commands: open().await.map_err(connect_error)?,
        };
        // A server that still loads what it has stored, or may not be used, lets in as well.
        redis::cmd("PING").exec_async(&mut connections.commands).await.map_err(connect_error)?;
        Ok(Link { connections, lost: Arc::clone(&lost), subscribed: HashSet::new() })
    };
    timeout(time, attempt).await.map_err(|_| ConnectError::TimedOut)?
}

/// What the library calls with each message.
fn receive(
    shared: Weak<Shared>,
    lost: Arc<Notify>,
) -> impl Fn(PushInfo) -> Result<(), ()> + Send + Sync + 'static {
    move |push| {
        match (push.kind, <[Value; 2]>::try_from(push.data)) {
            (PushKind::Disconnection, _) => lost.notify_one(),
            (PushKind::Message, Ok([Value::BulkString(channel), Value::BulkString(payload)])) => {
                if let Some(shared) = shared.upgrade() {
                    let prefix = shared.options.prefix.as_bytes();
                    let topic = channel.strip_prefix(prefix).and_then(|rest| std::str::from_utf8(rest).ok());
                    if let Some(topic) = topic {
                        shared.registry.take(topic, &payload.into());
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Link {
    /// Subscribes to what is wanted and ceases with what is not, among these.
    async fn follow_changes(&mut self, shared: &Shared, topics: Vec<Arc<str>>) -> Result<(), Lost> {
        let mut begun = Vec::new();
        let mut ended = Vec::new();
        for topic in topics.into_iter().collect::<HashSet<_>>() {
            match (shared.registry.is_wanted(&topic), self.subscribed.contains(&topic)) {
                (true, true) => shared.registry.settle(&topic, &Ok(())),
                (true, false) => begun.push(topic),
                (false, true) => ended.push(topic),
                (false, false) => {}
            }
        }
        let messages = &self.connections.messages;
        let prefix = &shared.options.prefix;
        let mut outcomes = stream::iter(begun)
            .map(|topic| {
                let mut messages = messages.clone();
                async move { (messages.subscribe(format!("{prefix}{topic}")).await, topic) }
            })
            .buffered(IN_FLIGHT);
        while let Some((outcome, topic)) = outcomes.next().await {
            let outcome = match outcome {
                Ok(()) => {
                    self.subscribed.insert(Arc::clone(&topic));
                    Ok(())
                }
                Err(error) if error.code().is_some() => {
                    Err(SubscribeError::Refused(error.to_string().into()))
                }
                Err(_) => return Err(Lost),
            };
            shared.registry.settle(&topic, &outcome);
        }
        drop(outcomes);
        let mut outcomes = stream::iter(ended)
            .map(|topic| {
                let mut messages = messages.clone();
                async move { (messages.unsubscribe(format!("{prefix}{topic}")).await, topic) }
            })
            .buffered(IN_FLIGHT);
        while let Some((outcome, topic)) = outcomes.next().await {
            outcome.map_err(|_| Lost)?;
            self.subscribed.remove(&topic);
        }
        Ok(())
    }

    /// Serves changes of subscriptions, and asks for signs of life, until the connection is lost.
    async fn run(&mut self, shared: &Shared, changes: &mut mpsc::UnboundedReceiver<Arc<str>>) -> Lost {
        let lost = Arc::clone(&self.lost);
        let ping_interval = shared.options.ping_interval;
        let work = async {
            let mut last_ping = Instant::now();
            loop {
                let mut topics = Vec::new();
                _ = timeout(ping_interval, changes.recv_many(&mut topics, 1024)).await;
                if self.follow_changes(shared, topics).await.is_err() {
                    return Lost;
                }
                if last_ping.elapsed() >= ping_interval {
                    if !self.is_alive(ping_interval).await {
                        return Lost;
                    }
                    last_ping = Instant::now();
                }
            }
        };
        tokio::select! {
            biased;
            () = lost.notified() => Lost,
            lost = work => lost,
        }
    }

    async fn is_alive(&mut self, time: Duration) -> bool {
        async fn ping(connection: &mut MultiplexedConnection) -> bool {
            redis::cmd("PING").exec_async(connection).await.is_ok()
        }
        let Connections { messages, commands } = &mut self.connections;
        timeout(time, async { ping(messages).await && ping(commands).await }).await.unwrap_or(false)
    }
}

/// Keeps a connection, one after the other.
async fn keep(shared: Arc<Shared>, first: Option<Link>, mut changes: mpsc::UnboundedReceiver<Arc<str>>) {
    let mut link = first;
    let mut is_first = link.is_none();
    let mut backoff = Backoff::new(shared.options.max_reconnect_delay);
    backoff.connected();
    loop {
        if let Some(mut link) = link.take() {
            let Lost = link.run(&shared, &mut changes).await;
            shared.state.lost();
            shared.connections.send_replace(None);
            shared.registry.disconnected();
        }
        let mut new = loop {
            backoff.pause().await;
            match connect(&shared).await {
                Ok(link) => break link,
                Err(error) => shared.state.failed(error),
            }
        };
        // Those that have changed meanwhile are among all.
        while changes.try_recv().is_ok() {}
        let lost = Arc::clone(&new.lost);
        let all = shared.registry.topics();
        let is_subscribed = tokio::select! {
            biased;
            () = lost.notified() => false,
            done = new.follow_changes(&shared, all) => done.is_ok(),
        };
        if is_subscribed {
            if !std::mem::take(&mut is_first) {
                shared.state.counters.reconnected();
            }
            shared.connections.send_replace(Some(new.connections.clone()));
            shared.state.connected();
            backoff.connected();
            link = Some(new);
        } else {
            shared.state.failed(lost_at_once());
        }
    }
}

/// The connection came about, and was lost before all subscriptions were there.
fn lost_at_once() -> ConnectError {
    ConnectError::Unreachable(Arc::new(io::Error::from(io::ErrorKind::ConnectionReset)))
}

/// Sends what waits, as much as there is at once.
async fn publish(shared: Arc<Shared>, mut queue: mpsc::Receiver<Queued<Outgoing>>) {
    let mut connections = shared.connections.subscribe();
    let mut next = None;
    loop {
        let Some(first) = (match next.take() {
            Some(first) => Some(first),
            None => queue.recv().await,
        }) else {
            return;
        };
        let mut pipeline = redis::pipe();
        let (mut count, mut bytes) = (0, 0);
        let mut flushes = Vec::new();
        // They are given back when the server has answered.
        let mut rooms = Vec::new();
        let mut adding = Some(first);
        while let Some(Queued { item, room }) = adding.take() {
            rooms.push(room);
            match item {
                Outgoing::Message { subject, payload } => {
                    let channel = format!("{}{subject}", shared.options.prefix);
                    pipeline.cmd("PUBLISH").arg(channel).arg(&payload[..]);
                    count += 1;
                    bytes += payload.len();
                }
                Outgoing::Flush(done) => flushes.push(done),
            }
            next = queue.try_recv().ok();
            if count < BATCH && bytes < BATCH_BYTES {
                adding = next.take();
            }
        }
        let current = connections.borrow_and_update().clone();
        let answers = match current {
            _ if count == 0 => Some(Vec::new()),
            Some(mut current) => tokio::select! {
                biased;
                answers = current.messages.req_packed_commands(&pipeline, 0, count) => answers.ok(),
                // It would wait for a server that is away.
                _ = connections.changed() => None,
            },
            None => None,
        };
        drop(rooms);
        let counters = &shared.state.counters;
        match answers {
            Some(answers) => {
                let errors = answers.iter().filter(|answer| matches!(answer, Value::ServerError(_))).count();
                counters.forbidden(errors as u64);
            }
            None => counters.lost(count as u64),
        }
        for done in flushes {
            _ = done.send(());
        }
    }
}
