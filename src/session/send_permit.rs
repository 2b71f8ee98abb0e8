//! The right of one request to bring messages to a session: the door for those that do.

use std::{future::Future, sync::Arc};

use super::{close_reason::CloseReason, core::inbox::Accepted, shared::Shared, state::Closed};
use crate::protocol::message::Message;

/// Given back when dropped.
#[derive(Debug)]
pub(crate) struct SendPermit {
    shared: Arc<Shared>,
    /// The last batch, if the application is to have its turn with it before the request is answered.
    batch: Option<Accepted>,
}

impl SendPermit {
    /// Lets one more request in, while fewer than `limit` are under way.
    pub(crate) fn acquire(shared: Arc<Shared>, limit: usize) -> Option<Self> {
        shared.pending_sends.begin(limit).then(|| Self { shared, batch: None })
    }

    /// Takes the batch when there is room for it, and drains it then.
    ///
    /// # Cancel safety
    /// Until it is ready, nothing is taken.
    pub(crate) fn accept<'a>(
        &'a mut self,
        batch: &'a mut Vec<Message>,
    ) -> impl Future<Output = Result<(), Closed>> + Unpin {
        self.shared.accept(batch, &mut self.batch)
    }

    /// Completes when the application has had its turn with the last batch, or need not.
    pub(crate) async fn attended(&self) {
        if let Some(batch) = self.batch {
            self.shared.attended(batch).await;
        }
    }

    /// Completes when the session has ended.
    pub(crate) fn ended(&self) -> impl Future<Output = CloseReason> + Unpin {
        self.shared.ended()
    }

    /// Whether what the client sends is thrown away, since this side has closed.
    pub(crate) fn is_discarding(&self) -> bool {
        self.shared.is_discarding()
    }
}

impl Drop for SendPermit {
    fn drop(&mut self) {
        self.shared.pending_sends.end();
    }
}
