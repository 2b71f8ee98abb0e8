//! What clients do.

use std::{sync::atomic::Ordering, time::Duration};

use axum_stomp::Version;
use tokio::time::sleep;

use super::{
    ledger::{AUTO, QUEUE, body},
    peer::{Ended, Held, Peer, Shared, Subscription, add},
    random::Random,
    wire::{Addresses, Way, Wire},
};

/// How many names there are of each kind of destination, and how many users.
const NAMES: usize = 4;

/// What a client does with its one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Life {
    /// Works, and leaves by `DISCONNECT` with a receipt.
    Leave,
    /// Works, and closes the connection as its transport does it.
    Close,
    /// Works, and vanishes without a word, which may be in the middle of a frame.
    Vanish,
    /// Works, and is closed by the application.
    Kicked,
    /// Works, and then sends what is no frame, or no frame of a client.
    Garbage,
    /// Promises heart-beats, and is silent until the server gives it up.
    Silent,
    /// Has much sent to it, and does not read; it vanishes, or reads on and finds the end.
    Slow,
    /// Never connects: it vanishes, or waits for the end.
    Early,
    /// Is not let in.
    Refused,
}

pub(super) const LIVES: [Life; 16] = [
    Life::Leave,
    Life::Leave,
    Life::Leave,
    Life::Close,
    Life::Close,
    Life::Vanish,
    Life::Vanish,
    Life::Vanish,
    Life::Vanish,
    Life::Kicked,
    Life::Garbage,
    Life::Garbage,
    Life::Silent,
    Life::Slow,
    Life::Early,
    Life::Refused,
];

/// What ends a session that has sent it.
const GARBAGE: [&str; 14] = [
    "no command\n\n\0",
    "SEND\n\nno destination\0",
    "SEND\nno colon\n\n\0",
    "SEND\ndestination:/topic/a\ncontent-length:-1\n\n\0",
    "SEND\ndestination:/topic/a\ncontent-length:99999999999\n\n",
    "SEND\ndestination:/nowhere\n\n\0",
    "MESSAGE\ndestination:/topic/a\n\n\0",
    "CONNECT\n\n\0",
    "SUBSCRIBE\nid:g\ndestination:/topic/?*?*?\nack:never\n\n\0",
    "ACK\nid:77-1\nmessage-id:77-1\nsubscription:g\n\n\0",
    "COMMIT\ntransaction:unknown\n\n\0",
    "BEGIN\ntransaction:twice\n\n\0BEGIN\ntransaction:twice\n\n\0",
    "SEND\ndestination:/topic/a\ntransaction:unknown\n\n\0",
    "\u{1}\u{2}{\"json\":true}\r\r\n\n\0\0",
];

/// Lives one life.
pub(super) async fn live(addresses: Addresses, way: Way, life: Life, shared: &Shared, random: &mut Random) {
    let mut peer = Peer::new(Wire::open(addresses, way).await, shared, format!("{life:?} over {way:?}"));
    if work(&mut peer, life, random).await.is_ok() {
        end(peer, life, random).await;
        return;
    }
    if life == Life::Refused {
        let error = peer.error.take();
        assert!(error.is_some_and(|error| error.starts_with("access refused")), "{way:?}");
        peer.read_to_end().await;
        return;
    }
    // The `ERROR` may be what has come last.
    peer.read_to_end().await;
    add(&shared.numbers.early_ends);
    if let Some(error) = &peer.error {
        // The machine may be busy.
        let is_late = error.starts_with("no CONNECT in time") || error.contains("heart-beat");
        assert!(is_late || error.contains("max_queue_messages"), "{life:?} over {way:?}: {error}");
    }
}

/// Connects and does something, as far as it comes.
async fn work(peer: &mut Peer, life: Life, random: &mut Random) -> Result<(), Ended> {
    if life == Life::Early {
        return Ok(());
    }
    let version = Version::ALL[random.below(Version::ALL.len())];
    let (beats, passcode) = match life {
        Life::Silent => ("300,0", "good"),
        Life::Refused => ("0,0", "bad"),
        _ => (if random.one_in(3) { "0,100" } else { "0,0" }, "good"),
    };
    let user = random.below(NAMES);
    peer.connect(&format!(
        "accept-version:{version}\nheart-beat:{beats}\nlogin:user-{user}\npasscode:{passcode}\n"
    ))
    .await?;
    assert_eq!(peer.version(), version);
    let mut topics = [0; NAMES];
    let most = if matches!(life, Life::Silent | Life::Slow) { 5 } else { 30 };
    for _ in 0..random.below(most) {
        operate(peer, &mut topics, random).await?;
    }
    Ok(())
}

async fn end(mut peer: Peer, life: Life, random: &mut Random) {
    match life {
        Life::Leave => {
            if peer.ask("DISCONNECT", "").await.is_ok() {
                peer.read_to_end().await;
            }
        }
        Life::Close => peer.wire.close().await,
        Life::Vanish => vanish(peer, random).await,
        Life::Kicked => {
            _ = peer.send("SEND\ndestination:/app/kick\n\n\0").await;
            peer.read_to_end().await;
        }
        Life::Garbage => {
            let garbage = GARBAGE[random.below(GARBAGE.len())];
            peer.what = format!("{}, {:?}: {garbage:?}", peer.what, peer.version());
            _ = peer.send(garbage).await;
            peer.read_to_end().await;
        }
        Life::Silent => {
            if random.one_in(3) {
                sleep(Duration::from_millis(200)).await;
                return;
            }
            peer.read_to_end().await;
        }
        Life::Slow => {
            // What is sent to a session that has ended goes elsewhere.
            _ = peer.send("SUBSCRIBE\nid:flood\ndestination:/user/queue/flood\n\n\0").await;
            _ = peer.send("SEND\ndestination:/app/flood\n\n\0").await;
            sleep(Duration::from_millis(300 + random.below(3000) as u64)).await;
            if random.one_in(2) {
                peer.read_to_end().await;
            } else {
                peer.wire.reset();
            }
        }
        Life::Early => {
            let connect = "CONNECT\naccept-version:1.2\nlogin:user-0\npasscode:good\n\n\0";
            if random.one_in(2) {
                _ = peer.send(&connect[..random.below(connect.len())]).await;
            }
            if random.one_in(2) {
                peer.read_to_end().await;
            }
        }
        Life::Refused => panic!("it was let in"),
    }
}

/// Goes without a word, in the middle of a frame or behind one.
async fn vanish(mut peer: Peer, random: &mut Random) {
    if random.one_in(2) {
        let number = peer.shared.numbers.next();
        let name = random.below(NAMES);
        let frame = format!("SEND\ndestination:{QUEUE}{name}\n\n{}\0", body(number, 20));
        let length = 1 + random.below(frame.len());
        _ = peer.send(&frame[..length]).await;
    } else if random.one_in(2) {
        if let Some(held) = peer.held.last().cloned() {
            _ = peer.send(&format!("{}\n\n\0", settle(&peer, "ACK", &held))).await;
        }
    }
    if random.one_in(2) {
        peer.wire.reset();
    }
}

/// Does something, which may be answered.
async fn operate(peer: &mut Peer, topics: &mut [u64; NAMES], random: &mut Random) -> Result<(), Ended> {
    match random.below(20) {
        0..=3 => subscribe(peer, random).await,
        4 => unsubscribe(peer, random).await,
        5..=6 => {
            let name = random.below(NAMES);
            topics[name] += 1;
            let body = format!("{} {}", peer.number, topics[name]);
            request(peer, &format!("SEND\ndestination:/topic/ordered/{name}"), &body, random).await
        }
        7..=9 => {
            let number = peer.shared.numbers.next();
            let destination = queue(random);
            let body = body(number, random.length());
            if random.one_in(2) {
                peer.ask(&format!("SEND\ndestination:{destination}"), &body).await?;
                assert!(peer.shared.ledger.is_published(number), "{number} has its receipt");
                return Ok(());
            }
            peer.send(&format!("SEND\ndestination:{destination}\n\n{body}\0")).await
        }
        10 => {
            let destination = match random.below(4) {
                0 => "/app/echo".to_owned(),
                1 => "/app/slow".to_owned(),
                2 => "/app/parallel".to_owned(),
                _ => format!("/user/user-{}/queue/news", random.below(NAMES)),
            };
            request(peer, &format!("SEND\ndestination:{destination}"), "something", random).await
        }
        11 => {
            let lines =
                format!("SEND\ndestination:/topic/requests\nreply-to:/temp-queue/{}", random.below(3));
            request(peer, &lines, "please", random).await
        }
        12 => {
            let Some(address) = peer.reply_to.pop() else { return Ok(()) };
            request(peer, &format!("SEND\ndestination:{address}"), "here it is", random).await
        }
        13..=15 => acknowledge(peer, random).await,
        16 => transaction(peer, random).await,
        17 => peer.send("\n").await,
        _ => peer.read_for(Duration::from_millis(5 + random.below(50) as u64)).await,
    }
}

/// Sends a frame, with a receipt or without.
async fn request(peer: &mut Peer, lines: &str, body: &str, random: &mut Random) -> Result<(), Ended> {
    if random.one_in(2) {
        peer.ask(lines, body).await
    } else {
        peer.send(&format!("{lines}\n\n{body}\0")).await
    }
}

fn queue(random: &mut Random) -> String {
    let prefix = if random.one_in(4) { AUTO } else { QUEUE };
    format!("{prefix}{}", random.below(NAMES))
}

async fn subscribe(peer: &mut Peer, random: &mut Random) -> Result<(), Ended> {
    let id = format!("sub:{}", peer.shared.numbers.next());
    let mut ack = "auto";
    let destination = match random.below(10) {
        0 => format!("/topic/ordered/{}", random.below(NAMES)),
        1 => ["/topic/ordered/*", "/topic/**", "/topic/or{x}/?"][random.below(3)].to_owned(),
        2 => "/topic/requests".to_owned(),
        3 => ["/user/queue/news", "/user/queue/*"][random.below(2)].to_owned(),
        4 => "/app/hello".to_owned(),
        _ => queue(random),
    };
    if destination.starts_with(QUEUE) {
        ack =
            if peer.version() == Version::V1_0 || random.one_in(3) { "client" } else { "client-individual" };
    }
    let subscription = Subscription { destination: destination.clone(), ack };
    peer.subscriptions.insert(id.clone(), subscription);
    let escaped = if peer.version() == Version::V1_0 { id } else { id.replace(':', "\\c") };
    let prefetch = 1 + random.below(10);
    let lines =
        format!("SUBSCRIBE\nid:{escaped}\ndestination:{destination}\nack:{ack}\nprefetch-count:{prefetch}");
    request(peer, &lines, "", random).await
}

async fn unsubscribe(peer: &mut Peer, random: &mut Random) -> Result<(), Ended> {
    let place = random.below(peer.subscriptions.len().max(1));
    let Some(id) = peer.subscriptions.keys().nth(place).cloned() else { return Ok(()) };
    // What is held of it is given back.
    peer.subscriptions.remove(&id);
    peer.held.retain(|held| held.subscription != id);
    let escaped = if peer.version() == Version::V1_0 { id } else { id.replace(':', "\\c") };
    request(peer, &format!("UNSUBSCRIBE\nid:{escaped}"), "", random).await
}

/// The lines of an `ACK` or `NACK`.
fn settle(peer: &Peer, command: &str, held: &Held) -> String {
    match peer.version() {
        Version::V1_2 => format!("{command}\nid:{}", held.ack),
        Version::V1_1 => {
            let subscription = held.subscription.replace(':', "\\c");
            format!("{command}\nmessage-id:{}\nsubscription:{subscription}", held.ack)
        }
        Version::V1_0 => format!("{command}\nmessage-id:{}", held.ack),
    }
}

/// Takes a message that is held, and those that are settled with it. Its own is the last one.
fn take(peer: &mut Peer, random: &mut Random) -> Vec<Held> {
    if peer.held.is_empty() {
        return Vec::new();
    }
    let place = random.below(peer.held.len());
    let chosen = peer.held[place].clone();
    if peer.subscriptions[&chosen.subscription].ack != "client" {
        return vec![peer.held.remove(place)];
    }
    let is_covered = |held: &Held| held.subscription == chosen.subscription;
    let behind = peer.held.split_off(place + 1);
    let (covered, others) = std::mem::take(&mut peer.held).into_iter().partition(is_covered);
    peer.held = others;
    peer.held.extend(behind);
    covered
}

async fn acknowledge(peer: &mut Peer, random: &mut Random) -> Result<(), Ended> {
    for _ in 0..=random.below(6) {
        let taken = take(peer, random);
        let Some(named) = taken.last() else { return Ok(()) };
        let is_nack = peer.version() != Version::V1_0 && random.one_in(5);
        if is_nack {
            let requeue = if random.one_in(3) { "\nrequeue:false" } else { "" };
            let lines = format!("{}{requeue}", settle(peer, "NACK", named));
            request(peer, &lines, "", random).await?;
            continue;
        }
        let lines = settle(peer, "ACK", named);
        if random.one_in(2) {
            peer.send(&format!("{lines}\n\n\0")).await?;
            continue;
        }
        peer.ask(&lines, "").await?;
        for held in &taken {
            assert!(peer.shared.ledger.is_acknowledged(held.number), "{held:?} has its receipt");
        }
    }
    Ok(())
}

async fn transaction(peer: &mut Peer, random: &mut Random) -> Result<(), Ended> {
    let name = format!("tx-{}", peer.shared.numbers.next());
    request(peer, &format!("BEGIN\ntransaction:{name}"), "", random).await?;
    let (mut sent, mut acknowledged) = (Vec::new(), Vec::new());
    for _ in 0..random.below(5) {
        if random.one_in(2) {
            let number = peer.shared.numbers.next();
            let lines = format!("SEND\ndestination:{QUEUE}{}\ntransaction:{name}", random.below(NAMES));
            request(peer, &lines, &body(number, 30), random).await?;
            sent.push(number);
        } else {
            let taken = take(peer, random);
            let Some(named) = taken.last() else { continue };
            let lines = format!("{}\ntransaction:{name}", settle(peer, "ACK", named));
            request(peer, &lines, "", random).await?;
            acknowledged.extend(taken);
        }
    }
    let is_kept = match random.below(4) {
        // It ends with the session.
        0 => return Ok(()),
        1 => false,
        _ => true,
    };
    let command = if is_kept { "COMMIT" } else { "ABORT" };
    peer.ask(&format!("{command}\ntransaction:{name}"), "").await?;
    let ledger = &peer.shared.ledger;
    for number in sent {
        assert_eq!(ledger.is_published(number), is_kept, "{number} after {command}");
    }
    for held in &acknowledged {
        assert_eq!(ledger.is_acknowledged(held.number), is_kept, "{held:?} after {command}");
    }
    if !is_kept {
        acknowledged.append(&mut peer.held);
        peer.held = acknowledged;
    }
    Ok(())
}

/// Takes all that is left in the queues. Returns their numbers.
pub(super) async fn drain(addresses: Addresses, shared: &Shared, count: usize) -> Result<Vec<u64>, Ended> {
    let before = shared.numbers.queue_messages.load(Ordering::Relaxed);
    let mut peer = Peer::new(Wire::open(addresses, Way::Tcp).await, shared, "the last one".to_owned());
    peer.connect("accept-version:1.2\nlogin:user-0\npasscode:good\n").await?;
    for name in 0..NAMES {
        for prefix in [QUEUE, AUTO] {
            let (id, destination) = (format!("{prefix}{name}"), format!("{prefix}{name}"));
            let subscription = Subscription { destination, ack: "client-individual" };
            peer.subscriptions.insert(id.clone(), subscription);
            peer.ask(&format!("SUBSCRIBE\nid:{id}\ndestination:{id}\nack:client-individual"), "").await?;
        }
    }
    let mut left = Vec::new();
    while left.len() < count || !peer.held.is_empty() {
        for held in std::mem::take(&mut peer.held) {
            let lines = settle(&peer, "ACK", &held);
            left.push(held.number);
            peer.send(&format!("{lines}\n\n\0")).await?;
        }
        peer.read_for(Duration::from_millis(20)).await?;
    }
    peer.ask("DISCONNECT", "").await?;
    peer.read_to_end().await;
    let read = shared.numbers.queue_messages.load(Ordering::Relaxed) - before;
    assert_eq!(read, left.len() as u64);
    Ok(left)
}
