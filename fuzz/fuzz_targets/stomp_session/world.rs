//! A server with several clients, and what an input does with them.

use std::{
    collections::BTreeMap,
    num::NonZero,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum_stomp::{
    Access, Bytes, ClientSend, Credentials, Decision, Denial, Event, Headers, Login, Rejection, SendTo,
    SendToUser, Session, Stomp, StompOptions, StompServer, Version,
    broker::memory::{MemoryBroker, QueueMode},
    outbox::Overflow,
};
use stomp_codec::{Decoder, Limits};
use tokio::{
    io::duplex,
    runtime::Handle,
    task::yield_now,
    time::{sleep, timeout},
};

use super::{
    client::Client,
    input::{Cell, Cells, Settings},
    ledger::{Ledger, Watched},
};

const CLIENTS: usize = 4;

/// Enough for everything that can be told apart.
const MAX_STEPS: usize = 160;

const MAX_HEADERS: usize = 12;
const MAX_LINE: usize = 300;
const MAX_BODY: usize = 8192;

/// What the stream below a session holds for its client, and the most that is in one piece of it.
const STREAM_BYTES: usize = 64 << 10;
const LONGEST_FRAME: usize = MAX_BODY + MAX_HEADERS * MAX_LINE + 512;

const DESTINATIONS: [&str; 36] = [
    "/topic/a",
    "/topic/b",
    "/topic/a/b",
    "/topic/*",
    "/topic/**",
    "/topic/{x}/b",
    "/topic/a?*",
    "/queue/a",
    "/queue/b",
    "/queue/c",
    "/queue/a",
    "/user/queue/x",
    "/user/queue/errors",
    "/user/queue/**",
    "/user/**",
    "/user/alice/queue/x",
    "/user/bob/queue/y",
    "/user/a%2Fb/queue/x",
    "/user/queue/echo",
    "/app/echo",
    "/app/parallel/1",
    "/app/parallel/2",
    "/app/reply",
    "/app/fail",
    "/app/answer/x",
    "/app/slow",
    "/app/topic/z",
    "/app/queue/a",
    "/app/close",
    "/app/none",
    "/reply-queue/x",
    "/temp-queue/t",
    "/topic",
    "/nowhere",
    "",
    "/topic/\u{e9} x\\c",
];

#[derive(Default)]
struct Told {
    connected: u32,
    disconnected: u32,
    subscriptions: i64,
}

type Tellings = Arc<Mutex<BTreeMap<String, Told>>>;

fn tell(told: &mut BTreeMap<String, Told>, event: &Event) {
    let id = |session: &Session| session.id().to_string();
    match event {
        Event::Connected(session) => told.entry(id(session)).or_default().connected += 1,
        Event::Subscribed(session, _) => {
            let told = told.get_mut(&id(session)).expect("connected before");
            assert_eq!(told.disconnected, 0);
            told.subscriptions += 1;
        }
        Event::Unsubscribed(session, _) => {
            let told = told.get_mut(&id(session)).expect("connected before");
            assert_eq!(told.disconnected, 0);
            told.subscriptions -= 1;
        }
        Event::Disconnected(session, _) => {
            told.get_mut(&id(session)).expect("connected before").disconnected += 1;
        }
        _ => {}
    }
}

async fn echo(body: Bytes) -> SendToUser<Bytes> {
    SendToUser::new("/queue/echo", body)
}

async fn parallel(body: Bytes) -> SendToUser<Bytes> {
    sleep(Duration::from_millis(body.len() as u64)).await;
    SendToUser::new("/queue/echo", body).this_session_only()
}

async fn slow(body: Bytes) -> SendTo<Bytes> {
    sleep(Duration::from_millis(400)).await;
    SendTo::new("/topic/a", body)
}

async fn reply(headers: Headers, body: Bytes) -> Option<SendTo<Bytes>> {
    headers.get("reply-to").map(|name| SendTo::new(name.to_owned(), body))
}

async fn fail() -> Result<(), Rejection> {
    Err(Rejection::new("no"))
}

async fn close(session: Session) {
    session.close("by a handler");
}

async fn connect(credentials: Option<Credentials>) -> Result<Login, Rejection> {
    match credentials {
        Some(credentials) if credentials.passcode.as_deref() == Some("late") => {
            Ok(Login::new(credentials.login).expires_in(Duration::from_secs(20)))
        }
        Some(credentials) if credentials.passcode.as_deref() == Some("no") => Err(Rejection::new("no")),
        Some(credentials) => Ok(Login::new(credentials.login)),
        None => Ok(Login::anonymous()),
    }
}

async fn rule(access: Access) -> Decision {
    match &*access.destination {
        "/topic/b" => Decision::Deny,
        "/queue/c" => Decision::Refuse,
        "/topic/a?*" => Decision::Close,
        _ => Decision::Allow,
    }
}

struct World {
    server: StompServer,
    broker: MemoryBroker,
    ledger: Ledger,
    told: Tellings,
    limits: Limits,
    lenient: bool,
    /// Whether a client may keep a session by reading nothing.
    is_patient: bool,
    pipe: usize,
    outbound: usize,
    clients: [Option<Client>; CLIENTS],
    /// It reads at once, and has subscribed to all topics.
    observer: Option<Client>,
    observed_from: u64,
    /// Those that have been replaced.
    former: Vec<Client>,
    receipts: usize,
    /// How the next frame is changed.
    change: Option<(u8, u8, u8)>,
    /// The last frame.
    frame: Vec<u8>,
}

impl World {
    fn new(settings: Settings) -> Self {
        let [choice, queues, sizes, beats, rules, ..] = settings.0;
        let pick = |byte: u8, shift: u8, from: [usize; 4]| from[usize::from(byte >> shift & 3)];
        let overflow = [Overflow::Close, Overflow::DropOldest, Overflow::DropNewest, Overflow::KeepNewest];
        let outbound = pick(sizes, 0, [1024, 200, 4096, 0]);
        let lenient = choice & 4 != 0;
        // Small enough for an input to come to every bound.
        let mut options = StompOptions::new()
            .client_send(ClientSend::HANDLERS.broker(rules & 1 == 0).users(rules & 2 == 0))
            .max_headers(MAX_HEADERS)
            .max_line_bytes(MAX_LINE)
            .max_head_bytes(2000)
            .max_body_bytes(MAX_BODY)
            .max_subscriptions(6)
            .max_subscription_bytes(400)
            .max_transactions(2)
            .max_transaction_frames(6)
            .max_transaction_bytes(9000)
            .max_unacknowledged(NonZero::new(pick(sizes, 2, [3, 1, 2, 100])).expect("more than none"))
            .max_parallel_handlers(NonZero::new(pick(sizes, 4, [2, 1, 3, 16])).expect("more than none"))
            .lenient_escapes(lenient)
            .outbound_bytes(outbound)
            .overflow(overflow[usize::from(choice & 3)]);
        let is_patient = choice & 8 != 0;
        if is_patient {
            options = options.send_timeout(None);
        }
        if choice & 16 != 0 {
            options = options.denial(Denial::Refuse);
        }
        if choice & 32 != 0 {
            options = options.frame_rate(NonZero::new(5));
        }
        if beats & 1 != 0 {
            options = options.heart_beat(Duration::from_secs(2), Duration::from_secs(2));
        }
        if beats & 2 != 0 {
            options = options.min_read_timeout(Duration::from_secs(75));
        }
        let competes = queues & 1 == 0;
        let mode = if competes { QueueMode::Competing } else { QueueMode::Broadcast };
        let ledger = Ledger::default();
        let dead = ledger.clone();
        let broker = MemoryBroker::builder()
            .queue_mode(mode)
            .max_deliveries(pick(queues, 1, [3, 1, 0, 100]) as u32)
            .max_queue_messages(pick(queues, 3, [10_000, 1, 4, 20]))
            .max_total_queue_bytes(pick(queues, 5, [1 << 20, 1 << 20, 5000, 20_000]))
            .max_queues(if queues & 128 == 0 { 100 } else { 1 })
            .max_patterns(3)
            .max_segments(8)
            .on_dead_letter(move |message| dead.dead(message))
            .build();
        let told: Tellings = Arc::default();
        let events = told.clone();
        let watched = Watched { inner: broker.clone(), ledger: ledger.clone(), competes };
        let mut stomp = Stomp::<()>::new()
            .options(options)
            .broker(watched)
            .message("/echo", echo)
            .message_parallel("/parallel/{id}", parallel)
            .message("/reply", reply)
            .message("/fail", fail)
            .message("/slow", slow)
            .message("/close", close)
            .message("/topic/{name}", async |body: Bytes| SendTo::new("/topic/z", body))
            .message("/queue/a", async |body: Bytes| SendTo::new("/queue/a", body))
            .subscribe("/answer/{*rest}", async || "answer")
            .on_event(move |event, _| tell(&mut events.lock().expect("no panic"), event));
        if rules & 4 != 0 {
            stomp = stomp.authorize(rule);
        }
        if rules & 8 == 0 {
            stomp = stomp.on_connect(connect);
        }
        let limits = Limits::new()
            .max_headers(MAX_HEADERS)
            .max_line_bytes(MAX_LINE)
            .max_head_bytes(2000)
            .max_body_bytes(MAX_BODY);
        Self {
            server: stomp.build(),
            broker,
            ledger,
            told,
            limits,
            lenient,
            is_patient,
            pipe: pick(choice, 6, [4096, 1024, 64, 7]),
            outbound,
            clients: [const { None }; CLIENTS],
            observer: None,
            observed_from: 0,
            former: Vec::new(),
            receipts: 0,
            change: None,
            frame: Vec::new(),
        }
    }

    fn open(&mut self, pipe: usize) -> Client {
        let (io, end) = duplex(pipe);
        let server = self.server.clone();
        let serving = tokio::spawn(async move { server.serve_stream(end, None, ()).await });
        let sent = Decoder::of_client(self.limits).lenient_escapes(self.lenient);
        Client::new(io, serving, self.ledger.clone(), sent)
    }

    fn all(&mut self) -> impl Iterator<Item = &mut Client> {
        self.clients.iter_mut().flatten().chain(&mut self.observer)
    }

    /// Lets all go on until nothing more is sent, for a bounded number of turns.
    async fn turns(&mut self, most: usize) {
        for _ in 0..most {
            yield_now().await;
            let mut is_busy = false;
            for client in self.all() {
                is_busy |= client.turn();
            }
            if !is_busy {
                break;
            }
        }
    }

    /// Lets all go on until nothing happens any more without the clock.
    async fn settle(&mut self) {
        loop {
            sleep(Duration::from_millis(1)).await;
            let mut is_busy = false;
            for client in self.all() {
                is_busy |= client.turn();
            }
            if !is_busy {
                break;
            }
        }
    }

    fn receipt(&mut self, headers: &mut String, is_wanted: bool) {
        if is_wanted {
            self.receipts += 1;
            headers.push_str(&format!("receipt:r{}\n", self.receipts));
        }
    }

    /// A client, which connects if it has not, or has been closed: most steps are of use only then.
    fn client(&mut self, place: u8) -> &mut Client {
        let place = usize::from(place) % CLIENTS;
        if let Some(over) = self.clients[place].take_if(|client| client.is_closed()) {
            self.former.push(over);
        }
        if self.clients[place].is_none() {
            let mut client = self.open(self.pipe);
            let version = ["1.2", "1.1", "1.0", "1.2"][place];
            let login = ["login:alice\npasscode:p\n", "", "login:bob\npasscode:p\n", ""][place];
            client.send(format!("CONNECT\naccept-version:{version}\n{login}\n\0").as_bytes());
            client.turn();
            self.clients[place] = Some(client);
        }
        self.clients[place].as_mut().expect("it is there")
    }

    /// Makes sure that a transaction is open, or is not.
    fn transact(&mut self, place: u8, number: u8, is_open: bool) {
        let client = self.client(place);
        if client.has_begun(number) != is_open {
            let command = if is_open { "BEGIN" } else { "COMMIT" };
            client.send(format!("{command}\ntransaction:t{number}\n\n\0").as_bytes());
        }
    }

    /// Sends a frame, as it is or changed.
    fn send(&mut self, place: u8, head: &str, body: &[u8]) {
        let mut frame = [head.as_bytes(), b"\n", body, b"\0"].concat();
        if let Some((kind, at, byte)) = self.change.take() {
            let at = usize::from(at) * frame.len() / 256;
            let special = b"\0\n\r:\\cn /*?{}-,0129\xff\xc3 /";
            let byte = special.get(usize::from(byte)).copied().unwrap_or(byte);
            match kind % 6 {
                0 => frame[at] = byte,
                1 => frame.insert(at, byte),
                2 => _ = frame.remove(at),
                3 => frame.truncate(at),
                4 => _ = frame.drain(..at),
                _ => frame = String::from_utf8_lossy(&frame).replace('\n', "\r\n").into_bytes(),
            }
        }
        self.client(place).send(&frame);
        self.frame = frame;
    }

    async fn step(&mut self, cell: Cell, cells: &mut Cells<'_>) {
        let Cell { kind, a, b, c } = cell;
        let place = a & 3;
        let flag = |bit: u8| c >> bit & 1 != 0;
        let destination = DESTINATIONS[usize::from(b) % DESTINATIONS.len()];
        match kind % 32 {
            0 => self.settle().await,
            // A client that connects, in place of another one or once more.
            1 => {
                let place = usize::from(place);
                if a & 128 == 0 {
                    if let Some(mut former) = self.clients[place].take() {
                        former.vanish();
                        self.former.push(former);
                    }
                }
                if self.clients[place].is_none() {
                    self.clients[place] = Some(self.open(self.pipe));
                }
                let place = a & 3;
                let versions = ["1.2", "1.1", "1.0", "1.0,1.1,1.2", "1.1,9", "9", "", " 1.2 , 1.0"];
                let beats =
                    ["0,0", "0,1000", "1000,0", "3000,3000", "1,1", "x", "99999999999999999999,5", "0,0"];
                let logins = [
                    "",
                    "login:alice\npasscode:p\n",
                    "login:bob\npasscode:late\n",
                    "login:a/b\npasscode:no\n",
                ];
                let mut head = String::from(if flag(6) { "STOMP\n" } else { "CONNECT\n" });
                if !flag(7) {
                    head.push_str(&format!("accept-version:{}\n", versions[usize::from(c & 7)]));
                }
                head.push_str(&format!("heart-beat:{}\n", beats[usize::from(b & 7)]));
                head.push_str(logins[usize::from(b >> 3 & 3)]);
                self.send(place, &head, b"");
            }
            2..=5 => {
                let ack = ["", "ack:client\n", "ack:client-individual\n", "ack:client\nprefetch-count:1\n"];
                let mut head = format!("SUBSCRIBE\ndestination:{destination}\n");
                // One that is in use ends the session.
                let id = if b < 216 { self.client(place).free_id(c & 7) } else { c & 7 };
                if id < 7 {
                    head.push_str(&format!("id:s{id}\n"));
                }
                head.push_str(ack[usize::from(c >> 3 & 3)]);
                self.receipt(&mut head, flag(5));
                self.send(place, &head, b"");
            }
            6 => {
                let mut head = String::from("UNSUBSCRIBE\n");
                head.push_str(&match c & 7 {
                    7 => format!("destination:{destination}\n"),
                    id => format!("id:s{id}\n"),
                });
                self.receipt(&mut head, flag(5));
                self.send(place, &head, b"");
            }
            7..=10 => {
                let reply_to = self.client(place).reply_to.clone();
                let destination = match (b, reply_to) {
                    (200.., Some(name)) => name,
                    (128..=199, _) => format!("/topic/{b}"),
                    _ => destination.to_owned(),
                };
                let mut head = format!("SEND\ndestination:{destination}\n");
                self.receipt(&mut head, flag(3));
                if flag(4) {
                    self.transact(place, c >> 5 & 1, true);
                    head.push_str(&format!("transaction:t{}\n", c >> 5 & 1));
                }
                if flag(6) {
                    head.push_str("reply-to:/temp-queue/t\nx:\\c\\n a\n");
                }
                let body = vec![if flag(7) { 0 } else { b'x' }; LENGTHS[usize::from(c & 7)]];
                if flag(7) {
                    head.push_str(&format!("content-length:{}\nreply-to:/topic/b\n", body.len()));
                }
                self.send(place, &head, &body);
            }
            11..=13 => {
                let client = self.client(place);
                let (version, read) = (client.version, &client.read);
                let (subscription, id) = match read.len().checked_sub(1 + usize::from(b & 63)) {
                    Some(at) if b < 240 => read[at].clone(),
                    None if b < 240 => return,
                    _ => (format!("s{}", b & 3), format!("{}-{}", b >> 2 & 3, b >> 4 & 3)),
                };
                let mut head = match version {
                    Version::V1_2 => format!("ACK\nid:{id}\n"),
                    _ => format!("ACK\nmessage-id:{id}\nsubscription:{subscription}\n"),
                };
                if flag(0) {
                    head.insert(0, 'N');
                    if flag(1) {
                        head.push_str("requeue:false\n");
                    }
                }
                self.receipt(&mut head, flag(2));
                if flag(3) {
                    self.transact(place, c >> 5 & 1, true);
                    head.push_str(&format!("transaction:t{}\n", c >> 5 & 1));
                }
                self.send(place, &head, b"");
            }
            14 | 15 => {
                if b < 128 {
                    self.transact(place, c & 1, matches!(b & 3, 1 | 2));
                }
                let mut head = format!(
                    "{}\ntransaction:t{}\n",
                    ["BEGIN", "COMMIT", "ABORT", "BEGIN"][usize::from(b & 3)],
                    c & 1
                );
                self.receipt(&mut head, flag(2));
                self.send(place, &head, b"");
            }
            16 => {
                let mut head = String::from("DISCONNECT\n");
                self.receipt(&mut head, flag(0));
                self.send(place, &head, b"");
            }
            17 => {
                let raw = cells.raw(usize::from(b)).to_vec();
                self.client(place).send(&raw);
            }
            18 | 19 => {
                self.change = Some((a, b, c));
                return;
            }
            // The last frame again.
            20 => {
                let frame = self.frame.repeat(usize::from(b & 15));
                self.client(place).send(&frame);
            }
            21 => {
                let client = self.client(place);
                match c & 3 {
                    0 => client.vanish(),
                    1 => client.shutdown(),
                    2 => client.serving.abort(),
                    _ => client.send(b"\n"),
                }
            }
            22 => {
                let client = self.client(place);
                client.reads = flag(0);
                if flag(1) {
                    client.read(usize::from(b) * 16);
                }
            }
            23 => {
                let client = self.client(place);
                client.piece = [usize::MAX, 50, 9, 1][usize::from(c & 3)];
                client.is_held = flag(2);
            }
            24 | 25 => {
                let millis = [0, 1, 100, 500, 1500, 4000, 9000, 10_500, 31_000, 80_000];
                sleep(Duration::from_millis(millis[usize::from(b) % millis.len()])).await;
            }
            // The application sends.
            26..=28 => {
                let messenger = self.server.messenger();
                let body = "m".repeat(LENGTHS[usize::from(c & 7)]);
                for number in 0..=c >> 4 {
                    match place {
                        0 => {
                            let name = ["alice", "bob", "a/b", "alice"][usize::from(b & 3)];
                            let _ = messenger.send_to_user(name, "/queue/x", body.clone()).await;
                        }
                        1 => {
                            let _ = messenger.send(format!("/topic/{}", b ^ number), body.clone()).await;
                        }
                        2 => {
                            if let Some(session) = self.session(b) {
                                let _ =
                                    messenger.send_to_session(session.id(), "/queue/x", body.clone()).await;
                            }
                        }
                        _ => _ = messenger.send(destination, body.clone()).await,
                    }
                }
            }
            29 => {
                if let Some(session) = self.session(b) {
                    session.close("by the application");
                }
            }
            30 => {
                if self.observer.is_none() {
                    let mut observer = self.open(4096);
                    observer.send(
                        b"CONNECT\naccept-version:1.1\n\n\0SUBSCRIBE\nid:o\ndestination:/topic/**\n\n\0",
                    );
                    self.observer = Some(observer);
                    self.settle().await;
                    self.observed_from = self.ledger.count();
                }
            }
            _ => {
                // Nobody is disturbed by being looked at.
                let registry = self.server.registry();
                let _ = (
                    registry.users(),
                    registry.find_subscriptions(|_| true),
                    self.server.stats(),
                    self.broker.stats(),
                );
            }
        }
        self.turns(24).await;
    }

    fn session(&self, place: u8) -> Option<Session> {
        let client = self.clients[usize::from(place) % CLIENTS].as_ref()?;
        let sessions = self.server.registry().sessions();
        sessions.into_iter().find(|session| Some(session.id().to_string()) == client.session)
    }

    /// Whoever reads at once gets all that is sent to topics, in order.
    fn check_observer(&self) {
        let Some(observer) = &self.observer else { return };
        if observer.is_connected() && self.server.stats().dropped == 0 {
            let sent = self.ledger.of_topics(self.observed_from);
            // It may have got some while it was not certain yet that it had subscribed.
            let since = observer.numbers.iter().copied().filter(|number| *number >= self.observed_from);
            assert_eq!(since.collect::<Vec<_>>(), sent);
        }
    }

    /// What waits for a client that does not read is bounded.
    async fn check_bounds(&mut self) {
        let sessions = self.server.registry().sessions();
        let most = self.pipe + STREAM_BYTES + self.outbound + 2 * LONGEST_FRAME + 24 * (MAX_LINE + 50);
        for client in
            self.clients.iter_mut().flatten().filter(|client| client.is_connected() && !client.reads)
        {
            let session = sessions.iter().find(|session| Some(session.id().to_string()) == client.session);
            let Some(session) = session else { continue };
            // Nothing is added from now on.
            session.close("enough");
            let before = client.read_bytes;
            while client.read(usize::MAX) {
                sleep(Duration::from_millis(1)).await;
            }
            let waited = client.read_bytes - before;
            assert!(waited <= most, "{waited} bytes have waited, and {most} may");
        }
    }

    /// Ends everything, and looks at what is left.
    async fn end(mut self, ending: u8, is_ruled: bool) {
        self.settle().await;
        self.check_observer();
        let connected = self.clients.iter().flatten().filter(|client| client.is_connected() && client.reads);
        self.ledger.check_idle(&connected.filter_map(|client| client.session.as_deref()).collect());
        if ending & 1 != 0 {
            self.check_bounds().await;
        }
        // They leave in several ways.
        let all = self.clients.iter_mut().filter_map(Option::take).chain(self.observer.take());
        let mut clients: Vec<_> = all.collect();
        for (place, client) in clients.iter_mut().enumerate() {
            match (ending >> 1).wrapping_add(place as u8) & 3 {
                0 => client.shutdown(),
                1 => client.serving.abort(),
                _ => client.vanish(),
            }
            if ending & 8 != 0 {
                yield_now().await;
            }
        }
        for client in clients.iter_mut().chain(&mut self.former) {
            if self.is_patient {
                client.vanish();
            }
            let ended =
                timeout(Duration::from_secs(600), &mut client.serving).await.expect("the session ends");
            assert!(ended.is_ok() || ended.is_err_and(|error| error.is_cancelled()));
        }
        self.check_queues(is_ruled).await;
        // The handlers that run beside sessions, and the tasks that write.
        sleep(Duration::from_secs(30)).await;
        assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
        assert!(self.server.registry().is_empty() && self.server.registry().users().is_empty());
        let stats = self.broker.stats();
        assert_eq!(
            (stats.sessions, stats.users, stats.subscriptions, stats.topics, stats.patterns),
            (0, 0, 0, 0, 0)
        );
        let told = self.told.lock().expect("no panic");
        for (session, told) in &*told {
            assert_eq!((told.connected, told.disconnected, told.subscriptions), (1, 1, 0), "{session}");
        }
        let stats = self.server.stats();
        let ended: u64 = stats.disconnected.values().sum();
        assert_eq!(
            (stats.sessions, stats.users, stats.connected, ended),
            (0, 0, told.len() as u64, told.len() as u64)
        );
    }

    /// Takes what is left in the queues: all that has not been settled, in order.
    async fn check_queues(&mut self, is_ruled: bool) {
        let waiting = self.ledger.waiting();
        let queued = self.broker.stats().queued_messages;
        let (most, least) = (waiting.len(), waiting.len().saturating_sub(waiting.uncertain));
        assert!((least..=most).contains(&queued), "{queued} are left of {waiting:?}");
        if queued == 0 {
            let stats = self.broker.stats();
            assert_eq!((stats.queues, stats.queued_bytes), (0, 0));
            return;
        }
        if is_ruled || waiting.queues.keys().any(|name| !DESTINATIONS.contains(&&**name)) {
            return;
        }
        let mut client = self.open(4096);
        client.send(b"CONNECT\naccept-version:1.2\n\n\0");
        let mut left = queued;
        for (place, (name, numbers)) in waiting.queues.iter().enumerate() {
            let (first, first_read) = (client.numbers.len(), client.read.len());
            let subscribe = format!("SUBSCRIBE\nid:{place}\nack:client-individual\ndestination:{name}\n\n\0");
            client.send(subscribe.as_bytes());
            let (mut acknowledged, mut idle) = (first_read, 0);
            // The session may be allowed so few frames a second that its acknowledgements take their time.
            while idle < 60 {
                sleep(Duration::from_secs(1)).await;
                idle = if client.turn() { 0 } else { idle + 1 };
                while acknowledged < client.read.len() {
                    let ack = format!("ACK\nid:{}\n\n\0", client.read[acknowledged].1);
                    client.send(ack.as_bytes());
                    acknowledged += 1;
                }
            }
            let drained = &client.numbers[first..];
            assert!(drained.is_sorted() && drained.iter().all(|number| numbers.contains(number)));
            left -= drained.len();
            client.send(format!("UNSUBSCRIBE\nid:{place}\n\n\0").as_bytes());
        }
        assert_eq!(left, 0, "{waiting:?}");
        client.turn();
        sleep(Duration::from_secs(2)).await;
        client.vanish();
        timeout(Duration::from_secs(60), client.serving).await.expect("the session ends").expect("no panic");
        let stats = self.broker.stats();
        assert_eq!((stats.queues, stats.queued_messages, stats.queued_bytes), (0, 0, 0));
    }
}

/// Runs an input.
pub async fn run(data: &[u8]) {
    let (settings, mut cells) = Cells::new(data);
    let mut world = World::new(settings);
    for _ in 0..MAX_STEPS {
        let Some(cell) = cells.next() else { break };
        world.step(cell, &mut cells).await;
    }
    let [_, _, _, _, rules, ending, ..] = settings.0;
    world.end(ending, rules & 4 != 0).await;
}

const LENGTHS: [usize; 8] = [1, 0, 20, 60, 255, 1000, 4000, MAX_BODY];
