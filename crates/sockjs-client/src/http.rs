//! Requests to the server.

#[cfg(feature = "http2")]
use std::sync::atomic::{AtomicBool, Ordering};
use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use cookie_store::{Cookie, CookieStore, RawCookie};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Builder, Client},
    rt::{TokioExecutor, TokioTimer},
};
use tokio::time::timeout;
use url::{Origin, Url};

use crate::{
    connector::Connector,
    error::{BoxError, Error},
};

/// The longest body of an answer that is read as a whole: that of `/info`, and of a refusal.
const MAX_BODY: usize = 64 << 10;

/// How long the body of a refusal may take; mostly it comes with the head.
const REFUSAL_TIMEOUT: Duration = Duration::from_millis(250);

/// How long the body of an answer to messages may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest head of an answer.
const MAX_HEAD: usize = 64 << 10;

/// How long a connection is kept that no request uses: shorter than the 5 seconds after which Node's servers close one.
/// A request on a connection that the server is closing would fail, and nobody would know whether it was read.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// How many cookies a session keeps, as many as most browsers keep of a domain
/// ([RFC 6265, section 6.1](https://www.rfc-editor.org/rfc/rfc6265#section-6.1) has 50 for the least). More would bring
/// a longer header with every request, and a server may set some with every answer.
const MAX_COOKIES: usize = 180;

/// The longest cookie, with its attributes: the least that browsers have to take, by the same section.
const MAX_COOKIE: usize = 4096;

/// How often a connection in HTTP/2 is asked whether the server is there, and how long the answer may take. All requests
/// share the connection, so one that is dead would take each new session with it, for as long as the system tries.
#[cfg(feature = "http2")]
const PING_INTERVAL: Duration = Duration::from_secs(20);
#[cfg(feature = "http2")]
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a connection in HTTP/2 is kept after its last request began, whose answer may last longer. It says itself when
/// the server closes it, so it needs no [`IDLE_TIMEOUT`].
#[cfg(feature = "http2")]
const HTTP2_IDLE_TIMEOUT: Duration = Duration::from_secs(90);

const USER_AGENT: &str = concat!("sockjs-client/", env!("CARGO_PKG_VERSION"));

/// The connections of a client, which all of its sessions share.
#[derive(Debug, Clone)]
pub(crate) struct Pool {
    /// For requests in HTTP/1.1 or, where the server's TLS offers it, HTTP/2.
    any: Client<Connector, Full<Bytes>>,
    /// For requests of a session that has been answered in HTTP/2: the library has one idle time for all connections, and
    /// that of HTTP/1.1 would end a connection in HTTP/2 that a stream uses.
    #[cfg(feature = "http2")]
    http2: Client<Connector, Full<Bytes>>,
    /// For WebSockets, which begin as a request of HTTP/1.1.
    upgrades: Client<Connector, Full<Bytes>>,
}

impl Pool {
    pub(crate) fn new(any: Connector, upgrades: Connector) -> Self {
        let mut builder = Client::builder(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .http1_max_buf_size(MAX_HEAD);
        #[cfg(feature = "http2")]
        builder
            .http2_max_header_list_size(MAX_HEAD as u32)
            .http2_keep_alive_interval(PING_INTERVAL)
            .http2_keep_alive_timeout(PING_TIMEOUT);
        let build = |builder: &Builder, connector| builder.build(connector);
        Self {
            #[cfg(feature = "http2")]
            http2: build(builder.clone().pool_idle_timeout(HTTP2_IDLE_TIMEOUT), any.clone()),
            any: build(&builder, any),
            // A connection that becomes a WebSocket is no longer one of HTTP, and a refused one is not worth keeping.
            upgrades: build(builder.pool_max_idle_per_host(0), upgrades),
        }
    }
}

/// What the requests of one session have in common.
#[derive(Debug, Clone)]
pub(crate) struct Http(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    pool: Pool,
    /// The application's headers, which go to this origin only.
    headers: HeaderMap,
    origin: Origin,
    cookies: Mutex<CookieStore>,
    /// Whether the last answer was in HTTP/2.
    #[cfg(feature = "http2")]
    is_http2: AtomicBool,
}

impl Http {
    pub(crate) fn new(pool: Pool, origin: Origin, headers: HeaderMap, cookies: CookieStore) -> Self {
        Self(Arc::new(Shared {
            pool,
            headers,
            origin,
            cookies: Mutex::new(cookies),
            #[cfg(feature = "http2")]
            is_http2: AtomicBool::new(false),
        }))
    }

    /// Sends a request, and takes the answer's head. Dropping the answer's body before its end closes the connection.
    pub(crate) async fn send(
        &self,
        method: Method,
        url: &Url,
        headers: &[(HeaderName, HeaderValue)],
        body: Bytes,
    ) -> Result<Response<Incoming>, Error> {
        let request = self.request(method, url, headers, body)?;
        let response = self.sent(url, self.pool().request(request).await)?;
        #[cfg(feature = "http2")]
        self.0.is_http2.store(response.version() == http::Version::HTTP_2, Ordering::Relaxed);
        Ok(response)
    }

    #[cfg(not(feature = "http2"))]
    fn pool(&self) -> &Client<Connector, Full<Bytes>> {
        &self.0.pool.any
    }

    #[cfg(feature = "http2")]
    fn pool(&self) -> &Client<Connector, Full<Bytes>> {
        if self.0.is_http2.load(Ordering::Relaxed) { &self.0.pool.http2 } else { &self.0.pool.any }
    }

    /// Sends a request that is to become a WebSocket.
    pub(crate) async fn upgrade(
        &self,
        url: &Url,
        headers: impl IntoIterator<Item = (HeaderName, HeaderValue)>,
    ) -> Result<Response<Incoming>, Error> {
        let mut request = self.request(Method::GET, url, &[], Bytes::new())?;
        request.headers_mut().extend(headers);
        self.sent(url, self.0.pool.upgrades.request(request).await)
    }

    fn request(
        &self,
        method: Method,
        url: &Url,
        headers: &[(HeaderName, HeaderValue)],
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, Error> {
        let mut request = Request::builder()
            .method(method)
            .uri(url.as_str())
            .body(Full::new(body))
            .map_err(|error| Error::InvalidRequest(format!("{url}: {error}")))?;
        let map = request.headers_mut();
        map.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        map.extend(headers.iter().cloned());
        if url.origin() == self.0.origin {
            for name in self.0.headers.keys() {
                map.remove(name);
            }
            map.extend(self.0.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        if let Some(cookies) = self.cookies_for(url, map.get(header::COOKIE)) {
            map.insert(header::COOKIE, cookies);
        }
        Ok(request)
    }

    /// The cookies of the application's own header, if it has one, and those that the server has set.
    fn cookies_for(&self, url: &Url, header: Option<&HeaderValue>) -> Option<HeaderValue> {
        let cookies = self.0.cookies.lock().unwrap_or_else(PoisonError::into_inner);
        let header = header.and_then(|value| value.to_str().ok()).map(str::to_owned);
        let set = cookies.get_request_values(url).map(|(name, value)| format!("{name}={value}"));
        let pairs: Vec<_> = header.into_iter().chain(set).collect();
        if pairs.is_empty() { None } else { HeaderValue::try_from(pairs.join("; ")).ok() }
    }

    fn sent(
        &self,
        url: &Url,
        answer: Result<Response<Incoming>, hyper_util::client::legacy::Error>,
    ) -> Result<Response<Incoming>, Error> {
        let response = answer.map_err(|error| {
            if error.is_connect() { Error::Connect(error.into()) } else { Error::Lost(error.into()) }
        })?;
        self.keep_cookies(url, response.headers());
        Ok(response)
    }

    /// Keeps the cookies that an answer sets.
    fn keep_cookies(&self, url: &Url, headers: &HeaderMap) {
        let mut cookies = self.0.cookies.lock().unwrap_or_else(PoisonError::into_inner);
        let set = headers.get_all(header::SET_COOKIE).iter().filter(|cookie| cookie.len() <= MAX_COOKIE);
        for cookie in set.filter_map(|cookie| RawCookie::parse(cookie.to_str().ok()?.to_owned()).ok()) {
            // One that the rules forbid, such as one of another domain, is not taken.
            let Ok(cookie) = Cookie::try_from_raw_cookie(&cookie, url) else { continue };
            let (domain, path) = (String::from(&cookie.domain), String::from(&cookie.path));
            if cookies.contains_any(&domain, &path, cookie.name()) || has_room(&mut cookies) {
                _ = cookies.insert(cookie, url);
            }
        }
    }
}

/// Whether another cookie can be kept. Those that have expired are in the store until their room is needed.
fn has_room(cookies: &mut CookieStore) -> bool {
    if cookies.iter_any().count() >= MAX_COOKIES {
        let unexpired: Vec<_> = cookies.iter_unexpired().cloned().map(Ok::<_, Infallible>).collect();
        *cookies = CookieStore::from_cookies(unexpired, false).unwrap_or_default();
    }
    cookies.iter_any().count() < MAX_COOKIES
}

/// A refused request, with its body as far as it is worth reading.
pub(crate) async fn refused(response: Response<Incoming>) -> Error {
    let (head, body) = response.into_parts();
    let mut read = Body::default();
    // What comes late is left out: the status says enough, and the time of a transport to open may be short.
    _ = timeout(REFUSAL_TIMEOUT, read.fill(body)).await;
    Error::Refused(Box::new(Response::from_parts(head, read.bytes.freeze())))
}

/// The body of an answer that has to be complete.
pub(crate) async fn whole(response: Response<Incoming>) -> Result<Bytes, Error> {
    if response.status() != StatusCode::OK {
        return Err(refused(response).await);
    }
    let mut read = Body::default();
    match read.fill(response.into_body()).await {
        Ended::Complete => Ok(read.bytes.freeze()),
        Ended::TooLong => Err(Error::InvalidResponse("the server's answer is longer than 64 KiB".into())),
        Ended::Broken(error) => Err(Error::Lost(error)),
    }
}

/// Reads a body that says nothing, so that its connection can take the next request.
pub(crate) async fn discard(response: Response<Incoming>) {
    // A long one is not worth it: dropping it closes the connection.
    _ = timeout(BODY_TIMEOUT, Body::default().fill(response.into_body())).await;
}

enum Ended {
    Complete,
    TooLong,
    Broken(BoxError),
}

/// What has been read of a body.
#[derive(Default)]
struct Body {
    bytes: BytesMut,
}

impl Body {
    /// Reads a body to its end, and gives up on a long one.
    async fn fill(&mut self, mut body: Incoming) -> Ended {
        loop {
            match body.frame().await {
                None => return Ended::Complete,
                Some(Err(error)) => return Ended::Broken(error.into()),
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    let room = MAX_BODY - self.bytes.len();
                    self.bytes.extend_from_slice(&data[..data.len().min(room)]);
                    if data.len() > room {
                        return Ended::TooLong;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::Connector;

    const ENDPOINT: &str = "https://h/app/info?q";

    fn http(headers: &[(&'static str, &'static str)]) -> Http {
        let pool = Pool::new(Connector::tcp(), Connector::tcp());
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect::<HeaderMap>();
        Http::new(pool, Url::parse(ENDPOINT).unwrap().origin(), headers, CookieStore::default())
    }

    /// The values of a header in a request to this URL.
    fn sent(http: &Http, url: &str, name: HeaderName) -> Vec<String> {
        let url = Url::parse(url).unwrap();
        let headers = [(header::ACCEPT, HeaderValue::from_static("*/*"))];
        let request = http.request(Method::POST, &url, &headers, Bytes::new()).unwrap();
        let values = request.headers().get_all(name).into_iter();
        values.map(|value| value.to_str().unwrap().to_owned()).collect()
    }

    fn set(http: &Http, url: &str, cookies: &[&str]) {
        let headers = cookies
            .iter()
            .map(|cookie| (header::SET_COOKIE, HeaderValue::from_str(cookie).unwrap()))
            .collect::<Vec<_>>();
        let mut map = HeaderMap::new();
        map.extend(headers);
        http.keep_cookies(&Url::parse(url).unwrap(), &map);
    }

    #[test]
    fn headers_replace_those_of_the_client_and_go_to_the_own_origin_only() {
        let http = http(&[("user-agent", "mine"), ("x-a", "1"), ("x-b", "2")]);
        let own = "https://h:443/anything";
        assert_eq!(sent(&http, own, header::USER_AGENT), ["mine"]);
        assert_eq!(sent(&http, own, header::ACCEPT), ["*/*"]);
        assert_eq!(sent(&http, own, "x-b".parse().unwrap()), ["2"]);
        for other in ["http://h/app", "https://h:8443/app", "https://a.h/app", "https://h.b/app"] {
            assert_eq!(sent(&http, other, header::USER_AGENT), [USER_AGENT], "{other}");
            assert!(sent(&http, other, "x-a".parse().unwrap()).is_empty(), "{other}");
        }
    }

    #[test]
    fn a_header_may_have_several_values() {
        let http = http(&[("accept", "a"), ("accept", "b")]);
        assert_eq!(sent(&http, ENDPOINT, header::ACCEPT), ["a", "b"]);
    }

    #[test]
    fn cookies_come_back_until_they_expire() {
        let http = http(&[("cookie", "mine=1")]);
        assert_eq!(sent(&http, ENDPOINT, header::COOKIE), ["mine=1"]);
        set(
            &http,
            ENDPOINT,
            &["a=1; Path=/; HttpOnly", "b=2", "c=3; Path=/app/xhr; Secure", "d=4; Max-Age=0"],
        );
        // Without a path, a cookie is for the folder that set it.
        let of = |url| sent(&http, url, header::COOKIE).concat().split("; ").map(str::to_owned).collect();
        let mut cookies: Vec<String> = of("https://h/app/x");
        cookies.sort_unstable();
        assert_eq!(cookies, ["a=1", "b=2", "mine=1"]);
        cookies = of("https://h/app/xhr");
        cookies.sort_unstable();
        assert_eq!(cookies, ["a=1", "b=2", "c=3", "mine=1"]);
        assert_eq!(sent(&http, "https://h/other", header::COOKIE), ["mine=1; a=1"]);
        set(&http, "https://h/", &["a=2; Path=/", "b=; Path=/app; Expires=Thu, 01 Jan 1970 00:00:00 GMT"]);
        assert_eq!(sent(&http, "https://h/app/x", header::COOKIE), ["mine=1; a=2"]);
    }

    #[test]
    fn cookies_are_for_their_host() {
        let http = http(&[]);
        set(&http, ENDPOINT, &["a=1; Path=/", "evil=1; Domain=other"]);
        assert!(sent(&http, "https://other/", header::COOKIE).is_empty());
        assert!(sent(&http, "https://a.h/", header::COOKIE).is_empty());
        assert_eq!(sent(&http, "https://h:8443/", header::COOKIE), ["a=1"], "a cookie has no port");
    }

    #[test]
    fn cookies_are_bounded() {
        let http = http(&[]);
        for number in 0..1000 {
            set(&http, ENDPOINT, &[&format!("a{number}=1"), "not a cookie", "=", ""]);
        }
        let cookies = sent(&http, ENDPOINT, header::COOKIE).concat();
        assert_eq!(cookies.split("; ").count(), MAX_COOKIES);
        // Those that are there can change.
        set(&http, ENDPOINT, &["a0=2", "b=3"]);
        let cookies = sent(&http, ENDPOINT, header::COOKIE).concat();
        assert!(cookies.contains("a0=2") && !cookies.contains("b=3"), "{cookies}");
    }

    #[test]
    fn cookies_of_any_paths_and_times_are_bounded() {
        let stored = |http: &Http| http.0.cookies.lock().unwrap().iter_any().count();
        let paths = http(&[]);
        let expired = http(&[]);
        for number in 0..1000 {
            set(&paths, ENDPOINT, &[&format!("a=1; Path=/{number}")]);
            set(&expired, ENDPOINT, &[&format!("a{number}=1"), &format!("a{number}=1; Max-Age=0")]);
        }
        assert_eq!(stored(&paths), MAX_COOKIES);
        assert!(stored(&expired) <= MAX_COOKIES);
        // Those that have expired take no room of others.
        set(&expired, ENDPOINT, &["b=3"]);
        assert_eq!(sent(&expired, ENDPOINT, header::COOKIE), ["b=3"]);
        let long = http(&[]);
        set(&long, ENDPOINT, &[&format!("a={}", "x".repeat(MAX_COOKIE - 2)), &"b".repeat(MAX_COOKIE + 1)]);
        set(&long, ENDPOINT, &[&format!("b={}", "x".repeat(MAX_COOKIE - 1))]);
        assert_eq!(stored(&long), 1);
    }
}
