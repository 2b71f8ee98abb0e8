//! What an application can do with an endpoint as a whole.

use std::{fmt, future::poll_fn, sync::Arc};

use crate::{CloseFrame, session::Registry};

/// A cloneable handle to all sessions of one endpoint: see [`SockJs::handle`](crate::SockJs::handle).
#[derive(Clone)]
pub struct SockJsHandle {
    pub(crate) registry: Arc<Registry>,
}

impl SockJsHandle {
    /// How many sessions are open: those whose handler has not been told an end.
    #[must_use]
    pub fn len(&self) -> usize {
        self.registry.live()
    }

    /// Whether no session is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Closes every open session with a code and a text, and says how many that were.
    ///
    /// Their handlers see [`CloseReason::Shutdown`](crate::CloseReason::Shutdown). Each client gets what was
    /// sent to it before, then the close frame: at once if it is receiving, else with its next poll. The
    /// endpoint goes on accepting new sessions.
    ///
    /// To stop a server, let axum stop accepting connections at the same time; it then waits for streams and
    /// polls, but not for WebSockets:
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # async fn serve(
    /// #     listener: tokio::net::TcpListener, app: axum::Router, handle: axum_sockjs::SockJsHandle,
    /// # ) -> std::io::Result<()> {
    /// let closing = handle.clone();
    /// axum::serve(listener, app)
    ///     .with_graceful_shutdown(async move {
    ///         tokio::signal::ctrl_c().await.ok();
    ///         closing.close_all(4001, "restarting");
    ///     })
    ///     .await?;
    /// tokio::time::timeout(Duration::from_secs(10), handle.drained()).await.ok();
    /// # Ok(())
    /// # }
    /// ```
    pub fn close_all(&self, code: u16, reason: impl Into<std::borrow::Cow<'static, str>>) -> usize {
        self.registry.close_all(&CloseFrame::new(code, reason))
    }

    /// Waits until no session is left, neither open nor closed: until every client has been told, and the
    /// disconnect delay has passed for those that poll. Does not end while new sessions keep coming, and does
    /// not wait for handlers that are still busy after the end of their session.
    ///
    /// # Cancel safety
    /// Safe; call it as often as you like.
    pub async fn drained(&self) {
        poll_fn(|cx| self.registry.poll_drained(cx)).await;
    }
}

impl fmt::Debug for SockJsHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SockJsHandle").field("len", &self.len()).finish_non_exhaustive()
    }
}
