//! The right of one sending request to bring messages to its session.

use std::{future::Future, sync::Arc};

use sockjs_core::Message;

use super::{close_reason::CloseReason, core::inbox::Accepted, shared::Shared, state::Closed};
/// The permit of one sending request. Dropping it lets another request in.
#[derive(Debug)]
pub(crate) struct SendPermit {
    shared: Arc<Shared>,
    /// The last batch, if the request is answered only after the application has been polled with it.
    batch: Option<Accepted>,
}

impl SendPermit {
    /// Returns a permit, unless `limit` requests are in flight already.
    pub(crate) fn acquire(shared: Arc<Shared>, limit: usize) -> Option<Self> {
        shared.pending_sends.begin(limit).then(|| Self { shared, batch: None })
    }

    /// Accepts a batch once the queue has room for it; `batch` is then empty.
    ///
    /// # Cancel safety
    /// Nothing is accepted until the future completes.
    pub(crate) fn accept<'a>(
        &'a mut self,
        batch: &'a mut Vec<Message>,
    ) -> impl Future<Output = Result<(), Closed>> + Unpin {
        self.shared.accept(batch, &mut self.batch)
    }

    /// Completes when the application has been polled with the last batch, or at once if the response need not wait for
    /// that.
    pub(crate) async fn attended(&self) {
        if let Some(batch) = self.batch {
            self.shared.attended(batch).await;
        }
    }

    /// Waits for the end of the session and returns its reason.
    pub(crate) fn ended(&self) -> impl Future<Output = CloseReason> + Unpin {
        self.shared.ended()
    }

    /// Whether messages from the client are discarded, since this side has closed the session.
    pub(crate) fn is_discarding(&self) -> bool {
        self.shared.is_discarding()
    }
}

impl Drop for SendPermit {
    fn drop(&mut self) {
        self.shared.pending_sends.end();
    }
}
