//! The handshake of a WebSocket with a backend ([RFC 6455, section
//! 4.1](https://www.rfc-editor.org/rfc/rfc6455#section-4.1)).

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode, Version,
    header::{
        CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
        SEC_WEBSOCKET_PROTOCOL, UPGRADE, WWW_AUTHENTICATE,
    },
};
use http_body_util::Empty;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::{handshake::derive_accept_key, protocol::WebSocketConfig};

use super::{
    dial_error::{DialError, HandshakeError},
    exchange::Exchange,
    opening::has_token,
    socket::BackendSocket,
};

/// Asks for a WebSocket by a request that [`request`](super::request) has made.
pub(super) async fn open<Io: AsyncRead + AsyncWrite + Unpin + 'static>(
    io: Io,
    request: Request<Empty<Bytes>>,
    config: WebSocketConfig,
) -> Result<BackendSocket<Io>, DialError> {
    let asked = Asked::of(request.headers());
    let exchange = Exchange::open(io, request).await?;
    asked.check(&exchange.response)?;
    let (io, read) = exchange.upgraded().await?;
    Ok(BackendSocket::after_handshake(io, &read, config))
}

/// What the answer has to fit.
struct Asked {
    accept: String,
    subprotocols: Option<HeaderValue>,
}

impl Asked {
    fn of(request: &HeaderMap) -> Self {
        let key = request.get(SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes).unwrap_or_default();
        Self { accept: derive_accept_key(key), subprotocols: request.get(SEC_WEBSOCKET_PROTOCOL).cloned() }
    }

    fn check<B>(&self, response: &Response<B>) -> Result<(), DialError> {
        let (status, headers) = (response.status(), response.headers());
        if status != StatusCode::SWITCHING_PROTOCOLS {
            let authenticate = headers.get_all(WWW_AUTHENTICATE).iter().cloned().collect();
            return Err(DialError::Status { status, authenticate });
        }
        if response.version() < Version::HTTP_11 {
            return Err(HandshakeError::Version.into());
        }
        if !has_token(headers, &CONNECTION, "upgrade") {
            return Err(HandshakeError::Connection.into());
        }
        // Whatever is beside it, would be spoken on top of it.
        let mut upgrades = headers.get_all(UPGRADE).iter().map(HeaderValue::as_bytes);
        let is_websocket = |value: &[u8]| value.eq_ignore_ascii_case(b"websocket");
        if !headers.contains_key(UPGRADE) || !upgrades.all(is_websocket) {
            return Err(HandshakeError::Upgrade.into());
        }
        if one(headers.get_all(SEC_WEBSOCKET_ACCEPT)) != Some(self.accept.as_bytes()) {
            return Err(HandshakeError::Accept.into());
        }
        // None was asked for, and its frames would be read wrongly.
        if headers.contains_key(SEC_WEBSOCKET_EXTENSIONS) {
            return Err(HandshakeError::Extensions.into());
        }
        if self.agrees(headers) { Ok(()) } else { Err(DialError::Subprotocol) }
    }

    /// Whether one of the sub-protocols that were asked for is confirmed, or none was asked for.
    fn agrees(&self, headers: &HeaderMap) -> bool {
        let Some(asked) = &self.subprotocols else { return !headers.contains_key(SEC_WEBSOCKET_PROTOCOL) };
        let Some(confirmed) = one(headers.get_all(SEC_WEBSOCKET_PROTOCOL)) else { return false };
        asked.as_bytes().split(|&byte| byte == b',').any(|name| name.trim_ascii() == confirmed)
    }
}

/// The value of a header that must not be there twice.
fn one<'a>(values: http::header::GetAll<'a, HeaderValue>) -> Option<&'a [u8]> {
    let mut values = values.into_iter();
    let first = values.next()?;
    values.next().is_none().then_some(first.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use allocation_counter::measure;
    use futures_util::{FutureExt as _, StreamExt as _};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
        runtime::Handle,
        time::timeout,
    };
    use tokio_tungstenite::tungstenite::Message;

    use super::*;
    use crate::backend::{socket::config, tests::head};

    /// Those of RFC 6455, section 1.3.
    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    const ACCEPT: &str = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

    const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\n";
    const UPGRADES: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\n";

    /// An unmasked text of one letter.
    const TEXT: &[u8] = &[0x81, 1, b'a'];

    fn request() -> Request<Empty<Bytes>> {
        Request::get("/ws")
            .header("host", "backend")
            .header(SEC_WEBSOCKET_KEY, KEY)
            .body(Empty::new())
            .unwrap()
    }

    /// What becomes of a handshake with this answer, whose connection stays open.
    async fn answered(answer: &[u8]) -> (Result<BackendSocket<DuplexStream>, DialError>, DuplexStream) {
        let (near, mut far) = duplex(1 << 20);
        let answers = async {
            head(&mut far).await;
            far.write_all(answer).await.unwrap();
        };
        let (result, ()) = tokio::join!(open(near, request(), config(1 << 20)), answers);
        (result, far)
    }

    #[tokio::test(start_paused = true)]
    async fn all_that_says_websocket_is_one() {
        for answer in [
            format!("{SWITCHING}{UPGRADES}{ACCEPT}\r\n"),
            format!("{SWITCHING}Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n{ACCEPT}\r\n"),
            format!("{SWITCHING}connection: upgrade\r\nupgrade: WEBSOCKET\r\n{ACCEPT}\r\n"),
            format!(
                "{SWITCHING}Connection: keep-alive\r\nUpgrade: websocket\r\nConnection: x, upgrade\r\n{ACCEPT}\r\n"
            ),
            format!("{SWITCHING}Connection: ,Upgrade ,\r\nUpgrade: websocket\r\n{ACCEPT}\r\n"),
            format!("HTTP/1.1 101\r\n{UPGRADES}{ACCEPT}Set-Cookie: a=b\r\nContent-Length: 5\r\n\r\n"),
            format!(
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n{SWITCHING}{UPGRADES}{ACCEPT}\r\n"
            ),
            format!("{}{SWITCHING}{UPGRADES}{ACCEPT}\r\n", "HTTP/1.1 100 Continue\r\n\r\n".repeat(2_000)),
            format!("{SWITCHING}{UPGRADES}{ACCEPT}{}\r\n", "A: b\r\n".repeat(97)),
            format!("{SWITCHING}{UPGRADES}{ACCEPT}A: {}\r\n\r\n", "b".repeat(16_000)),
        ] {
            let (result, mut far) = answered(answer.as_bytes()).await;
            let mut socket = result.unwrap_or_else(|error| panic!("{answer}: {error}"));
            far.write_all(TEXT).await.unwrap();
            assert_eq!(socket.stream.next().await.unwrap().unwrap(), Message::text("a"));
        }
        assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn all_else_is_none_and_says_what_is_wrong() {
        let too_long = "message head is too large";
        for (answer, what) in [
            (format!("{SWITCHING}Upgrade: websocket\r\n{ACCEPT}\r\n"), "`Connection`"),
            (
                format!("{SWITCHING}Connection: keep-alive\r\nUpgrade: websocket\r\n{ACCEPT}\r\n"),
                "`Connection`",
            ),
            (
                format!("{SWITCHING}Connection: upgraded\r\nUpgrade: websocket\r\n{ACCEPT}\r\n"),
                "`Connection`",
            ),
            (format!("{SWITCHING}Connection: Upgrade\r\n{ACCEPT}\r\n"), "`Upgrade` is not"),
            (format!("{SWITCHING}Connection: Upgrade\r\nUpgrade: h2c\r\n{ACCEPT}\r\n"), "`Upgrade` is not"),
            (format!("{SWITCHING}{UPGRADES}Upgrade: h2c\r\n{ACCEPT}\r\n"), "`Upgrade` is not"),
            (format!("{SWITCHING}{UPGRADES}\r\n"), "Accept"),
            (format!("{SWITCHING}{UPGRADES}Sec-WebSocket-Accept: {KEY}\r\n\r\n"), "Accept"),
            (format!("{SWITCHING}{UPGRADES}{ACCEPT}{ACCEPT}\r\n"), "Accept"),
            (format!("{SWITCHING}{UPGRADES}{ACCEPT}Sec-WebSocket-Extensions: x\r\n\r\n"), "extension"),
            (format!("HTTP/1.0 101 OK\r\n{UPGRADES}{ACCEPT}\r\n"), "HTTP/1.0"),
            (format!("{SWITCHING}{UPGRADES}{ACCEPT}A: {}", "b".repeat(20_000)), too_long),
            (format!("{SWITCHING}{UPGRADES}{ACCEPT}{}\r\n", "A: b\r\n".repeat(98)), too_long),
            ("HTTP/1.1 100 Continue\r\n\r\n".repeat(3_000), "too much came"),
            (format!("{SWITCHING}no header\r\n\r\n"), "HTTP header"),
        ] {
            let (result, mut far) = answered(answer.as_bytes()).await;
            let error = result.unwrap_err();
            assert!(matches!(error, DialError::Handshake(_)), "{answer}: {error}");
            assert!(error.to_string().contains(what), "{answer}: {error}");
            far.read_to_end(&mut Vec::new()).await.unwrap();
        }
        // Its body does not come.
        let (result, mut far) = answered(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\npart").await;
        assert!(matches!(result.unwrap_err(), DialError::Status { status: StatusCode::FORBIDDEN, .. }));
        far.read_to_end(&mut Vec::new()).await.unwrap();
        assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn frames_that_come_with_the_answer_are_not_lost() {
        let whole = format!("{SWITCHING}{UPGRADES}{ACCEPT}\r\n");
        for cut in 0..=2 {
            let bytes = [whole.as_bytes(), TEXT, TEXT, &TEXT[..cut]].concat();
            let (result, mut far) = answered(&bytes).await;
            let mut socket = result.unwrap();
            assert!(socket.stream.get_mut().has_read());
            for _ in 0..2 {
                assert_eq!(
                    socket.stream.next().now_or_never().unwrap().unwrap().unwrap(),
                    Message::text("a")
                );
            }
            assert!(socket.stream.next().now_or_never().is_none());
            far.write_all(&[&TEXT[cut..], TEXT].concat()).await.unwrap();
            for _ in 0..2 {
                assert_eq!(socket.stream.next().await.unwrap().unwrap(), Message::text("a"));
            }
            assert!(!socket.stream.get_ref().should_shrink());
            drop(far);
            assert!(socket.stream.next().await.unwrap().is_err());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_many_frames_with_the_answer_have_grown_is_shrunk() {
        // With so much before it, the library reads more at once.
        let before = "HTTP/1.1 100 Continue\r\n\r\n".repeat(500);
        let bytes =
            [before.as_bytes(), format!("{SWITCHING}{UPGRADES}{ACCEPT}\r\n").as_bytes(), &TEXT.repeat(6_000)]
                .concat();
        let (result, mut far) = answered(&bytes).await;
        let mut socket = result.unwrap();
        for _ in 0..6_000 {
            assert_eq!(socket.stream.next().await.unwrap().unwrap(), Message::text("a"));
        }
        assert!(socket.stream.next().now_or_never().is_none());
        assert!(socket.stream.get_ref().should_shrink());
        far.write_all(&TEXT[..1]).await.unwrap();
        assert!(socket.stream.next().now_or_never().is_none());
        assert!(!socket.stream.get_ref().should_shrink());
    }

    #[test]
    fn nothing_of_it_is_kept() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let answer = [format!("{SWITCHING}{UPGRADES}{ACCEPT}\r\n").as_bytes(), TEXT].concat();
        let mut kept = None;
        let info = measure(|| kept = Some(runtime.block_on(answered(&answer))));
        println!("{} bytes are kept, {} were at most", info.bytes_current, info.bytes_max);
        // The read buffer of 4 KiB, and what the test itself has.
        assert!(info.bytes_current < 5_000, "{info:?}");
        assert!(kept.unwrap().0.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_dropped_leaves_nothing() {
        let (near, mut far) = duplex(1 << 10);
        let patience = Duration::from_secs(1);
        assert!(timeout(patience, open(near, request(), config(1 << 20))).await.is_err());
        assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
        let head = head(&mut far).await;
        assert!(head.starts_with("GET /ws HTTP/1.1\r\n"), "{head}");
        assert_eq!(far.read_to_end(&mut Vec::new()).await.unwrap(), 0);
    }
}
