//! Tools for tests from outside: real servers on loopback, and clients that see every byte.
//!
//! - [`server`]: starts an app on a port of its own;
//! - [`http`]: requests as bytes, responses piece by piece, connections that can be cut off;
//! - [`ws`]: a WebSocket client, and single WebSocket frames as bytes;
//! - [`client`]: one client for all transports, made from a table with a row for each;
//! - [`apps`]: the applications that tests talk to;
//! - [`in_process`]: an endpoint without sockets, and its clients;
//! - [`pipe`]: an endpoint behind connections in process, whose buffers are small;
//! - `nodes`: several nodes of a cluster, and a balancer; `relay`: what stands between two of them;
//! - [`log`]: what is logged; [`docs`]: what the documentation says;
//! - [`suite`], [`urls`], [`origins`], [`mounts`], [`scene`]: what the files of one topic have in common.
//!
//! Every wait ends after [`PATIENCE`] with a panic that says what was missing.

pub(crate) mod apps;
pub(crate) mod client;
pub(crate) mod docs;
pub(crate) mod http;
pub(crate) mod in_process;
pub(crate) mod log;
pub(crate) mod mounts;
#[cfg(feature = "cluster")]
pub(crate) mod nodes;
pub(crate) mod origins;
pub(crate) mod pipe;
#[cfg(feature = "cluster")]
pub(crate) mod relay;
pub(crate) mod scene;
pub(crate) mod server;
pub(crate) mod suite;
pub(crate) mod urls;
#[cfg(feature = "websocket")]
pub(crate) mod ws;

use std::{fmt::Display, future::Future, time::Duration};

use tokio::{task::yield_now, time::timeout};

/// How long a test waits for anything: far more than it takes, even on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Long enough for nothing to end by itself while a test runs.
pub(crate) const NEVER: Duration = Duration::from_secs(600);

/// Waits for `future`, but not for ever.
pub(crate) async fn within<T>(what: impl Display, future: impl Future<Output = T>) -> T {
    match timeout(PATIENCE, future).await {
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
        if let Ok(value) = timeout(Duration::from_millis(20), &mut future).await {
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

/// Waits for what must come without anyone's help; on the paused clock a day is over at once.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match timeout(Duration::from_secs(86_400), future).await {
        Ok(value) => value,
        Err(_) => panic!("it never comes: {what}"),
    }
}

/// Lets every task run until it waits for something; no time passes.
pub(crate) async fn settle() {
    for _ in 0..100 {
        yield_now().await;
    }
}
