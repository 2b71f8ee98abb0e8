//! Health checks: whether a backend is well, found without a session.

use std::time::Duration;

use http::{Request, header::CONNECTION};
use http_body_util::Empty;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, frame::coding::CloseCode};

use super::{
    connector::Connector,
    dial_error::{DialError, HandshakeError},
    exchange::Exchange,
    request,
};
use crate::config::backend::Check;

/// How long a check whose WebSocket has opened waits for its close frame to leave.
const FAREWELL: Duration = Duration::from_secs(1);

impl Connector {
    /// Checks the backend once, within `patience`. [`Check::Off`] finds each backend well.
    ///
    /// # Errors
    /// [`DialError::Status`] if the answer to an HTTP check is not 2xx; otherwise as [`dial`](Self::dial).
    ///
    /// # Cancel safety
    /// Dropped before its end, it closes its connection.
    pub(crate) async fn probe(&self, check: &Check, patience: Duration) -> Result<(), DialError> {
        match check {
            Check::Off => Ok(()),
            Check::Tcp => {
                let connects = async { self.connect_tcp().await.map(drop) };
                timeout(patience, connects).await.unwrap_or(Err(DialError::TimedOut))
            }
            Check::Http(path) => timeout(patience, self.get(path)).await.unwrap_or(Err(DialError::TimedOut)),
            Check::WebSocket => {
                let request = request::for_check(&self.target, &self.pass, &self.set);
                let mut socket = self.open(request, patience).await?;
                let frame = CloseFrame { code: CloseCode::Normal, reason: "Health check".into() };
                // It has opened, which is all that counts.
                timeout(FAREWELL, socket.stream.close(Some(frame))).await.ok();
                Ok(())
            }
        }
    }

    async fn get(&self, path: &str) -> Result<(), DialError> {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = path.parse().map_err(HandshakeError::Path)?;
        *request.headers_mut() = request::headers_of_check(&self.target, &self.pass, &self.set);
        request.headers_mut().insert(CONNECTION, http::HeaderValue::from_static("close"));
        let status = Exchange::open(self.connect().await?, request).await?.response.status();
        if status.is_success() { Ok(()) } else { Err(DialError::Status { status, authenticate: Vec::new() }) }
    }
}
