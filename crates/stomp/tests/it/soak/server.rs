//! The server, and what it has told.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, routing::any_service};
use axum_sockjs::{Origins, SockJsHandle};
use axum_stomp::{
    Bytes, ClientSend, Credentials, Encoded, Event, Login, Messenger, Rejection, SendToUser, Session,
    SessionId, Stomp, StompOptions, StompServer,
    broker::memory::{MemoryBroker, QueueMode},
};
use tokio::{
    net::TcpListener,
    time::{Instant, sleep},
};

use super::{ledger::Watched, peer::Shared, wire::Addresses};

/// A message of a flood.
const PIECE: usize = 16 << 10;

/// How long a client that reads all of it gets some: a turn of the executor takes long on a busy machine.
const FLOOD: Duration = Duration::from_secs(5);

/// The sessions that have begun and not ended, with their subscriptions, as the events tell.
#[derive(Debug, Default, Clone)]
pub(super) struct Events(Arc<Mutex<Told>>);

#[derive(Debug, Default)]
struct Told {
    open: HashMap<SessionId, HashSet<u32>>,
    connected: u64,
    failures: Vec<String>,
}

impl Events {
    fn tell(&self, event: &Event) {
        let mut told = self.0.lock().expect("nobody panics with it");
        let is_right = match event {
            Event::Connected(session) => {
                told.connected += 1;
                told.open.insert(session.id(), HashSet::new()).is_none()
            }
            Event::Subscribed(session, subscription) => told
                .open
                .get_mut(&session.id())
                .is_some_and(|subscriptions| subscriptions.insert(subscription.serial())),
            Event::Unsubscribed(session, subscription) => told
                .open
                .get_mut(&session.id())
                .is_some_and(|subscriptions| subscriptions.remove(&subscription.serial())),
            Event::Disconnected(session, _) => {
                told.open.remove(&session.id()).is_some_and(|subscriptions| subscriptions.is_empty())
            }
            _ => false,
        };
        if !is_right {
            told.failures.push(format!("{event:?}"));
        }
    }

    /// Whether all that has begun has ended, exactly once.
    pub(super) fn check(&self, connected: u64) {
        let told = self.0.lock().expect("nobody panics with it");
        assert_eq!(told.failures, [""; 0]);
        assert_eq!((told.open.len(), told.connected), (0, connected));
    }
}

/// The server, with SockJS at `/stomp`, WebSocket at `/ws` and a port for TCP.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) stomp: StompServer,
    pub(super) broker: MemoryBroker,
    pub(super) events: Events,
    pub(super) addresses: Addresses,
    sockjs: SockJsHandle,
}

async fn connect(credentials: Credentials) -> Result<Login, Rejection> {
    if credentials.passcode.as_deref() == Some("good") {
        Ok(Login::new(credentials.login))
    } else {
        Err(Rejection::new("wrong passcode"))
    }
}

async fn echo(body: Bytes) -> SendToUser<Encoded> {
    SendToUser::new("/queue/echo", Encoded::new(body)).this_session_only()
}

async fn slow() {
    sleep(Duration::from_millis(20)).await;
}

/// Sends until the client is found not to read, or has gone. One that reads all is closed.
async fn flood(messenger: Messenger, session: Session) {
    let start = Instant::now();
    while start.elapsed() < FLOOD {
        let piece = "x".repeat(PIECE);
        _ = messenger.send_to_session(session.id(), "/queue/flood", piece).await;
        if session.is_closed() {
            return;
        }
        tokio::task::yield_now().await;
    }
    session.close("enough");
}

async fn kick(session: Session) {
    session.close("as you wish");
}

impl Server {
    pub(super) async fn start(shared: &Shared) -> Self {
        let dead = shared.ledger.clone();
        let broker = MemoryBroker::builder()
            .queue_mode(QueueMode::Competing)
            .max_queue_messages(1000)
            .max_deliveries(6)
            .on_dead_letter(move |letter| dead.dead(letter))
            .build();
        let options = StompOptions::new()
            .client_send(ClientSend::HANDLERS.broker(true).users(true))
            .connect_timeout(Duration::from_secs(2))
            .min_heart_beat(Duration::from_millis(100))
            .outbound_bytes(128 << 10)
            .send_timeout(Duration::from_secs(2));
        let (events, watched) = (Events::default(), Watched::new(broker.clone(), shared.ledger.clone()));
        let told = events.clone();
        let stomp = Stomp::new()
            .broker(watched)
            .options(options)
            .on_connect(connect)
            .on_event(move |event, _| told.tell(event))
            .message("/echo", echo)
            .message("/slow", slow)
            .message_parallel("/parallel", slow)
            .message("/flood", flood)
            .message("/kick", kick)
            .subscribe("/hello", async || "hello")
            .build();
        let options = stomp
            .sockjs_options()
            .origins(Origins::any())
            .heartbeat(Duration::from_millis(500))
            .disconnect_delay(Duration::from_secs(2))
            .pong_timeout(Duration::from_secs(2))
            .response_limit(32 << 10);
        let sockjs = stomp.sockjs_with(options);
        let handle = sockjs.handle();
        let raw = any_service(sockjs.raw_websocket());
        let app = Router::new().route("/ws", raw).merge(sockjs.into_router("/stomp"));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port of loopback is free");
        let tcp = TcpListener::bind("127.0.0.1:0").await.expect("a port of loopback is free");
        let addr = |listener: &TcpListener| listener.local_addr().expect("it listens");
        let addresses = Addresses { http: addr(&listener), tcp: addr(&tcp) };
        let service = app.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(axum::serve(listener, service).into_future());
        tokio::spawn(stomp.tcp(tcp, ()).into_future());
        Self { stomp, broker, events, addresses, sockjs: handle }
    }

    /// What is left of sessions, if there is something.
    pub(super) fn remains(&self) -> Option<String> {
        let (stats, registry) = (self.broker.stats(), self.stomp.registry());
        let of_broker = [stats.sessions, stats.users, stats.subscriptions, stats.topics, stats.patterns];
        let is_empty = of_broker.iter().all(|count| *count == 0)
            && registry.is_empty()
            && registry.users().is_empty()
            && self.sockjs.is_empty();
        (!is_empty).then(|| format!("{stats:?}, {registry:?}, {} over SockJS", self.sockjs.len()))
    }
}
