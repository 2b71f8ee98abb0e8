//! Which namespaces of which buses are in use, in this process.
//!
//! Imports: bus, subject.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{bus::Bus, subject::Subject};

/// The buses by their addresses: whoever holds a claim holds the bus as well, so that no other one has its address.
static CLAIMED: Mutex<BTreeSet<(usize, Subject)>> = Mutex::new(BTreeSet::new());

fn claimed() -> MutexGuard<'static, BTreeSet<(usize, Subject)>> {
    CLAIMED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A namespace of a bus that is in use until this is dropped, before the bus is.
#[derive(Debug)]
pub(crate) struct Claim((usize, Subject));

impl Claim {
    /// `None` if somebody has it.
    pub(crate) fn new(bus: &Arc<dyn Bus>, namespace: &Subject) -> Option<Self> {
        let key = (Arc::as_ptr(bus).cast::<()>().addr(), namespace.clone());
        // Nothing is made, and dropped, where it is another one's.
        claimed().insert(key.clone()).then(|| Self(key))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        claimed().remove(&self.0);
    }
}
