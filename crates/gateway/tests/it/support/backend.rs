//! A WebSocket server that does what its clients ask for.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
};
use tokio_tungstenite::{
    accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{ErrorResponse, Request, Response},
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

/// A backend with a name. Its paths:
///
/// | path | does |
/// |---|---|
/// | `/refuse/STATUS` | answers with this status |
/// | all others | opens |
///
/// What it is sent:
///
/// | message | does |
/// |---|---|
/// | `name` | answers with its name |
/// | `header NAME` | answers with that of the handshake |
/// | `uri` | answers with that of the handshake |
/// | `close CODE REASON` | closes |
/// | `binary` | answers with binary data |
/// | any other | echoes |
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    sessions: Arc<AtomicUsize>,
    accepting: AbortHandle,
}

impl Backend {
    pub(crate) async fn start(name: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener, name)
    }

    fn on(listener: TcpListener, name: &'static str) -> Self {
        let address = listener.local_addr().unwrap();
        let sessions = Arc::new(AtomicUsize::new(0));
        let counted = sessions.clone();
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                connections.spawn(serve(tcp, name, counted.clone()));
                while connections.try_join_next().is_some() {}
            }
        });
        Self { address, sessions, accepting: accepting.abort_handle() }
    }

    /// The URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.address)
    }

    /// How many WebSockets have opened.
    pub(crate) fn opened(&self) -> usize {
        self.sessions.load(Ordering::SeqCst)
    }

    /// Cuts all connections off, and listens no more.
    pub(crate) fn kill(&self) {
        self.accepting.abort();
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn serve(tcp: TcpStream, name: &'static str, sessions: Arc<AtomicUsize>) {
    let mut handshake = None;
    #[expect(clippy::result_large_err, reason = "the library's type")]
    let answer = |request: &Request, mut response: Response| {
        handshake = Some((request.uri().clone(), request.headers().clone()));
        if let Some(status) = request.uri().path().strip_prefix("/refuse/") {
            let mut refused = ErrorResponse::new(None);
            *refused.status_mut() = status.parse().unwrap();
            refused.headers_mut().insert("www-authenticate", "Bearer".parse().unwrap());
            return Err(refused);
        }
        if let Some(offered) = request.headers().get("sec-websocket-protocol") {
            let first = offered.to_str().unwrap().split(',').next().unwrap().trim();
            response.headers_mut().insert("sec-websocket-protocol", first.parse().unwrap());
        }
        Ok(response)
    };
    let Ok(mut socket) = accept_hdr_async(tcp, answer).await else { return };
    sessions.fetch_add(1, Ordering::SeqCst);
    let (uri, headers) = handshake.unwrap();
    while let Some(Ok(message)) = socket.next().await {
        let Message::Text(text) = &message else {
            if message.is_binary() {
                socket.send(message).await.ok();
            }
            continue;
        };
        let answer = match text.split(' ').collect::<Vec<_>>()[..] {
            ["name"] => Message::from(name),
            ["uri"] => Message::from(uri.to_string()),
            ["header", name] => {
                let values = headers.get_all(name).iter().map(|value| value.to_str().unwrap());
                Message::from(values.collect::<Vec<_>>().join("; "))
            }
            ["binary"] => Message::binary(vec![0, 255]),
            ["close", code, reason] => Message::Close(Some(CloseFrame {
                code: CloseCode::from(code.parse::<u16>().unwrap()),
                reason: reason.into(),
            })),
            _ => message,
        };
        if socket.send(answer).await.is_err() {
            return;
        }
    }
}
