//! The client of one endpoint: its settings, and how sessions open.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use cookie_store::{CookieStore, RawCookie};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use sockjs_core::{Frame, LoneSurrogates, Transport, decode::Limits};
use tokio::time::{Instant, timeout};

use crate::{
    connector::Connector,
    driver,
    endpoint_url::EndpointUrl,
    error::{ConnectError, Error, InvalidUrl},
    http::{Http, Pool, whole},
    info::Info,
    reconnect::Reconnect,
    session::Session,
    transport::{self, Halves, Silence},
};

/// How long the browser's client waits for `/info`.
const INFO_TIMEOUT: Duration = Duration::from_secs(8);

/// How long a transport may take to open if no round trip has been measured: as with the browser's client.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the server may be silent: three heartbeats of most servers.
const SERVER_TIMEOUT: Duration = Duration::from_secs(75);

/// The round trips that a transport may need: as many as the browser's client counts for each of these.
const ROUND_TRIPS: u32 = 2;

/// The most messages of one frame. Each takes about a hundred bytes, however short it is.
const MAX_MESSAGES: usize = 1 << 18;

/// The order of the browser's client, without what only browsers need.
const ORDER: &[Transport] =
    &[Transport::WebSocket, Transport::XhrStreaming, Transport::EventSource, Transport::XhrPolling];

/// A client of one SockJS endpoint: opens sessions, any number at a time, which share connections.
///
/// Clones share the connections, and have settings of their own.
///
/// ```no_run
/// use sockjs_client::Client;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::new("http://127.0.0.1:8081/echo")?.header("authorization", "Bearer 123");
/// let mut session = client.connect().await?;
/// session.send("hello").await?;
/// while let Some(message) = session.recv().await {
///     println!("{message:?}");
/// }
/// println!("{:?}", session.close_event());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct Client {
    url: EndpointUrl,
    transports: Vec<Transport>,
    headers: HeaderMap,
    cookies: Vec<String>,
    /// The first header, cookie or sub-protocol that cannot be sent: told when a session is to open.
    invalid: Option<String>,
    min_open_timeout: Duration,
    transport: transport::Settings,
    driver: driver::Settings,
    receive_queue_bytes: usize,
    send_queue_bytes: usize,
    #[cfg(feature = "rustls")]
    tls: Option<Arc<rustls::ClientConfig>>,
    pool: Arc<OnceLock<Pool>>,
}

impl Client {
    /// Creates a client of the endpoint at `url`, for instance `https://example.com/chat`. A query is sent with every
    /// request. `ws` and `wss` stand for `http` and `https`.
    ///
    /// # Errors
    /// It is no absolute URL, its scheme is another, it has a fragment or a user name, or it is `https` and the crate
    /// was built without the feature `rustls`.
    pub fn new(url: &str) -> Result<Self, InvalidUrl> {
        let url = EndpointUrl::parse(url)?;
        if url.is_secure() && !cfg!(feature = "rustls") {
            return Err(InvalidUrl("https needs the feature `rustls` of sockjs-client".to_owned()));
        }
        Ok(Self {
            url,
            transports: ORDER.to_vec(),
            headers: HeaderMap::new(),
            cookies: Vec::new(),
            invalid: None,
            min_open_timeout: Duration::ZERO,
            transport: transport::Settings {
                limits: Limits::new(usize::MAX).with_messages(MAX_MESSAGES),
                max_frame_bytes: 16 << 20,
                silence: Silence::Default(SERVER_TIMEOUT),
                subprotocols: None,
            },
            driver: driver::Settings {
                observer: driver::Observer::default(),
                max_batch_messages: 1000,
                max_batch_bytes: 64 << 10,
                close_timeout: Duration::from_secs(5),
                is_framed: true,
            },
            receive_queue_bytes: 1 << 20,
            send_queue_bytes: 1 << 20,
            #[cfg(feature = "rustls")]
            tls: None,
            pool: Arc::default(),
        })
    }

    /// Sets the transports that [`connect`](Self::connect) tries, in this order. Default: WebSocket, XHR streaming,
    /// EventSource, XHR polling, as the browser's client has it.
    pub fn transports(mut self, transports: impl IntoIterator<Item = Transport>) -> Self {
        self.transports = transports.into_iter().collect();
        self
    }

    /// Sets a header of each request to the origin of the endpoint's URL. Another origin, which the server may name in
    /// its `/info`, gets none of them. An earlier header of the same name is replaced, also one of the client's own, such
    /// as `User-Agent`.
    ///
    /// A name or value that is no header's makes the sessions fail to open, with
    /// [`Error::InvalidRequest`](crate::Error::InvalidRequest).
    pub fn header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName>,
        V: TryInto<HeaderValue>,
    {
        match (name.try_into(), value.try_into()) {
            (Ok(name), Ok(value)) => _ = self.headers.insert(name, value),
            (Ok(name), Err(_)) => self.invalid(format!("the value of the header {name} is invalid")),
            (Err(_), _) => self.invalid("the name of a header is invalid".to_owned()),
        }
        self
    }

    /// Adds a cookie, which is sent to the host of the endpoint's URL. Each session has cookies of its own: these, and those
    /// that the server sets while it opens and lives, such as a load balancer's.
    ///
    /// A name with `=`, or a name or value with `;`, is [reported](Error::InvalidRequest) when a session is opened.
    pub fn cookie(mut self, name: &str, value: &str) -> Self {
        if name.contains(['=', ';']) || value.contains(';') {
            self.invalid("a cookie is invalid".to_owned());
            return self;
        }
        self.cookies.push(format!("{name}={value}; Path=/"));
        self
    }

    /// Sets the sub-protocols that a raw WebSocket offers, by preference. Default: none.
    pub fn subprotocols<T: AsRef<str>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        let names: Vec<_> = names.into_iter().map(|name| name.as_ref().to_owned()).collect();
        match HeaderValue::try_from(names.join(", ")) {
            _ if names.is_empty() => self.transport.subprotocols = None,
            Ok(names) => self.transport.subprotocols = Some(names),
            Err(_) => self.invalid("the name of a sub-protocol is invalid".to_owned()),
        }
        self
    }

    /// Sets the shortest time allowed for a transport to open. Default: 0.
    ///
    /// [`connect`](Self::connect) allows two round trips, of four times the time that `/info` took, or of 300 ms more than
    /// it took if that was less than 100 ms; then it tries the next transport. [`open`](Self::open) allows 5 seconds.
    pub fn min_open_timeout(mut self, time: Duration) -> Self {
        self.min_open_timeout = time;
        self
    }

    /// Sets how long the server may be silent before the session counts as lost; `None` for ever.
    ///
    /// On a WebSocket, the client sends a ping each third of this time, which every server answers. Over HTTP the server has
    /// to send heartbeats more often than this. A connection in HTTP/2 is also asked by pings, each 20 seconds, and is lost
    /// if one is not answered for as long.
    ///
    /// Default: 75 seconds, three heartbeats of most servers. Without a call of this, a stream that has not brought a heartbeat
    /// may be silent for ever, since some servers send none there.
    pub fn server_timeout(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.transport.silence = time.into().map_or(Silence::Allowed, Silence::Limit);
        self
    }

    /// Sets how long [`Session::close`] may take. Default: 5 seconds.
    pub fn close_timeout(mut self, time: Duration) -> Self {
        self.driver.close_timeout = time;
        self
    }

    /// Sets the longest frame that the server may send, in bytes; a WebSocket's messages count as frames. A longer one
    /// ends the session with 1009, and so does a frame of more than 262,144 messages. Default: 16 MiB.
    pub fn max_frame_bytes(mut self, bytes: usize) -> Self {
        self.transport.max_frame_bytes = bytes;
        self
    }

    /// Sets how many bytes of received messages may wait for the application. Beyond, the connection is not read, and so
    /// the server waits. Default: 1 MiB. One longer message is taken, too.
    pub fn receive_queue_bytes(mut self, bytes: usize) -> Self {
        self.receive_queue_bytes = bytes;
        self
    }

    /// Sets how many bytes of sent messages may wait for the server. Beyond, [`Session::send`] waits. Default: 1 MiB. One
    /// longer message is taken, too.
    pub fn send_queue_bytes(mut self, bytes: usize) -> Self {
        self.send_queue_bytes = bytes;
        self
    }

    /// Sets how many bytes of messages one sending request takes. A longer message goes alone. Characters that JSON escapes
    /// make the request longer than that, by up to six times. Default: 64 KiB, which all servers take.
    pub fn max_batch_bytes(mut self, bytes: usize) -> Self {
        self.driver.max_batch_bytes = bytes;
        self
    }

    /// Sets how many messages one sending request takes, at least one. Default: 1000.
    pub fn max_batch_messages(mut self, messages: usize) -> Self {
        self.driver.max_batch_messages = messages.max(1);
        self
    }

    /// Sets what becomes of lone surrogates in the server's messages. With [`LoneSurrogates::Refuse`], one ends the session
    /// with 1007. Default: [`LoneSurrogates::Replace`].
    pub fn lone_surrogates(mut self, policy: LoneSurrogates) -> Self {
        self.transport.limits = self.transport.limits.with_lone_surrogates(policy);
        self
    }

    /// Sets a function that sees each frame of the server, before its messages can be received: for logs and tests. It is
    /// called in the session's task, and should not block.
    pub fn inspect_frames(mut self, observer: impl Fn(&Frame) + Send + Sync + 'static) -> Self {
        self.driver.observer = driver::Observer::new(observer);
        self
    }

    /// Sets the TLS configuration: certificates, roots. Default: the roots of the system, no client certificate, with ring.
    /// Its ALPN protocols are replaced.
    #[cfg(feature = "rustls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
    pub fn tls_config(mut self, config: impl Into<Arc<rustls::ClientConfig>>) -> Self {
        self.tls = Some(config.into());
        self.pool = Arc::default();
        self
    }

    /// Opens a session as the browser's client does: asks `/info`, and tries the [`transports`](Self::transports) one
    /// after the other.
    ///
    /// - `/info` may take 8 seconds. Any JSON is taken. If it has `websocket: false`, WebSocket is not tried; a `base_url`
    ///   takes the place of the endpoint's URL, except one that leads from `https` to `http`.
    /// - A transport that does not open [in time](Self::min_open_timeout), or is refused, is followed by the next one, with a
    ///   new session. A server that closes the session with 1000, 2000 or 3000–4999 ends this.
    ///
    /// Cancel safe: if the future is dropped, its connection is closed.
    ///
    /// # Errors
    /// No transport has opened. [`ConnectError::close_frame`] has the code that a browser would see.
    pub async fn connect(&self) -> Result<Session, ConnectError> {
        let http = self.http().map_err(ConnectError::Info)?;
        let began = Instant::now();
        let info = timeout(INFO_TIMEOUT, info(&http, &self.url)).await;
        let info = info.unwrap_or(Err(Error::TimedOut(INFO_TIMEOUT))).map_err(ConnectError::Info)?;
        let info = Info::parse(&info);
        let time = self.min_open_timeout.max(ROUND_TRIPS * retransmission_timeout(began.elapsed()));
        let url = match &info.base_url {
            Some(base_url) => self.url.replaced_by(base_url),
            None => Ok(self.url.clone()),
        };
        let url =
            url.map_err(|error| ConnectError::Info(Error::InvalidResponse(error.to_string().into())))?;
        let mut tried = Vec::new();
        for &transport in &self.transports {
            if transport.is_socket() && !info.websocket {
                continue;
            }
            match self.open_within(time, transport, &url, &http).await {
                Ok(session) => return Ok(session),
                Err(error) => {
                    tracing::debug!(%transport, %error, "the transport has not opened");
                    let is_final = error.is_final();
                    tried.push((transport, error));
                    if is_final {
                        break;
                    }
                }
            }
        }
        Err(ConnectError::Transports(tried))
    }

    /// Opens sessions one after the other: see [`Reconnect`].
    pub fn reconnect(&self) -> Reconnect {
        Reconnect::new(self.clone())
    }

    /// Opens a session with one transport, without asking `/info`. HtmlFile and JSONP are for tests of servers; their
    /// requests are those of browsers.
    ///
    /// Cancel safe: if the future is dropped, its connection is closed.
    ///
    /// # Errors
    /// The session has not opened within 5 seconds, or [`min_open_timeout`](Self::min_open_timeout) if that is longer; or the
    /// server has refused it: [`Error::response`](crate::Error::response) is its answer.
    pub async fn open(&self, transport: Transport) -> Result<Session, Error> {
        let http = self.http()?;
        self.open_within(OPEN_TIMEOUT.max(self.min_open_timeout), transport, &self.url, &http).await
    }

    /// Uses these connections.
    #[cfg(any(test, feature = "test"))]
    pub(crate) fn with_pool(mut self, pool: Pool) -> Self {
        self.pool = Arc::new(OnceLock::from(pool));
        self
    }

    /// The path of the endpoint.
    #[cfg(feature = "test")]
    pub(crate) fn path(&self) -> String {
        self.url.join("").path().trim_end_matches('/').to_owned()
    }

    /// The body of `/info`.
    #[cfg(feature = "test")]
    pub(crate) async fn read_info(&self) -> Result<Bytes, Error> {
        info(&self.http()?, &self.url).await
    }

    async fn open_within(
        &self,
        time: Duration,
        transport: Transport,
        url: &EndpointUrl,
        http: &Http,
    ) -> Result<Session, Error> {
        let halves = timeout(time, self.opened(transport, url, http)).await;
        let halves = halves.unwrap_or(Err(Error::TimedOut(time)))?;
        let settings = driver::Settings { is_framed: transport.is_framed(), ..self.driver.clone() };
        Ok(Session::start(transport, halves, settings, self.receive_queue_bytes, self.send_queue_bytes))
    }

    /// Waits for the open frame.
    async fn opened(&self, transport: Transport, url: &EndpointUrl, http: &Http) -> Result<Halves, Error> {
        let mut halves = transport::open(transport, &url.session()?, http, &self.transport).await?;
        loop {
            let frame = halves.receiver.next().await?;
            self.driver.observer.see(&frame);
            match frame {
                Frame::Open => return Ok(halves),
                Frame::Close(frame) => return Err(Error::Closed(frame)),
                // Nothing of a session that is not open.
                Frame::Heartbeat | Frame::Messages(_) => {}
            }
        }
    }

    /// The requests of a new session, with its cookies.
    fn http(&self) -> Result<Http, Error> {
        if let Some(what) = &self.invalid {
            return Err(Error::InvalidRequest(what.clone()));
        }
        let pool = match self.pool.get() {
            Some(pool) => pool.clone(),
            None => {
                let pool = self.new_pool()?;
                self.pool.get_or_init(|| pool).clone()
            }
        };
        let url = self.url.join("");
        let mut cookies = CookieStore::default();
        for cookie in &self.cookies {
            let cookie = RawCookie::parse(cookie.clone())
                .map_err(|error| Error::InvalidRequest(format!("a cookie: {error}")))?;
            cookies
                .insert_raw(&cookie, &url)
                .map_err(|error| Error::InvalidRequest(format!("a cookie: {error}")))?;
        }
        Ok(Http::new(pool, self.url.origin(), self.headers.clone(), cookies))
    }

    #[cfg(not(feature = "rustls"))]
    fn new_pool(&self) -> Result<Pool, Error> {
        Ok(Pool::new(Connector::tcp(), Connector::tcp()))
    }

    #[cfg(feature = "rustls")]
    fn new_pool(&self) -> Result<Pool, Error> {
        if !self.url.is_secure() && self.tls.is_none() {
            return Ok(Pool::new(Connector::tcp(), Connector::tcp()));
        }
        let mut config = match &self.tls {
            Some(config) => (**config).clone(),
            None => default_tls()?,
        };
        config.alpn_protocols.clear();
        Ok(Pool::new(Connector::tls(config.clone(), false), Connector::tls(config, true)))
    }

    /// Notes what cannot be sent. The first one is told.
    fn invalid(&mut self, what: String) {
        self.invalid.get_or_insert(what);
    }
}

/// Shows no secrets: of headers the names, of cookies the number, and no query.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("url", &self.url.without_query())
            .field("transports", &self.transports)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("cookies", &self.cookies.len())
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "rustls")]
fn default_tls() -> Result<rustls::ClientConfig, Error> {
    use hyper_rustls::ConfigBuilderExt as _;

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Connect(error.into()))?
        .with_native_roots()
        .map_err(|error| Error::Connect(error.into()))?;
    Ok(config.with_no_client_auth())
}

/// The body of `/info`.
async fn info(http: &Http, url: &EndpointUrl) -> Result<Bytes, Error> {
    // A cache would hide how long the server takes.
    let headers = [(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"))];
    let response = http.send(Method::GET, &url.join("info"), &headers, Default::default()).await?;
    let body = whole(response).await?;
    // The browser's client takes any body. A page is what a wrong URL brings, and to say so helps more than to fail later.
    if body.trim_ascii_start().starts_with(b"<") {
        return Err(Error::InvalidResponse(
            "/info is a page, not JSON: the URL is not that of a SockJS endpoint".into(),
        ));
    }
    Ok(body)
}

/// The time for one round trip, from the time that one took.
fn retransmission_timeout(round_trip: Duration) -> Duration {
    if round_trip > Duration::from_millis(100) {
        4 * round_trip
    } else {
        Duration::from_millis(300) + round_trip
    }
}

#[cfg(test)]
mod tests;
