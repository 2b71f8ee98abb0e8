//! Who connects, and how.

use std::{future::Future, panic::Location, time::Duration};

use axum::Router;
use bytestring::ByteString;
use sockjs_client::{Transport, test::TestClient as SockJsClient};
use stomp_codec::{Command, Frame, Headers, Version};

use super::{failure::failed, session::TestSession};

/// How long a test waits by default.
const PATIENCE: Duration = Duration::from_secs(10);

/// A STOMP client of a router in process: see the [module](super).
///
/// It is one visitor, who may have many sessions. Clones are the same visitor.
#[derive(Debug, Clone)]
#[must_use]
pub struct TestClient {
    sockjs: SockJsClient,
    transport: Transport,
    version: Version,
    headers: Headers,
    patience: Duration,
}

impl TestClient {
    /// A client of the endpoint at `path` of a router, such as `/stomp`.
    ///
    /// # Panics
    /// The path is no path.
    #[track_caller]
    pub fn new(app: Router, path: &str) -> Self {
        Self::from(SockJsClient::new(app, path))
    }

    /// Sets `login` and `passcode` of `CONNECT`.
    pub fn login(self, login: impl Into<ByteString>, passcode: impl Into<ByteString>) -> Self {
        self.header("login", login).header("passcode", passcode)
    }

    /// Sets a header of `CONNECT`, in place of an earlier one of the same name.
    pub fn header(mut self, name: impl Into<ByteString>, value: impl Into<ByteString>) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Sets the version that the client accepts. Default: 1.2.
    pub fn version(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    /// Sets the transport. Default: [`Transport::WebSocket`]. Only [`Transport::RawWebSocket`] carries binary frames.
    pub fn transport(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    /// Sets how long a test waits for anything, in tokio's time, before it fails. Default: 10 seconds.
    pub fn patience(mut self, time: Duration) -> Self {
        self.sockjs = self.sockjs.patience(time);
        self.patience = time;
        self
    }

    /// Changes the SockJS client underneath: the cookies of the visitor, the headers of its requests, its address.
    ///
    /// ```
    /// # fn client(client: axum_stomp::test::TestClient) {
    /// let anna = client.sockjs(|requests| requests.cookie("session", "anna").header("x-language", "en"));
    /// # let _ = anna;
    /// # }
    /// ```
    pub fn sockjs(mut self, change: impl FnOnce(SockJsClient) -> SockJsClient) -> Self {
        self.sockjs = change(self.sockjs);
        self
    }

    /// Connects.
    ///
    /// # Panics
    /// The endpoint refuses the session, or the server does not answer with `CONNECTED`.
    #[track_caller]
    pub fn connect(&self) -> impl Future<Output = TestSession> + Send + use<> {
        let caller = Location::caller();
        let connecting = self.try_connect();
        async move {
            match connecting.await {
                Ok(session) => session,
                Err(error) => failed(caller, &format!("the server refuses the client: {error:?}")),
            }
        }
    }

    /// Connects, or returns the `ERROR` that refuses the client.
    ///
    /// # Errors
    /// The server has answered with `ERROR`: its `message` header says why.
    ///
    /// # Panics
    /// The endpoint refuses the session, or the server does not answer, or with another frame.
    #[track_caller]
    pub fn try_connect(&self) -> impl Future<Output = Result<TestSession, Frame>> + Send + use<> {
        let caller = Location::caller();
        let mut connect = Frame::new(Command::Connect).header("accept-version", self.version.as_str());
        connect.headers.extend(self.headers.iter_shared().map(|(name, value)| (name.clone(), value.clone())));
        let opening = self.open();
        async move {
            let mut session = opening.await;
            session.connect(connect, caller).await.map(|()| session)
        }
    }

    /// Opens a connection without a `CONNECT`, for tests of what comes before it.
    ///
    /// # Panics
    /// The endpoint refuses the session.
    #[track_caller]
    pub fn open(&self) -> impl Future<Output = TestSession> + Send + use<> {
        let caller = Location::caller();
        let (version, patience) = (self.version, self.patience);
        let opening = self.sockjs.open(self.transport);
        async move {
            match opening.await {
                Ok(session) => TestSession::new(session, version, patience),
                Err(refusal) => failed(caller, &format!("the endpoint refuses the session: {refusal}")),
            }
        }
    }
}

/// A client of any other service, or with requests of its own. It waits for 10 seconds, unless
/// [`patience`](TestClient::patience) says otherwise.
impl From<SockJsClient> for TestClient {
    fn from(sockjs: SockJsClient) -> Self {
        Self {
            sockjs: sockjs.patience(PATIENCE),
            transport: Transport::WebSocket,
            version: Version::V1_2,
            headers: Headers::new(),
            patience: PATIENCE,
        }
    }
}
