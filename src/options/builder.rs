//! The settings of an endpoint.

use std::time::Duration;

use http::uri::Scheme;
use sockjs_core::{LoneSurrogates, Transport};
use tracing::Level;

#[cfg(feature = "websocket")]
use super::subprotocols::Subprotocols;
use super::{cookie::Cookie, cors::Cors, peer_key::PeerKey};
#[cfg(feature = "cluster")]
use crate::cluster::handle::Cluster;
use crate::{
    options::transport_set::TransportSet,
    origin::policy::Origins,
    response::client::ClientScript,
    session::core::{rate::Rates, settings::Overflow},
};

/// The settings of an endpoint. Each has a default that suits most applications.
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
    pub(crate) heartbeat: Option<Duration>,
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
    pub(crate) receive_timeout: Option<Duration>,
    pub(crate) max_pending_sends: usize,
    pub(crate) send_queue_bytes: usize,
    pub(crate) send_overflow: Overflow,
    pub(crate) write_timeout: Option<Duration>,
    pub(crate) pong_timeout: Option<Duration>,
    pub(crate) max_sessions: Option<usize>,
    pub(crate) max_sessions_per_peer: Option<usize>,
    pub(crate) peer_key: PeerKey,
    pub(crate) open_timeout: Duration,
    pub(crate) span_level: Level,
    #[cfg(feature = "websocket")]
    pub(crate) hixie76: bool,
    #[cfg(feature = "websocket")]
    pub(crate) subprotocols: Subprotocols,
    pub(crate) lone_surrogates: LoneSurrogates,
    pub(crate) rates: Rates,
    #[cfg(feature = "cluster")]
    pub(crate) cluster: Option<Cluster>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            transports: TransportSet::ALL,
            heartbeat: Some(Duration::from_secs(25)),
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
            receive_timeout: None,
            max_pending_sends: 8,
            send_queue_bytes: 1 << 20,
            send_overflow: Overflow::Wait,
            write_timeout: Some(Duration::from_secs(10)),
            pong_timeout: Some(Duration::from_secs(10)),
            max_sessions: Some(65_536),
            max_sessions_per_peer: None,
            peer_key: PeerKey::Address,
            open_timeout: Duration::from_secs(5),
            span_level: Level::INFO,
            #[cfg(feature = "websocket")]
            hixie76: false,
            #[cfg(feature = "websocket")]
            subprotocols: Subprotocols::None,
            lone_surrogates: LoneSurrogates::Replace,
            rates: Rates::NONE,
            #[cfg(feature = "cluster")]
            cluster: None,
        }
    }
}

impl Options {
    /// Returns the default options.
    pub fn new() -> Self {
        Self::default()
    }

    /// Enables a transport. All are enabled by default.
    pub fn enable(mut self, transport: Transport) -> Self {
        self.transports.insert(transport);
        self
    }

    /// Disables a transport: its URLs return 404. Without [`Transport::WebSocket`], `/info` tells the client not to
    /// try it.
    pub fn disable(mut self, transport: Transport) -> Self {
        self.transports.remove(transport);
        self
    }

    /// Sends a heartbeat after this long without a frame: `h`, and on a WebSocket also a ping. The ping is also sent
    /// after this long without data from the client. `None` disables heartbeats.
    ///
    /// A WebSocket's peer must answer within [`pong_timeout`](Self::pong_timeout). On the other transports, the
    /// heartbeat lets the operating system detect a vanished client, once it gives up sending; without heartbeats,
    /// only a message does. The value must stay below the idle timeout of proxies. With JSONP polling it must also stay
    /// below 35 s, since the client gives up a JSONP poll then.
    /// [`Session::set_heartbeat`](crate::Session::set_heartbeat) changes it for one session.
    pub fn heartbeat(mut self, after: impl Into<Option<Duration>>) -> Self {
        self.heartbeat = after.into();
        self
    }

    /// Ends a session after this long without a receiving request, and forgets a closed session after this long. A
    /// WebSocket has this long to answer a close frame. Zero is [invalid](Self::validate): no client of the HTTP
    /// transports could come back for its next response.
    ///
    /// A large response extends the delay by the time that it takes at 16 KiB per second, up to a minute, since its
    /// end may still be on a slow link. Messages sent before a close have up to a minute between two frames to reach
    /// a slow receiver.
    pub fn disconnect_delay(mut self, delay: Duration) -> Self {
        self.disconnect_delay = delay;
        self
    }

    /// Ends a streaming response after this many bytes, not counting the prelude. The client immediately requests the
    /// next one, and its browser frees the memory of the last. The limit also bounds the messages in one `a[…]`
    /// frame, by their length before a transport's own escaping.
    pub fn response_limit(mut self, bytes: usize) -> Self {
        self.response_limit = bytes;
        self
    }

    /// Sets the URL from which the iframe page loads sockjs-client. It must be exactly the version that the pages
    /// use: the client refuses to work with another.
    pub fn client_url(mut self, url: impl Into<String>) -> Self {
        self.client_url = url.into();
        self
    }

    /// Serves the client script under the endpoint, at `/sockjs.min.js`. The iframe page then loads it from there,
    /// and [`client_url`](Self::client_url) has no effect.
    ///
    /// sockjs-client refuses to work with an iframe page of another version. Pages that load
    /// `<script src="/prefix/sockjs.min.js">` avoid this: browsers revalidate the script each time and get 304. For
    /// pages that never use an iframe transport, the script is also at `/sockjs-VERSION.min.js`
    /// ([`ClientScript::version`]), cacheable for a year.
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

    /// Sets a cookie on the responses of session URLs and announces it in `/info`, for load balancers that need a
    /// cookie to keep a session on its server. The value that a request sends is echoed; if it cannot be, no cookie
    /// is set: see [`AffinityCookie`](crate::AffinityCookie).
    pub fn cookie(mut self, cookie: impl Into<Cookie>) -> Self {
        self.cookie = cookie.into();
        self
    }

    /// Directs clients to another URL for the transports, through `/info`: an absolute URL or a path, which begins with
    /// one `/`.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(url.into());
        self
    }

    /// Sets the origins whose pages may use the endpoint; by default only its own.
    ///
    /// The policy covers `/info`, every transport, the raw WebSocket and the iframe page; the greeting and the client
    /// script are open to all. A request of another origin gets 403, and the log has a `WARN` about it at most once a
    /// minute. `Sec-Fetch-Site`, `Origin` and `Referer` are checked, in this order; an empty header counts as
    /// missing. A request with none of them is allowed if no page in today's browsers could make it, or if it does
    /// nothing in its user's name. So an `eventsource` request with a cookie or `Authorization` must have one of
    /// them, and with [`require_origin_with_credentials`](Self::require_origin_with_credentials) every request with
    /// these.
    ///
    /// Responses to allowed origins name them in `Access-Control-Allow-Origin`, with credentials, and have
    /// `Vary: Origin`, unless [`cors`](Self::cors) leaves that to a layer of yours.
    ///
    /// If an attacker points a name at this server (DNS rebinding), browsers treat that name as the server's own
    /// origin, though without its cookies. If only the network identifies your users, let a layer check `Host` too.
    pub fn origins(mut self, origins: Origins) -> Self {
        self.origins = origins;
        self
    }

    /// Trusts a proxy's headers about the URL that the browser requested, to determine the endpoint's own origin:
    /// `Forwarded`, or else `X-Forwarded-Host`, `X-Forwarded-Port` and `X-Forwarded-Proto`. Only the first element of
    /// each header counts. Empty values are ignored.
    ///
    /// A port in `X-Forwarded-Host`, or in `Host` if there is no other host, takes precedence over
    /// `X-Forwarded-Port`. The host of `Forwarded` includes its port. If the port is unreadable, no origin counts as
    /// the endpoint's own.
    ///
    /// Only a proxy that changes `Host` needs this option, for browsers without `Sec-Fetch-Site` and for WebSockets
    /// of browsers that omit it there. If the scheme is known, an `http` page no longer counts as a page of the
    /// server's `https` origin. The proxy must set these headers itself or remove them, and the port must be the one
    /// that the browser sees.
    pub fn trust_forwarded(mut self, trust: bool) -> Self {
        self.trust_forwarded = trust;
        self
    }

    /// Sets the endpoint's own scheme, for a server that terminates TLS itself. HTTP/1.1 does not carry the scheme,
    /// and while it is unknown (the default), a page of `http://HOST` counts as a page of `https://HOST`.
    ///
    /// A proxy's headers take precedence if [`trust_forwarded`](Self::trust_forwarded) is on, and so does a request
    /// that says `https` itself, as HTTP/2 over TLS does. Each request does over the TLS of `axum-sockjs-serve`, which
    /// needs no such option. Set it also behind a proxy that terminates TLS, if all browsers use `https` and the proxy does
    /// not say so.
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

    /// Rejects, with 403, requests that have a `Cookie` or `Authorization` but none of `Sec-Fetch-Site`, `Origin` and
    /// `Referer`: on every transport, the raw WebSocket and `/info`. Off by default; `eventsource` always has this
    /// rule.
    ///
    /// Enable it to serve Firefox before 70, Internet Explorer or old Edge (EdgeHTML). There, a `POST` can lack an
    /// `Origin`, and a page with `Referrer-Policy: no-referrer` can post a form in its visitor's name without
    /// revealing itself. Your own pages must then send `Referer`. Clients that are not browsers and send credentials
    /// (apps and clients in Java do) must also send an `Origin`: the endpoint's own, or one that
    /// [`origins`](Self::origins) allows.
    ///
    /// This option has no effect with [`Origins::any`].
    pub fn require_origin_with_credentials(mut self, require: bool) -> Self {
        self.require_origin_with_credentials = require;
        self
    }

    /// Enables or disables JSONP polling, HtmlFile and the iframe page together. Disabled, their URLs return 404.
    /// [`disable`](Self::disable) still disables single ones.
    ///
    /// By default they are on with [`Origins::any`] and off with every stricter [`origins`](Self::origins): their
    /// requests have no `Origin`, and any page that may frame the iframe page can use the sessions of its users. Only
    /// browsers from before 2013 need them.
    ///
    /// If enabled with stricter origins, they are checked like all others. But a request that does not reveal its
    /// origin is rejected, and the iframe page names the pages that may frame it in its content security policy
    /// (`frame-ancestors`).
    pub fn legacy_transports(mut self, on: bool) -> Self {
        self.legacy_transports = Some(on);
        self
    }

    /// Sets whether this crate or a layer of yours answers cross-origin requests.
    pub fn cors(mut self, cors: Cors) -> Self {
        self.cors = cors;
        self
    }

    /// Sets the level of the span `session`, which surrounds everything that a handler does and has the fields
    /// `connection` and `transport`: see [logs](crate::guide::operating#logs). The default is `INFO`, so that a
    /// handler's log lines can be separated by connection at that level.
    ///
    /// The log's own filter applies: `RUST_LOG=warn,my_app=info` omits the span, and
    /// `RUST_LOG=warn,my_app=info,axum_sockjs=info` includes it. If it is omitted, or nothing collects logs, it costs
    /// next to nothing. If it is included, the collector holds one span per session, half a KiB with
    /// tracing-subscriber's `fmt`, and enters it each time that a handler is polled.
    pub fn span_level(mut self, level: Level) -> Self {
        self.span_level = level;
        self
    }
}
