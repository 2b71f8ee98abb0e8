use std::num::NonZero;

use stomp_codec::Headers;

use super::*;
use crate::{link::test::TestLink, subscription::AckMode};

/// A session whose connection takes `room` pieces.
fn outbox(room: usize, bytes: usize, overflow: Overflow) -> (Arc<Outbox>, TestLink) {
    outbox_with(room, bytes, Overflows::new(overflow))
}

fn outbox_with(room: usize, bytes: usize, overflow: Overflows) -> (Arc<Outbox>, TestLink) {
    let link = TestLink::new(room);
    let limits = OutboxLimits { bytes, overflow, send_timeout: None };
    let below = Link::Test(link.clone());
    let outbox = Outbox::new(SessionId::random(), None, Version::V1_2, Carriage::Text, limits, below);
    (Arc::new(outbox), link)
}

fn subscription(serial: u32) -> Subscription {
    let prefetch = NonZero::new(1).unwrap();
    let headers = Headers::from_iter([("id", "s")]);
    Subscription::new(serial, Version::V1_2, "/topic/**".into(), headers, AckMode::Auto, prefetch)
}

fn message(destination: &'static str, body: impl Into<bytes::Bytes>) -> Message {
    Message::new(destination, &Headers::new(), body)
}

/// The bodies of what a connection has taken.
fn bodies(link: &TestLink) -> Vec<String> {
    let body = |frame: &String| frame.split_once("\n\n").unwrap().1.trim_end_matches('\0').to_owned();
    link.taken().iter().map(body).collect()
}

/// Lets the connection take all that waits.
async fn drain(outbox: &Outbox, link: &TestLink) -> Vec<String> {
    link.allow(1000);
    outbox.close(None);
    assert_eq!(outbox.pump(|_| {}, || {}).await, End::Closing);
    bodies(link)
}

#[tokio::test]
async fn a_message_goes_straight_to_a_connection_that_has_room() {
    let (outbox, link) = outbox(2, 1000, Overflow::Close);
    let (subscriber, subscription) = (Subscriber::new(outbox.clone()), subscription(7));
    let id = |number| MessageId { subscription: 7, number };
    for number in 1..=2 {
        assert_eq!(subscriber.deliver(&subscription, &message("/topic/a", "x")), Delivered::Sent(id(number)));
    }
    let frame = "MESSAGE\nsubscription:s\nmessage-id:7-1\ndestination:/topic/a\ncontent-length:1\n\nx\0";
    assert_eq!(link.taken()[0], frame);
    assert_eq!(subscriber.deliver(&subscription, &message("/topic/a", "y")), Delivered::Queued(id(3)));
    // The connection has room again, but `y` waits.
    link.allow(1);
    assert_eq!(subscriber.deliver(&subscription, &message("/topic/a", "z")), Delivered::Queued(id(4)));
    assert_eq!(drain(&outbox, &link).await, ["y", "z"]);
}

#[tokio::test]
async fn subscribers_who_need_nothing_of_their_own_share_a_frame() {
    let message = message("/topic/a", "x");
    let frame = |ack| {
        let (outbox, link) = outbox(1, 1000, Overflow::Close);
        let prefetch = NonZero::new(1).unwrap();
        let headers = Headers::from_iter([("id", "s")]);
        let subscription = Subscription::new(0, Version::V1_2, "/topic/**".into(), headers, ack, prefetch);
        Subscriber::new(outbox).deliver(&subscription, &message);
        link.taken().remove(0)
    };
    // The first may be the only one, and what a client acknowledges has a name of its own.
    let frames = [AckMode::Auto, AckMode::Auto, AckMode::Client, AckMode::Auto].map(frame);
    assert!(frames[0].contains("\nmessage-id:0-1\ndestination"), "{frames:?}");
    assert!(frames[2].contains("\nmessage-id:0-1\nack:0-1\ndestination"), "{frames:?}");
    assert_eq!(frames[1], frames[3]);
    assert_eq!(
        frames[1].split_once("\ndestination").unwrap().1,
        frames[0].split_once("\ndestination").unwrap().1
    );
    assert!(!frames[1].contains("0-1"), "{frames:?}");
}

#[tokio::test]
async fn a_session_whose_client_is_too_slow_is_closed() {
    let (outbox, link) = outbox(0, 170, Overflow::Close);
    let (subscriber, subscription) = (Subscriber::new(outbox.clone()), subscription(0));
    let delivered: Vec<_> =
        (0..5).map(|_| subscriber.deliver(&subscription, &message("/topic/a", "x"))).collect();
    assert!(matches!(delivered[..2], [Delivered::Queued(_), Delivered::Queued(_)]), "{delivered:?}");
    assert_eq!(delivered[2..], [Delivered::Gone; 3]);
    assert_eq!(outbox.pump(|_| {}, || {}).await, End::Overflow);
    assert!(link.taken().is_empty());
}

#[tokio::test]
async fn the_oldest_or_the_newest_is_dropped() {
    for (overflow, expected) in
        [(Overflow::DropOldest, ["receipt", "3", "4"]), (Overflow::DropNewest, ["0", "receipt", "1"])]
    {
        let (outbox, link) = outbox(0, 190, overflow);
        let (subscriber, subscription) = (Subscriber::new(outbox.clone()), subscription(0));
        for body in ["0", "1", "2", "3", "4"] {
            subscriber.deliver(&subscription, &message("/topic/a", body));
            if body == "0" {
                outbox.control("RECEIPT\n\nreceipt\0".into());
            }
        }
        assert_eq!(outbox.lock().traffic.dropped, 3, "{overflow:?}");
        assert_eq!(drain(&outbox, &link).await, expected, "{overflow:?}");
        assert_eq!(outbox.lock().bytes, 0);
    }
}

#[tokio::test]
async fn of_each_destination_the_newest_is_kept() {
    let (outbox, link) = outbox(0, 250, Overflow::KeepNewest);
    let (subscriber, subscription) = (Subscriber::new(outbox.clone()), subscription(0));
    for (destination, body) in
        [("/topic/a", "a1"), ("/topic/b", "b1"), ("/topic/a", "a2"), ("/topic/b", "b2"), ("/topic/a", "a3")]
    {
        assert!(matches!(
            subscriber.deliver(&subscription, &message(destination, body)),
            Delivered::Queued(_)
        ));
    }
    assert_eq!(outbox.lock().traffic.dropped, 3);
    // There is room for three, and the oldest goes.
    for (destination, body) in [("/topic/c", "c1"), ("/topic/d", "d1"), ("/topic/a", "a4")] {
        subscriber.deliver(&subscription, &message(destination, body));
    }
    assert_eq!(drain(&outbox, &link).await, ["c1", "d1", "a4"]);
    assert!(outbox.lock().newest.is_empty());
}

#[tokio::test]
async fn a_longer_message_in_the_place_of_an_older_one_stays_within_the_bound() {
    let (outbox, link) = outbox(0, 1000, Overflow::KeepNewest);
    let (subscriber, subscription) = (Subscriber::new(outbox.clone()), subscription(0));
    let destinations = ["/topic/a", "/topic/b", "/topic/c", "/topic/d"];
    for destination in destinations {
        subscriber.deliver(&subscription, &message(destination, "x"));
    }
    for destination in destinations {
        subscriber.deliver(&subscription, &message(destination, "y".repeat(350)));
        let state = outbox.lock();
        let waiting: usize = state.entries.values().map(|entry| entry.piece.len()).sum();
        assert!(state.bytes == waiting && waiting <= 1000, "{waiting} {}", state.bytes);
        assert_eq!(state.newest.len(), state.entries.len());
    }
    // The oldest have gone, and of each destination the newest has stayed.
    assert_eq!(drain(&outbox, &link).await, ["y".repeat(350), "y".repeat(350)]);
    assert_eq!(outbox.lock().traffic.dropped, 6);
}

#[tokio::test]
async fn a_message_of_a_queue_is_refused_and_told_of_when_it_is_written() {
    let (outbox, link) = outbox(0, 170, Overflow::DropOldest);
    let (subscriber, subscription) = (Subscriber::new(outbox.clone()), subscription(0));
    let results: Vec<_> =
        (0..4).map(|_| subscriber.try_deliver(&subscription, &message("/queue/a", "x"), false)).collect();
    assert_eq!(results[2..], [Delivered::Full; 2]);
    assert!(outbox.lock().was_full);
    // A topic's message does not drive them out.
    assert_eq!(subscriber.deliver(&subscription, &message("/topic/a", "y")), Delivered::Full);
    link.allow(2);
    outbox.close(None);
    let written = Mutex::new(Vec::new());
    outbox.pump(|id| written.lock().unwrap().push(id.number), || {}).await;
    assert_eq!(*written.lock().unwrap(), [1, 2]);
    // A message that was refused has no number.
    assert_eq!(subscription.delivered(), 2);
}

#[tokio::test]
async fn a_queue_hears_of_room_that_was_made_by_dropping() {
    for overflow in [Overflow::DropOldest, Overflow::KeepNewest] {
        let (outbox, link) = outbox(0, 170, overflow);
        let (subscriber, subscription) = (Subscriber::new(outbox.clone()), subscription(0));
        assert!(matches!(
            subscriber.deliver(&subscription, &message("/topic/a", "x".repeat(100))),
            Delivered::Queued(_)
        ));
        assert_eq!(subscriber.try_deliver(&subscription, &message("/queue/a", "x"), false), Delivered::Full);
        // The next one drives the first one out, and nothing has been written.
        link.allow(1);
        assert!(matches!(
            subscriber.deliver(&subscription, &message("/topic/a", "y".repeat(150))),
            Delivered::Sent(_) | Delivered::Queued(_)
        ));
        let told = Mutex::new(0);
        let pump = outbox.pump(|_| {}, || *told.lock().unwrap() += 1);
        assert!(futures_util::FutureExt::now_or_never(pump).is_none());
        assert_eq!(*told.lock().unwrap(), 1, "{overflow:?}");
    }
}

#[tokio::test]
async fn a_message_that_is_longer_than_the_bound_passes_alone() {
    let (outbox, link) = outbox(0, 100, Overflow::DropNewest);
    let (subscriber, subscription) = (Subscriber::new(outbox.clone()), subscription(0));
    let long = "x".repeat(1000);
    assert!(matches!(
        subscriber.deliver(&subscription, &message("/topic/a", long.clone())),
        Delivered::Queued(_)
    ));
    assert_eq!(subscriber.deliver(&subscription, &message("/topic/a", "y")), Delivered::Full);
    assert_eq!(drain(&outbox, &link).await, [long]);
}

#[tokio::test]
async fn nothing_is_delivered_when_the_connection_is_gone() {
    let (outbox, link) = outbox(0, 1000, Overflow::Close);
    let (subscriber, subscription) = (Subscriber::new(outbox.clone()), subscription(0));
    subscriber.deliver(&subscription, &message("/topic/a", "x"));
    link.close();
    assert_eq!(outbox.pump(|_| {}, || {}).await, End::Lost);
    assert_eq!(subscriber.deliver(&subscription, &message("/topic/a", "y")), Delivered::Gone);
}

#[tokio::test]
async fn what_was_dropped_leaves_nothing_behind() {
    for overflow in [Overflow::DropOldest, Overflow::KeepNewest] {
        let (outbox, link) = outbox(0, 500, overflow);
        let (subscriber, subscription) = (Subscriber::new(outbox.clone()), subscription(0));
        // It is never dropped, so it stays the first.
        outbox.control("RECEIPT\n\nreceipt\0".into());
        for number in 0..10_000 {
            let destination = format!("/topic/{number}");
            subscriber.deliver(&subscription, &Message::new(destination, &Headers::new(), "x"));
        }
        {
            let state = outbox.lock();
            assert!(state.entries.len() < 10 && state.newest.len() < 10, "{overflow:?} {state:?}");
        }
        let written = drain(&outbox, &link).await;
        assert_eq!((&*written[0], &*written[1]), ("receipt", "x"), "{overflow:?}");
    }
}

#[tokio::test]
async fn a_client_that_reads_none_of_its_receipts_is_read_no_more() {
    let (outbox, link) = outbox(0, usize::MAX, Overflow::Close);
    let is_read = || futures_util::FutureExt::now_or_never(outbox.room()).is_some();
    for _ in 1..MAX_ENTRIES {
        outbox.control("\n".into());
    }
    assert!(is_read());
    outbox.control("\n".into());
    assert!(!is_read());
    link.allow(1);
    let pump = futures_util::FutureExt::now_or_never(outbox.pump(|_| {}, || {}));
    assert!(pump.is_none() && is_read());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_reads_does_not_keep_its_session() {
    let (outbox, _link) = outbox(0, 1000, Overflow::Close);
    outbox.control("RECEIPT\n\nreceipt\0".into());
    let start = Instant::now();
    let ending = async {
        sleep(Duration::from_secs(3600)).await;
        outbox.close(Some("ERROR\n\nerror\0".into()));
    };
    let (end, ()) = tokio::join!(outbox.pump(|_| {}, || {}), ending);
    assert_eq!((end, start.elapsed()), (End::Overflow, Duration::from_secs(3600) + LAST_SEND_TIMEOUT));
}

#[tokio::test]
async fn nothing_comes_behind_the_last_frame() {
    let (outbox, link) = outbox(10, 1000, Overflow::Close);
    outbox.close(Some("ERROR\n\nerror\0".into()));
    outbox.control("RECEIPT\n\nreceipt\0".into());
    outbox.close(Some("ERROR\n\nanother\0".into()));
    assert_eq!(drain(&outbox, &link).await, ["error"]);
}

#[tokio::test(start_paused = true)]
async fn a_session_is_closed_at_once_though_the_connection_takes_nothing() {
    let (outbox, _link) = outbox(0, 100, Overflow::Close);
    let (subscriber, subscription) = (Subscriber::new(outbox.clone()), subscription(0));
    let start = Instant::now();
    subscriber.deliver(&subscription, &message("/topic/a", "x"));
    let publishing = async {
        tokio::task::yield_now().await;
        subscriber.deliver(&subscription, &message("/topic/a", "x"));
    };
    let (end, ()) = tokio::join!(outbox.pump(|_| {}, || {}), publishing);
    assert_eq!((end, start.elapsed()), (End::Overflow, Duration::ZERO));
}

#[test]
fn the_longest_beginning_counts() {
    let mut overflows = Overflows::new(Overflow::DropNewest);
    overflows.add("/topic/".into(), Overflow::Close);
    overflows.add("/topic/price.".into(), Overflow::DropOldest);
    overflows.add("/user/queue/".into(), Overflow::DropOldest);
    overflows.add("/topic/price.".into(), Overflow::KeepNewest);
    for (destination, expected) in [
        ("/topic/price.a", Overflow::KeepNewest),
        ("/topic/price", Overflow::Close),
        ("/topic/a", Overflow::Close),
        ("/topic", Overflow::DropNewest),
        ("/user/queue/a", Overflow::DropOldest),
        ("/user/topic/price.a", Overflow::DropNewest),
    ] {
        assert_eq!(overflows.of(destination), expected, "{destination}");
    }
}

/// Prices, of which only the newest matter, a log, samples, and all else, of which nothing may be lost.
fn rules() -> Overflows {
    let mut overflows = Overflows::new(Overflow::Close);
    overflows.add("/price/".into(), Overflow::KeepNewest);
    overflows.add("/log".into(), Overflow::DropOldest);
    overflows.add("/sample".into(), Overflow::DropNewest);
    overflows
}

#[tokio::test]
async fn what_may_be_dropped_makes_room_for_what_may_not() {
    let (outbox, link) = outbox_with(0, 300, rules());
    let (subscriber, subscription) = (Subscriber::new(outbox.clone()), subscription(0));
    let deliver = |destination, body| subscriber.deliver(&subscription, &message(destination, body));
    for (destination, body) in [("/price/a", "1"), ("/log", "2"), ("/price/a", "3"), ("/must", "4")] {
        assert!(matches!(deliver(destination, body), Delivered::Queued(_)), "{body}");
    }
    // There is no room any more. A sample drops nothing, and what has to arrive drops the oldest of the others.
    assert_eq!(deliver("/sample", "5"), Delivered::Full);
    assert!(matches!(deliver("/must", "6"), Delivered::Queued(_)));
    assert!(matches!(deliver("/must", "7"), Delivered::Queued(_)));
    // A price finds nothing that it may drop.
    assert_eq!(deliver("/price/b", "8"), Delivered::Full);
    assert_eq!(outbox.dropped(), 5);
    assert_eq!(drain(&outbox, &link).await, ["4", "6", "7"]);
}

#[tokio::test]
async fn a_message_that_may_not_be_dropped_closes_a_session_that_has_nothing_else() {
    let (outbox, _link) = outbox_with(0, 300, rules());
    let (subscriber, subscription) = (Subscriber::new(outbox.clone()), subscription(0));
    let deliver = |destination, body| subscriber.deliver(&subscription, &message(destination, body));
    for body in ["1", "2", "3"] {
        assert!(matches!(deliver("/must", body), Delivered::Queued(_)), "{body}");
    }
    assert_eq!(deliver("/log", "4"), Delivered::Full);
    assert_eq!(deliver("/must", "5"), Delivered::Gone);
    assert_eq!(outbox.pump(|_| {}, || {}).await, End::Overflow);
}

/// How long the first frame is, whose number has one digit.
fn frame_len(subscription: &Subscription, message: &Message) -> usize {
    subscription.head_len() + message.tail(Version::V1_2, Carriage::Text).len() + 1
}

#[tokio::test]
async fn the_bound_may_be_reached() {
    let length = frame_len(&subscription(0), &message("/topic/a", "x"));
    for (overflow, results) in
        [(Overflow::DropNewest, [true, true, false]), (Overflow::DropOldest, [true, true, true])]
    {
        // The digits of its number are not counted of the one that is to be added.
        let (outbox, _link) = outbox(0, 2 * length - 1, overflow);
        let (subscriber, subscription) = (Subscriber::new(outbox.clone()), subscription(0));
        let deliver =
            || matches!(subscriber.deliver(&subscription, &message("/topic/a", "x")), Delivered::Queued(_));
        assert_eq!([deliver(), deliver(), deliver()], results, "{overflow:?}");
        let state = outbox.lock();
        assert_eq!((state.entries.len(), state.traffic.dropped), (2, 1));
    }
}

#[tokio::test]
async fn a_message_that_is_longer_than_the_bound_drives_all_out() {
    for overflow in [Overflow::DropOldest, Overflow::KeepNewest] {
        let (outbox, link) = outbox(0, 300, overflow);
        let (subscriber, subscription) = (Subscriber::new(outbox.clone()), subscription(0));
        for destination in ["/topic/a", "/topic/b", "/topic/c"] {
            subscriber.deliver(&subscription, &message(destination, "x"));
        }
        let long = "x".repeat(1000);
        let delivered = subscriber.deliver(&subscription, &message("/topic/d", long.clone()));
        assert!(matches!(delivered, Delivered::Queued(_)), "{overflow:?}");
        assert_eq!(drain(&outbox, &link).await, [long], "{overflow:?}");
    }
}

#[tokio::test]
async fn nothing_overtakes_what_is_being_written() {
    let (outbox, link) = outbox(0, 1000, Overflow::Close);
    let (subscriber, subscription) = (Subscriber::new(outbox.clone()), subscription(0));
    subscriber.deliver(&subscription, &message("/topic/a", "x"));
    let publishing = async {
        tokio::task::yield_now().await;
        // There is room, and the session's task has not come to see it.
        link.allow(2);
        let delivered = subscriber.deliver(&subscription, &message("/topic/a", "y"));
        assert!(matches!(delivered, Delivered::Queued(_)), "{delivered:?}");
        outbox.close(None);
    };
    let (end, ()) = tokio::join!(outbox.pump(|_| {}, || {}), publishing);
    assert_eq!((end, bodies(&link)), (End::Closing, vec!["x".to_owned(), "y".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn what_begins_to_wait_wakes_the_writer_and_what_is_written_the_reader() {
    let (outbox, link) = outbox(0, 10, Overflow::Close);
    let start = Instant::now();
    let session = async {
        sleep(Duration::from_secs(5)).await;
        outbox.control("RECEIPT\n\nreceipt\0".into());
        assert_eq!(outbox.last_progress() - start, Duration::from_secs(5));
        let allowing = async {
            sleep(Duration::from_secs(2)).await;
            link.allow(1);
        };
        tokio::join!(outbox.room(), allowing);
        // It is the bytes that were too many.
        assert_eq!(start.elapsed(), Duration::from_secs(7));
        assert_eq!(
            (bodies(&link), outbox.last_progress() - start),
            (vec!["receipt".into()], start.elapsed())
        );
        link.allow(1);
        sleep(Duration::from_secs(1)).await;
        outbox.control("RECEIPT\n\nreceipt\0".into());
        assert_eq!(outbox.last_progress() - start, Duration::from_secs(8));
        outbox.close(None);
    };
    let both = async { tokio::join!(outbox.pump(|_| {}, || {}), session) };
    let both = tokio::time::timeout(Duration::from_secs(60), both).await;
    assert_eq!(both.map(|(end, ())| end), Ok(End::Closing));
}

#[tokio::test]
async fn a_heart_beat_is_sent_when_nothing_waits() {
    let (outbox, link) = outbox(1, 1000, Overflow::Close);
    assert!(outbox.beat());
    assert_eq!(link.taken(), ["\n"]);
    // This one waits, and is enough.
    assert!(outbox.beat());
    assert!(!outbox.beat());
    let beating = async {
        tokio::task::yield_now().await;
        // It is being written.
        assert!(!outbox.beat());
        link.allow(10);
        outbox.close(None);
        assert!(!outbox.beat());
    };
    tokio::join!(outbox.pump(|_| {}, || {}), beating);
    assert_eq!(link.taken(), ["\n"]);
    assert!(!outbox.beat());
}

#[tokio::test]
async fn room_is_told_of_once_to_whom_there_was_none() {
    let (outbox, link) = outbox(0, 100, Overflow::DropNewest);
    let (subscriber, subscription) = (Subscriber::new(outbox.clone()), subscription(0));
    let told = std::sync::atomic::AtomicUsize::new(0);
    let count = || told.load(std::sync::atomic::Ordering::Relaxed);
    let delivering = async {
        for (refused, expected) in [(0, 0), (3, 1), (0, 1)] {
            for number in 0..=refused {
                let delivered = subscriber.try_deliver(&subscription, &message("/queue/a", "x"), false);
                assert_eq!(matches!(delivered, Delivered::Queued(_)), number == 0, "{delivered:?}");
            }
            tokio::task::yield_now().await;
            link.allow(1);
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
            assert_eq!(count(), expected);
        }
        outbox.close(None);
    };
    let has_room = || _ = told.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    tokio::join!(outbox.pump(|_| {}, has_room), delivering);
}

#[tokio::test]
async fn traffic_is_counted_once() {
    let (outbox, _link) = outbox(1, 130, Overflow::DropNewest);
    let (subscriber, subscription) = (Subscriber::new(outbox.clone()), subscription(0));
    let traffic = |delivered, dropped| Traffic { delivered, dropped };
    for _ in 0..4 {
        subscriber.deliver(&subscription, &message("/topic/a", "x"));
    }
    assert_eq!(outbox.traffic(), traffic(2, 2));
    assert_eq!(outbox.count_traffic(), traffic(2, 2));
    assert_eq!(outbox.count_traffic(), traffic(0, 0));
    subscriber.deliver(&subscription, &message("/topic/a", "x"));
    assert_eq!((outbox.traffic(), outbox.dropped()), (traffic(0, 1), 3));
}

#[tokio::test]
async fn an_end_keeps_nothing_and_says_whether_more_is_read() {
    for (end, is_reading_ended) in [(End::Lost, false), (End::Overflow, true), (End::Closing, true)] {
        let (outbox, _link) = outbox(0, 100, Overflow::Close);
        let (subscriber, subscription) = (Subscriber::new(outbox.clone()), subscription(0));
        subscriber.deliver(&subscription, &message("/topic/a", "x"));
        assert!(!outbox.is_ended() && !outbox.is_reading_ended());
        match end {
            End::Lost => outbox.lost(),
            End::Overflow => _ = subscriber.deliver(&subscription, &message("/topic/a", "x")),
            End::Closing => outbox.close(None),
        }
        assert!(outbox.is_ended());
        assert_eq!(outbox.is_reading_ended(), is_reading_ended, "{end:?}");
        if end != End::Closing {
            assert_eq!(outbox.pump(|_| {}, || {}).await, end);
            let state = outbox.lock();
            assert_eq!((state.entries.len(), state.bytes), (0, 0), "{end:?}");
        }
    }
}
