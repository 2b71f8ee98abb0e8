//! Sending from anywhere.

use std::{fmt, sync::Arc};

use crate::broker::Broker;

/// Sends messages to destinations and users, from anywhere.
///
/// Clones send to the same clients.
#[derive(Clone)]
pub struct Messenger {
    broker: Arc<dyn Broker>,
}

impl Messenger {
    pub(crate) fn new(broker: Arc<dyn Broker>) -> Self {
        Self { broker }
    }
}

impl fmt::Debug for Messenger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messenger").finish_non_exhaustive()
    }
}
