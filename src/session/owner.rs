//! Whom a session belongs to.

use std::{any::Any, fmt, sync::Arc};

/// Whom a session belongs to: what the application's function has returned, its type forgotten.
#[derive(Clone)]
pub struct Owner(Arc<dyn Comparable>);

impl Owner {
    pub(crate) fn new<I: PartialEq + Send + Sync + 'static>(identity: I) -> Self {
        Self(Arc::new(Identity(identity)))
    }

    /// Runs code of the application's: not to be called under a lock.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.0.equals(other.0.as_any())
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

impl<I: PartialEq + Send + Sync + 'static> Comparable for Identity<I> {
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
        // What is not equal to itself is nobody's.
        assert!(!Owner::new(f64::NAN).is(&Owner::new(f64::NAN)));
    }
}
