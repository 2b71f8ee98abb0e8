//! The backends' side of a route.

use std::{fmt, path::PathBuf, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use super::identity::Identity;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Upstream {
    /// One at least.
    pub(crate) backends: Vec<Backend>,
    pub(crate) balance: Balance,
    pub(crate) pass: Pass,
    /// Replace what the client has sent. `Host` and `Origin` may be among them.
    pub(crate) set: HeaderMap,
    pub(crate) binary: Binary,
    pub(crate) tls: BackendTls,
    /// For one backend: name, TCP, TLS and handshake.
    pub(crate) connect_timeout: Duration,
    /// For all that are tried for one session; beyond, the opening request is answered 504.
    pub(crate) open_timeout: Duration,
    /// The longest message that is taken of a backend: beyond, its connection closes with 1009.
    pub(crate) max_message_bytes: usize,
    /// A backend that has been silent for so long is asked for a sign of life.
    pub(crate) ping_interval: Option<Duration>,
    /// How long it may take for that.
    pub(crate) pong_timeout: Duration,
    /// How long the closing handshake may take.
    pub(crate) close_timeout: Duration,
    pub(crate) health: Health,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Backend {
    /// `ws:` or `wss:`, with a host and perhaps a port, a path and a query.
    pub(crate) url: Uri,
    /// Its sessions stay, and no new one comes.
    pub(crate) drain: bool,
}

impl fmt::Debug for Backend {
    /// Without the query, which may be a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.url.to_string();
        let url = url.split('?').next().unwrap_or_default();
        f.debug_struct("Backend").field("url", &url).field("drain", &self.drain).finish()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Balance {
    #[default]
    RoundRobin,
    LeastSessions,
}

/// What a backend gets of the request that opens a session, beside `X-Forwarded-For`, `-Proto` and `-Host`, which are made
/// here. Nothing else passes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pass {
    /// `Origin` is among them by default.
    pub(crate) headers: Vec<HeaderName>,
    pub(crate) cookies: Cookies,
    /// The query, without what the SockJS client itself adds to it, and without what the backend's URL says itself.
    pub(crate) query: bool,
    pub(crate) host: Host,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Cookies {
    #[default]
    None,
    Named(Vec<String>),
    All,
}

/// The `Host` of the handshake.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Host {
    /// That of the backend's URL.
    #[default]
    Backend,
    /// That of the client's request.
    Client,
    Fixed(HeaderValue),
}

/// What becomes of a binary message of a backend for a client that has text only. The raw WebSocket carries it as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Binary {
    /// Both sides are closed with 1003.
    #[default]
    Refuse,
    /// It becomes text in base64 (RFC 4648, section 4).
    Base64,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct BackendTls {
    /// The authorities to trust, in a PEM file, in place of the system's.
    pub(crate) ca: Option<PathBuf>,
    /// The certificate that the gateway shows.
    pub(crate) identity: Option<Identity>,
    /// The name in the backend's certificate, if it is not that of the URL.
    pub(crate) server_name: Option<String>,
}

/// How a backend is found to be well without a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Health {
    pub(crate) check: Check,
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
    /// So many failures in a row, of checks or of sessions that open, and a backend gets no sessions any more.
    pub(crate) fall: u32,
    /// So many checks in a row that it passes, and it is back. What dials took out needs ones that see a handshake.
    pub(crate) rise: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Check {
    /// None: what fails leaves for `interval`, and is tried again by the next session.
    Off,
    /// A TCP connection.
    #[default]
    Tcp,
    /// A `GET` of this path, which has to be answered 2xx.
    Http(String),
    /// A WebSocket that opens, as for a session, and closes.
    WebSocket,
}
