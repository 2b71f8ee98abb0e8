//! One receiver at a time, and the time in which it has to make progress.

use proptest::{collection::vec, prelude::*};

use super::*;

const TIMEOUT: Duration = Duration::from_secs(10);

#[test]
fn a_late_release_does_not_concern_the_next_receiver() {
    let now = Instant::now();
    let mut receiver = Receiver::new(None, now);
    let first = receiver.id();
    assert!(receiver.is(first) && receiver.detach(first));
    assert!(!receiver.is(first) && !receiver.detach(first), "once");
    receiver.attach(now);
    let second = receiver.id();
    assert!(first != second && !receiver.is(first) && receiver.is(second));
    assert!(!receiver.detach(first) && receiver.is_attached());
}

#[test]
fn a_new_receiver_inherits_nothing() {
    let now = Instant::now();
    let mut receiver = Receiver::new(Some(TIMEOUT), now);
    receiver.took_frame(1 << 20, now);
    receiver.set_blocked(true);
    receiver.found_nothing();
    receiver.detach(receiver.id());
    assert!(!receiver.is_at_work(), "nobody is");
    assert_eq!(receiver.time_on_the_way(), Duration::from_secs(60));
    let later = now + TIMEOUT;
    receiver.attach(later);
    assert_eq!(receiver.time_on_the_way(), Duration::ZERO);
    assert!(!receiver.is_blocked() && receiver.is_at_work());
    assert_eq!(receiver.write_deadline(true), Some(later + TIMEOUT));
}

#[test]
fn a_link_of_16_kib_per_second_is_waited_for_and_a_minute_at_most() {
    let now = Instant::now();
    let mut receiver = Receiver::new(None, now);
    for (kib, seconds) in [(15, 0), (1, 1), (32, 3), (10_000, 60)] {
        receiver.took_frame(kib << 10, now);
        assert_eq!(receiver.time_on_the_way(), Duration::from_secs(seconds), "{kib} KiB more");
    }
}

#[derive(Debug, Clone)]
enum Op {
    FindNothing,
    TakeFrame,
    MakeProgress,
    SetBlocked(bool),
    Attach,
}

fn an_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        Just(Op::FindNothing),
        Just(Op::TakeFrame),
        Just(Op::MakeProgress),
        any::<bool>().prop_map(Op::SetBlocked),
        Just(Op::Attach),
    ]
}

proptest! {
    /// The history of the present receiver says when it last made progress, and whether it has something to do.
    #[test]
    fn the_write_timeout_counts_from_the_last_progress(
        timeout in prop_oneof![Just(None), Just(Some(TIMEOUT)), Just(Some(Duration::MAX))],
        ops in vec((an_op(), 0..5000_u64), 1..30),
    ) {
        let mut now = Instant::now();
        let mut receiver = Receiver::new(timeout, now);
        let (mut progress, mut at_rest, mut blocked) = (now, false, false);
        for (op, millis) in ops {
            now += Duration::from_millis(millis);
            match op {
                Op::FindNothing => {
                    receiver.found_nothing();
                    at_rest = true;
                }
                Op::TakeFrame => {
                    receiver.took_frame(1, now);
                    at_rest = false;
                    progress = if blocked { progress } else { now };
                }
                Op::MakeProgress => {
                    receiver.made_progress(now);
                    progress = now;
                }
                            Op::SetBlocked(to) => {
                    prop_assert_eq!(receiver.set_blocked(to), to != blocked);
                    blocked = to;
                }
                Op::Attach => {
                    receiver.detach(receiver.id());
                    receiver.attach(now);
                    (progress, at_rest, blocked) = (now, false, false);
                }
            }
            prop_assert_eq!(receiver.is_blocked(), blocked);
            prop_assert_eq!(receiver.is_at_work(), !at_rest || blocked);
            for has_frame in [false, true] {
                let waits = blocked || has_frame && !at_rest;
                let expected = if waits && timeout == Some(TIMEOUT) { Some(progress + TIMEOUT) } else { None };
                prop_assert_eq!(receiver.write_deadline(has_frame), expected);
            }
        }
    }
}
