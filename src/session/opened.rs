//! A handler that waits for its session.

use std::{fmt, future::Future, pin::Pin};

use super::session::Session;

pub(crate) type HandlerFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A handler whose extractors have accepted the opening request, and which waits for its session.
pub struct Opened(pub(crate) Box<dyn FnOnce(Session) -> HandlerFuture + Send>);

impl Opened {
    pub(crate) fn run(self, session: Session) -> HandlerFuture {
        (self.0)(session)
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").finish_non_exhaustive()
    }
}
