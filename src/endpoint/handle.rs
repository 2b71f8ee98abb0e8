//! What an application can do with an endpoint as a whole.

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use super::stats::Stats;
use crate::{
    protocol::close::CloseFrame,
    service::endpoint::Sessions,
    session::{drain::ShutdownReport, registry::Registry},
};

/// A cloneable handle to all sessions of one endpoint: see [`SockJs::handle`](crate::SockJs::handle).
#[derive(Clone)]
pub struct SockJsHandle {
    sessions: Arc<Sessions>,
}

impl SockJsHandle {
    pub(super) fn new(sessions: Arc<Sessions>) -> Self {
        Self { sessions }
    }

    fn registry(&self) -> &Registry {
        &self.sessions.registry
    }

    /// How many sessions are open: those whose handler has not been told an end.
    #[must_use]
    pub fn len(&self) -> usize {
        self.registry().live()
    }

    /// Whether no session is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The numbers of the endpoint: its sessions, their traffic, what was refused.
    ///
    /// Costs one short lock per session, and messages nothing: sessions count for themselves. Meant for
    /// every few seconds, not for every request.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats::new(&self.registry().totals(), self.sessions.rejections().collect())
    }

    /// Closes every open session with a code and a text, and says how many that were. The endpoint goes on
    /// accepting new ones: to stop it, see [`shutdown`](Self::shutdown).
    ///
    /// Their handlers see [`CloseReason::Shutdown`](crate::CloseReason::Shutdown). Each client gets what was
    /// sent to it before, then the close frame: at once if it is receiving, else with its next poll.
    pub fn close_all(&self, code: u16, reason: impl Into<Cow<'static, str>>) -> usize {
        self.registry().close_all(&CloseFrame::new(code, reason))
    }

    /// Shuts the endpoint down: tells every client, waits for what takes time, but no longer than `grace`, and
    /// reports what was lost.
    ///
    /// - From now on no session opens, and `/info` says so: both answer 503 with `Retry-After`, also to
    ///   requests that the handler's extractors are judging. A client fails at once and can come back to
    ///   another server, or to the next process.
    /// - Every session ends with [`CloseReason::Shutdown`](crate::CloseReason::Shutdown). What the application
    ///   has sent before still reaches the client, then the close frame with `code` and `reason`: at once on
    ///   streams, waiting polls and WebSockets, else with the client's next poll.
    /// - It waits until every client has its close frame (a WebSocket until its client has closed, too), and
    ///   until every handler has returned.
    /// - What clients send meanwhile is answered as ever after a close, by a 204 that comes to nothing.
    /// - When `grace` is over, the sessions that are left are cut off. Handlers are not: the report has their
    ///   number.
    ///
    /// **Let the server accept connections until this returns**: a client that polls comes by a new request.
    /// WebSockets, which axum's graceful shutdown does not wait for, are closed by then. It does wait for requests,
    /// and has no time limit of its own: a client that stops in the middle of a head or a body, or does not read its
    /// answer, would hold the process up for as long as it likes. So give it a moment and no more:
    ///
    /// ```no_run
    /// # use std::{future::IntoFuture, time::Duration};
    /// # async fn serve(
    /// #     listener: tokio::net::TcpListener, app: axum::Router, handle: axum_sockjs::SockJsHandle,
    /// # ) -> std::io::Result<()> {
    /// let (all_told, told) = tokio::sync::oneshot::channel();
    /// let serve = axum::serve(listener, app).with_graceful_shutdown(async move {
    ///     tokio::signal::ctrl_c().await.ok();
    ///     let report = handle.shutdown(4001, "restarting", Duration::from_secs(10)).await;
    ///     println!("{report}");
    ///     all_told.send(()).ok();
    /// });
    /// let last_bytes = async {
    ///     told.await.ok();
    ///     tokio::time::sleep(Duration::from_secs(1)).await;
    /// };
    /// tokio::select! {
    ///     served = serve.into_future() => served,
    ///     () = last_bytes => Ok(()),
    /// }
    /// # }
    /// ```
    ///
    /// The example `shutdown` does it for SIGTERM. Shut several endpoints down together, with `tokio::join!`.
    ///
    /// Call it again as you like: the first call's code and reason stay, each call waits for its own grace,
    /// and the report covers the shutdown from its beginning.
    ///
    /// # Cancel safety
    /// The shutdown begins with the first poll and cannot be taken back. Dropped later, it only waits no
    /// more, and cuts nothing off.
    pub async fn shutdown(
        &self,
        code: u16,
        reason: impl Into<Cow<'static, str>>,
        grace: Duration,
    ) -> ShutdownReport {
        let frame = CloseFrame::new(code, reason);
        tracing::info!(sessions = self.len(), code, "endpoint shuts down");
        self.registry().begin_shutdown(frame);
        // Over or not, the report says what there was.
        let _ = tokio::time::timeout(grace, self.registry().idle()).await;
        let report = self.registry().end_shutdown();
        let ShutdownReport { closed, lost, messages_lost, handlers_running } = report;
        tracing::info!(closed, lost, messages_lost, handlers_running, "endpoint is shut down");
        report
    }
}

impl fmt::Debug for SockJsHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SockJsHandle").field("len", &self.len()).finish_non_exhaustive()
    }
}
