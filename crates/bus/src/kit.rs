//! The tests that a driver must pass.
//!
//! ```no_run
//! use std::sync::Arc;
//! use sockjs_bus::{Bus, BoxFuture, InProcess, kit};
//!
//! struct Fixture(InProcess);
//!
//! impl kit::Fixture for Fixture {
//!     fn connect(&self) -> BoxFuture<'_, Arc<dyn Bus>> {
//!         Box::pin(async { Arc::new(self.0.connect()) as Arc<dyn Bus> })
//!     }
//! }
//!
//! // As a #[tokio::test]:
//! async fn the_driver_is_a_bus() {
//!     kit::all(&Fixture(InProcess::new())).await;
//! }
//! ```
//!
//! Each function is one rule, and panics with a sentence if it does not hold. Names of subjects are random: an engine that
//! others use is not disturbed. No rule takes longer than a minute.
//!
//! Imports: bus, random, status, streams, subject.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{sync::mpsc, time::timeout};

use self::inbox::{Inbox, entry, limited, payloads, status};
use crate::{
    bus::{Bus, PublishError},
    random,
    status::Status,
    streams::{BoxFuture, Position, Retention, StreamError, StreamId, Streams},
    subject::Subject,
};

mod inbox;

/// How the kit comes to connections of a driver.
pub trait Fixture: Send + Sync {
    /// Connects one more node to the bus that the others are connected to, and waits until it is.
    fn connect(&self) -> BoxFuture<'_, Arc<dyn Bus>>;

    /// Stops the engine (`true`) or starts it again with what it had stored (`false`). Returns whether that can be done.
    fn set_outage(&self, _is_down: bool) -> BoxFuture<'_, bool> {
        Box::pin(async { false })
    }
}

/// Checks every rule, those of streams if the bus has them, and those of an outage if there can be one.
pub async fn all(fixture: &dyn Fixture) {
    each_subscription_gets_each_message(fixture).await;
    messages_are_bytes(fixture).await;
    a_subscription_that_is_ready_misses_nothing(fixture).await;
    order_is_kept(fixture).await;
    a_dropped_subscription_gets_nothing(fixture).await;
    what_is_too_large_is_refused(fixture).await;
    receivers_may_publish_and_subscribe(fixture).await;
    what_is_flushed_arrives(fixture).await;
    an_outage_passes(fixture).await;
    let bus = fixture.connect().await;
    if bus.streams().is_some() {
        streams_have_one_order(fixture).await;
        streams_are_read_behind_each_position(fixture).await;
        appending_keeps_the_order_of_calls(fixture).await;
        what_is_dropped_is_gone(fixture).await;
        the_end_is_not_gone(fixture).await;
        nothing_is_dropped_too_early(fixture).await;
        a_stream_goes_on_after_it_was_idle(fixture).await;
        following_can_be_interrupted(fixture).await;
        an_outage_leaves_no_hole_in_a_stream(fixture).await;
    }
}

/// Two subscriptions to one subject on one node and one on another get each message once, and one to another subject
/// none.
pub async fn each_subscription_gets_each_message(fixture: &dyn Fixture) {
    let (here, there) = (fixture.connect().await, fixture.connect().await);
    let (subject, other) = (subject("a"), subject("b"));
    let mut first = Inbox::new(&there, &subject).await;
    let mut second = Inbox::new(&there, &subject).await;
    let mut elsewhere = Inbox::new(&there, &other).await;
    publish(&here, &subject, "1");
    publish(&here, &other, "2");
    publish(&here, &subject, "3");
    first.expect(["1", "3"]).await;
    second.expect(["1", "3"]).await;
    elsewhere.expect(["2"]).await;
    for inbox in [&mut first, &mut second, &mut elsewhere] {
        inbox.expect_nothing().await;
    }
    let stats = there.stats();
    assert!(stats.received >= 5, "messages that were received are counted: {stats:?}");
    assert!(here.stats().published >= 3, "messages that were published are counted: {:?}", here.stats());
}

/// Payloads may be empty and have any bytes.
pub async fn messages_are_bytes(fixture: &dyn Fixture) {
    let (here, there) = (fixture.connect().await, fixture.connect().await);
    let subject = subject("bytes");
    let mut inbox = Inbox::new(&there, &subject).await;
    let every: Bytes = (0..=255).collect::<Vec<u8>>().into();
    for payload in [Bytes::new(), every.clone(), Bytes::from_static(b"\r\n")] {
        publish(&here, &subject, payload);
    }
    inbox.expect([Bytes::new(), every, Bytes::from_static(b"\r\n")]).await;
}

/// What is published as soon as a subscription is ready reaches it, each of many times.
pub async fn a_subscription_that_is_ready_misses_nothing(fixture: &dyn Fixture) {
    let (here, there) = (fixture.connect().await, fixture.connect().await);
    for _ in 0..50 {
        let subject = subject("ready");
        let mut inbox = Inbox::new(&there, &subject).await;
        publish(&here, &subject, "now");
        inbox.expect(["now"]).await;
    }
}

/// Messages of each publisher with each subject come once and in order.
pub async fn order_is_kept(fixture: &dyn Fixture) {
    const COUNT: usize = 1000;
    let there = fixture.connect().await;
    let subjects = [subject("x"), subject("y")];
    let mut inboxes = [Inbox::new(&there, &subjects[0]).await, Inbox::new(&there, &subjects[1]).await];
    let publishers = [fixture.connect().await, fixture.connect().await, fixture.connect().await];
    for number in 0..COUNT {
        for (index, publisher) in publishers.iter().enumerate() {
            for subject in &subjects {
                publish(publisher, subject, format!("{index} {number}"));
            }
        }
        if number % 50 == 0 {
            // No faster than a driver's queue can be emptied.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    for inbox in &mut inboxes {
        let mut next = [0; 3];
        while next != [COUNT; 3] {
            let payload = inbox.next().await;
            let text = std::str::from_utf8(&payload).expect("what was published");
            let (index, number) = text.split_once(' ').expect("what was published");
            let next = &mut next[index.parse::<usize>().expect("what was published")];
            assert_eq!(number, next.to_string(), "messages of one publisher and subject are in order");
            *next += 1;
        }
        inbox.expect_nothing().await;
    }
}

/// A subscription that is dropped gets nothing, and others to the same subject go on.
pub async fn a_dropped_subscription_gets_nothing(fixture: &dyn Fixture) {
    let (here, there) = (fixture.connect().await, fixture.connect().await);
    let subject = subject("dropped");
    let mut stays = Inbox::new(&there, &subject).await;
    let mut goes = Inbox::new(&there, &subject).await;
    publish(&here, &subject, "1");
    stays.expect(["1"]).await;
    goes.expect(["1"]).await;
    drop(goes.subscription.take());
    publish(&here, &subject, "2");
    stays.expect(["2"]).await;
    goes.expect_nothing().await;
    // The last one, and another one after it.
    drop(stays);
    let mut again = Inbox::new(&there, &subject).await;
    publish(&here, &subject, "3");
    again.expect(["3"]).await;
}

/// A message of the most bytes arrives, and a larger one is refused.
pub async fn what_is_too_large_is_refused(fixture: &dyn Fixture) {
    let (here, there) = (fixture.connect().await, fixture.connect().await);
    let subject = subject("large");
    let mut inbox = Inbox::new(&there, &subject).await;
    // An engine may take very much.
    let max = here.max_payload();
    if max <= 16 << 20 {
        let result = here.publish(&subject, vec![0; max + 1].into());
        assert_eq!(result, Err(PublishError::TooLarge { max }), "a message that is too large");
        assert!(here.stats().too_large >= 1, "what is too large is counted");
        publish(&here, &subject, vec![7; max]);
        assert_eq!(inbox.next().await.len(), max, "the largest message arrives");
    }
    publish(&here, &subject, "small");
    inbox.expect(["small"]).await;
}

/// A receiver may publish and subscribe while it is called.
pub async fn receivers_may_publish_and_subscribe(fixture: &dyn Fixture) {
    let (here, there) = (fixture.connect().await, fixture.connect().await);
    let (question, answer) = (subject("question"), subject("answer"));
    let mut inbox = Inbox::new(&here, &answer).await;
    let (bus, to) = (Arc::downgrade(&there), answer.clone());
    let mut asked = there.subscribe(
        &question,
        Arc::new(move |payload| {
            let Some(bus) = bus.upgrade() else { return };
            drop(bus.subscribe(&to, Arc::new(|_| {})));
            publish(&bus, &to, payload);
        }),
    );
    asked.ready().await.expect("a subscription");
    publish(&here, &question, "echo");
    inbox.expect(["echo"]).await;
}

/// What was published before a flush arrives, although the bus is dropped behind it.
pub async fn what_is_flushed_arrives(fixture: &dyn Fixture) {
    const COUNT: usize = 300;
    let there = fixture.connect().await;
    let subject = subject("flushed");
    let mut inbox = Inbox::new(&there, &subject).await;
    for round in 0..5 {
        let here = fixture.connect().await;
        for number in 0..COUNT {
            publish(&here, &subject, format!("{round} {number}"));
        }
        limited("a flush", here.flush()).await;
        drop(here);
        for number in 0..COUNT {
            inbox.expect([format!("{round} {number}")]).await;
        }
    }
    limited("a flush of nothing", there.flush()).await;
}

/// During an outage publishing is refused and the status shows it; afterwards the old subscriptions get messages.
///
/// Passes if the fixture cannot stop its engine.
pub async fn an_outage_passes(fixture: &dyn Fixture) {
    let (here, there) = (fixture.connect().await, fixture.connect().await);
    let subject = subject("outage");
    let mut inbox = Inbox::new(&there, &subject).await;
    publish(&here, &subject, "before");
    inbox.expect(["before"]).await;
    if !fixture.set_outage(true).await {
        return;
    }
    for bus in [&here, &there] {
        status(bus, |status| matches!(status, Status::Reconnecting { .. })).await;
    }
    assert_eq!(here.publish(&subject, "lost".into()), Err(PublishError::Disconnected), "no engine is there");
    assert!(here.stats().disconnected >= 1, "what is refused is counted");
    limited("a flush without an engine", here.flush()).await;
    // A subscription of this time waits.
    let (sender, late) = mpsc::unbounded_channel();
    let mut subscription = there.subscribe(&subject, Arc::new(move |payload| _ = sender.send(payload)));
    let early = timeout(Duration::from_millis(100), subscription.ready()).await;
    assert!(early.is_err(), "a subscription is not ready while there is no engine");
    fixture.set_outage(false).await;
    for bus in [&here, &there] {
        status(bus, Status::is_connected).await;
        assert!(bus.stats().reconnects >= 1, "that it connects again is counted");
    }
    limited("the subscription is there again", subscription.ready()).await.expect("a subscription");
    let mut late = Inbox { received: late, subscription: Some(subscription) };
    publish(&here, &subject, "after");
    inbox.expect(["after"]).await;
    late.expect(["after"]).await;
}

/// All who follow a stream see the same entries in the same order, whoever appends.
pub async fn streams_have_one_order(fixture: &dyn Fixture) {
    const COUNT: usize = 200;
    let (one, other) = (fixture.connect().await, fixture.connect().await);
    let name = subject("order");
    let start = streams(&one).last(&name, 0).await.expect("an empty stream").end;
    let mut followers = [streams(&one).follow(&name, start), streams(&other).follow(&name, start)];
    let mut appended = Vec::new();
    for number in 0..COUNT {
        for bus in [&one, &other] {
            appended.push(streams(bus).append(&name, format!("{number}").into(), keep(10_000)));
        }
        if number % 50 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    let mut positions = Vec::new();
    for position in appended {
        positions.push(limited("an entry is appended", position).await.expect("an entry"));
    }
    let mut seen = [Vec::new(), Vec::new()];
    for (follower, seen) in followers.iter_mut().zip(&mut seen) {
        for _ in 0..2 * COUNT {
            seen.push(entry(follower.as_mut()).await);
        }
    }
    assert_eq!(seen[0], seen[1], "one order for all");
    assert!(seen[0].windows(2).all(|pair| pair[0].position.number < pair[1].position.number), "numbers grow");
    positions.sort_unstable_by_key(|position| position.number);
    let found: Vec<_> = seen[0].iter().map(|entry| entry.position).collect();
    assert_eq!(found, positions, "an entry is where appending it says");
}

/// Reading behind each position gives exactly what follows, in parts too, and the last ones are the last ones.
pub async fn streams_are_read_behind_each_position(fixture: &dyn Fixture) {
    let (one, other) = (fixture.connect().await, fixture.connect().await);
    let name = subject("read");
    let start = streams(&one).last(&name, 10).await.expect("an empty stream");
    assert_eq!(start.entries, [], "a new stream is empty");
    let texts: Vec<_> = (0..10).map(|number| number.to_string()).collect();
    let mut positions = vec![start.end];
    for text in &texts {
        positions.push(append(&one, &name, text.clone(), keep(100)).await);
    }
    for (index, &position) in positions.iter().enumerate() {
        let batch = streams(&other).read(&name, position, 100).await.expect("a position that is there");
        assert_eq!(payloads(&batch.entries), texts[index..], "all behind a position");
        assert_eq!(batch.end, positions[10], "where the stream ends");
        let batch = streams(&other).read(&name, position, 2).await.expect("a position that is there");
        assert_eq!(payloads(&batch.entries), texts[index..10.min(index + 2)], "two behind a position");
        let batch = streams(&other).last(&name, index).await.expect("the last ones");
        assert_eq!(payloads(&batch.entries), texts[10 - index..], "the last {index}");
        assert_eq!(batch.end, positions[10], "where the stream ends");
    }
    let stream = StreamId(positions[1].stream.0 ^ 1);
    let foreign = Position { stream, ..positions[1] };
    let result = streams(&other).read(&name, foreign, 1).await;
    assert!(matches!(result, Err(StreamError::Gone)), "a position of another life of the stream: {result:?}");
}

/// Entries stand in the order of the calls of one node, also of calls whose futures are dropped.
pub async fn appending_keeps_the_order_of_calls(fixture: &dyn Fixture) {
    let bus = fixture.connect().await;
    let name = subject("calls");
    let start = streams(&bus).last(&name, 0).await.expect("an empty stream").end;
    for number in 0..50 {
        drop(streams(&bus).append(&name, number.to_string().into(), keep(100)));
    }
    append(&bus, &name, "50".to_owned(), keep(100)).await;
    let batch = streams(&bus).read(&name, start, 100).await.expect("all of them");
    let expected: Vec<_> = (0..=50).map(|number| number.to_string()).collect();
    assert_eq!(payloads(&batch.entries), expected, "entries are in the order of the calls");
}

/// A position behind which entries have been dropped is gone; one behind which all are there is not.
pub async fn what_is_dropped_is_gone(fixture: &dyn Fixture) {
    const COUNT: usize = 5000;
    let bus = fixture.connect().await;
    let name = subject("gone");
    let start = streams(&bus).last(&name, 0).await.expect("an empty stream").end;
    let mut positions = Vec::new();
    for first in (0..COUNT).step_by(100) {
        // An engine may drop only in steps.
        let appended: Vec<_> = (first..first + 100)
            .map(|number| streams(&bus).append(&name, number.to_string().into(), keep(10)))
            .collect();
        for appended in appended {
            positions.push(limited("an entry is appended", appended).await.expect("an entry"));
        }
    }
    for old in [start, positions[0], positions[COUNT / 2]] {
        let result = streams(&bus).read(&name, old, 10).await;
        assert!(matches!(result, Err(StreamError::Gone)), "what is behind it has been dropped: {result:?}");
        let mut follow = streams(&bus).follow(&name, old);
        for _ in 0..2 {
            let result = limited("an old position is answered", follow.next()).await;
            assert!(
                matches!(result, Err(StreamError::Gone)),
                "what is behind it has been dropped: {result:?}"
            );
        }
    }
    let batch = streams(&bus).read(&name, positions[COUNT - 10], 100).await.expect("the last ones are there");
    assert_eq!(batch.entries.len(), 9, "the last ones are there");
}

/// Where a stream ends, one can begin to follow it, also if all of its entries are too old.
pub async fn the_end_is_not_gone(fixture: &dyn Fixture) {
    let bus = fixture.connect().await;
    let name = subject("end");
    let retention = Retention { max_age: Some(Duration::from_secs(1)), ..keep(100) };
    for round in ["1", "2"] {
        append(&bus, &name, round.to_owned(), retention).await;
        tokio::time::sleep(Duration::from_millis(2100)).await;
        let end = streams(&bus).last(&name, 0).await.expect("an end").end;
        let mut follow = streams(&bus).follow(&name, end);
        append(&bus, &name, format!("{round} new"), retention).await;
        assert_eq!(entry(follow.as_mut()).await.payload, format!("{round} new"), "what comes after the end");
    }
}

/// What is within the bytes of a stream is kept, and the newest entry also beyond; those that are kept are the newest.
pub async fn nothing_is_dropped_too_early(fixture: &dyn Fixture) {
    let bus = fixture.connect().await;
    let name = subject("bytes");
    let retention = Retention { max_bytes: 1000, ..keep(100) };
    let texts: Vec<_> = (100..150).map(|number| number.to_string().repeat(100 / 3)).collect();
    for (index, text) in texts.iter().enumerate() {
        append(&bus, &name, text.clone(), retention).await;
        let found = payloads(&streams(&bus).last(&name, 100).await.expect("the last ones").entries);
        assert!(found.len() >= 10.min(index + 1), "entries within the bytes are kept: {}", found.len());
        assert!(texts[..=index].ends_with(&found), "those that are kept are the newest");
    }
    let large = "x".repeat(2000);
    append(&bus, &name, large.clone(), retention).await;
    let newest = streams(&bus).last(&name, 1).await.expect("the newest one").entries;
    assert_eq!(payloads(&newest), [large], "the newest entry is kept, however large it is");
}

/// A stream to which is appended is not idle. One that was has all of its entries or none, and goes on.
pub async fn a_stream_goes_on_after_it_was_idle(fixture: &dyn Fixture) {
    let bus = fixture.connect().await;
    let name = subject("idle");
    let retention = Retention { idle: Some(Duration::from_secs(2)), ..keep(100) };
    for text in ["1", "2", "3"] {
        append(&bus, &name, text.to_owned(), retention).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let batch = streams(&bus).last(&name, 100).await.expect("the last ones");
    assert_eq!(payloads(&batch.entries), ["1", "2", "3"], "a stream that is not idle");
    for (entry, seconds) in batch.entries.iter().zip([3, 2, 1]) {
        // Clocks of machines differ, and some count milliseconds.
        let least = Duration::from_secs(seconds) - Duration::from_millis(100);
        assert!((least..least * 10).contains(&entry.age), "{entry:?} is {seconds} seconds old");
    }
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let batch = streams(&bus).last(&name, 100).await.expect("the last ones");
    assert!([0, 3].contains(&batch.entries.len()), "all or none: {:?}", batch.entries);
    let mut follow = streams(&bus).follow(&name, batch.end);
    append(&bus, &name, "4".to_owned(), retention).await;
    assert_eq!(entry(follow.as_mut()).await.payload, "4", "what comes after the end");
}

/// A future of [`Follow::next`](crate::Follow::next) that is dropped takes no entry with it.
pub async fn following_can_be_interrupted(fixture: &dyn Fixture) {
    let bus = fixture.connect().await;
    let name = subject("interrupted");
    let start = streams(&bus).last(&name, 0).await.expect("an empty stream").end;
    let mut follow = streams(&bus).follow(&name, start);
    for number in 0..20 {
        let early = timeout(Duration::from_millis(1), follow.next()).await;
        assert!(early.is_err(), "there is nothing yet: {early:?}");
        let number = number.to_string();
        append(&bus, &name, number.clone(), keep(100)).await;
        // Perhaps it is just on its way.
        let payload = match timeout(Duration::from_micros(100), follow.next()).await {
            Ok(entry) => entry.expect("an entry").payload,
            Err(_) => entry(follow.as_mut()).await.payload,
        };
        assert_eq!(payload, number, "the next entry");
    }
}

/// Who follows a stream goes on after an outage, without a hole and without an entry twice.
///
/// Passes if the fixture cannot stop its engine.
pub async fn an_outage_leaves_no_hole_in_a_stream(fixture: &dyn Fixture) {
    let bus = fixture.connect().await;
    let name = subject("hole");
    let start = streams(&bus).last(&name, 0).await.expect("an empty stream").end;
    let mut follow = streams(&bus).follow(&name, start);
    append(&bus, &name, "1".to_owned(), keep(100)).await;
    assert_eq!(entry(follow.as_mut()).await.payload, "1", "an entry before the outage");
    append(&bus, &name, "2".to_owned(), keep(100)).await;
    if !fixture.set_outage(true).await {
        return;
    }
    status(&bus, |status| matches!(status, Status::Reconnecting { .. })).await;
    let refused = limited("appending is answered", streams(&bus).append(&name, "x".into(), keep(100))).await;
    assert!(matches!(refused, Err(StreamError::Disconnected)), "no engine is there: {refused:?}");
    fixture.set_outage(false).await;
    status(&bus, Status::is_connected).await;
    append(&bus, &name, "3".to_owned(), keep(100)).await;
    for expected in ["2", "3"] {
        assert_eq!(entry(follow.as_mut()).await.payload, expected, "the entries around the outage");
    }
}

fn subject(name: &str) -> Subject {
    let number = u64::from_be_bytes(random::bytes());
    Subject::new(&format!("kit.{name}.{number:016x}")).expect("a subject")
}

#[track_caller]
fn publish(bus: &Arc<dyn Bus>, subject: &Subject, payload: impl Into<Bytes>) {
    bus.publish(subject, payload.into()).expect("a connected bus takes a message");
}

fn streams(bus: &Arc<dyn Bus>) -> &dyn Streams {
    bus.streams().expect("a bus with streams")
}

const fn keep(max_entries: usize) -> Retention {
    Retention::entries(max_entries)
}

async fn append(bus: &Arc<dyn Bus>, name: &Subject, text: String, retention: Retention) -> Position {
    let appended = streams(bus).append(name, text.into(), retention);
    limited("an entry is appended", appended).await.expect("an entry")
}
