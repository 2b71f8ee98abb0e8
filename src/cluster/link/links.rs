//! The links to one node.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::client::Link;

/// A client may choose a part of the prefix, where the application's router leaves it open; further prefixes have no link.
/// One that is refused gives way to another.
const MAX_LINKS: usize = 8;

/// An endpoint that takes no links is asked again after this long.
const AGAIN: Duration = Duration::from_secs(30);

/// The links to one node, by the prefix of the endpoint there.
#[derive(Debug, Default)]
pub(crate) struct Links(Mutex<HashMap<Box<str>, Slot>>);

#[derive(Debug)]
enum Slot {
    Opening,
    Open(Arc<Link>),
    Refused(Instant),
}

impl Slot {
    /// Whether it was a link that broke before it brought anything. Something in between may cut each.
    fn broke_unused(&self) -> bool {
        matches!(self, Self::Open(link) if link.broke_unused())
    }
}

/// How a request reaches an endpoint.
#[derive(Debug)]
pub(crate) enum Way {
    Link(Arc<Link>),
    /// The ordinary way, and whoever asks has to open a link for those who come later.
    OpenLink,
    Ordinary,
}

impl Links {
    fn slots(&self) -> MutexGuard<'_, HashMap<Box<str>, Slot>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn way(&self, prefix: &str) -> Way {
        let mut slots = self.slots();
        if slots.len() >= MAX_LINKS && !slots.contains_key(prefix) {
            let oldest = slots.iter().filter_map(|(prefix, slot)| match slot {
                Slot::Refused(since) => Some((*since, prefix)),
                _ => None,
            });
            let Some(oldest) = oldest.min().map(|(_, prefix)| prefix.clone()) else { return Way::Ordinary };
            slots.remove(&oldest);
        }
        match slots.get_mut(prefix) {
            Some(Slot::Open(link)) if !link.is_over() => return Way::Link(Arc::clone(link)),
            Some(slot) if slot.broke_unused() => {
                *slot = Slot::Refused(Instant::now());
                return Way::Ordinary;
            }
            Some(Slot::Opening) => return Way::Ordinary,
            Some(Slot::Refused(since)) if since.elapsed() < AGAIN => return Way::Ordinary,
            Some(slot) => *slot = Slot::Opening,
            None => _ = slots.insert(prefix.into(), Slot::Opening),
        }
        Way::OpenLink
    }

    /// Ends what [`Way::OpenLink`] began.
    pub(crate) fn opened(&self, prefix: &str, link: Option<Arc<Link>>) {
        let slot = link.map_or_else(|| Slot::Refused(Instant::now()), Slot::Open);
        self.slots().insert(prefix.into(), slot);
    }

    /// Forgets what is over, closes what has been idle for too long, and gives up what leads nowhere: where an owner that
    /// was asked for a sign of life gives none within `answer_timeout`. Returns how many those are.
    pub(crate) fn sweep(&self, idle_timeout: Duration, answer_timeout: Duration) -> usize {
        let mut lost = self.open();
        lost.retain(|link| {
            link.close_if_idle(idle_timeout);
            link.is_lost(answer_timeout)
        });
        self.slots().retain(|_, slot| {
            match slot {
                Slot::Open(link) if lost.iter().any(|lost| Arc::ptr_eq(lost, link)) => {
                    *slot = Slot::Refused(Instant::now());
                }
                _ if slot.broke_unused() => *slot = Slot::Refused(Instant::now()),
                _ => {}
            }
            match slot {
                Slot::Opening => true,
                Slot::Open(link) => !link.is_over(),
                Slot::Refused(since) => since.elapsed() < AGAIN,
            }
        });
        // Who waited is told when no other can take the same way.
        lost.iter().for_each(|link| link.close());
        lost.len()
    }

    /// Ends all; what waits gets no answer.
    pub(crate) fn close(&self) {
        self.open().iter().for_each(|link| link.close());
    }

    /// Whether there is none, and none opens.
    pub(crate) fn is_empty(&self) -> bool {
        self.slots().values().all(|slot| matches!(slot, Slot::Refused(_)))
    }

    /// How many carry requests.
    pub(crate) fn count(&self) -> usize {
        self.open().iter().filter(|link| !link.is_over()).count()
    }

    fn open(&self) -> Vec<Arc<Link>> {
        let slots = self.slots();
        let open = slots.values().filter_map(|slot| match slot {
            Slot::Open(link) => Some(Arc::clone(link)),
            _ => None,
        });
        open.collect()
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::{super::framed::Framed, *};

    #[tokio::test(start_paused = true)]
    async fn one_opens_a_link_and_all_use_it() {
        let links = Links::default();
        assert!(matches!(links.way("/app"), Way::OpenLink));
        assert!(matches!(links.way("/app"), Way::Ordinary));
        assert!(!links.is_empty());
        let link = Link::new();
        assert_eq!(links.count(), 0);
        links.opened("/app", Some(Arc::clone(&link)));
        assert_eq!(links.count(), 1);
        assert!(matches!(links.way("/app"), Way::Link(_)));
        links.sweep(AGAIN, AGAIN);
        assert!(matches!(links.way("/app"), Way::Link(_)));
        tokio::time::advance(AGAIN).await;
        links.sweep(AGAIN, AGAIN);
        assert!(links.is_empty());
        assert_eq!(links.count(), 0);
        assert!(matches!(links.way("/app"), Way::OpenLink));
    }

    #[tokio::test(start_paused = true)]
    async fn an_endpoint_that_takes_no_links_is_asked_again_later() {
        let links = Links::default();
        assert!(matches!(links.way("/app"), Way::OpenLink));
        links.opened("/app", None);
        assert!(links.is_empty());
        assert!(matches!(links.way("/app"), Way::Ordinary));
        tokio::time::advance(AGAIN).await;
        assert!(matches!(links.way("/app"), Way::OpenLink));
    }

    #[tokio::test(start_paused = true)]
    async fn a_link_that_breaks_before_it_brings_anything_is_not_opened_anew_at_once() {
        for sweeps in [true, false] {
            let links = Links::default();
            assert!(matches!(links.way("/app"), Way::OpenLink));
            let link = Link::new();
            links.opened("/app", Some(Arc::clone(&link)));
            let (io, other) = tokio::io::duplex(100);
            drop(other);
            link.run(Framed::new(io, BytesMut::new(), 100), || {}).await;
            if sweeps {
                links.sweep(AGAIN, AGAIN);
            }
            assert!(matches!(links.way("/app"), Way::Ordinary));
            tokio::time::advance(AGAIN).await;
            assert!(matches!(links.way("/app"), Way::OpenLink));
        }
    }

    #[tokio::test]
    async fn prefixes_that_clients_choose_have_few_links() {
        let links = Links::default();
        (0..MAX_LINKS).for_each(|n| assert!(matches!(links.way(&format!("/{n}")), Way::OpenLink)));
        assert!(matches!(links.way("/more"), Way::Ordinary));
    }

    #[tokio::test(start_paused = true)]
    async fn prefixes_that_lead_nowhere_keep_no_other_from_its_link() {
        let links = Links::default();
        for n in 0..MAX_LINKS {
            assert!(matches!(links.way(&format!("/{n}")), Way::OpenLink));
            links.opened(&format!("/{n}"), None);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert!(matches!(links.way("/app"), Way::OpenLink));
        links.opened("/app", Some(Link::new()));
        // The oldest has given way.
        assert!(matches!(links.way("/1"), Way::Ordinary));
        assert!(matches!(links.way("/0"), Way::OpenLink));
        assert!(matches!(links.way("/app"), Way::Link(_)));
    }
}
