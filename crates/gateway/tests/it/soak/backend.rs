//! A backend that fails in every manner, and notes whose sessions that disturbs.

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Error, Message,
        handshake::server::{ErrorResponse, Request, Response},
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

/// A message of a flood.
const PIECE: usize = 16 << 10;

/// What a backend is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    Well,
    /// Takes no new connections: 503.
    Refuses,
    /// Takes its time for each message.
    Slow,
    /// Neither reads nor answers.
    Hangs,
    /// Ends what it has.
    Ends(End),
}

/// How connections are ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// By a reset.
    Reset,
    /// By the end of the stream, without a close frame.
    Gone,
    /// By a close frame with 1012.
    Restarts,
}

/// The numbers of the clients whose backend has failed them.
#[derive(Debug, Clone, Default)]
pub(super) struct Disturbed(Arc<Mutex<HashSet<u64>>>);

impl Disturbed {
    pub(super) fn contains(&self, client: u64) -> bool {
        self.0.lock().unwrap().contains(&client)
    }

    fn extend(&self, clients: impl IntoIterator<Item = u64>) {
        self.0.lock().unwrap().extend(clients);
    }
}

#[derive(Debug, Default)]
struct Clients {
    open: HashSet<u64>,
    opened: usize,
    /// Whoever comes now is disturbed too.
    are_disturbed: bool,
}

#[derive(Debug)]
struct Shared {
    mood: watch::Sender<Mood>,
    clients: Mutex<Clients>,
    disturbed: Disturbed,
    connections: AtomicUsize,
}

impl Shared {
    fn clients(&self) -> MutexGuard<'_, Clients> {
        self.clients.lock().unwrap()
    }

    fn open(&self, client: u64) {
        let mut clients = self.clients();
        clients.open.insert(client);
        clients.opened += 1;
        if clients.are_disturbed {
            self.disturbed.extend([client]);
        }
    }
}

pub(super) struct Backend {
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

impl Backend {
    pub(super) async fn start(disturbed: &Disturbed) -> Self {
        let shared = Shared {
            mood: watch::Sender::new(Mood::Well),
            clients: Mutex::default(),
            disturbed: disturbed.clone(),
            connections: AtomicUsize::new(0),
        };
        let mut backend =
            Self { address: ([127, 0, 0, 1], 0).into(), shared: Arc::new(shared), accepting: None };
        backend.listen().await;
        backend
    }

    async fn listen(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.address = listener.local_addr().unwrap();
        let shared = self.shared.clone();
        self.accepting = Some(tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                connections.spawn(serve(tcp, shared.clone()));
                while connections.try_join_next().is_some() {}
            }
        }));
    }

    /// Its connections.
    pub(super) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// The sessions that it has been given.
    pub(super) fn opened(&self) -> usize {
        self.shared.clients().opened
    }

    /// Goes on in another mood.
    pub(super) fn be(&self, mood: Mood) {
        let disturbs = matches!(mood, Mood::Hangs | Mood::Ends(_));
        let mut clients = self.shared.clients();
        clients.are_disturbed = disturbs;
        if disturbs {
            self.shared.disturbed.extend(clients.open.iter().copied());
        }
        drop(clients);
        self.shared.mood.send_replace(mood);
    }

    /// Ends all connections and listens no more, for a while.
    pub(super) async fn restart(&mut self, end: End, pause: Duration) {
        self.be(Mood::Ends(end));
        // The listener alone; the connections end by themselves.
        let Some(accepting) = self.accepting.take() else { return };
        let all_ended = async {
            while self.connections() > 0 {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(20), all_ended).await.expect("connections end that are ended");
        accepting.abort();
        _ = accepting.await;
        sleep(pause).await;
        self.be(Mood::Well);
        self.listen().await;
    }
}

/// A connection that is counted, and the client for which it has been opened.
struct Connection {
    shared: Arc<Shared>,
    client: Option<u64>,
}

impl Connection {
    fn new(shared: Arc<Shared>) -> Self {
        shared.connections.fetch_add(1, Ordering::SeqCst);
        Self { shared, client: None }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(client) = self.client {
            self.shared.clients().open.remove(&client);
        }
        self.shared.connections.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn serve(tcp: TcpStream, shared: Arc<Shared>) {
    let mut connection = Connection::new(shared.clone());
    tcp.set_nodelay(true).ok();
    let mut mood = shared.mood.subscribe();
    if mood.wait_for(|mood| *mood != Mood::Hangs).await.is_err() {
        return;
    }
    #[expect(clippy::result_large_err, reason = "the library's type")]
    let answer = |request: &Request, response: Response| {
        let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
        let refusal = header("x-refuse").map(|status| status.parse().unwrap());
        let refusal = refusal.or_else(|| (*shared.mood.borrow() == Mood::Refuses).then_some(503));
        if let Some(status) = refusal {
            let mut refused = ErrorResponse::new(None);
            *refused.status_mut() = status.try_into().unwrap();
            return Err(refused);
        }
        // A health check has none.
        if let Some(client) = header("x-client") {
            let client = client.parse().unwrap();
            connection.client = Some(client);
            shared.open(client);
        }
        Ok(response)
    };
    let Ok(mut socket) = accept_hdr_async(tcp, answer).await else { return };
    loop {
        let now = *mood.borrow_and_update();
        match now {
            Mood::Ends(end) => return finish(socket, end).await,
            Mood::Slow => sleep(Duration::from_millis(5)).await,
            Mood::Well | Mood::Refuses | Mood::Hangs => {}
        }
        let message = tokio::select! {
            _ = mood.changed() => continue,
            message = socket.next(), if now != Mood::Hangs => message,
        };
        let Some(Ok(message)) = message else { return };
        let acted = tokio::select! {
            acted = act(&mut socket, message) => acted,
            _ = mood.wait_for(|mood| matches!(mood, Mood::Ends(_))) => continue,
        };
        if acted.is_err() {
            return;
        }
    }
}

/// What it is asked for.
async fn act(socket: &mut WebSocketStream<TcpStream>, message: Message) -> Result<(), Error> {
    let Message::Text(text) = &message else { return Ok(()) };
    match text.split(' ').collect::<Vec<_>>()[..] {
        ["close", code, reason] => {
            let code = CloseCode::from(code.parse::<u16>().unwrap());
            socket.send(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await
        }
        ["cut"] => Err(Error::ConnectionClosed),
        ["binary"] => socket.send(Message::binary(vec![0, 255])).await,
        ["flood", count] => {
            for number in 0..count.parse().unwrap() {
                socket.send(Message::from(piece(number))).await?;
            }
            Ok(())
        }
        _ => socket.send(message).await,
    }
}

/// A message of a flood.
pub(super) fn piece(number: usize) -> String {
    format!("{number} {}", "x".repeat(PIECE))
}

#[allow(
    deprecated,
    reason = "a linger time of zero does not block, and older versions of tokio know no other way"
)]
async fn finish(mut socket: WebSocketStream<TcpStream>, end: End) {
    match end {
        End::Reset => _ = socket.get_ref().set_linger(Some(Duration::ZERO)),
        End::Gone => {}
        End::Restarts => {
            let goodbye = async {
                let frame = CloseFrame { code: CloseCode::Restart, reason: "restarts".into() };
                socket.close(Some(frame)).await.ok();
                while let Some(Ok(_)) = socket.next().await {}
            };
            // Whoever does not read is not waited for.
            _ = timeout(Duration::from_secs(1), goodbye).await;
        }
    }
}
