//! Many threads at the same time.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use super::{
    super::{MemoryBroker, MemoryBrokerStats, QueueMode},
    support::{ALWAYS, Client, body, header, publish},
};
use crate::{
    AckMode, MessageId,
    broker::{BrokerError, Settlement},
};

const QUEUES: [&str; 2] = ["/queue/a", "/queue/b"];

/// A cheap sequence of numbers that look random.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// What has become of the messages.
#[derive(Default)]
struct Fates {
    done: Mutex<Vec<String>>,
    is_published: AtomicBool,
    /// How many messages were refused.
    refused: AtomicUsize,
}

fn publish_all(broker: &MemoryBroker, fates: &Fates, name: usize, count: usize) -> Vec<String> {
    let mut published = Vec::new();
    for number in 0..count {
        let text = format!("{name}-{number}");
        match publish(broker, QUEUES[number % 2], &text) {
            Ok(_) => published.push(text),
            Err(BrokerError::LimitExceeded("max_queue_messages")) => {
                fates.refused.fetch_add(1, Ordering::Relaxed);
                thread::yield_now();
            }
            Err(error) => panic!("{error}"),
        }
    }
    published
}

/// Consumes in sessions that end after some steps.
fn consume(broker: &MemoryBroker, fates: &Fates, seed: u64) {
    let mut numbers = Numbers(seed);
    while !fates.is_published.load(Ordering::Acquire) {
        let room = [0, 3, ALWAYS][usize::try_from(numbers.below(3)).unwrap()];
        let bytes = [200, ALWAYS][usize::try_from(numbers.below(2)).unwrap()];
        let mut client = Client::new(broker, None, room, bytes);
        let mut auto = Vec::new();
        // What has to be acknowledged and was not when its subscription ended belongs to others.
        let mut ended = HashSet::new();
        for _ in 0..numbers.below(30) {
            let frames = client.frames();
            for frame in frames {
                let Some(id) = header(&frame, "ack") else {
                    auto.push(body(&frame).to_owned());
                    continue;
                };
                let id: MessageId = id.parse().unwrap();
                if ended.contains(&id.subscription) {
                    continue;
                }
                let settlement = match numbers.below(4) {
                    0 => Settlement::Rejected { requeue: true },
                    1 => Settlement::Rejected { requeue: false },
                    2 => continue,
                    _ => Settlement::Accepted,
                };
                client.settle(id.subscription, id.number, settlement);
                if settlement == Settlement::Accepted {
                    fates.done.lock().unwrap().push(body(&frame).to_owned());
                }
            }
            match numbers.below(8) {
                0..3 => {
                    let ack = [AckMode::Auto, AckMode::ClientIndividual]
                        [usize::try_from(numbers.below(2)).unwrap()];
                    let queue = QUEUES[usize::try_from(numbers.below(2)).unwrap()];
                    let prefetch = 1 + usize::try_from(numbers.below(5)).unwrap();
                    ended.remove(&client.subscribe(queue, ack, prefetch));
                }
                3 => {
                    let serial = u32::try_from(numbers.below(4)).unwrap();
                    client.unsubscribe(serial);
                    ended.insert(serial);
                }
                4..6 => {
                    client.link.allow(2);
                    client.run();
                }
                _ => thread::yield_now(),
            }
        }
        let link = client.end();
        auto.extend(
            link.taken()
                .iter()
                .filter(|frame| header(frame, "ack").is_none())
                .map(|frame| body(frame).to_owned()),
        );
        fates.done.lock().unwrap().append(&mut auto);
    }
}

#[test]
fn no_message_of_a_queue_is_lost_or_doubled() {
    let fates = Arc::new(Fates::default());
    let collected = fates.clone();
    let broker = MemoryBroker::builder()
        .queue_mode(QueueMode::Competing)
        .max_queue_messages(100)
        .max_deliveries(4)
        .on_dead_letter(move |dead| {
            let text = String::from_utf8_lossy(dead.message().body()).into_owned();
            collected.done.lock().unwrap().push(text);
        })
        .build();
    let published = thread::scope(|scope| {
        for seed in 0..3 {
            let (broker, fates) = (&broker, &fates);
            scope.spawn(move || consume(broker, fates, seed));
        }
        let publishers: Vec<_> = (0..2)
            .map(|name| {
                let (broker, fates) = (&broker, &fates);
                scope.spawn(move || publish_all(broker, fates, name, 4_000))
            })
            .collect();
        let published: Vec<_> =
            publishers.into_iter().flat_map(|publisher| publisher.join().unwrap()).collect();
        fates.is_published.store(true, Ordering::Release);
        published
    });
    broker.shared.queues.check();
    let mut last = Client::fast(&broker);
    for queue in QUEUES {
        last.subscribe(queue, AckMode::Auto, 1);
    }
    let mut done = fates.done.lock().unwrap().clone();
    done.extend(last.bodies());
    let unique: HashSet<_> = done.iter().collect();
    assert_eq!(unique.len(), done.len(), "a message has come twice");
    assert_eq!(unique, published.iter().collect());
    last.end();
    let dead_letters = broker.stats().dead_letters;
    assert_eq!(broker.stats(), MemoryBrokerStats { dead_letters, ..MemoryBrokerStats::default() });
}

#[test]
fn no_message_goes_to_a_queue_that_is_given_up() {
    let broker = MemoryBroker::builder().queue_mode(QueueMode::Competing).build();
    let is_done = AtomicBool::new(false);
    let take_all = || {
        let mut client = Client::fast(&broker);
        client.subscribe("/queue/a", AckMode::Auto, 1);
        client.end().taken().len()
    };
    let taken: usize = thread::scope(|scope| {
        let consumers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut taken = 0;
                    while !is_done.load(Ordering::Relaxed) {
                        taken += take_all();
                    }
                    taken
                })
            })
            .collect();
        for number in 0..10_000 {
            publish(&broker, "/queue/a", number).unwrap();
            // Now and then the consumers find nothing, and the queue goes with each of them.
            if number % 3 == 0 {
                thread::yield_now();
            }
        }
        is_done.store(true, Ordering::Relaxed);
        consumers.into_iter().map(|consumer| consumer.join().unwrap()).sum()
    });
    assert_eq!(taken + take_all(), 10_000);
    assert_eq!(broker.stats(), MemoryBrokerStats::default());
}

#[test]
fn all_subscribers_see_one_order() {
    let broker = MemoryBroker::new();
    let mut clients: Vec<_> = (0..3).map(|_| Client::fast(&broker)).collect();
    for (client, pattern) in clients.iter_mut().zip(["/topic/a", "/topic/*", "/topic/**"]) {
        client.subscribe(pattern, AckMode::Auto, 1);
    }
    thread::scope(|scope| {
        for name in 0..3 {
            let broker = &broker;
            scope.spawn(move || {
                for number in 0..3000 {
                    publish(broker, "/topic/a", format!("{name}-{number}")).unwrap();
                }
            });
        }
        // Others come and go meanwhile.
        let broker = &broker;
        scope.spawn(move || {
            for _ in 0..300 {
                let mut client = Client::new(broker, Some("ann"), ALWAYS, ALWAYS);
                client.subscribe("/topic/a", AckMode::Auto, 1);
                client.subscribe("/topic/?", AckMode::Auto, 1);
                client.unsubscribe(0);
            }
        });
    });
    let orders: Vec<_> = clients.iter().map(Client::bodies).collect();
    assert_eq!(orders[0].len(), 9000);
    assert!(orders[0] == orders[1] && orders[0] == orders[2], "subscribers see different orders");
    for name in 0..3 {
        let own: Vec<_> =
            orders[0].iter().filter_map(|text| text.strip_prefix(&format!("{name}-"))).collect();
        assert!(own.iter().map(|number| number.parse::<u32>().unwrap()).is_sorted());
    }
    drop(clients);
    assert_eq!(broker.stats(), MemoryBrokerStats::default());
}
