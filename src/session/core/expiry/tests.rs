//! The time for which a session lingers.

use super::*;

const DELAY: Duration = Duration::from_secs(5);

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_session_that_is_held_is_not_forgotten() {
    let mut expiry = Expiry::new(DELAY);
    assert!(expiry.is_held() && !expiry.is_draining());
    assert_eq!(expiry.deadline(), None);
    expiry.linger(Linger::Draining, Instant::now());
    assert!(!expiry.is_held() && expiry.is_draining());
    expiry.hold();
    assert!(expiry.is_held() && !expiry.is_draining());
    assert_eq!(expiry.deadline(), None);
}

#[test]
fn a_receiver_has_a_minute_or_the_delay_whichever_is_longer() {
    let now = Instant::now();
    for (delay, draining) in [(DELAY, SLOW_READER), (secs(61), secs(61))] {
        let mut expiry = Expiry::new(delay);
        expiry.linger(Linger::Draining, now);
        assert_eq!(expiry.deadline(), Some(now + draining));
        expiry.linger(Linger::DisconnectDelay, now);
        assert_eq!(expiry.deadline(), Some(now + delay));
        assert!(!expiry.is_draining());
    }
}

#[test]
fn the_delay_may_begin_when_the_last_response_has_arrived() {
    let now = Instant::now();
    let mut expiry = Expiry::new(DELAY);
    expiry.linger(Linger::Draining, now);
    expiry.linger_after(secs(9), now);
    assert_eq!(expiry.deadline(), Some(now + DELAY + secs(9)));
    assert!(!expiry.is_draining() && !expiry.is_held());
    // The session ends while the last frames are on their way, or long after they have arrived.
    for (after, left) in [(secs(3), secs(11)), (secs(10), secs(5))] {
        let mut expiry = Expiry::new(DELAY);
        expiry.linger_after(secs(9), now);
        expiry.linger_longer(now + after);
        assert_eq!(expiry.deadline(), Some(now + after + left));
    }
}

#[test]
fn a_delay_beyond_the_clock_never_ends_and_is_no_hold() {
    let now = Instant::now();
    let mut expiry = Expiry::new(Duration::MAX);
    for linger in [Linger::DisconnectDelay, Linger::Draining] {
        expiry.linger(linger, now);
        assert_eq!((expiry.is_held(), expiry.deadline()), (false, None));
        assert_eq!(expiry.is_draining(), linger == Linger::Draining);
    }
    expiry.linger_after(secs(1), now);
    assert_eq!((expiry.is_held(), expiry.deadline()), (false, None));
    expiry.linger_longer(now);
    assert_eq!((expiry.is_held(), expiry.deadline()), (false, None));
    assert_eq!(expiry.after_delay(now), None);
}
