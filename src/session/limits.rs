//! The counts behind the session limits: of an endpoint, of each peer and of each owner.

use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

/// The peer that sessions are counted for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Peer {
    /// An IP address. Of IPv6 only the first 64 bits count, since a single host has all addresses that begin with them.
    Address(IpAddr),
    /// A key that the application has computed.
    Key(Box<str>),
}

impl From<SocketAddr> for Peer {
    fn from(addr: SocketAddr) -> Self {
        Self::Address(match addr.ip().to_canonical() {
            IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
            ip @ IpAddr::V4(_) => ip,
        })
    }
}

/// The number of sessions of each peer or owner that has any. Its lock may be taken while the registry's is held, never
/// the other way round.
#[derive(Debug)]
pub(crate) struct Counts<K>(Mutex<HashMap<K, usize>>);

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash + Clone> Counts<K> {
    /// Counts one more session of `key`, unless it has `limit` already.
    pub(crate) fn admit(self: &Arc<Self>, key: K, limit: usize) -> Option<Counted<K>> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sessions = counts.get(&key).copied().unwrap_or_default();
        if sessions >= limit {
            return None;
        }
        counts.insert(key.clone(), sessions + 1);
        Some(Counted { counts: Arc::clone(self), key })
    }
}

/// Counts one session for as long as this value exists.
#[derive(Debug)]
pub(crate) struct Counted<K: Eq + Hash> {
    counts: Arc<Counts<K>>,
    key: K,
}

impl<K: Eq + Hash> Drop for Counted<K> {
    fn drop(&mut self) {
        let mut counts = self.counts.0.lock().unwrap_or_else(PoisonError::into_inner);
        match counts.get_mut(&self.key) {
            Some(sessions) if *sessions > 1 => *sessions -= 1,
            _ => drop(counts.remove(&self.key)),
        }
    }
}

/// The number of sessions of an endpoint, or of several that share their limits.
///
/// This is no semaphore, since the caller passes the limit: the caller allows one session more if another is about to
/// be removed.
#[derive(Debug, Clone, Default)]
pub(super) struct SessionPermits(Arc<AtomicUsize>);

impl SessionPermits {
    /// Counts one session more, unless there are `limit` already.
    pub(super) fn take(&self, limit: usize) -> Option<SessionPermit> {
        let more = |sessions| (sessions < limit).then_some(sessions + 1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(SessionPermit { permits: Arc::clone(&self.0), of_peer: None, of_owner: None })
    }
}

/// One session's share of the limits of its endpoint, its peer and its owner. It is held from the opening request until
/// the session is over and its handler has returned. Otherwise a client could leave any number of handlers behind.
#[derive(Debug)]
pub(crate) struct SessionPermit {
    permits: Arc<AtomicUsize>,
    pub(super) of_peer: Option<Counted<Peer>>,
    pub(super) of_owner: Option<Counted<u64>>,
}

impl Drop for SessionPermit {
    fn drop(&mut self) {
        self.permits.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The number of sending requests that a session has in flight.
///
/// A semaphore would take five times the memory in each session.
#[derive(Debug, Default)]
pub(super) struct PendingSends(AtomicUsize);

impl PendingSends {
    /// Counts one request more, unless there are `limit` already.
    pub(super) fn begin(&self, limit: usize) -> bool {
        let more = |pending| (pending < limit).then_some(pending + 1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    pub(super) fn end(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The number of sessions that have not ended.
#[derive(Debug, Default)]
pub(super) struct LiveSessions(Arc<AtomicUsize>);

impl LiveSessions {
    pub(super) fn len(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn count(&self) -> LiveSession {
        self.0.fetch_add(1, Ordering::Relaxed);
        LiveSession(Arc::clone(&self.0))
    }
}

/// Counts one live session for as long as this value exists.
#[derive(Debug)]
#[cfg_attr(test, derive(Default))]
pub(crate) struct LiveSession(Arc<AtomicUsize>);

impl Drop for LiveSession {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(addr: &str) -> Peer {
        Peer::from(SocketAddr::new(addr.parse().unwrap(), 80))
    }

    #[test]
    fn an_address_is_a_host() {
        assert_eq!(peer("192.0.2.1"), peer("::ffff:192.0.2.1"));
        assert_ne!(peer("192.0.2.1"), peer("192.0.2.2"));
        assert_eq!(peer("2001:db8::1"), peer("2001:db8::ffff:0:0:1"));
        assert_ne!(peer("2001:db8:0:1::1"), peer("2001:db8:0:2::1"));
    }

    #[test]
    fn counts_up_to_the_limit_and_forgets_who_has_none() {
        let peers = Arc::new(Counts::default());
        assert!(peers.admit(peer("192.0.2.1"), 0).is_none());
        let first = peers.admit(peer("192.0.2.1"), 2).unwrap();
        let second = peers.admit(peer("192.0.2.1"), 2).unwrap();
        assert!(peers.admit(peer("192.0.2.1"), 2).is_none());
        let other = peers.admit(Peer::Key("192.0.2.1".into()), 1).unwrap();
        drop(first);
        let third = peers.admit(peer("192.0.2.1"), 2).unwrap();
        drop((second, third, other));
        assert!(peers.0.lock().unwrap().is_empty());
    }
}
