//! The history of the batches says which batch may come: from any moment on, no more than the burst and the rate.

use proptest::{collection::vec, prelude::*};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn batch(messages: usize, bytes: usize) -> Room {
    Room { messages, bytes: bytes + messages * MESSAGE_OVERHEAD }
}

fn messages(rate: Rate, overflow: RateOverflow, now: Instant) -> Throttle {
    *Throttle::new(&Rates { messages: Some(rate), bytes: None, overflow }, now).unwrap()
}

#[test]
fn without_a_rate_there_is_nothing() {
    assert!(Throttle::new(&Rates::NONE, Instant::now()).is_none());
}

#[test]
fn a_burst_comes_at_once_and_then_the_rate() {
    let start = Instant::now();
    let mut throttle = messages(Rate::per_second(10).burst(3), RateOverflow::Wait, start);
    for _ in 0..3 {
        assert_eq!(throttle.admit(batch(1, 5), start), Ok(()));
        assert_eq!(throttle.deadline(), None, "nobody waits");
    }
    let mut now = start;
    for _ in 0..5 {
        assert_eq!(throttle.admit(batch(1, 5), now), Err(RateOverflow::Wait));
        let next = throttle.deadline().unwrap();
        assert_eq!(next, now + SECOND / 10);
        assert_eq!(throttle.admit(batch(1, 5), next - Duration::from_nanos(1)), Err(RateOverflow::Wait));
        assert_eq!(throttle.admit(batch(1, 5), next), Ok(()));
        now = next;
    }
    // A pause allows no more than the burst.
    now += 1000 * SECOND;
    assert_eq!((0..10).filter(|_| throttle.admit(batch(1, 5), now).is_ok()).count(), 3);
}

#[test]
fn a_batch_comes_as_a_whole_and_the_next_pays_for_it() {
    let start = Instant::now();
    let mut throttle = messages(Rate::per_second(10), RateOverflow::Wait, start);
    assert_eq!(throttle.admit(batch(1000, 0), start), Ok(()));
    assert_eq!(throttle.admit(batch(1, 0), start), Err(RateOverflow::Wait));
    // The balance is a debt of 990, and has to be 1.
    assert_eq!(throttle.deadline(), Some(start + SECOND * 991 / 10));
}

#[test]
fn both_rates_hold() {
    let start = Instant::now();
    let rates = Rates {
        messages: Some(Rate::per_second(1)),
        bytes: Some(Rate::per_second(100)),
        overflow: RateOverflow::Wait,
    };
    let mut throttle = *Throttle::new(&rates, start).unwrap();
    assert_eq!(throttle.admit(batch(1, 1000), start), Ok(()));
    assert!(throttle.admit(batch(1, 0), start + SECOND).is_err(), "an empty one waits for its bytes too");
    assert_eq!(throttle.deadline(), Some(start + SECOND * 901 / 100));
}

#[test]
fn what_closes_is_not_waited_for() {
    let start = Instant::now();
    let mut throttle = messages(Rate::per_second(1), RateOverflow::Close, start);
    assert!(throttle.may_be_promised(batch(1, 0), start), "this takes nothing");
    assert_eq!(throttle.admit_promised(batch(1, 0), start), Ok(()));
    assert!(throttle.may_be_promised(batch(1, 0), start), "it is judged when it comes");
    assert_eq!(throttle.admit_promised(batch(1, 0), start), Err(RateOverflow::Close));
    assert_eq!(throttle.admit(batch(1, 0), start), Err(RateOverflow::Close));
    assert_eq!(throttle.deadline(), None);
}

#[test]
fn what_waits_pays_when_it_is_promised() {
    let start = Instant::now();
    let mut throttle = messages(Rate::per_second(1), RateOverflow::Wait, start);
    assert!(throttle.may_be_promised(batch(1, 0), start));
    assert!(!throttle.may_be_promised(batch(1, 0), start));
    assert_eq!(throttle.deadline(), Some(start + SECOND));
    throttle.forget_waiting();
    assert_eq!(throttle.deadline(), None);
    assert_eq!(throttle.admit_promised(batch(1, 0), start), Ok(()));
}

#[test]
fn the_largest_values_do_not_overflow() {
    let start = Instant::now();
    for rate in [
        Rate::new(1, Duration::MAX),
        Rate::new(1, Duration::MAX).burst(u64::MAX),
        Rate::new(u64::MAX, Duration::from_nanos(1)),
        Rate::new(u64::MAX, Duration::MAX).burst(1),
    ] {
        let mut throttle = messages(rate, RateOverflow::Wait, start);
        let mut now = start;
        for _ in 0..10 {
            if throttle
                .admit(Room { messages: usize::MAX / MESSAGE_OVERHEAD, bytes: usize::MAX }, now)
                .is_err()
            {
                now = throttle.deadline().unwrap();
            }
        }
    }
}

/// The batches that have come, with their times.
#[derive(Debug, Default)]
pub(in super::super) struct Past(Vec<(Instant, Room)>);

impl Past {
    pub(in super::super) fn has_come(&mut self, batch: Room, now: Instant) {
        self.0.push((now, batch));
    }

    /// Whether one more may come: from any moment on, at least one of the burst and of the rate is left.
    pub(in super::super) fn allows(&self, rates: &Rates, now: Instant) -> bool {
        let count = |batch: &Room| batch.messages as u128;
        let bytes = |batch: &Room| (batch.bytes - batch.messages * MESSAGE_OVERHEAD) as u128;
        self.within(rates.messages, count, now) && self.within(rates.bytes, bytes, now)
    }

    fn within(&self, rate: Option<Rate>, of: impl Fn(&Room) -> u128, now: Instant) -> bool {
        let Some(rate) = rate else { return true };
        let (per, burst) = (rate.time_of(1).as_nanos(), rate.slack().as_nanos());
        (0..self.0.len()).all(|first| {
            let come: u128 = self.0[first..].iter().map(|(_, batch)| of(batch)).sum();
            come * per <= burst + (now - self.0[first].0).as_nanos()
        })
    }
}

fn a_rate() -> impl Strategy<Value = Rate> {
    // Without a fraction of a nanosecond.
    (1..20_u64, 1..20_u64, 1..30_u64).prop_map(|(count, millis, burst)| {
        Rate::new(count, Duration::from_millis(count * millis)).burst(burst)
    })
}

/// Any rate of which a message takes no whole number of nanoseconds.
fn an_odd_rate() -> impl Strategy<Value = Rate> {
    (1..1000_u64, 1..1_000_000_000_u64, 1..100_u64)
        .prop_map(|(count, nanos, burst)| Rate::new(count, Duration::from_nanos(nanos)).burst(burst))
}

proptest! {
    #[test]
    fn admits_what_the_past_allows(
        message_rate in proptest::option::of(a_rate()),
        byte_rate in proptest::option::of(a_rate()),
        batches in vec((0..60_u64, 1..5_usize, 0..50_usize), 1..60),
    ) {
        let rates = Rates { messages: message_rate, bytes: byte_rate, overflow: RateOverflow::Wait };
        let mut now = Instant::now();
        let Some(mut throttle) = Throttle::new(&rates, now) else { return Ok(()) };
        let mut past = Past::default();
        for (millis, count, bytes) in batches {
            now += Duration::from_millis(millis);
            let batch = batch(count, bytes);
            let allowed = past.allows(&rates, now);
            prop_assert_eq!(throttle.admit(batch, now).is_ok(), allowed);
            prop_assert_eq!(throttle.deadline().is_some(), !allowed);
            if let Some(next) = throttle.deadline() {
                prop_assert!(now < next && !past.allows(&rates, next - Duration::from_nanos(1)));
                prop_assert!(past.allows(&rates, next), "no later than it has to be");
            } else {
                past.has_come(batch, now);
            }
        }
    }

    #[test]
    fn no_more_comes_in_any_time_than_the_burst_the_rate_and_one_batch(
        rate in an_odd_rate(),
        batches in vec((0..2_000_000_u64, 1..200_usize), 1..60),
    ) {
        let mut now = Instant::now();
        let mut throttle = messages(rate, RateOverflow::Wait, now);
        let mut past: Vec<(Instant, u64)> = Vec::new();
        for (nanos, count) in batches {
            now += Duration::from_nanos(nanos);
            if throttle.admit(batch(count, 0), now).is_err() {
                // Like a client that waits.
                now = throttle.deadline().unwrap();
                prop_assert_eq!(throttle.admit(batch(count, 0), now), Ok(()));
            }
            past.push((now, count as u64));
            for first in 0..past.len() {
                let come: u64 = past[first..].iter().map(|(_, count)| count).sum();
                // All before the last may come in that time, beside the burst.
                let needs = rate.time_of(come - count as u64).saturating_sub(rate.slack());
                prop_assert!(needs <= now - past[first].0);
            }
        }
    }
}
