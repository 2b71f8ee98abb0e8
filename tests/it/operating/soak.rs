//! Churn over every transport, for a while: what is left afterwards must be nothing, and memory must not grow.
//!
//! `SOAK_SECONDS=600 cargo test --all-features --test it -- --ignored --exact operating::soak::churn_leaves_nothing
//! --nocapture` runs it for ten minutes, alone in its process; `scripts/test` runs one.

use std::{
    collections::BTreeMap,
    fs,
    future::Future,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum_sockjs::{Options, Session};
use futures_util::future::join_all;
use tokio::{runtime::Handle, time::sleep};

use crate::support::{
    apps::Endpoint,
    client::{Client, Frame, WAYS, Way},
    fresh_id, within,
};

/// How many clients there are at any time.
const CLIENTS: usize = 48;

/// How much more memory the process may have after the second half than after the first: what allocators keep
/// varies by some megabytes, whatever the length of the run.
const GROWTH: u64 = 12 << 20;

/// A message to a client that does not read it.
const PIECE: usize = 16 << 10;

/// Answers, and misbehaves as it is asked to.
async fn handler(mut session: Session) {
    while let Some(message) = session.recv().await {
        match message.as_str() {
            Some("close") => session.close(4001, "as you wish"),
            Some("return") => return,
            Some("flood") => {
                // Until the client is found not to read, or has gone.
                while session.send("x".repeat(PIECE)).await.is_ok() {}
            }
            _ => drop(session.send(message).await),
        }
    }
}

/// What a client does with its one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Life {
    /// Talks, and goes by closing its connection; a poll goes between two requests.
    Leave,
    /// Talks, and resets its connection.
    Reset,
    /// Talks until the server closes.
    Closed,
    /// Talks until the server's handler returns.
    Returned,
    /// Opens, and is silent on an open connection until the server gives it up.
    HalfOpen,
    /// Has much sent to it, reads none of it, and is given up by the server or resets.
    Stalled,
    /// Cuts its first request off.
    Cut,
}

const LIVES: [Life; 9] = [
    Life::Leave,
    Life::Leave,
    Life::Reset,
    Life::Reset,
    Life::Closed,
    Life::Returned,
    Life::HalfOpen,
    Life::Stalled,
    Life::Cut,
];

/// Numbers that look random and are the same in each run (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

async fn talk(client: &mut Client, numbers: &mut Numbers) {
    for round in 0..numbers.below(4) {
        let message = format!("{round} {}", "y".repeat(numbers.below(3000)));
        client.send(&[&message]).await;
        assert_eq!(next(client).await, Frame::messages(&[&message]), "{}", client.way.transport);
    }
}

/// The next frame but heartbeats.
async fn next(client: &mut Client) -> Frame {
    loop {
        match client.frame().await {
            Frame::Heartbeat => {}
            frame => return frame,
        }
    }
}

async fn live(endpoint: &Endpoint, way: &'static Way, life: Life, numbers: &mut Numbers) {
    if life == Life::Cut {
        let mut connection = endpoint.server.connect().await;
        let request = way.receiving(&fresh_id()).to_bytes();
        connection.write(&request[..numbers.below(request.len())]).await;
        connection.abort();
        return;
    }
    let mut client = Client::open(endpoint, way).await;
    match life {
        Life::Cut => {}
        Life::Leave | Life::Reset => {
            talk(&mut client, numbers).await;
            client.abort(life == Life::Reset);
        }
        Life::Closed | Life::Returned => {
            talk(&mut client, numbers).await;
            let (request, code, reason) = match life {
                Life::Closed => ("close", 4001, "as you wish"),
                _ => ("return", 1000, "Normal closure"),
            };
            client.send(&[request]).await;
            assert_eq!(next(&mut client).await, Frame::close(way, code, reason));
        }
        Life::HalfOpen => {
            // A stream's heartbeats go into its buffers for long: that one leaves by itself.
            sleep(Duration::from_millis(1500)).await;
            client.abort(numbers.below(2) == 0);
        }
        Life::Stalled => {
            client.send(&["flood"]).await;
            sleep(Duration::from_millis(500 + numbers.below(1500) as u64)).await;
            client.abort(true);
        }
    }
}

/// How many clients of each kind there were.
#[derive(Default)]
struct Lived {
    begun: AtomicUsize,
    ended: Mutex<BTreeMap<(Life, &'static str), u64>>,
}

impl Lived {
    /// The next client's kind: each has its turn, so that none is missed on a busy machine.
    fn next(&self) -> (&'static Way, Life) {
        let turn = self.begun.fetch_add(1, Ordering::Relaxed);
        (&WAYS[turn % WAYS.len()], LIVES[turn / WAYS.len() % LIVES.len()])
    }
}

/// One client after the other, until it is time.
async fn churn(endpoint: &Endpoint, seed: u64, until: Instant, lived: &Lived) {
    let mut numbers = Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    while Instant::now() < until {
        let (way, life) = lived.next();
        live(endpoint, way, life, &mut numbers).await;
        *lived.ended.lock().expect("nobody panics").entry((life, way.transport.name())).or_default() += 1;
        // Leaves some of the machine to others.
        sleep(Duration::from_millis(5)).await;
    }
}

/// What the process has, of what must not grow.
#[derive(Debug, Clone, Copy)]
struct Holdings {
    tasks: usize,
    files: usize,
    memory: u64,
}

fn holdings() -> Holdings {
    // Only Linux tells; elsewhere these two are not compared.
    let files = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kilobytes =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().split(' ').next()?.parse().ok());
    Holdings {
        tasks: Handle::current().metrics().num_alive_tasks(),
        files,
        memory: kilobytes.unwrap_or(0_u64) << 10,
    }
}

/// Waits until nothing is left but what there was at the start.
async fn settle(endpoint: &Endpoint, start: Holdings) -> Holdings {
    let settled = async {
        loop {
            let now = holdings();
            if endpoint.handle.is_empty() && now.tasks <= start.tasks && now.files <= start.files {
                return now;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    match tokio::time::timeout(Duration::from_secs(30), settled).await {
        Ok(now) => now,
        Err(_) => panic!("{} sessions, {:?} where there was {start:?}", endpoint.handle.len(), holdings()),
    }
}

/// A run that is over in a bounded time, whatever happens.
async fn bounded<T>(length: Duration, run: impl Future<Output = T>) -> T {
    tokio::time::timeout(length * 2 + Duration::from_secs(120), run).await.expect("the soak ends in time")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes its time, and a process of its own: see the top of the file"]
async fn churn_leaves_nothing() {
    let seconds =
        std::env::var("SOAK_SECONDS").map_or(60, |seconds| seconds.parse().expect("a number of seconds"));
    let length = Duration::from_secs(seconds);
    let options = Options::new()
        .heartbeat(Duration::from_millis(300))
        .disconnect_delay(Duration::from_secs(3))
        .response_limit(8 << 10)
        .write_timeout(Duration::from_secs(1))
        .pong_timeout(Duration::from_secs(1))
        .send_queue_bytes(64 << 10);
    let endpoint = Endpoint::start(handler, options).await;
    // What is only made once is there before the first count.
    for way in WAYS {
        Client::open(&endpoint, way).await.abort(true);
    }
    within("the first sessions to end", async {
        while !endpoint.handle.is_empty() {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    sleep(Duration::from_secs(4)).await;
    let start = holdings();
    let lived = Lived::default();
    let mut after = Vec::new();
    for half in 0..2 {
        let until = Instant::now() + length / 2;
        let clients = (0..CLIENTS).map(|client| {
            let seed = (half * CLIENTS + client + 1) as u64;
            churn(&endpoint, seed, until, &lived)
        });
        bounded(length, join_all(clients)).await;
        after.push(settle(&endpoint, start).await);
        let sessions: u64 = lived.ended.lock().expect("nobody panics").values().sum();
        println!("half {}: {sessions} clients so far, then {:?}", half + 1, after[half]);
    }
    let lived = lived.ended.lock().expect("nobody panics");
    let kinds = WAYS.len() * 7;
    assert!(
        length < Duration::from_secs(30) || lived.len() == kinds,
        "{} of {kinds}: {lived:?}",
        lived.len()
    );
    let stats = endpoint.handle.stats();
    println!("at the start: {start:?}\nended: {:?}", stats.closed);
    assert_eq!(stats.handlers, 0);
    assert!(
        after[1].memory <= after[0].memory + GROWTH,
        "memory has grown: {start:?} at the start, then {after:?}"
    );
}
