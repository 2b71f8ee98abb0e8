//! Churn over every way to the server, for a while: what is left afterwards must be nothing but the messages that nobody
//! has acknowledged, and memory must not grow.
//!
//! `SOAK_SECONDS=600 cargo test -p axum-stomp --all-features --test it -- --ignored --exact soak::churn_leaves_nothing
//! --nocapture` runs it for ten minutes, alone in its process; `scripts/test` runs one. `SOAK_SEED` repeats what the
//! clients of another run did, though not the order among them.

mod ledger;
mod lives;
mod peer;
mod random;
mod server;
mod wire;

use std::{
    collections::BTreeMap,
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use tokio::{
    runtime::Handle,
    task::JoinSet,
    time::{sleep, timeout},
};

use self::{
    lives::{LIVES, Life, drain, live},
    peer::Shared,
    random::Random,
    server::Server,
    wire::Way,
};

/// How many clients there are at any time.
const CLIENTS: usize = 48;

/// How much more memory the process may have after the second half than after the first: what allocators keep
/// varies by some megabytes, whatever the length of the run.
const GROWTH: u64 = 12 << 20;

/// How many clients of each kind there were.
#[derive(Clone, Default)]
struct Lived {
    begun: Arc<AtomicUsize>,
    ended: Arc<Mutex<BTreeMap<(Life, &'static str), u64>>>,
}

impl Lived {
    /// The next client's kind: each has its turn, so that none is missed on a busy machine.
    fn next(&self, ways: &[Way]) -> (Way, Life) {
        let turn = self.begun.fetch_add(1, Ordering::Relaxed);
        (ways[turn % ways.len()], LIVES[turn / ways.len() % LIVES.len()])
    }
}

/// One client after the other, until it is time.
async fn churn(server: Server, shared: Shared, seed: u64, until: Instant, lived: Lived) {
    let mut random = Random::new(seed);
    let ways = Way::all();
    while Instant::now() < until {
        let (way, life) = lived.next(&ways);
        live(server.addresses, way, life, &shared, &mut random).await;
        *lived.ended.lock().expect("nobody panics").entry((life, way.name())).or_default() += 1;
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
async fn settle(server: &Server, start: Option<Holdings>) -> Holdings {
    let settled = async {
        loop {
            let now = holdings();
            let is_gone = start.is_none_or(|start| now.tasks <= start.tasks && now.files <= start.files);
            if is_gone && server.remains().is_none() {
                return now;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    match timeout(Duration::from_secs(60), settled).await {
        Ok(now) => now,
        Err(_) => panic!("{:?}, and {:?} where there was {start:?}", server.remains(), holdings()),
    }
}

/// Lets clients churn for a while, and takes what they have left in the queues.
async fn half(server: &Server, shared: &Shared, lived: &Lived, seed: u64, length: Duration, start: Holdings) {
    let until = Instant::now() + length;
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS as u64 {
        let client_seed = seed.wrapping_mul(1_000).wrapping_add(client);
        clients.spawn(churn(server.clone(), shared.clone(), client_seed, until, lived.clone()));
    }
    // It is over in a bounded time, whatever happens.
    let joined = async {
        while let Some(client) = clients.join_next().await {
            client.expect("no client panics");
        }
    };
    timeout(length * 2 + Duration::from_secs(240), joined).await.expect("the soak ends in time");
    settle(server, Some(start)).await;
    let (sums, waiting) = shared.ledger.sum();
    println!("queues: {sums:?}, then {:?}", server.broker.stats());
    let queued = server.broker.stats().queued_messages;
    let drained = timeout(Duration::from_secs(60), drain(server.addresses, shared, queued)).await;
    let left = drained.expect("queues give what they have").expect("the server lives");
    assert_eq!(left.len(), queued);
    assert_eq!((sums.acknowledged + sums.dead + sums.waiting + sums.auto), sums.accepted);
    shared.ledger.close(waiting, &left);
    assert_eq!(shared.ledger.failures(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes its time, and a process of its own: see the top of the file"]
async fn churn_leaves_nothing() {
    let number = |name: &str| std::env::var(name).ok().map(|value| value.parse().expect("a number"));
    let length = Duration::from_secs(number("SOAK_SECONDS").unwrap_or(60));
    let seed = number("SOAK_SEED").unwrap_or_else(|| {
        SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock that goes").as_micros() as u64
    });
    println!("SOAK_SEED={seed}");
    let shared = Shared::default();
    let server = Server::start(&shared).await;
    // What is only made once is there before the first count.
    for way in Way::all() {
        live(server.addresses, way, Life::Leave, &shared, &mut Random::new(1)).await;
    }
    settle(&server, None).await;
    sleep(Duration::from_secs(4)).await;
    let start = holdings();
    let lived = Lived::default();
    let mut after = Vec::new();
    for number in 0..2_u64 {
        half(&server, &shared, &lived, seed.wrapping_add(number), length / 2, start).await;
        let holdings = settle(&server, Some(start)).await;
        assert_eq!(server.broker.stats().queues, 0);
        let sessions: u64 = lived.ended.lock().expect("nobody panics").values().sum();
        println!("half {}: {sessions} clients so far, then {holdings:?}", number + 1);
        after.push(holdings);
    }
    let stats = server.stomp.stats();
    println!("at the start: {start:?}\n{:?}\n{stats:?}", shared.numbers);
    let lived = lived.ended.lock().expect("nobody panics");
    let kinds = Way::all().len() * 9;
    assert!(
        length < Duration::from_secs(30) || lived.len() == kinds,
        "{} of {kinds}: {lived:?}",
        lived.len()
    );
    assert_eq!(stats.sessions, 0);
    assert_eq!(stats.users, 0);
    assert_eq!(stats.connected, stats.disconnected.values().sum::<u64>());
    assert_eq!(stats.disconnected["cancelled"], 0);
    server.events.check(stats.connected);
    let early = shared.numbers.early_ends.load(Ordering::Relaxed);
    assert!(early * 20 <= lived.values().sum(), "{early} clients were ended that had done nothing wrong");
    assert!(
        after[1].memory <= after[0].memory + GROWTH,
        "memory has grown: {start:?} at the start, then {after:?}"
    );
}
