//! Control over an endpoint as a whole.

use std::{
    any::{TypeId, type_name},
    borrow::Cow,
    fmt,
    hash::Hash,
    sync::Arc,
    time::Duration,
};

use sockjs_core::CloseFrame;

use super::stats::Stats;
use crate::{
    service::endpoint::Sessions,
    session::{
        close_reason::CloseReason, connection_id::ConnectionId, drain::ShutdownReport, owner::Owner,
        registry::Registry, sender::Sender,
    },
};

/// A cloneable handle to all sessions of one endpoint: see [`SockJs::handle`](crate::SockJs::handle).
///
/// On a node of a cluster these are the sessions [of this node](crate::guide::cluster#what-is-of-this-node).
#[derive(Clone)]
pub struct SockJsHandle {
    sessions: Arc<Sessions>,
}

impl SockJsHandle {
    pub(super) fn new(sessions: Arc<Sessions>) -> Self {
        Self { sessions }
    }

    pub(super) fn registry(&self) -> &Registry {
        &self.sessions.registry
    }

    /// Returns the number of open sessions of this node: those whose handler has not yet seen the end.
    #[must_use]
    pub fn len(&self) -> usize {
        self.registry().live()
    }

    /// Returns whether no session is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the numbers of the endpoint: its sessions, their traffic and the rejected requests. They are those of this
    /// node.
    ///
    /// A call takes one short lock per session and adds no cost to messages: sessions count for themselves. Call it
    /// every few seconds, not for every request.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats::new(&self.registry().totals(), self.sessions.rejections().collect())
    }

    /// Returns the sender of an open session, or `None` if it has ended, is none of this endpoint's, or is at another
    /// node.
    #[must_use]
    pub fn get(&self, id: ConnectionId) -> Option<Sender> {
        self.registry().by_id(id).map(Sender::new)
    }

    /// Returns whether a path below the endpoint is that of a session which the endpoint has now. Whatever answers a
    /// request can thus be chosen among several endpoints with the same prefix, as one that takes another's place while the
    /// sessions of the former go on:
    ///
    /// ```
    /// use axum_sockjs::{Session, SockJs, SockJsHandle};
    ///
    /// /// The generation of the endpoint at `/echo` that a request is for. The newest one is the last.
    /// fn generation<'a>(generations: &'a [SockJsHandle], path: &str) -> Option<&'a SockJsHandle> {
    ///     let below = path.strip_prefix("/echo")?;
    ///     generations.iter().rev().find(|one| one.has_session_at(below)).or(generations.last())
    /// }
    ///
    /// # async fn echo(_: Session) {}
    /// let (old, new): (SockJs, SockJs) = (SockJs::new(echo), SockJs::new(echo));
    /// let generations = [old.handle(), new.handle()];
    /// // Nobody has this session: the newest endpoint opens it, or says that there is none.
    /// assert!(!old.handle().has_session_at("/000/abcdefgh/xhr"));
    /// assert!(generation(&generations, "/echo/000/abcdefgh/xhr").is_some());
    /// ```
    ///
    /// The path is what stands behind the endpoint's prefix, with its slash, and without the query:
    /// `/SERVER/SESSION/TRANSPORT`, whatever the transport is called. On a node of a cluster it may begin with the node's
    /// tag, `/~TAG`. Below the tag of another node no session is here: the request is to be forwarded, which any endpoint
    /// with the same cluster does.
    ///
    /// A session is had from the moment at which its opening request is checked, until the
    /// [disconnect delay](crate::Options::disconnect_delay) behind its end is over. A WebSocket is a session of one request, to which no other belongs: its path is that of
    /// no session. Neither is one that is not a session's, such as `/info`.
    ///
    /// The call takes the lock of the endpoint's sessions for a moment, and that of the one session if there is any. The
    /// answer may be outdated when it arrives: a request that comes to an endpoint whose session has just ended is answered
    /// as any other, and may open a new one there.
    #[must_use]
    pub fn has_session_at(&self, path: &str) -> bool {
        self.sessions.has_at(path)
    }

    /// Returns the senders of all open sessions of this node, in no order, also of those whose handler is about to start.
    /// A call takes one short lock per session.
    #[must_use]
    pub fn senders(&self) -> Vec<Sender> {
        self.registry().open_sessions().into_iter().map(Sender::new).collect()
    }

    /// Returns the senders of the open sessions of one identity at this node, in no order: those for whose opening request
    /// [`SockJs::identity`](crate::SockJs::identity) returned an equal value of the same type. The cost is that of
    /// these sessions, however many others there are. Sessions are included whose handler is about to start.
    ///
    /// ```
    /// # use axum_sockjs::SockJsHandle;
    /// /// Sends a text to all tabs of a user.
    /// fn notify(handle: &SockJsHandle, user: u64, text: &str) -> usize {
    ///     handle.senders_of(&user).iter().filter(|tab| tab.try_send(text).is_ok()).count()
    /// }
    ///
    /// /// Closes all tabs of a user, who has logged out.
    /// fn log_out(handle: &SockJsHandle, user: u64) {
    ///     handle.senders_of(&user).iter().for_each(|tab| tab.close(4001, "logged out"));
    /// }
    /// ```
    ///
    /// A request whose identity is already known can still open a session after that: whoever logs a user out makes
    /// the proof invalid first.
    ///
    /// **A user's tabs may be at several nodes.** Of three nodes, each has those that it owns, and the function above
    /// misses the others: see [what is of this node](crate::guide::cluster#what-is-of-this-node), and `close_user` and
    /// `to_user` of the crate `axum-sockjs-rooms`, which reach all nodes.
    ///
    /// # Panics
    /// If the endpoint's identities are of another type than `I`, or if it has none: `u64` is not `Option<u64>`.
    #[must_use]
    #[track_caller]
    pub fn senders_of<I: Eq + Hash + 'static>(&self, identity: &I) -> Vec<Sender> {
        assert!(
            self.sessions.identity_type() == Some(TypeId::of::<I>()),
            "the endpoint's `identity` does not return {}",
            type_name::<I>()
        );
        let sessions = self.registry().by_owner_hash(Owner::hash_of(identity));
        let senders = sessions.into_iter().map(Sender::new);
        senders.filter(|sender| sender.identity() == Some(identity)).collect()
    }

    /// Closes the open sessions for which `is_meant` returns `true` with a code and a text, and returns their number.
    /// Their handlers see [`CloseReason::Server`], and their clients get all messages sent
    /// before, then the close frame.
    ///
    /// ```
    /// # use axum_sockjs::{SockJsHandle, Transport};
    /// fn close_raw(handle: &SockJsHandle) -> usize {
    ///     handle.close_where(4001, "use the framed one", |session| session.transport() == Transport::RawWebSocket)
    /// }
    /// ```
    ///
    /// The function runs once per session of this node, under no lock. A session that opens meanwhile may be missed. For
    /// the sessions of one identity see [`senders_of`](Self::senders_of).
    pub fn close_where(
        &self,
        code: u16,
        reason: impl Into<Cow<'static, str>>,
        mut is_meant: impl FnMut(&Sender) -> bool,
    ) -> usize {
        let reason = CloseReason::Server(CloseFrame::new(code, reason));
        let sessions = self.registry().open_sessions().into_iter();
        let senders = sessions.map(Sender::new).filter(|sender| is_meant(sender));
        senders.filter(|sender| sender.end(reason.clone())).count()
    }

    /// Closes every open session of this node with a code and a text, and returns their number. The endpoint still accepts new
    /// sessions: to stop it, see [`shutdown`](Self::shutdown).
    ///
    /// Their handlers see [`CloseReason::Server`]. Each client gets all messages sent
    /// before, then the close frame: at once if it is receiving, otherwise with its next poll.
    pub fn close_all(&self, code: u16, reason: impl Into<Cow<'static, str>>) -> usize {
        self.registry().close_all(&CloseFrame::new(code, reason))
    }

    /// Shuts the endpoint down: closes every session, waits for clients and handlers no longer than `grace`, and
    /// reports the losses.
    ///
    /// - From now on no session opens: opening requests and `/info` get 503 with `Retry-After`, even if the handler's
    ///   extractors are already running. A client fails at once and can connect to another server, or to the next
    ///   process.
    /// - Every session ends with [`CloseReason::Shutdown`]. Messages that the
    ///   application has already sent still reach the client, then the close frame with `code` and `reason`: at once
    ///   on streams, waiting polls and WebSockets, otherwise with the client's next poll.
    /// - The call waits until every client has its close frame (for a WebSocket, until its client has closed too) and
    ///   every handler has returned.
    /// - Messages that clients send meanwhile are handled as after any close: 204, and discarded.
    /// - When `grace` is over, the remaining sessions are cut off. Handlers are not: the report has their number.
    ///
    /// **Let the server accept connections until this returns**: a polling client comes with a new request. axum's
    /// graceful shutdown does not wait for WebSockets; they are closed by then. It does wait for requests, and has no
    /// time limit: a client that stops in the middle of a head or a body, or does not read its response, could keep
    /// the process alive as long as it likes. So limit that wait to a moment:
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
    /// The example `shutdown` does this for SIGTERM. Shut several endpoints down together with `tokio::join!`.
    ///
    /// Repeated calls are allowed: the first call's code and reason stay, each call waits for its own grace period,
    /// and the report covers the shutdown from its beginning.
    ///
    /// # Cancel safety
    /// The shutdown begins with the first poll and cannot be undone. Dropping the future later only stops the wait
    /// and cuts nothing off.
    pub async fn shutdown(
        &self,
        code: u16,
        reason: impl Into<Cow<'static, str>>,
        grace: Duration,
    ) -> ShutdownReport {
        let frame = CloseFrame::new(code, reason);
        tracing::info!(sessions = self.len(), code, "endpoint shuts down");
        self.registry().begin_shutdown(frame);
        #[cfg(feature = "cluster")]
        self.sessions.leave_cluster();
        // The report is the same whether or not the wait completed.
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
