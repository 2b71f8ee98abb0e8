//! The limits of messages, queues and sessions, and the timeouts.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use http::HeaderMap;
use sockjs_core::LoneSurrogates;

use super::{builder::Options, peer_key::PeerKey};
use crate::session::core::settings::Overflow;

/// # Limits and timeouts
impl Options {
    /// Limits a message from a client, in bytes: of UTF-8 after unquoting, or of binary data.
    ///
    /// A longer message closes a WebSocket with 1009. A sending request gets 413 and none of the batch is accepted,
    /// but the session continues.
    pub fn max_message_bytes(mut self, bytes: usize) -> Self {
        self.max_message_bytes = bytes;
        self
    }

    /// Limits the part of a sending request that is held at once, in bytes of JSON, and a message of a framed
    /// WebSocket.
    ///
    /// A request may have any size: sockjs-client sends all queued messages in one request and knows no limit. A
    /// request within this limit and [`max_batch_messages`](Self::max_batch_messages) is one batch, which is accepted
    /// completely or not at all. A larger request is read batch by batch, when the queue to the application has room.
    /// If a batch is malformed or breaks off, the earlier batches stay accepted. A request whose single message, as
    /// JSON, is larger gets 413, and a WebSocket is closed with 1009.
    ///
    /// A client that sends no complete message for a minute, while none of its messages waits for room, gets 408.
    pub fn max_body_bytes(mut self, bytes: usize) -> Self {
        self.max_body_bytes = bytes;
        self
    }

    /// Limits the messages in one batch: of a sending request, which may have several (see
    /// [`max_body_bytes`](Self::max_body_bytes)), or of a WebSocket frame, which closes the socket with 1009 beyond.
    pub fn max_batch_messages(mut self, messages: usize) -> Self {
        self.max_batch_messages = messages;
        self
    }

    /// Limits the bytes that wait for the application in one session; each message counts 128 more.
    ///
    /// While a batch does not fit, its request gets no response, and a WebSocket is not read. An empty queue accepts
    /// any batch, whose own limits bound it.
    pub fn receive_queue_bytes(mut self, bytes: usize) -> Self {
        self.receive_queue_bytes = bytes;
        self
    }

    /// Limits the messages that wait for the application in one session.
    pub fn receive_queue_messages(mut self, messages: usize) -> Self {
        self.receive_queue_messages = messages;
        self
    }

    /// Sets how long a batch of a sending request waits for room in the queue, or for its [rate](Self::message_rate).
    /// After that, the request gets 503, and none of the batch is accepted; the client then ends its session. Zero
    /// does not wait.
    ///
    /// By default, or with `None`, a batch waits as long as the session lives, like WebSocket messages: a
    /// client cannot know how long a handler takes. A proxy in between has its own limit.
    pub fn receive_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.receive_timeout = timeout.into();
        self
    }

    /// Limits the sending requests of one session in flight: those whose body is arriving or whose messages wait for
    /// room. One more gets 429 with `Retry-After: 5`, and none of its messages is accepted.
    ///
    /// The limit bounds the memory before the queue that one session's client can make the server hold: this number
    /// times [`max_body_bytes`](Self::max_body_bytes), plus 128 bytes for each message of a batch. sockjs-client has
    /// one request in flight, and sends the next batch after its response. A client with several in flight does not
    /// know in which order they arrive, and the batches of large requests interleave.
    pub fn max_pending_sends(mut self, requests: usize) -> Self {
        self.max_pending_sends = requests;
        self
    }

    /// Limits the bytes that wait for the client in one session, counted as their memory: the text and, if it has to
    /// be escaped, its wire form; each message counts 128 more. An empty queue accepts any message.
    /// [`send_overflow`](Self::send_overflow) sets the effect of a full queue.
    pub fn send_queue_bytes(mut self, bytes: usize) -> Self {
        self.send_queue_bytes = bytes;
        self
    }

    /// Sets what happens to a message when the queue to its client is full; by default, `send` waits.
    /// [`send_with`](crate::Sender::send_with) takes another policy for one call.
    pub fn send_overflow(mut self, policy: Overflow) -> Self {
        self.send_overflow = policy;
        self
    }

    /// Sets how long queued data may make no progress to the client. After that, the session ends with
    /// [`CloseReason::WriteTimeout`](crate::CloseReason::WriteTimeout). `None` waits forever.
    ///
    /// The time counts while data waits to be written and none of it can be. Progress is data that the underlying
    /// connection accepts: on a WebSocket any byte, on a stream each 32 KiB of a frame. The buffers between server
    /// and client empty first: see [slow and dead clients](crate::guide::slow).
    pub fn write_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.write_timeout = timeout.into();
        self
    }

    /// Sets how long a WebSocket's peer may take to answer the ping that is sent with each heartbeat. After that, the
    /// session ends with [`CloseReason::PongTimeout`](crate::CloseReason::PongTimeout). `None` waits forever.
    ///
    /// Any byte from the peer counts as an answer. No answer is expected while the queue to the application is full,
    /// or a message waits for its [rate](Self::message_rate), since the socket is not read then, nor from hixie-76,
    /// which has no ping.
    pub fn pong_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.pong_timeout = timeout.into();
        self
    }

    /// Limits the sessions of the endpoint. Beyond it, an opening request gets 503 with `Retry-After: 5`. The default
    /// is 65,536: raise it if the machine has the memory, or lower it. `None` is no limit, and zero opens none.
    ///
    /// Any client can open a session with one request and leave, and the session then lives for its disconnect delay:
    /// without a limit, one client can fill the memory. A session takes at least 2 KiB, 4 KiB with its WebSocket, and
    /// a stream some 20 KiB with its connection. The handler's own memory is extra.
    ///
    /// A session counts from its opening request until it has ended and its handler has returned. So a closed session
    /// counts during its disconnect delay, and so does one whose handler continues without its client. If a handler
    /// does more than wait for messages, it should also wait for [`closed`](crate::Session::closed); otherwise
    /// clients that leave block new ones. [`SockJsHandle::len`](crate::SockJsHandle::len) counts only open sessions,
    /// and [`Stats::handlers`](crate::Stats::handlers) all running handlers.
    ///
    /// Each node of a [cluster](crate::guide::cluster#what-is-of-this-node) counts its own sessions.
    pub fn max_sessions(mut self, sessions: impl Into<Option<usize>>) -> Self {
        self.max_sessions = sessions.into();
        self
    }

    /// Limits the sessions of one peer, counted as for [`max_sessions`](Self::max_sessions). `None`, the default, is no
    /// limit. Beyond it, an opening
    /// request gets 429 with `Retry-After: 5`, before the handler's extractors run. The extractors of
    /// [`SockJs::identity`](crate::SockJs::identity) have already run then, since they run for every request.
    ///
    /// A peer is the IPv4 address or the 64-bit IPv6 network of the connection: see
    /// [`Session::peer_addr`](crate::Session::peer_addr) for how the server makes it known. A request without a known
    /// address is not limited, and the first one logs a `WARN`. Behind a proxy, all requests have the proxy's
    /// address: choose another key with [`peer_key`](Self::peer_key).
    ///
    /// Each node of a [cluster](crate::guide::cluster#what-is-of-this-node) counts its own sessions, so a peer may have
    /// as many on each node.
    pub fn max_sessions_per_peer(mut self, sessions: impl Into<Option<usize>>) -> Self {
        self.max_sessions_per_peer = sessions.into();
        self
    }

    /// Sets the key by which [`max_sessions_per_peer`](Self::max_sessions_per_peer) counts sessions. The function
    /// gets the opening request's headers and the connection's address, if known. Requests for which it returns
    /// `None` are not limited, and the first one logs a `WARN`. It runs for every session that opens, so it must be
    /// fast.
    ///
    /// Any client can write any header: use one that your proxy sets, and only if it is from the proxy.
    ///
    /// ```
    /// use axum_sockjs::Options;
    ///
    /// // nginx: proxy_set_header X-Real-IP $remote_addr;
    /// let options = Options::new().max_sessions_per_peer(20).peer_key(|headers, _proxy| {
    ///     Some(headers.get("x-real-ip")?.to_str().ok()?.to_owned())
    /// });
    /// ```
    pub fn peer_key<F>(mut self, key: F) -> Self
    where
        F: Fn(&HeaderMap, Option<SocketAddr>) -> Option<String> + Send + Sync + 'static,
    {
        self.peer_key = PeerKey::Custom(Arc::new(key));
        self
    }

    /// Sets how long extractors may take: those of the handler for the opening request, and those of
    /// [`SockJs::identity`](crate::SockJs::identity) for each request. After that, the request gets 503 with
    /// `Retry-After: 5`.
    ///
    /// A WebSocket has the same time again to complete its upgrade, and a hixie-76 client again for the rest of its
    /// handshake. After that, the connection is closed, and the handler has not run.
    ///
    /// Zero is [invalid](Self::validate): every WebSocket upgrade and any extractor that waits would fail.
    pub fn open_timeout(mut self, timeout: Duration) -> Self {
        self.open_timeout = timeout;
        self
    }
    /// Sets what happens to a lone surrogate in a message from a client; by default it becomes U+FFFD. This has no
    /// effect on the raw WebSocket, whose texts are UTF-8.
    ///
    /// With [`LoneSurrogates::Refuse`], a framed WebSocket is closed with 1007 "Lone surrogate". A sending request gets
    /// 500 and none of the batch is accepted, but the session continues.
    pub fn lone_surrogates(mut self, lone: LoneSurrogates) -> Self {
        self.lone_surrogates = lone;
        self
    }
}
