//! Measures rooms in process: sending beside a loop over senders written by hand, joining, leaving, and looking who is
//! there. `bench/rooms` builds and runs it.
//!
//! The sessions are pairs, whose clients read between the measured rounds. Rounds of both ways take turns, so that a
//! busy machine slows both; the figures are medians.

use std::{
    hint::black_box,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use axum_sockjs::{Message, Overflow, Pair, Peer, Sender, Session, Transport};
use axum_sockjs_rooms::{History, Member, Rooms};
use clap::Parser;

#[derive(Parser)]
struct Args {
    /// Rounds of each figure.
    #[arg(long, default_value_t = 201)]
    rounds: usize,
    /// Only sends, to rooms of so many.
    #[arg(long, value_delimiter = ',')]
    members: Vec<usize>,
    /// Sessions that join and leave.
    #[arg(long, default_value_t = 100_000)]
    sessions: usize,
    /// Rooms that they are in.
    #[arg(long, default_value_t = 10_000)]
    rooms: usize,
}

const TEXT: &str = "sixty-four bytes of text in which nothing at all needs an escape";

/// Sessions with their clients.
fn sessions(number: usize) -> Vec<(Session, Peer)> {
    (0..number).map(|_| Pair::new().transport(Transport::WebSocket).open()).collect()
}

fn drain(sessions: &mut [(Session, Peer)]) {
    for (_, peer) in sessions {
        while peer.try_recv().is_some() {}
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

async fn join_all(rooms: &Rooms, sessions: &[(Session, Peer)], in_rooms: usize) -> Vec<Member> {
    let mut members = Vec::with_capacity(sessions.len());
    for (number, (session, _)) in sessions.iter().enumerate() {
        let key = format!("room {}", number % in_rooms);
        members.push(rooms.join(session, key).await.expect("there is room"));
    }
    members
}

/// Nanoseconds for each delivery, of each way to send.
async fn fan_out(members: usize, rounds: usize) {
    let mut sessions = sessions(members);
    let senders: Vec<Sender> = sessions.iter().map(|(session, _)| session.sender()).collect();
    // As members come and go.
    let senders = Mutex::new(senders);
    let plain = Rooms::new();
    let kept: Rooms = Rooms::builder().history(History::last(100)).build();
    let in_plain = join_all(&plain, &sessions, 1).await;
    let in_kept = join_all(&kept, &sessions, 1).await;
    let messages = (2_000 / members).clamp(2, 200);
    let by_hand = || {
        let message = Message::from(TEXT);
        let queued = |member: &&Sender| member.try_send_with(message.clone(), Overflow::Wait).is_ok();
        black_box(senders.lock().unwrap_or_else(PoisonError::into_inner).iter().filter(queued).count());
    };
    let ways: [(&str, &dyn Fn()); 4] = [
        ("a loop by hand", &by_hand),
        ("Member::send", &|| _ = black_box(in_plain[0].send(TEXT).delivered)),
        ("Rooms::send", &|| _ = black_box(plain.send("room 0", TEXT).delivered)),
        ("with history", &|| _ = black_box(in_kept[0].send(TEXT).delivered)),
    ];
    let mut taken = ways.map(|_| Vec::new());
    for round in 0..rounds {
        for turn in 0..ways.len() {
            // Each round begins with another.
            let at = (turn + round) % ways.len();
            let send = ways[at].1;
            let began = Instant::now();
            for _ in 0..messages {
                send();
            }
            taken[at].push(began.elapsed().as_secs_f64() * 1e9 / (messages * members) as f64);
            drain(&mut sessions);
        }
    }
    let taken = taken.map(median);
    for ((name, _), time) in ways.iter().zip(taken) {
        let share = 100.0 * (time / taken[0] - 1.0);
        println!(
            "{members:>6} members  {name:<15} {time:>7.1} ns per delivery  {:>6.2} million/s  {share:>+6.1} %",
            1e3 / time
        );
    }
}

/// What it takes to join and to leave.
async fn churn(number: usize, in_rooms: usize) {
    let sessions = sessions(number);
    let mut joined = Vec::new();
    let mut left = Vec::new();
    for _ in 0..5 {
        let rooms = Rooms::new();
        let began = Instant::now();
        let members = join_all(&rooms, &sessions, in_rooms).await;
        joined.push(number as f64 / began.elapsed().as_secs_f64());
        let began = Instant::now();
        drop(members);
        left.push(number as f64 / began.elapsed().as_secs_f64());
    }
    let (joined, left) = (median(joined), median(left));
    println!("{number} sessions in {in_rooms} rooms: {joined:.0} joins/s, {left:.0} leaves/s");
}

/// What it takes to look who is in a large room.
async fn presence(number: usize) {
    let sessions = sessions(number);
    let rooms = Rooms::new();
    let members = join_all(&rooms, &sessions, 1).await;
    let mut watch = rooms.watch("room 0", std::time::Duration::ZERO).expect("the room is there");
    watch.next().await;
    let mut looked = Vec::new();
    let mut told = Vec::new();
    let (other, _peer) = Pair::new().open();
    for _ in 0..21 {
        let began = Instant::now();
        black_box(rooms.presence("room 0"));
        looked.push(began.elapsed().as_secs_f64() * 1e6);
        let member = rooms.join(&other, "room 0").await.expect("there is room");
        let began = Instant::now();
        black_box(watch.next().await);
        told.push(began.elapsed().as_secs_f64() * 1e6);
        drop(member);
        watch.next().await;
    }
    println!(
        "presence of {} members: {:.0} us for all, {:.0} us for one change",
        members.len(),
        median(looked),
        median(told)
    );
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let Args { rounds, members, sessions, rooms } = Args::parse();
    let only_sends = !members.is_empty();
    for members in if only_sends { members } else { vec![10, 100, 1_000, 10_000] } {
        fan_out(members.max(1), rounds).await;
    }
    if only_sends {
        return;
    }
    churn(sessions, rooms).await;
    churn(10_000, 1).await;
    presence(10_000).await;
}
