//! What a node listens to: one subscription on the bus for each destination, user, or all patterns, as long as somebody
//! here has subscribed.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_util::FutureExt as _;
use sockjs_bus::{InvalidSubject, Port, Subject, SubscribeError, Subscription};

/// What messages are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// A topic or a temporary queue, and those who have subscribed to exactly this.
    Topic,
    /// All topics, and those who have subscribed to patterns.
    Patterns,
    /// A user.
    User,
}

/// What is listened to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    kind: Kind,
    /// The beginning of the name, as much of it as a subject has room for.
    name: Box<str>,
}

/// So many bytes of a name are in a subject. What begins alike has the same, and is told apart by the messages.
const MAX_NAME: usize = 240;

impl Key {
    pub(super) const fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) fn topic(destination: &str) -> Self {
        Self { kind: Kind::Topic, name: cut(destination).into() }
    }

    pub(super) fn user(name: &str) -> Self {
        Self { kind: Kind::User, name: cut(name).into() }
    }

    pub(super) fn patterns() -> Self {
        Self { kind: Kind::Patterns, name: "".into() }
    }

    /// Whether a message with this name is one of it.
    pub(super) fn is_of(&self, name: &str) -> bool {
        *self.name == *cut(name)
    }

    pub(super) fn subject(&self, port: &Port) -> Result<Subject, InvalidSubject> {
        let kind = match self.kind {
            Kind::Topic => "topic",
            Kind::Patterns => "patterns",
            Kind::User => "user",
        };
        port.subject(kind, self.name.as_bytes())
    }

    /// Checks that each name has a subject in the namespace.
    pub(super) fn check(port: &Port) -> Result<(), InvalidSubject> {
        Self { kind: Kind::Topic, name: "a".repeat(MAX_NAME).into() }.subject(port).map(drop)
    }
}

fn cut(name: &str) -> &str {
    let mut len = name.len().min(MAX_NAME);
    while !name.is_char_boundary(len) {
        len -= 1;
    }
    &name[..len]
}

/// All that the node listens to.
#[derive(Debug, Default)]
pub(super) struct Interests {
    by_key: Mutex<HashMap<Key, Weak<Interest>>>,
    /// Those that nobody may wait for, as their subscribers have been answered.
    later: Mutex<VecDeque<Weak<Interest>>>,
}

/// So many of them are looked after in one turn.
const LATER_TURN: usize = 256;

/// Something that the node listens to, until this is dropped.
#[derive(Debug)]
pub(crate) struct Interest {
    key: Key,
    all: Weak<Interests>,
    /// Whoever has subscribed waits for it.
    subscription: OnceLock<tokio::sync::Mutex<Subscription>>,
    is_ready: AtomicBool,
    /// Whether it is among those that nobody may wait for.
    is_later: AtomicBool,
}

impl Interests {
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Weak<Interest>>> {
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one interest in something. `listen` is called if it is new: what it returns receives only as long as
    /// the interest, which it gets, is there.
    pub(super) fn get(
        self: &Arc<Self>,
        key: Key,
        listen: impl FnOnce(&Key, Weak<Interest>) -> Subscription,
    ) -> Arc<Interest> {
        let interest = {
            let mut all = self.lock();
            let found = all.get(&key).and_then(Weak::upgrade);
            found.unwrap_or_else(|| {
                let interest = Arc::new(Interest {
                    key: key.clone(),
                    all: Arc::downgrade(self),
                    subscription: OnceLock::new(),
                    is_ready: AtomicBool::new(false),
                    is_later: AtomicBool::new(false),
                });
                all.insert(key, Arc::downgrade(&interest));
                interest
            })
        };
        let listening = || tokio::sync::Mutex::new(listen(&interest.key, Arc::downgrade(&interest)));
        interest.subscription.get_or_init(listening);
        interest
    }

    /// Looks after some that nobody may wait for. Returns those that the bus has refused, each once.
    pub(super) fn check_later(&self) -> Vec<(Box<str>, SubscribeError)> {
        let later = || self.later.lock().unwrap_or_else(PoisonError::into_inner);
        let some: Vec<_> = {
            let mut later = later();
            let count = later.len().min(LATER_TURN);
            later.drain(..count).collect()
        };
        let (mut left, mut refused) = (Vec::new(), Vec::new());
        for weak in some {
            let Some(interest) = weak.upgrade() else { continue };
            match interest.ready_now() {
                None => left.push(weak),
                Some(Ok(())) => interest.is_later.store(false, Ordering::Release),
                Some(Err(error)) => refused.push((interest.key.name.clone(), error)),
            }
        }
        later().extend(left);
        refused
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }
}

impl Interest {
    /// Whether it is known that messages of all nodes come.
    pub(super) fn is_ready(&self) -> bool {
        self.is_ready.load(Ordering::Acquire)
    }

    /// Waits until messages of all nodes come.
    pub(super) async fn ready(&self) -> Result<(), SubscribeError> {
        if let Some(subscription) = self.subscription.get() {
            subscription.lock().await.ready().await?;
        }
        self.is_ready.store(true, Ordering::Release);
        Ok(())
    }

    /// Sees to it that [`Interests::check_later`] looks after it.
    pub(super) fn ready_later(self: &Arc<Self>) {
        let Some(all) = self.all.upgrade() else { return };
        if !self.is_ready() && !self.is_later.swap(true, Ordering::AcqRel) {
            let known = all.lock().len();
            let mut later = all.later.lock().unwrap_or_else(PoisonError::into_inner);
            later.push_back(Arc::downgrade(self));
            // While the bus is away, more may come and go than are looked after.
            if later.len() > LATER_TURN + 2 * known {
                later.retain(|interest| interest.strong_count() > 0);
            }
        }
    }

    /// Whether messages of all nodes come; `None` if that is not known yet, or somebody waits for it.
    fn ready_now(&self) -> Option<Result<(), SubscribeError>> {
        let mut subscription = self.subscription.get()?.try_lock().ok()?;
        let result = subscription.ready().now_or_never()?;
        self.is_ready.store(result.is_ok(), Ordering::Release);
        Some(result)
    }
}

impl Drop for Interest {
    fn drop(&mut self) {
        if let Some(all) = self.all.upgrade() {
            let mut all = all.lock();
            // There may be a new one.
            if all.get(&self.key).is_some_and(|found| found.strong_count() == 0) {
                all.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_share_a_subject_with_those_that_begin_alike() {
        let long = "ä".repeat(MAX_NAME);
        let key = Key::topic(&long);
        assert!(key.is_of(&long) && key.is_of(&format!("{long}/b")) && !key.is_of("ä"));
        assert_eq!(key, Key::topic(&format!("{long}/c")));
        assert_ne!(key, Key::user(&long));
        assert!(Key::topic("/topic/a").is_of("/topic/a") && !Key::topic("/topic/a").is_of("/topic/ab"));
    }

    #[test]
    fn what_nobody_wants_is_not_listened_to() {
        let all = Arc::new(Interests::default());
        let listen = |_: &Key, _| Subscription::new(async { Ok(()) }, ());
        let one = all.get(Key::topic("a"), listen);
        let two = all.get(Key::topic("a"), |_, _| panic!("there is one"));
        assert!(Arc::ptr_eq(&one, &two));
        let user = all.get(Key::user("a"), listen);
        assert_eq!(all.len(), 2);
        drop((one, user));
        assert_eq!(all.len(), 1);
        drop(two);
        assert_eq!(all.len(), 0);
    }

    #[test]
    fn what_nobody_wants_any_more_does_not_pile_up() {
        let all = Arc::new(Interests::default());
        let listen = |_: &Key, _| Subscription::new(std::future::pending(), ());
        let kept = all.get(Key::topic("kept"), listen);
        kept.ready_later();
        for number in 0..10_000 {
            all.get(Key::topic(&number.to_string()), listen).ready_later();
            assert!(all.later.lock().unwrap().len() <= LATER_TURN + 4);
        }
        assert!(all.later.lock().unwrap().iter().any(|later| later.ptr_eq(&Arc::downgrade(&kept))));
    }
}
