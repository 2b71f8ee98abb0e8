//! Everything that can be set on an endpoint.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use http::{HeaderMap, uri::Scheme};
use tracing::Level;

use super::{cookie::Cookie, cors::Cors, peer_key::PeerKey};
use crate::{
    origin::policy::Origins,
    protocol::transport::{Transport, TransportSet},
    response::client::ClientScript,
    session::core::settings::Overflow,
};

/// The settings of an endpoint, each with a default that suits most.
///
/// ```
/// use std::time::Duration;
/// use axum_sockjs::{Cookie, Options, Session, SockJs, Transport};
///
/// let options = Options::new()
///     .heartbeat(Duration::from_secs(20))
///     .disable(Transport::JsonpPolling)
///     .cookie(Cookie::jsessionid());
/// let endpoint: SockJs = SockJs::new(|session: Session| async move { drop(session) }).options(options);
/// ```
///
#[doc = include_str!("../docs/options.md")]
#[derive(Clone)]
#[must_use]
pub struct Options {
    pub(crate) transports: TransportSet,
    pub(crate) heartbeat: Duration,
    pub(crate) disconnect_delay: Duration,
    pub(crate) response_limit: usize,
    pub(crate) client_url: String,
    pub(crate) client_script: Option<ClientScript>,
    pub(crate) cookie: Cookie,
    pub(crate) base_url: Option<String>,
    pub(crate) origins: Origins,
    pub(crate) trust_forwarded: bool,
    pub(crate) scheme: Option<Scheme>,
    pub(crate) require_origin_with_credentials: bool,
    pub(crate) legacy_transports: Option<bool>,
    pub(crate) cors: Cors,
    pub(crate) max_message_bytes: usize,
    pub(crate) max_body_bytes: usize,
    pub(crate) max_batch_messages: usize,
    pub(crate) receive_queue_bytes: usize,
    pub(crate) receive_queue_messages: usize,
    pub(crate) receive_timeout: Duration,
    pub(crate) max_pending_sends: usize,
    pub(crate) send_queue_bytes: usize,
    pub(crate) send_overflow: Overflow,
    pub(crate) write_timeout: Duration,
    pub(crate) pong_timeout: Duration,
    pub(crate) max_sessions: usize,
    pub(crate) max_sessions_per_peer: usize,
    pub(crate) peer_key: PeerKey,
    pub(crate) open_timeout: Duration,
    pub(crate) span_level: Level,
    #[cfg(feature = "websocket")]
    pub(crate) hixie76: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            transports: TransportSet::ALL,
            heartbeat: Duration::from_secs(25),
            disconnect_delay: Duration::from_secs(5),
            response_limit: 128 << 10,
            client_url: "https://cdn.jsdelivr.net/npm/sockjs-client@1.6.1/dist/sockjs.min.js".to_owned(),
            client_script: None,
            cookie: Cookie::off(),
            base_url: None,
            origins: Origins::same(),
            trust_forwarded: false,
            scheme: None,
            require_origin_with_credentials: false,
            legacy_transports: None,
            cors: Cors::BuiltIn,
            max_message_bytes: 128 << 10,
            max_body_bytes: 1 << 20,
            max_batch_messages: 1000,
            receive_queue_bytes: 1 << 20,
            receive_queue_messages: 1000,
            receive_timeout: Duration::MAX,
            max_pending_sends: 8,
            send_queue_bytes: 1 << 20,
            send_overflow: Overflow::Wait,
            write_timeout: Duration::from_secs(10),
            pong_timeout: Duration::from_secs(10),
            max_sessions: 65_536,
            max_sessions_per_peer: usize::MAX,
            peer_key: PeerKey::Address,
            open_timeout: Duration::from_secs(5),
            span_level: Level::INFO,
            #[cfg(feature = "websocket")]
            hixie76: false,
        }
    }
}

impl Options {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Switches a transport on; all are on by default.
    pub fn enable(mut self, transport: Transport) -> Self {
        self.transports.insert(transport);
        self
    }

    /// Switches a transport off: its URLs answer 404. Without [`Transport::WebSocket`], `/info` tells the
    /// client not to try it.
    pub fn disable(mut self, transport: Transport) -> Self {
        self.transports.remove(transport);
        self
    }

    /// Sends a heartbeat after this long without a frame: `h`, and on a WebSocket a ping, which is also sent
    /// after this long without a word from the client. Zero sends none.
    ///
    /// A WebSocket's peer has to answer within [`pong_timeout`](Self::pong_timeout). Elsewhere it is how the
    /// system finds out that a client has vanished without a word, once it gives up sending to it; with zero,
    /// that takes a message. It must stay below what proxies allow an idle connection, and
    /// below 35 s while JSONP polling is on, since the client gives up a JSONP poll then.
    pub fn heartbeat(mut self, after: Duration) -> Self {
        self.heartbeat = after;
        self
    }

    /// Ends a session that has had no receiving request for this long, and forgets a closed one. A WebSocket
    /// has this long to answer a close frame. Zero leaves no time: no client of the HTTP transports
    /// could come back for its next response. A large response lengthens it by the time that it takes at 16 KiB per
    /// second, up to a minute, since its end may still be on a slow link. What was sent before a close has up to a minute between two
    /// frames to get through to a receiver that is slow.
    pub fn disconnect_delay(mut self, delay: Duration) -> Self {
        self.disconnect_delay = delay;
        self
    }

    /// Ends a streaming response after this many bytes, the prelude not counted; the client at once asks for
    /// the next one, and its browser frees the memory of the last. It also bounds the messages that share
    /// one `a[…]` frame, by their length before a transport's own escaping.
    pub fn response_limit(mut self, bytes: usize) -> Self {
        self.response_limit = bytes;
        self
    }

    /// Where the iframe page loads sockjs-client from. It must be the very version that the pages use: the
    /// client refuses to work with another.
    pub fn client_url(mut self, url: impl Into<String>) -> Self {
        self.client_url = url.into();
        self
    }

    /// Serves the client's script under the endpoint, at `/sockjs.min.js`, and lets the iframe page load it
    /// from there; [`client_url`](Self::client_url) has no effect then.
    ///
    /// sockjs-client refuses to work with an iframe page of another version. Pages that load
    /// `<script src="/prefix/sockjs.min.js">` cannot come into that state: browsers ask each time whether the
    /// script is still the same, and get 304. For pages that never use an iframe transport, the script is
    /// also at `/sockjs-VERSION.min.js` ([`ClientScript::version`]), to be kept for a year.
    ///
    /// ```no_run
    /// use axum_sockjs::{ClientScript, Options};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let script = ClientScript::from_file("node_modules/sockjs-client/dist/sockjs.min.js")?;
    /// let options = Options::new().client_script(script);
    /// # Ok(())
    /// # }
    /// ```
    pub fn client_script(mut self, script: ClientScript) -> Self {
        self.client_script = Some(script);
        self
    }

    /// Sets a cookie with the answers on a session's URLs, for load balancers that need one to keep a
    /// session on its server, and announces it in `/info`. An [`AffinityCookie`](crate::AffinityCookie) that the request brings is echoed,
    /// or, if its value cannot be, left alone: see there.
    pub fn cookie(mut self, cookie: impl Into<Cookie>) -> Self {
        self.cookie = cookie.into();
        self
    }

    /// Sends clients to another URL for their transports, by way of `/info`. Absolute, or a path.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(url.into());
        self
    }

    /// Which pages may use the endpoint, by their origin: those of its own, unless told otherwise.
    ///
    /// This holds for `/info`, every transport, the raw WebSocket and the iframe page; the greeting and the
    /// client's script are for all. A request of another origin is answered 403, and not more than once a
    /// minute a `WARN` says so in the log. `Sec-Fetch-Site`, `Origin` and `Referer` are judged, in this order.
    /// An empty one is none. A request with none of them is let in where no page of today's browsers could make it, or
    /// has it do something in its user's name: an `eventsource` that brings a cookie or `Authorization` has to have
    /// one of them, and with [`require_origin_with_credentials`](Self::require_origin_with_credentials) every
    /// request.
    ///
    /// The answers to origins that are let in name them in `Access-Control-Allow-Origin`, with credentials,
    /// and have `Vary: Origin`, unless [`cors`](Self::cors) leaves that to a layer of yours.
    ///
    /// A name that an attacker makes point at this server (DNS rebinding) is to a browser that server's own
    /// origin, though without its cookies. If your users are known by their network alone, have a layer
    /// check `Host` too.
    pub fn origins(mut self, origins: Origins) -> Self {
        self.origins = origins;
        self
    }

    /// Believes what a proxy says of the URL that the browser has asked for, to know the endpoint's own
    /// origin: `Forwarded`, or else `X-Forwarded-Host`, `X-Forwarded-Port` and `X-Forwarded-Proto`, of several
    /// the first. What is empty has not been said.
    ///
    /// A port that stands in `X-Forwarded-Host`, or in `Host` where there is no other, goes before
    /// `X-Forwarded-Port`; the host of `Forwarded` has its port with it. If the port cannot be read, no origin is
    /// taken for the endpoint's own.
    ///
    /// It is needed only behind a proxy that changes `Host`, for browsers without `Sec-Fetch-Site` and for
    /// the WebSockets of those that leave it out there. With the scheme known, an `http` page is no longer
    /// taken for one of the server's own `https` origin. The proxy has to set these headers itself, or remove
    /// them; and the port has to be the one that the browser sees.
    pub fn trust_forwarded(mut self, trust: bool) -> Self {
        self.trust_forwarded = trust;
        self
    }

    /// The endpoint's own scheme, for a server that ends TLS itself: HTTP/1.1 does not say it, and where it is not
    /// known, the page of `http://HOST` is taken for one of `https://HOST`. By default it is unknown.
    ///
    /// What a proxy says of it goes before this, if [`trust_forwarded`](Self::trust_forwarded) is on, and so does
    /// a request that says `https` itself, as HTTP/2 over TLS does. Set it also behind a proxy that ends the TLS,
    /// if all browsers come by `https` and it does not say so.
    ///
    /// ```
    /// use axum::http::uri::Scheme;
    /// use axum_sockjs::Options;
    ///
    /// let options = Options::new().scheme(Scheme::HTTPS);
    /// ```
    ///
    /// # Panics
    /// If it is neither `http` nor `https`.
    #[track_caller]
    pub fn scheme(mut self, scheme: Scheme) -> Self {
        let is_known = ["http", "https"].iter().any(|known| scheme.as_str().eq_ignore_ascii_case(known));
        assert!(is_known, "an endpoint's scheme is http or https, not {scheme}");
        self.scheme = Some(scheme);
        self
    }

    /// Refuses, with 403, what brings a `Cookie` or `Authorization` and does not say where it comes from, by
    /// `Sec-Fetch-Site`, `Origin` or `Referer`: on every transport, the raw WebSocket and `/info`. Off by default;
    /// an `eventsource` is always judged so.
    ///
    /// It is for who serves Firefox before 70, Internet Explorer or old Edge (EdgeHTML): there, a `POST` can come
    /// without an `Origin`, and a page with `Referrer-Policy: no-referrer` that posts a form hides behind that, in
    /// its visitor's name. Pages of your own then have to leave `Referer` on. Clients that are no browsers and
    /// send credentials (apps, and clients in Java, do just that) have to send an `Origin` too: the endpoint's
    /// own, or one that [`origins`](Self::origins) lets in.
    ///
    /// It has no effect with [`Origins::any`].
    pub fn require_origin_with_credentials(mut self, require: bool) -> Self {
        self.require_origin_with_credentials = require;
        self
    }

    /// Switches JSONP polling, HtmlFile and the iframe page on or off together; off, their URLs answer 404.
    /// [`disable`](Self::disable) still switches single ones off.
    ///
    /// Without this, they are on with [`Origins::any`], and off with every stricter [`origins`](Self::origins):
    /// their requests carry no `Origin`, and any page that may frame the iframe page has the sessions of its
    /// users. Only browsers from before 2013 need them.
    ///
    /// Switched on with stricter origins, they are judged as all others, but a request that does not say where
    /// it comes from is refused, and the iframe page says in its content security policy (`frame-ancestors`)
    /// which pages may frame it.
    pub fn legacy_transports(mut self, on: bool) -> Self {
        self.legacy_transports = Some(on);
        self
    }

    /// Who answers cross-origin requests: this crate, or a layer of yours.
    pub fn cors(mut self, cors: Cors) -> Self {
        self.cors = cors;
        self
    }

    /// The longest message a client may send, in bytes: of UTF-8 after unquoting, or of binary data.
    ///
    /// Beyond it, a WebSocket is closed with 1009 and a sending request gets 413, after which the session
    /// goes on; nothing of the batch is taken.
    pub fn max_message_bytes(mut self, bytes: usize) -> Self {
        self.max_message_bytes = bytes;
        self
    }

    /// How much of a sending request is held at once, in bytes of JSON, and the largest message of a framed WebSocket.
    ///
    /// A request may be as large as its client likes: sockjs-client sends all that it has to say in one, and knows no
    /// limit. Within this limit, and that of [`max_batch_messages`](Self::max_batch_messages), a request is one batch,
    /// which is taken whole or not at all. A larger one is read piece by piece, as the queue to the application has
    /// room, and each piece is a batch; what turns out wrong, or breaks off, leaves the batches before it taken.
    /// A request whose single message, as JSON, is larger gets 413, and a WebSocket is closed with 1009.
    ///
    /// A client that sends no whole message for a minute, while none of its messages waits for room, gets 408.
    pub fn max_body_bytes(mut self, bytes: usize) -> Self {
        self.max_body_bytes = bytes;
        self
    }

    /// The most messages in one batch: of a sending request, which may have several, as
    /// [`max_body_bytes`](Self::max_body_bytes) tells, or of a WebSocket frame, beyond which the socket is closed with
    /// 1009.
    pub fn max_batch_messages(mut self, messages: usize) -> Self {
        self.max_batch_messages = messages;
        self
    }

    /// How many bytes may wait for the application in one session; each message counts 128 more.
    ///
    /// While a batch does not fit, its request waits for its answer, and a WebSocket is not read. An empty
    /// queue takes any batch, whose own limits bound it.
    pub fn receive_queue_bytes(mut self, bytes: usize) -> Self {
        self.receive_queue_bytes = bytes;
        self
    }

    /// How many messages may wait for the application in one session.
    pub fn receive_queue_messages(mut self, messages: usize) -> Self {
        self.receive_queue_messages = messages;
        self
    }

    /// How long a batch of a sending request waits for room in the queue. Then it gets 503, and nothing of the batch is
    /// taken; the client ends its session for that. Zero does not wait.
    ///
    /// By default, or with [`Duration::MAX`], it waits as long as the session lives, as what comes over a WebSocket
    /// does: a client cannot know how long a handler takes. A proxy in between has a limit of its own.
    pub fn receive_timeout(mut self, timeout: Duration) -> Self {
        self.receive_timeout = timeout;
        self
    }

    /// How many sending requests of one session may be under way at once: their bodies come, or their messages wait for
    /// room. One more gets 429 with `Retry-After: 5`, and nothing of it is taken.
    ///
    /// It bounds what a session's client can make the server hold before the queue: so many times
    /// [`max_body_bytes`](Self::max_body_bytes), and 128 bytes for each message of a batch. sockjs-client has one
    /// request under way, and sends the next batch when that is answered; a client that has several under way does not
    /// know in which order they arrive, and where they are large, their batches mix.
    pub fn max_pending_sends(mut self, requests: usize) -> Self {
        self.max_pending_sends = requests;
        self
    }

    /// How many bytes may wait for the client in one session: what they take in memory, the text and, if it
    /// has to be escaped, the form that goes over the wire; each message counts 128 more. An empty queue takes
    /// any message. When it is full, [`send_overflow`](Self::send_overflow) tells what happens.
    pub fn send_queue_bytes(mut self, bytes: usize) -> Self {
        self.send_queue_bytes = bytes;
        self
    }

    /// What happens to a message that finds the queue to its client full; by default, `send` waits.
    pub fn send_overflow(mut self, policy: Overflow) -> Self {
        self.send_overflow = policy;
        self
    }

    /// How long a client may leave unread what waits for it. Then the session ends with
    /// [`CloseReason::WriteTimeout`](crate::CloseReason::WriteTimeout); zero waits for ever.
    ///
    /// The time counts while something waits to be written and nothing of it can be. What is measured is what
    /// the connection below takes: on a WebSocket any byte, on a stream each 32 KiB of a frame. The buffers
    /// between here and the client empty first: see [slow and dead clients](crate::guide::slow).
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.write_timeout = timeout;
        self
    }

    /// How long the peer of a WebSocket may take to answer the ping that goes with each heartbeat. Then the
    /// session ends with [`CloseReason::PongTimeout`](crate::CloseReason::PongTimeout); zero waits for ever.
    ///
    /// Any byte from the peer is an answer. None is expected while the queue to the application is full, since
    /// the socket is not read then, nor of hixie-76, which knows no ping.
    pub fn pong_timeout(mut self, timeout: Duration) -> Self {
        self.pong_timeout = timeout;
        self
    }

    /// How many sessions the endpoint holds at the most. Beyond it, an opening request gets 503 with
    /// `Retry-After: 5`. 65,536 by default: a number for you to raise where the machine has the memory, or to lower;
    /// `usize::MAX` is no limit.
    ///
    /// Any client can open a session by one request and leave, and the session then lives for its disconnect delay:
    /// without a limit, one client can fill the memory. A session takes 2 KiB at the least and 4 KiB with its
    /// WebSocket, a stream some 20 KiB with its connection, and what your handler holds comes on top.
    ///
    /// A session counts from its opening request until it is over and its handler has returned: a closed one
    /// counts in its disconnect delay, and so does one whose handler goes on without its client. Let a handler
    /// that does more than wait for messages also wait for [`closed`](crate::Session::closed), or clients that
    /// leave keep others out. [`SockJsHandle::len`](crate::SockJsHandle::len) counts open sessions only, and
    /// [`Stats::handlers`](crate::Stats::handlers) all that run.
    pub fn max_sessions(mut self, sessions: usize) -> Self {
        self.max_sessions = sessions;
        self
    }

    /// How many sessions one peer may hold at the most, counted as [`max_sessions`](Self::max_sessions) does.
    /// Beyond it, an opening request gets 429 with `Retry-After: 5`, before the handler's extractors run; those
    /// of [`SockJs::identity`](crate::SockJs::identity) have run by then, since they run for every request.
    ///
    /// A peer is an address, of IPv6 a network of 64 bits, of the connection that brings the request:
    /// see [`Session::peer_addr`](crate::Session::peer_addr) for how the server makes it known. A request
    /// whose address is not known is not limited, and the first of them makes a `WARN` in the log. Behind a
    /// proxy all have the proxy's: say by [`peer_key`](Self::peer_key) whom to count.
    pub fn max_sessions_per_peer(mut self, sessions: usize) -> Self {
        self.max_sessions_per_peer = sessions;
        self
    }

    /// Whom [`max_sessions_per_peer`](Self::max_sessions_per_peer) counts sessions for: a key made of the
    /// opening request's headers and the connection's address, if that is known. Requests for which it gives
    /// `None` are not limited, and the first of them makes a `WARN`. Keep it quick: it runs for every session
    /// that is to open.
    ///
    /// A header says only what its last writer wants: take one that your proxy sets, and only from it.
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

    /// How long what judges a request may take: the handler's extractors for the opening one, and for each those
    /// of [`SockJs::identity`](crate::SockJs::identity). Then the request gets 503 with `Retry-After: 5`.
    ///
    /// A WebSocket has this long once more to take its upgrade, and a hixie-76 client then for the rest of its
    /// handshake. Then the connection is closed, and the handler has not run.
    ///
    /// Zero does not switch it off, but leaves no time: what has to wait for anything is given up, as a WebSocket
    /// has to.
    pub fn open_timeout(mut self, timeout: Duration) -> Self {
        self.open_timeout = timeout;
        self
    }

    /// The level of the span `session`, which is around all that a handler does and has the fields `connection` and
    /// `transport`: see [logs](crate::guide::operating#logs). `INFO` by default, so that what a handler logs can be told apart by
    /// connection wherever such lines are shown.
    ///
    /// The log's own filter applies: `RUST_LOG=warn,my_app=info` leaves the span out, and
    /// `RUST_LOG=warn,my_app=info,axum_sockjs=info` has it. Where it is left out, or nothing collects logs, it costs
    /// next to nothing. Where it is kept, the collector holds one span per session, which takes half a KiB with
    /// tracing-subscriber's `fmt`, and enters it each time that a handler is run.
    pub fn span_level(mut self, level: Level) -> Self {
        self.span_level = level;
        self
    }

    /// Accepts the WebSocket handshake from before RFC 6455, "hixie-76", and its framing: for browsers like
    /// Safari 5. It knows no binary data, no ping and no close code.
    #[cfg(feature = "websocket")]
    pub fn hixie76(mut self, accept: bool) -> Self {
        self.hixie76 = accept;
        self
    }
}
