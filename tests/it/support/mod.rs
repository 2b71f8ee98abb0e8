//! Tools for tests from outside: real servers on loopback, and clients that see every byte.
//!
//! - [`server`]: starts an app on a port of its own;
//! - [`http`]: requests as bytes, responses piece by piece, connections that can be cut off;
//! - [`ws`]: a WebSocket client, and single WebSocket frames as bytes;
//! - [`client`]: one client for all transports, made from a table with a row for each;
//! - [`apps`]: the applications that tests talk to.
//!
//! Every wait ends after [`PATIENCE`] with a panic that says what was missing.

pub(crate) mod apps;
pub(crate) mod client;
pub(crate) mod http;
pub(crate) mod log;
pub(crate) mod server;
#[cfg(feature = "websocket")]
pub(crate) mod ws;

use std::{fmt::Display, future::Future, time::Duration};

/// How long a test waits for anything: far more than it takes, even on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Waits for `future`, but not for ever.
pub(crate) async fn within<T>(what: impl Display, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("not within {PATIENCE:?}: {what}"),
    }
}

/// Waits until `condition` holds, where there is no event to wait for.
pub(crate) async fn until(what: impl Display, mut condition: impl FnMut() -> bool) {
    within(what, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

/// Lets time pass at once, on a clock that goes on by itself before and behind that; the test has to be on a
/// runtime of one thread, and what is due happens when it waits for something next.
pub(crate) async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// Waits for what only time brings: a minute passes whenever nothing happens for a moment. What has to come
/// before has to be there before, and `future` must have no time limit of its own.
pub(crate) async fn as_time_passes<T>(what: impl Display, future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    for _ in 0..500 {
        if let Ok(value) = tokio::time::timeout(Duration::from_millis(20), &mut future).await {
            return value;
        }
        pass(Duration::from_secs(60)).await;
    }
    panic!("not within 500 minutes: {what}");
}

/// As [`until`], where time has to pass.
pub(crate) async fn until_time_has_passed(what: impl Display, mut condition: impl FnMut() -> bool) {
    as_time_passes(what, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

/// An id that no other session of this process has.
pub(crate) fn fresh_id() -> String {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("session{}", NEXT.fetch_add(1, Ordering::Relaxed))
}
