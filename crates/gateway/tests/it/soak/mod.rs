//! Churn over every transport, with backends that fail and reloads, for a while: what is left afterwards must be nothing,
//! memory must not grow, and no session ends otherwise than its client or its backend wants it.
//!
//! `SOAK_SECONDS=600 cargo test -p sockjs-gateway --test it -- --ignored --exact soak::churn_and_reloads_leave_nothing
//! --nocapture` runs it for ten minutes, alone in its process; `scripts/test` runs one. `SOAK_SEED` repeats what the
//! clients of another run did, though not the order among them.

mod backend;
mod lives;
mod random;
mod world;

use std::{
    collections::BTreeMap,
    fs,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use futures_util::future::join_all;
use sockjs_client::Transport;
use tokio::{
    runtime::Handle,
    time::{sleep, timeout},
};

use self::{
    lives::{KINDS, LIVES, Life, Lost, Place, live},
    random::Random,
    world::{DISTURBED, EVENTS, Happened, STEADY, World},
};

/// How many clients there are at any time.
const CLIENTS: usize = 48;

/// How much more memory the process may have after the second half than after the first: what allocators keep
/// varies by some megabytes, whatever the length of the run.
const GROWTH: u64 = 12 << 20;

/// How many clients of each kind there were.
#[derive(Default)]
struct Lived {
    begun: AtomicU64,
    ended: Mutex<BTreeMap<(Life, &'static str), u64>>,
    /// Of sessions that were lost with their backend: how they have ended.
    lost: Mutex<BTreeMap<Option<u16>, u64>>,
}

/// One client after the other, until it is time.
async fn churn(world: &World, mut random: Random, until: Instant, lived: &Lived) {
    while Instant::now() < until {
        let number = lived.begun.fetch_add(1, Ordering::Relaxed);
        // Each kind has its turn, so that none is missed on a busy machine.
        let turn = number as usize;
        let transport = Transport::ALL[turn % Transport::ALL.len()];
        let life = LIVES[turn / Transport::ALL.len() % LIVES.len()];
        let route = if random.one_in(3) { STEADY } else { DISTURBED };
        let place = Place { gateway: world.gateway.address, route, transport, number };
        let ended = timeout(Duration::from_secs(90), live(place, life, &mut random)).await;
        match ended.unwrap_or_else(|_| panic!("{life:?} at {place:?} does not end")) {
            Ok(()) => *lived.ended.lock().unwrap().entry((life, transport.name())).or_default() += 1,
            Err(lost) => {
                judge(&lost, life, place, world);
                *lived.lost.lock().unwrap().entry(lost.code).or_default() += 1;
            }
        }
        // Leaves some of the machine to others.
        sleep(Duration::from_millis(5)).await;
    }
}

/// Only a session whose backend fails is lost, and its client is told so.
fn judge(lost: &Lost, life: Life, place: Place, world: &World) {
    let Lost { code, what } = lost;
    assert!(world.disturbed.contains(place.number), "{life:?} at {place:?}: {code:?} {what}");
    assert!(matches!(code, None | Some(1011 | 1012)), "{life:?} at {place:?}: {code:?} {what}");
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
async fn settle(world: &World, start: Option<Holdings>) -> Holdings {
    let settled = async {
        world.calm_down().await;
        loop {
            let now = holdings();
            let is_gone = start.is_none_or(|start| now.tasks <= start.tasks && now.files <= start.files);
            // A health check has one for a moment.
            if is_gone && world.generations() == 2 && world.connections().await == 0 {
                return now;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    match timeout(Duration::from_secs(90), settled).await {
        Ok(now) => now,
        Err(_) => panic!(
            "{} sessions, {} endpoints, {} connections to backends, {:?} where there was {start:?}",
            world.gateway.handle.sessions(),
            world.generations(),
            world.connections().await,
            holdings()
        ),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes its time, and a process of its own: see the top of the file"]
async fn churn_and_reloads_leave_nothing() {
    let number = |name: &str| std::env::var(name).ok().map(|value| value.parse().expect("a number"));
    let length = Duration::from_secs(number("SOAK_SECONDS").unwrap_or(60));
    let seed = number("SOAK_SEED").unwrap_or_else(|| {
        SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock that goes").as_micros() as u64
    });
    println!("SOAK_SEED={seed}");
    let world = World::start().await;
    let (lived, happened) = (Lived::default(), Mutex::new(Happened::new()));
    // What is only made once is there before the first count.
    join_all(
        (0..CLIENTS / 3)
            .map(|_| churn(&world, Random::new(1), Instant::now() + Duration::from_secs(1), &lived)),
    )
    .await;
    settle(&world, None).await;
    sleep(Duration::from_secs(4)).await;
    let start = holdings();
    let mut reloads = 0;
    let mut after = Vec::new();
    for half in 0..2 {
        let until = Instant::now() + length / 2;
        let random = |who: u64| Random::new(seed.wrapping_add(1000 * half + who));
        let clients = (0..CLIENTS as u64).map(|client| churn(&world, random(client), until, &lived));
        let all = async {
            let clients = join_all(clients);
            tokio::join!(clients, world.disturb(until, &happened), world.reloads(until, random(999))).2
        };
        // It is over in a bounded time, whatever happens.
        let bound = length * 2 + Duration::from_secs(120);
        reloads += timeout(bound, all).await.expect("the soak ends in time");
        after.push(settle(&world, Some(start)).await);
        let sessions = lived.begun.load(Ordering::Relaxed);
        println!("half {}: {sessions} clients so far, then {:?}", half + 1, after[after.len() - 1]);
    }
    let (ended, lost) = (lived.ended.lock().unwrap(), lived.lost.lock().unwrap());
    let happened = happened.lock().unwrap();
    println!("at the start: {start:?}\n{reloads} reloads, {happened:?}\nlost with their backend: {lost:?}");
    let kinds = Transport::ALL.len() * KINDS;
    assert!(
        length < Duration::from_secs(30) || (ended.len(), happened.len()) == (kinds, EVENTS.len()),
        "{} of {kinds}: {ended:?}; {happened:?}",
        ended.len()
    );
    assert!(
        after[1].memory <= after[0].memory + GROWTH,
        "memory has grown: {start:?} at the start, then {after:?}"
    );
}
