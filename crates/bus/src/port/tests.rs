use std::time::Duration;

use proptest::prelude::*;
use tokio::sync::mpsc;

use super::*;
use crate::in_process::{connection::Connection, faults::Faults, hub::InProcess};

fn port(connection: Connection) -> Port {
    Port::new(Arc::new(connection), "test").unwrap()
}

fn listen(port: &Port, subject: &Subject) -> (Subscription, mpsc::UnboundedReceiver<Delivery>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (port.subscribe(subject, move |delivery| _ = sender.send(delivery)), receiver)
}

#[tokio::test]
async fn a_namespace_of_a_bus_is_one_ports_until_it_ends() {
    let engine = InProcess::new();
    let bus: Arc<dyn Bus> = Arc::new(engine.connect());
    let port = |namespace| Port::new(Arc::clone(&bus), namespace).unwrap();
    let (first, second) = (port("a"), port("a"));
    assert!(first.claim() && first.claim(), "it has it already");
    for _ in 0..2 {
        assert!(!second.claim() && !port("a").claim(), "a refusal changes nothing");
    }
    assert!(port("b").claim());
    assert!(Port::new(Arc::new(engine.connect()), "a").unwrap().claim(), "another node");
    drop(first);
    assert!(second.claim());
    let subject = second.subject("nodes", b"").unwrap();
    second.close(&subject, &[]).await;
    assert!(port("a").claim());
    assert!(!second.claim(), "it publishes nothing any more");
}

#[tokio::test]
async fn others_get_it_and_the_node_itself_does_not() {
    let bus = InProcess::new();
    let (here, there) = (port(bus.connect()), port(bus.connect()));
    let subject = here.subject("room", b"\0any\xff").unwrap();
    let (_mine, mut mine) = listen(&here, &subject);
    let (_theirs, mut theirs) = listen(&there, &subject);
    here.publish(&subject, &[b"one ", b"two"]).unwrap();
    let delivery = theirs.recv().await.unwrap();
    assert_eq!(delivery, Delivery { from: here.node(), missed: 0, payload: "one two".into() });
    there.publish(&subject, &[]).unwrap();
    let delivery = mine.recv().await.unwrap();
    assert_eq!(delivery, Delivery { from: there.node(), missed: 0, payload: Bytes::new() });
    assert!(mine.try_recv().is_err() && theirs.try_recv().is_err());
    let expected = PortStats { published: 1, received: 1, ..PortStats::default() };
    assert_eq!((here.stats(), there.stats()), (expected, expected));
}

#[tokio::test]
async fn holes_are_told_and_counted_and_a_refused_message_is_none() {
    let bus = InProcess::with_limits(200, 1000);
    let connection = Arc::new(bus.connect());
    let here = Port::new(Arc::clone(&connection) as Arc<dyn Bus>, "test").unwrap();
    let there = port(bus.connect());
    let subject = here.subject("room", b"").unwrap();
    let (_subscription, mut received) = listen(&there, &subject);
    here.publish(&subject, &[b"1"]).unwrap();
    bus.set_faults(Faults::none().drop_percent(100), 1);
    here.publish(&subject, &[b"2"]).unwrap();
    here.publish(&subject, &[b"3"]).unwrap();
    bus.set_faults(Faults::none(), 1);
    connection.set_full(true);
    assert_eq!(here.publish(&subject, &[b"4"]), Err(PublishError::Full));
    connection.set_full(false);
    let max = here.max_payload();
    assert_eq!(here.publish(&subject, &[&vec![0; max + 1]]), Err(PublishError::TooLarge { max }));
    here.publish(&subject, &[&vec![0; max]]).unwrap();
    here.publish(&subject, &[b"6"]).unwrap();
    let mut missed = Vec::new();
    for _ in 0..3 {
        missed.push(received.recv().await.unwrap().missed);
    }
    assert_eq!(missed, [0, 2, 0]);
    assert_eq!((there.stats().received, there.stats().missed), (3, 2));
    assert_eq!((here.stats().published, here.stats().refused), (5, 2));
}

#[tokio::test]
async fn nothing_comes_behind_the_last_word() {
    let bus = InProcess::new();
    let (here, there) = (port(bus.connect()), port(bus.connect()));
    let [subject, other] = [b"x", b"y"].map(|key| here.subject("room", key).unwrap());
    let (_subscription, mut received) = listen(&there, &subject);
    let (_other, mut elsewhere) = listen(&there, &other);
    here.publish(&subject, &[b"1"]).unwrap();
    assert!(!here.is_closed());
    // Said by the call, whatever becomes of the future.
    drop(here.close(&subject, &[b"bye"]));
    assert!(here.is_closed());
    for subject in [&subject, &other] {
        assert_eq!(here.publish(subject, &[b"2"]), Err(PublishError::Disconnected));
    }
    here.close(&subject, &[b"again"]).await;
    there.publish(&subject, &[]).unwrap();
    drop(here);
    for expected in ["1", "bye"] {
        assert_eq!(received.recv().await.unwrap().payload, expected);
    }
    assert!(received.try_recv().is_err() && elsewhere.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn what_comes_twice_is_dropped_and_other_subjects_may_overtake() {
    let bus = InProcess::new();
    let (here, there) = (port(bus.connect()), port(bus.connect()));
    let subjects = [b"x", b"y"].map(|key| here.subject("room", key).unwrap());
    let (sender, mut received) = mpsc::unbounded_channel();
    let _subscriptions = subjects.clone().map(|subject| {
        let (sender, name) = (sender.clone(), subject.clone());
        there.subscribe(&subject, move |delivery| _ = sender.send((name.clone(), delivery)))
    });
    let delay = Duration::from_millis(1)..Duration::from_millis(100);
    bus.set_faults(Faults::none().repeat_percent(50).drop_percent(10).delay(delay), 7);
    for number in 0_u32..500 {
        for subject in &subjects {
            here.publish(subject, &[&number.to_be_bytes()]).unwrap();
        }
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut next = [0_u32; 2];
    let mut overtaken = false;
    while let Ok((subject, delivery)) = received.try_recv() {
        let index = usize::from(subject == subjects[1]);
        let number = u32::from_be_bytes((*delivery.payload).try_into().unwrap());
        let missed = u32::try_from(delivery.missed).unwrap();
        // The very first ones may be lost unseen.
        let is_first = next[index] == 0;
        assert!(is_first || number == next[index] + missed, "{number} after {missed} are missing");
        next[index] = number + 1;
        overtaken |= next[1] > next[0];
    }
    assert!(overtaken, "subjects are delayed each on its own");
    let stats = there.stats();
    assert!(stats.missed > 0 && stats.repeated > 0, "{stats:?}");
}

#[tokio::test]
async fn a_node_that_starts_again_is_another_one() {
    let bus = InProcess::new();
    let there = port(bus.connect());
    let subject = there.subject("room", b"").unwrap();
    let (_subscription, mut received) = listen(&there, &subject);
    for _ in 0..3 {
        let here = port(bus.connect());
        here.publish(&subject, &[b"1"]).unwrap();
        here.publish(&subject, &[b"2"]).unwrap();
        for text in ["1", "2"] {
            let delivery = received.recv().await.unwrap();
            assert_eq!(
                (delivery.from, delivery.missed, &*delivery.payload),
                (here.node(), 0, text.as_bytes())
            );
        }
    }
}

#[tokio::test]
async fn numbers_begin_anew_after_many_other_subjects() {
    let bus = InProcess::new();
    let (here, there) = (port(bus.connect()), port(bus.connect()));
    let subject = here.subject("room", b"").unwrap();
    let (_subscription, mut received) = listen(&there, &subject);
    for _ in 0..2 {
        here.publish(&subject, &[b"1"]).unwrap();
        here.publish(&subject, &[b"2"]).unwrap();
        for other in 0..3 * SHARDS * SUBJECTS {
            here.publish(&here.subject("room", &other.to_be_bytes()).unwrap(), &[]).unwrap();
        }
    }
    let epochs = here.epochs.load(Relaxed);
    assert!(epochs > 2 * 3 * (SHARDS * SUBJECTS) as u64, "they have begun anew: {epochs}");
    for text in ["1", "2", "1", "2"] {
        let delivery = received.recv().await.unwrap();
        assert_eq!((delivery.missed, &*delivery.payload), (0, text.as_bytes()));
    }
    assert_eq!(there.stats().repeated, 0);
}

#[test]
fn names_are_checked() {
    assert!(Subject::new(&"a".repeat(Subject::MAX_LEN)).is_ok());
    assert_eq!(Subject::new(&"a".repeat(513)), Err(InvalidSubject::TooLong { len: 513 }));
    for text in ["", ".", "a.", ".a", "a..b", "a b", "a.*", ">", "ä", "a\r\n"] {
        assert_eq!(Subject::new(text), Err(InvalidSubject::Characters), "{text:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(payload: Vec<u8>, version in 0_u8..3) {
        let mut bytes = vec![version];
        bytes.extend(payload);
        if let Some(header) = Header::split(bytes.clone().into()) {
            prop_assert_eq!(version, VERSION);
            prop_assert_eq!(&header.payload, &bytes[HEADER..]);
            let mut seen = header.before();
            prop_assert_eq!(header.missed_since(&mut seen), Some(0));
            prop_assert_eq!(header.missed_since(&mut seen), None);
        }
    }

    /// Of a part of what was published, with some messages twice and late ones.
    #[test]
    fn each_message_is_delivered_once_and_holes_add_up(numbers in prop::collection::vec(1_u64..50, 1..100)) {
        let header = |number| Header {
            from: NodeId::from_bytes([0; 16]),
            sequence: Sequence { epoch: 1, number },
            payload: Bytes::new(),
        };
        let mut seen = header(numbers[0]).before();
        let (mut last, mut delivered, mut missed) = (numbers[0] - 1, 0, 0);
        for &number in &numbers {
            match header(number).missed_since(&mut seen) {
                Some(hole) => {
                    prop_assert!(number > last);
                    (last, delivered, missed) = (number, delivered + 1, missed + hole);
                }
                None => prop_assert!(number <= last),
            }
        }
        prop_assert_eq!(delivered + missed, last + 1 - numbers[0]);
    }
}
