//! The owner of a session.

use std::{
    any::Any,
    fmt,
    hash::{BuildHasher, Hash, RandomState},
    sync::{Arc, LazyLock},
};

/// The key of [`Owner::hash`]. It is random in each process, so that nobody can construct identities with equal hashes.
static HASH_KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// The owner of a session: the value that the application's identity function has returned, with its type erased.
#[derive(Clone)]
pub struct Owner {
    identity: Arc<dyn Comparable>,
    hash: u64,
}

impl Owner {
    pub(crate) fn new<I: Eq + Hash + Send + Sync + 'static>(identity: I) -> Self {
        let hash = Self::hash_of(&identity);
        Self { identity: Arc::new(Identity(identity)), hash }
    }

    pub(crate) fn hash_of<I: Hash>(identity: &I) -> u64 {
        HASH_KEY.hash_one(identity)
    }

    /// Equal owners have equal hashes. Different owners have different ones, but for one chance in 2^64.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn identity<I: 'static>(&self) -> Option<&I> {
        self.identity.as_any().downcast_ref()
    }

    /// Whether both owners are equal. This runs code of the application, so it must not be called under a lock.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.hash == other.hash && self.identity.equals(other.identity.as_any())
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owner").finish_non_exhaustive()
    }
}

trait Comparable: Send + Sync {
    fn as_any(&self) -> &dyn Any;
    fn equals(&self, other: &dyn Any) -> bool;
}

struct Identity<I>(I);

impl<I: Eq + Send + Sync + 'static> Comparable for Identity<I> {
    fn as_any(&self) -> &dyn Any {
        &self.0
    }

    fn equals(&self, other: &dyn Any) -> bool {
        other.downcast_ref() == Some(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_compared_by_type_and_value() {
        let ada = Owner::new("ada".to_owned());
        assert!(ada.is(&ada.clone()) && ada.is(&Owner::new("ada".to_owned())));
        assert!(!ada.is(&Owner::new("bob".to_owned())));
        assert!(!ada.is(&Owner::new("ada")));
        assert_eq!(ada.hash(), Owner::hash_of(&"ada"));
        assert_eq!(ada.identity::<String>().map(String::as_str), Some("ada"));
        assert_eq!(ada.identity::<&str>(), None);
    }
}
