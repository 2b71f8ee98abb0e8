//! What the service manager is told, if there is one that asks.

use std::time::Duration;

#[cfg(unix)]
use sd_notify::{NotifyState, notify};

/// How often the number of sessions is told.
pub(super) const STATUS_INTERVAL: Duration = Duration::from_secs(10);

/// The same, during a stop.
pub(super) const STOP_STATUS_INTERVAL: Duration = Duration::from_secs(1);

#[cfg(unix)]
fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = notify(states) {
        tracing::debug!(%error, "the service manager was not told");
    }
}

#[cfg(unix)]
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

#[cfg(unix)]
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "there is no clock for the service manager"),
    }
}

#[cfg(unix)]
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

#[cfg(unix)]
pub(super) fn status(text: &str) {
    tell(&[NotifyState::Status(text)]);
}

/// A sign of life.
#[cfg(unix)]
pub(super) fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// How often the service manager wants a sign of life: twice as often as it acts on its absence.
#[cfg(unix)]
pub(super) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|time| time / 2).filter(|time| !time.is_zero())
}

#[cfg(not(unix))]
mod nobody {
    pub(in super::super) fn ready() {}
    pub(in super::super) fn stopping() {}
    pub(in super::super) fn status(_: &str) {}
    pub(in super::super) fn alive() {}
    pub(in super::super) fn watchdog() -> Option<std::time::Duration> {
        None
    }
}

#[cfg(not(unix))]
pub(super) use nobody::*;
