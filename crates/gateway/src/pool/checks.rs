//! The task that checks one backend: one check after the other.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{sync::Notify, time::sleep};

use super::{dial::Probe, shared::Shared, state::Key};
use crate::config::backend::Health;

/// A check that a lost connection asks for begins so long after the last one, at the earliest.
const SOONEST: Duration = Duration::from_secs(1);

/// Checks at once, and then every interval, a tenth more or less: gateways that start together do not check together
/// for long. It returns when the pool has gone.
pub(super) async fn check<D: Probe>(
    shared: Weak<Shared<D>>,
    key: Key,
    connector: Arc<D>,
    health: Health,
    check_now: Arc<Notify>,
) {
    loop {
        let outcome = connector.probe(&health.check, health.timeout).await;
        let Some(shared) = shared.upgrade() else { return };
        shared.checked(key, outcome.map_err(|error| error.to_string()));
        drop(shared);
        let pause = jittered(health.interval, random());
        let soonest = SOONEST.min(pause);
        sleep(soonest).await;
        tokio::select! {
            () = sleep(pause - soonest) => {}
            () = check_now.notified() => {}
        }
    }
}

/// From nine tenths of the interval to eleven.
fn jittered(interval: Duration, random: u32) -> Duration {
    interval.mul_f64(0.9 + 0.2 * f64::from(random) / f64::from(u32::MAX))
}

fn random() -> u32 {
    // Without randomness they are checked in time, and not spread.
    getrandom::u32().unwrap_or(u32::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_a_tenth_more_or_less() {
        let interval = Duration::from_secs(10);
        let near = |duration: Duration, seconds: f64| (duration.as_secs_f64() - seconds).abs() < 1e-6;
        assert!(near(jittered(interval, 0), 9.0));
        assert!(near(jittered(interval, u32::MAX / 2), 10.0));
        assert!(near(jittered(interval, u32::MAX), 11.0));
    }
}
