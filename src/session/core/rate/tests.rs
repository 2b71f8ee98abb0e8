use super::*;

#[test]
fn nothing_is_zero() {
    let refused = |rate: fn() -> Rate| std::panic::catch_unwind(rate).is_err();
    assert!(refused(|| Rate::per_second(0)) && refused(|| Rate::new(0, Duration::MAX)));
    assert!(refused(|| Rate::new(1, Duration::ZERO)));
    assert!(refused(|| Rate::per_second(1).burst(0)));
}

#[test]
fn a_burst_is_as_much_as_in_the_time_by_default() {
    let rate = Rate::new(300, Duration::from_secs(60));
    assert_eq!(rate, rate.burst(300));
    assert_eq!(rate.burst(7).to_string(), "300 per 60s, 7 at once");
}

#[test]
fn no_values_overflow() {
    let century = Rate::new(1, Duration::MAX).time_of(u64::MAX);
    assert_eq!(century.as_secs() / (24 * 60 * 60 * 365), 100);
    for (count, per, burst) in [
        (1, Duration::MAX, u64::MAX),
        (u64::MAX, Duration::MAX, u64::MAX),
        (u64::MAX, Duration::from_nanos(1), u64::MAX),
        (1, Duration::from_nanos(1), u64::MAX),
    ] {
        let rate = Rate::new(count, per).burst(burst);
        assert!(rate.time_of(u64::MAX) <= century && rate.slack() <= century);
        assert!(rate.time_of(1) > Duration::ZERO);
    }
}

#[test]
fn a_time_is_rounded_up_and_a_slack_down() {
    let third = Rate::per_second(3).burst(2);
    assert_eq!(third.time_of(1), Duration::from_nanos(333_333_334));
    assert_eq!(third.slack(), Duration::from_nanos(333_333_333));
    assert_eq!((third.time_of(3), third.time_of(0)), (Duration::from_secs(1), Duration::ZERO));
}
