//! The life of a connection: made, kept, lost, made again.
//!
//! The library could connect again by itself, but waits without an end for a server that accepts a connection and says
//! nothing, and asks for no sign of life while much is published. So each connection of the library is used once.
//!
//! Imports: appends, error, options, registry, shared.

use std::{
    future::pending,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use async_nats::{Client, Event, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use sockjs_bus::{
    ConnectError, Subject,
    driver::{Back, Backoff, Front, Outgoing, Queued, State},
};
use tokio::{
    sync::{Notify, mpsc, watch},
    task::AbortHandle,
    time::timeout,
};

use crate::{
    appends,
    error::connect_error,
    options::Options,
    registry::{Entry, Registry},
    shared::Shared,
};

/// The most bytes of a message, until a server says it.
const DEFAULT_MAX_PAYLOAD: usize = 1 << 20;

/// One connection of the library.
struct Link {
    client: Client,
    /// Signalled when it is lost.
    lost: Arc<Notify>,
    /// A subscription to a subject of its own, by which the server shows that it has done all that came before.
    echo: Subscriber,
    echo_subject: String,
    echoes: u64,
}

/// The connection is lost.
struct Lost;

/// What has been started.
pub(crate) struct Running {
    pub(crate) shared: Arc<Shared>,
    pub(crate) front: Front,
    pub(crate) added: mpsc::UnboundedSender<u64>,
    pub(crate) tasks: Vec<AbortHandle>,
}

pub(crate) async fn start(options: Options) -> Result<Running, ConnectError> {
    let state = Arc::new(State::new(DEFAULT_MAX_PAYLOAD));
    let (front, back) = Front::new(Arc::clone(&state), options.queue_messages, options.queue_bytes);
    let Back { outgoing, appends, .. } = back;
    let (added, additions) = mpsc::unbounded_channel();
    let shared = Arc::new(Shared {
        options,
        registry: Registry::default(),
        state,
        client: watch::Sender::new(None),
        epoch: AtomicU64::new(0),
        store: tokio::sync::Mutex::new(None),
    });
    let first = if shared.options.wait_for_server {
        let link = connect(&shared).await?;
        shared.client.send_replace(Some(link.client.clone()));
        shared.state.connected();
        Some(link)
    } else {
        None
    };
    let tasks = vec![
        tokio::spawn(publish(Arc::clone(&shared), outgoing)).abort_handle(),
        tokio::spawn(appends::append(Arc::clone(&shared), appends)).abort_handle(),
        tokio::spawn(keep(Arc::clone(&shared), first, additions)).abort_handle(),
    ];
    Ok(Running { shared, front, added, tasks })
}

/// Connects once, and makes sure that the server answers.
async fn connect(shared: &Arc<Shared>) -> Result<Link, ConnectError> {
    let time = shared.options.connect_timeout;
    let lost = Arc::new(Notify::new());
    let attempt = async {
        let options = shared.options.library().await?;
        let told = Arc::clone(&lost);
        let weak = Arc::downgrade(shared);
        let options = options.event_callback(move |event| {
            match event {
                Event::Disconnected | Event::Closed => told.notify_one(),
                Event::SlowConsumer(_) => {
                    if let Some(shared) = weak.upgrade() {
                        shared.state.counters.overflowed();
                    }
                }
                Event::ServerError(error) => {
                    if let Some(shared) = weak.upgrade() {
                        refused(&shared, &error.to_string());
                    }
                }
                _ => {}
            }
            std::future::ready(())
        });
        let client = options.connect(shared.options.addresses()?).await.map_err(connect_error)?;
        let echo_subject = client.new_inbox();
        let unreachable = |error: async_nats::SubscribeError| ConnectError::Unreachable(Arc::new(error));
        let echo = client.subscribe(echo_subject.clone()).await.map_err(unreachable)?;
        let mut link = Link { client, lost: Arc::clone(&lost), echo, echo_subject, echoes: 0 };
        link.round_trip().await.map_err(|Lost| ConnectError::TimedOut)?;
        Ok(link)
    };
    let link = timeout(time, attempt).await.map_err(|_| ConnectError::TimedOut)??;
    shared.state.set_max_payload(link.client.server_info().max_payload);
    Ok(link)
}

/// The server's words of something that it refuses, with a subject in quotation marks.
fn refused(shared: &Shared, text: &str) {
    let lower = text.to_ascii_lowercase();
    let subject_behind = |words: &str| text[lower.find(words)? + words.len()..].split('"').nth(1);
    if let Some(subject) = subject_behind("permissions violation for subscription to ") {
        shared.registry.refuse(subject, text);
    } else if let Some(subject) = subject_behind("permissions violation for publish to ") {
        // Who appends to a stream, or asks for something, learns it by the answer that does not come.
        let is_of_streams =
            subject.strip_prefix(&shared.options.stream_name).is_some_and(|rest| rest.starts_with('.'));
        if Subject::new(subject).is_ok() && !is_of_streams {
            shared.state.counters.forbidden(1);
        }
    }
}

impl Link {
    /// Waits until the server has done all that it was asked for.
    async fn round_trip(&mut self) -> Result<(), Lost> {
        self.echoes += 1;
        let number = self.echoes.to_be_bytes();
        let payload = Bytes::copy_from_slice(&number);
        self.client.publish(self.echo_subject.clone(), payload).await.map_err(|_| Lost)?;
        while let Some(message) = self.echo.next().await {
            if message.payload[..] == number {
                return Ok(());
            }
        }
        Err(Lost)
    }

    /// Subscribes, and waits until the server has it.
    async fn subscribe(&mut self, entries: Vec<Arc<Entry>>) -> Result<(), Lost> {
        for entry in &entries {
            let subscriber = self.client.subscribe(entry.subject.to_string()).await.map_err(|_| Lost)?;
            entry.feed(subscriber);
        }
        self.round_trip().await?;
        entries.iter().for_each(|entry| entry.confirm());
        Ok(())
    }

    /// Serves new subscriptions, and asks for signs of life, until the connection is lost.
    async fn run(
        &mut self,
        registry: &Registry,
        additions: &mut mpsc::UnboundedReceiver<u64>,
        ping_interval: Duration,
    ) -> Lost {
        let lost = Arc::clone(&self.lost);
        let work = async {
            loop {
                let mut ids = Vec::new();
                let entries = match timeout(ping_interval, additions.recv_many(&mut ids, 1024)).await {
                    // The bus is dropped, and with it this task.
                    Ok(0) => pending().await,
                    Ok(_) => ids.into_iter().filter_map(|id| registry.get(id)).collect(),
                    Err(_) => Vec::new(),
                };
                if !matches!(timeout(ping_interval, self.subscribe(entries)).await, Ok(Ok(()))) {
                    return Lost;
                }
            }
        };
        tokio::select! {
            biased;
            () = lost.notified() => Lost,
            lost = work => lost,
        }
    }
}

/// Keeps a connection, one after the other.
async fn keep(shared: Arc<Shared>, first: Option<Link>, mut additions: mpsc::UnboundedReceiver<u64>) {
    let mut link = first;
    let mut is_first = link.is_none();
    let options = &shared.options;
    let mut backoff = Backoff::new(options.max_reconnect_delay);
    backoff.connected();
    loop {
        if let Some(mut link) = link.take() {
            let Lost = link.run(&shared.registry, &mut additions, options.ping_interval).await;
            shared.state.lost();
            shared.client.send_replace(None);
            shared.registry.disconnected();
        }
        let mut new = loop {
            backoff.pause().await;
            match connect(&shared).await {
                Ok(link) => break link,
                Err(error) => shared.state.failed(error),
            }
        };
        // Those that were added meanwhile are among all.
        while additions.try_recv().is_ok() {}
        let time = options.connect_timeout;
        let lost = Arc::clone(&new.lost);
        let subscribed = tokio::select! {
            biased;
            () = lost.notified() => false,
            done = timeout(time, new.subscribe(shared.registry.all())) => matches!(done, Ok(Ok(()))),
        };
        if subscribed {
            if !std::mem::take(&mut is_first) {
                shared.state.counters.reconnected();
            }
            shared.epoch.fetch_add(1, Relaxed);
            shared.client.send_replace(Some(new.client.clone()));
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

/// Hands over to the library what waits to be sent.
async fn publish(shared: Arc<Shared>, mut queue: mpsc::Receiver<Queued<Outgoing>>) {
    let mut client = shared.client.subscribe();
    // The room is given back when the library has the message.
    while let Some(Queued { item, room: _room }) = queue.recv().await {
        let (subject, payload) = match item {
            Outgoing::Message { subject, payload } => (subject, payload),
            Outgoing::Flush(done) => {
                _ = done.send(());
                continue;
            }
        };
        let current = client.borrow_and_update().clone();
        let is_sent = match current {
            Some(current) => tokio::select! {
                biased;
                sent = current.publish(subject.to_string(), payload) => sent.is_ok(),
                // It would wait for a server that is away.
                _ = client.changed() => false,
            },
            None => false,
        };
        if !is_sent {
            shared.state.counters.lost(1);
        }
    }
}

/// Waits until the server has all that the library was given, or the connection is lost.
pub(crate) async fn flush(shared: &Shared) {
    let mut client = shared.client.subscribe();
    let Some(current) = client.borrow_and_update().clone() else { return };
    // What a socket has taken may still be lost if it is closed with something unread: the server is to show that it has
    // come so far.
    let round_trip = async {
        let subject = current.new_inbox();
        let Ok(mut echo) = current.subscribe(subject.clone()).await else { return };
        if current.publish(subject, Bytes::new()).await.is_ok() {
            echo.next().await;
        }
    };
    tokio::select! {
        biased;
        () = round_trip => {}
        _ = client.changed() => {}
    }
}
