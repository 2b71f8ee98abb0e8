//! Requests to the server.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use cookie_store::{CookieStore, RawCookie};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
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

/// How long a refusal's body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest head of an answer.
const MAX_HEAD: usize = 64 << 10;

/// How long a connection is kept that no request uses: shorter than the 5 seconds after which Node's servers close one.
/// A request on a connection that the server is closing would fail, and nobody would know whether it was read.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

const USER_AGENT: &str = concat!("sockjs-client/", env!("CARGO_PKG_VERSION"));

/// The connections of a client, which all of its sessions share.
#[derive(Debug, Clone)]
pub(crate) struct Pool {
    /// For requests in HTTP/1.1 or, where the server's TLS offers it, HTTP/2.
    any: Client<Connector, Full<Bytes>>,
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
        builder.http2_max_header_list_size(MAX_HEAD as u32);
        let build = |builder: &Builder, connector| builder.build(connector);
        let any = build(&builder, any);
        // A connection that becomes a WebSocket is no longer one of HTTP, and a refused one is not worth keeping.
        let upgrades = build(builder.pool_max_idle_per_host(0), upgrades);
        Self { any, upgrades }
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
}

impl Http {
    pub(crate) fn new(pool: Pool, origin: Origin, headers: HeaderMap, cookies: CookieStore) -> Self {
        Self(Arc::new(Shared { pool, headers, origin, cookies: Mutex::new(cookies) }))
    }

    /// Sends a request, and takes the answer's head. Dropping the answer's body before its end closes the connection.
    pub(crate) async fn send(
        &self,
        method: Method,
        url: &Url,
        headers: &[(header::HeaderName, &'static str)],
        body: Bytes,
    ) -> Result<Response<Incoming>, Error> {
        let request = self.request(method, url, headers, body)?;
        self.sent(url, self.0.pool.any.request(request).await)
    }

    /// Sends a request that is to become a WebSocket.
    pub(crate) async fn upgrade(
        &self,
        url: &Url,
        headers: impl IntoIterator<Item = (header::HeaderName, HeaderValue)>,
    ) -> Result<Response<Incoming>, Error> {
        let mut request = self.request(Method::GET, url, &[], Bytes::new())?;
        request.headers_mut().extend(headers);
        self.sent(url, self.0.pool.upgrades.request(request).await)
    }

    fn request(
        &self,
        method: Method,
        url: &Url,
        headers: &[(header::HeaderName, &'static str)],
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, Error> {
        let mut request = Request::builder()
            .method(method)
            .uri(url.as_str())
            .body(Full::new(body))
            .map_err(|error| Error::InvalidRequest(format!("{url}: {error}")))?;
        let map = request.headers_mut();
        map.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        map.extend(headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))));
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
        let mut cookies = self.0.cookies.lock().unwrap_or_else(PoisonError::into_inner);
        let set = response.headers().get_all(header::SET_COOKIE).iter();
        let set = set.filter_map(|cookie| RawCookie::parse(cookie.to_str().ok()?.to_owned()).ok());
        cookies.store_response_cookies(set, url);
        drop(cookies);
        Ok(response)
    }
}

/// A refused request, with its body as far as it is worth reading.
pub(crate) async fn refused(response: Response<Incoming>) -> Error {
    let (head, body) = response.into_parts();
    let body = timeout(BODY_TIMEOUT, read(body)).await.unwrap_or_default();
    Error::Refused(Box::new(Response::from_parts(head, body.0)))
}

/// The body of an answer that has to be complete.
pub(crate) async fn whole(response: Response<Incoming>) -> Result<Bytes, Error> {
    if response.status() != StatusCode::OK {
        return Err(refused(response).await);
    }
    match read(response.into_body()).await {
        (body, Ended::Complete) => Ok(body),
        (_, Ended::TooLong) => {
            Err(Error::InvalidResponse("the server's answer is longer than 64 KiB".into()))
        }
        (_, Ended::Broken(error)) => Err(Error::Lost(error)),
    }
}

/// Reads a body that says nothing, so that its connection can take the next request.
pub(crate) async fn discard(response: Response<Incoming>) {
    // A long one is not worth it: dropping it closes the connection.
    _ = timeout(BODY_TIMEOUT, read(response.into_body())).await;
}

#[derive(Default)]
enum Ended {
    Complete,
    #[default]
    TooLong,
    Broken(BoxError),
}

/// Reads a body, and gives up on a long one.
async fn read(mut body: Incoming) -> (Bytes, Ended) {
    let mut whole = BytesMut::new();
    let ended = loop {
        match body.frame().await {
            None => break Ended::Complete,
            Some(Err(error)) => break Ended::Broken(error.into()),
            Some(Ok(frame)) => {
                let Ok(data) = frame.into_data() else { continue };
                let room = MAX_BODY - whole.len();
                whole.extend_from_slice(&data[..data.len().min(room)]);
                if data.len() > room {
                    break Ended::TooLong;
                }
            }
        }
    };
    (whole.freeze(), ended)
}
