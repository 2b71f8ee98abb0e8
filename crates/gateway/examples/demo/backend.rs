//! A WebSocket server that knows nothing of SockJS: a chat with names, and a tick each second.
//!
//! It could be written in any language. That it runs in the demo's process is for the demo's sake: its runtime is its own,
//! and when that goes, its sockets go as those of a process that is killed.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Query, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::get,
};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::{net::TcpListener, runtime::Runtime, sync::broadcast};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{handshake::derive_accept_key, protocol::Role},
};

use crate::{
    chat::{self, Said, Visitor},
    log::{Log, What},
};

/// How long a slow backend takes for its answer to a handshake.
const SLOWNESS: Duration = Duration::from_secs(4);

/// How often a port is asked for that the system may not have back yet.
const TRIES: usize = 40;
const BETWEEN_TRIES: Duration = Duration::from_millis(50);

/// What a backend does with a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Temper {
    Accepts,
    Unauthorized,
    Forbidden,
    Slow,
}

#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    served: Arc<Served>,
    /// None while it is killed.
    runtime: Mutex<Option<Runtime>>,
}

/// What outlives its runtime.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) name: &'static str,
    pub(crate) log: Arc<Log>,
    pub(crate) room: broadcast::Sender<Said>,
    temper: Mutex<Temper>,
}

/// What the page says in the query of its URL, and the gateway passes on.
#[derive(Debug, Deserialize)]
struct Visit {
    #[serde(default)]
    name: String,
    /// Which tab it is.
    #[serde(default)]
    view: String,
}

impl Backend {
    /// A backend that listens, at a port that the system chooses.
    pub(crate) async fn start(
        name: &'static str,
        log: Arc<Log>,
        room: broadcast::Sender<Said>,
    ) -> io::Result<Self> {
        let served = Arc::new(Served { name, log, room, temper: Mutex::new(Temper::Accepts) });
        let (address, runtime) = run(SocketAddr::from(([127, 0, 0, 1], 0)), Arc::clone(&served)).await?;
        Ok(Self { name, address, served, runtime: Mutex::new(Some(runtime)) })
    }

    pub(crate) fn is_running(&self) -> bool {
        self.runtime.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    pub(crate) fn temper(&self) -> Temper {
        self.served.temper()
    }

    pub(crate) fn set_temper(&self, temper: Temper) {
        *self.served.temper.lock().unwrap_or_else(PoisonError::into_inner) = temper;
    }

    /// Ends it as it would end by SIGKILL: nobody is told.
    pub(crate) fn kill(&self) {
        let runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(runtime) = runtime {
            runtime.shutdown_background();
        }
    }

    /// Starts it again, at the same port.
    pub(crate) async fn start_again(&self) -> io::Result<()> {
        if self.is_running() {
            return Ok(());
        }
        let mut tries = 1;
        let runtime = loop {
            match run(self.address, Arc::clone(&self.served)).await {
                Ok((_, runtime)) => break runtime,
                Err(error) if tries == TRIES => return Err(error),
                Err(_) => tokio::time::sleep(BETWEEN_TRIES).await,
            }
            tries += 1;
        };
        let other = self.runtime.lock().unwrap_or_else(PoisonError::into_inner).replace(runtime);
        if let Some(other) = other {
            other.shutdown_background();
        }
        Ok(())
    }
}

/// A runtime must not be dropped where others wait.
impl Drop for Backend {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn run(address: SocketAddr, served: Arc<Served>) -> io::Result<(SocketAddr, Runtime)> {
    let listener = TcpListener::bind(address).await?.into_std()?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let app = Router::new().route("/ws", get(open)).with_state(served);
    // A socket belongs to the runtime in which it is made.
    runtime.spawn(async move { axum::serve(TcpListener::from_std(listener)?, app).await });
    Ok((address, runtime))
}

/// Answers a handshake.
async fn open(
    State(served): State<Arc<Served>>,
    Query(Visit { name, view: tab }): Query<Visit>,
    mut request: Request,
) -> Response {
    let head = head(request.uri(), request.headers());
    served.log.add(served.name, &tab, What::Asked { head });
    match served.temper() {
        Temper::Accepts => {}
        Temper::Unauthorized => {
            served.log.add(served.name, &tab, What::Refused { status: 401 });
            let challenge = [(header::WWW_AUTHENTICATE, "Bearer realm=\"demo\"")];
            return (StatusCode::UNAUTHORIZED, challenge).into_response();
        }
        Temper::Forbidden => {
            served.log.add(served.name, &tab, What::Refused { status: 403 });
            return StatusCode::FORBIDDEN.into_response();
        }
        Temper::Slow => {
            served.log.add(served.name, &tab, What::Waits { seconds: SLOWNESS.as_secs() });
            tokio::time::sleep(SLOWNESS).await;
        }
    }
    let Some(key) = request.headers().get(header::SEC_WEBSOCKET_KEY) else {
        return (StatusCode::BAD_REQUEST, "This is a WebSocket server.\n").into_response();
    };
    let accept = HeaderValue::try_from(derive_accept_key(key.as_bytes()));
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let Ok(upgraded) = upgrade.await else { return };
        let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
        chat::talk(socket, Visitor { name, tab }, &served).await;
    });
    let headers = [
        (header::CONNECTION, HeaderValue::from_static("Upgrade")),
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (header::SEC_WEBSOCKET_ACCEPT, accept.expect("base64 is text")),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers, Body::empty()).into_response()
}

impl Served {
    fn temper(&self) -> Temper {
        *self.temper.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the gateway asks for, but for what each handshake has.
fn head(uri: &Uri, headers: &HeaderMap) -> String {
    let is_telling =
        |name: &str| !name.starts_with("sec-websocket-") && !matches!(name, "connection" | "upgrade");
    let lines = headers.iter().filter(|(name, _)| is_telling(name.as_str()));
    let lines = lines.map(|(name, value)| format!("\n{name}: {}", String::from_utf8_lossy(value.as_bytes())));
    format!("GET {uri}") + &lines.collect::<String>()
}
