//! Another node, as the one that forwards requests to it sees it.

use std::{
    future::poll_fn,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, Once, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::{
    sync::{Notify, futures::OwnedNotified},
    time::Instant,
};

use super::{connection::Connection, link::links::Links};

/// As many connections to one node are kept for later.
const MAX_IDLE: usize = 64;

/// Another node, while something waits for it or a connection to it is kept.
pub(super) struct Owner {
    pub(super) address: SocketAddr,
    /// Below which prefix it has an endpoint of the cluster.
    prefix: Box<str>,
    /// One below which it has shown that it is a node.
    proven_prefix: OnceLock<Box<str>>,
    /// Whether the log has reported that something else answers there.
    pub(super) stranger: Once,
    state: Mutex<State>,
    pub(super) links: Links,
    /// Answers and pieces of them: signs of life.
    signs: AtomicU64,
    lost: Arc<Notify>,
}

#[derive(Default)]
struct State {
    #[allow(clippy::vec_box, reason = "a connection is large, and moves between here and its requests")]
    idle: Vec<Box<Connection>>,
    /// Requests that wait for an answer or its end.
    waiting: usize,
    /// Since when it does not answer, if it does not.
    silent_since: Option<Instant>,
}

/// Why nothing is forwarded to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// It does not answer, or cannot be reached.
    Unreachable,
    /// It has been lost before its answer was complete; the request may have arrived.
    Broken,
    /// Nothing more can be forwarded there now: as many requests wait for it as may, or this node has no port, no file
    /// descriptor or no memory for a connection.
    Full,
}

impl Owner {
    pub(super) fn new(address: SocketAddr, prefix: &str) -> Self {
        let (proven_prefix, state, links, signs, lost) = Default::default();
        Self {
            address,
            prefix: prefix.into(),
            proven_prefix,
            stranger: Once::new(),
            state,
            links,
            signs,
            lost,
        }
    }

    /// Where to ask it for itself. A client may have chosen the first one.
    pub(super) fn prefix(&self) -> &str {
        self.proven_prefix.get().unwrap_or(&self.prefix)
    }

    /// It has shown below this prefix that it is a node.
    pub(super) fn is_proven(&self, prefix: &str) {
        self.proven_prefix.get_or_init(|| prefix.into());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request.
    pub(super) fn begin(self: &Arc<Self>, max: usize) -> Result<Waiting, NoAnswer> {
        let mut state = self.state();
        if state.silent_since.is_some() {
            return Err(NoAnswer::Unreachable);
        }
        if state.waiting >= max {
            return Err(NoAnswer::Full);
        }
        state.waiting += 1;
        Ok(Waiting(Arc::clone(self)))
    }

    /// A connection that is kept and still good.
    pub(super) async fn kept(&self, idle_timeout: Duration) -> Option<Box<Connection>> {
        loop {
            // A connection is dropped, and polled, under no lock.
            let mut connection = self.state().idle.pop()?;
            // The one who sweeps comes each second, and may be late.
            let is_young = connection.idle_since.elapsed() < idle_timeout;
            let is_ready = poll_fn(|cx| Poll::Ready(connection.is_ready(cx))).await;
            if is_young && is_ready {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection whose answer is complete.
    pub(super) fn keep(&self, mut connection: Box<Connection>, cx: &mut Context<'_>) {
        if !connection.is_ready(cx) {
            return;
        }
        connection.idle_since = Instant::now();
        let mut state = self.state();
        if state.idle.len() < MAX_IDLE {
            state.idle.push(connection);
        } else {
            drop(state);
            drop(connection);
        }
    }

    pub(super) fn heard(&self) {
        self.signs.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn signs(&self) -> u64 {
        self.signs.load(Ordering::Relaxed)
    }

    /// Completes when the node has been given up.
    pub(super) fn lost(&self) -> OwnedNotified {
        Arc::clone(&self.lost).notified_owned()
    }

    /// Gives up all that waits for the node; what comes next is refused at once. Returns whether it was not given up
    /// before.
    pub(super) fn give_up(&self) -> bool {
        let (is_first, waiting, idle) = {
            let mut state = self.state();
            let is_first = state.silent_since.is_none();
            if is_first {
                state.silent_since = Some(Instant::now());
            }
            (is_first, state.waiting, std::mem::take(&mut state.idle))
        };
        drop(idle);
        self.links.close();
        // It is asked each second.
        if is_first {
            tracing::warn!(node = %self.address, waiting, "a node of the cluster does not answer");
        }
        self.lost.notify_waiters();
        is_first
    }

    /// The node has answered.
    pub(super) fn is_back(&self) {
        let was_silent = self.state().silent_since.take();
        if was_silent.is_some() {
            tracing::info!(node = %self.address, "a node of the cluster answers again");
        }
    }

    /// Whether it is to be asked whether it lives.
    pub(super) fn is_in_doubt(&self, signs_before: u64) -> bool {
        let state = self.state();
        state.silent_since.is_some() || state.waiting > 0 && self.signs() == signs_before
    }

    /// Forgets connections that are closed or have been idle for too long, and links that lead nowhere.
    pub(super) fn sweep(&self, idle_timeout: Duration, answer_timeout: Duration) {
        let lost = self.links.sweep(idle_timeout, answer_timeout);
        if lost > 0 {
            tracing::warn!(node = %self.address, "a link to a node of the cluster leads nowhere");
        }
        let idle = std::mem::take(&mut self.state().idle);
        if idle.is_empty() {
            return;
        }
        let mut cx = Context::from_waker(Waker::noop());
        let good = idle.into_iter().filter_map(|mut connection| {
            let is_good = connection.idle_since.elapsed() < idle_timeout && connection.is_ready(&mut cx);
            is_good.then_some(connection)
        });
        let mut good: Vec<_> = good.collect();
        let mut state = self.state();
        // The latest are last, and used first.
        good.append(&mut state.idle);
        let oldest = good.len().saturating_sub(MAX_IDLE);
        state.idle = good.split_off(oldest);
        drop(state);
        drop(good);
    }

    /// Whether nothing waits for it and nothing is kept.
    pub(super) fn is_unused(&self, silence: Duration) -> bool {
        if !self.links.is_empty() {
            return false;
        }
        let state = self.state();
        state.waiting == 0
            && state.idle.is_empty()
            && state.silent_since.is_none_or(|since| since.elapsed() > silence)
    }

    pub(super) fn is_waited_for(&self) -> bool {
        self.waiting() > 0
    }

    /// How many requests wait for it.
    pub(super) fn waiting(&self) -> usize {
        self.state().waiting
    }

    /// Whether it has been given up.
    pub(super) fn is_silent(&self) -> bool {
        self.state().silent_since.is_some()
    }
}

/// A request that waits for a node, until it is dropped.
pub(super) struct Waiting(pub(super) Arc<Owner>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.state().waiting -= 1;
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_kept_for_a_time() {
        const LIMIT: Duration = Duration::from_secs(5);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let owner = Owner::new(listener.local_addr().unwrap(), "/app");
        let opened = Connection::open(owner.address, Duration::from_secs(60));
        let (connection, peer) = tokio::join!(opened, listener.accept());
        let _peer = peer.unwrap();
        let keep = |connection| owner.keep(connection, &mut Context::from_waker(Waker::noop()));
        keep(Box::new(connection.unwrap()));
        tokio::time::advance(LIMIT - Duration::from_millis(1)).await;
        // Its time begins with its last use.
        keep(owner.kept(LIMIT).await.expect("it is young"));
        tokio::time::advance(LIMIT - Duration::from_millis(1)).await;
        keep(owner.kept(LIMIT).await.expect("it is young"));
        // Nobody has swept meanwhile.
        tokio::time::advance(LIMIT).await;
        assert!(owner.kept(LIMIT).await.is_none());
        assert!(owner.is_unused(LIMIT));
    }

    #[tokio::test(start_paused = true)]
    async fn who_looks_after_an_owner_forgets_old_connections() {
        const LIMIT: Duration = Duration::from_secs(5);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let owner = Owner::new(listener.local_addr().unwrap(), "/app");
        let opened = Connection::open(owner.address, Duration::from_secs(60));
        let (connection, peer) = tokio::join!(opened, listener.accept());
        let _peer = peer.unwrap();
        owner.keep(Box::new(connection.unwrap()), &mut Context::from_waker(Waker::noop()));
        owner.sweep(LIMIT, LIMIT);
        assert!(!owner.is_unused(LIMIT));
        tokio::time::advance(LIMIT).await;
        owner.sweep(LIMIT, LIMIT);
        assert!(owner.is_unused(LIMIT));
    }
}
