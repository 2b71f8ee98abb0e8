//! The task that checks one backend: one check after the other.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{sync::Notify, time::sleep};

use super::{
    dial::{DialFailure, Probe},
    health::Seen,
    shared::Shared,
    snapshot::DialOutcome,
    state::Key,
};
use crate::config::backend::{Check, Health};

/// A check that a lost connection asks for begins so long after the last one, at the earliest.
const SOONEST: Duration = Duration::from_secs(1);

#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) health: Health,
    pub(super) connect_timeout: Duration,
}

/// Checks at once, and then every interval, a tenth more or less: gateways that start together do not check together
/// for long. It returns when the pool has gone.
pub(super) async fn check<D: Probe>(
    shared: Weak<Shared<D>>,
    key: Key,
    connector: Arc<D>,
    settings: Settings,
    check_now: Arc<Notify>,
) {
    let health = &settings.health;
    let seen = if health.check == Check::WebSocket { Seen::Handshake } else { Seen::Port };
    loop {
        let mut outcome = connector.probe(&health.check, health.timeout).await.map(|()| seen);
        let needs_handshake = || shared.upgrade().is_some_and(|shared| shared.needs_handshake(key));
        if matches!(outcome, Ok(Seen::Port)) && needs_handshake() {
            // No session of a client's is to try whether it is back.
            outcome = answers(&*connector, settings.connect_timeout).await.map(|()| Seen::Handshake);
        }
        let Some(shared) = shared.upgrade() else { return };
        match outcome {
            Err(error) if error.outcome() == DialOutcome::OutOfFiles => shared.out_of_files(&error),
            outcome => shared.checked(key, outcome.map_err(|error| error.to_string())),
        }
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

/// Whether the backend answers a handshake: as for a session, any status is an answer. The check has nothing of a client's,
/// so it may well be refused.
async fn answers<D: Probe>(connector: &D, patience: Duration) -> Result<(), D::Error> {
    match connector.probe(&Check::WebSocket, patience).await {
        Err(error) if matches!(error.outcome(), DialOutcome::Refused | DialOutcome::Unavailable) => Ok(()),
        outcome => outcome,
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
