//! What each side is told when the other has ended: the table of `docs/closing.md`.

use axum_sockjs::{CloseFrame, CloseReason};
use tokio_tungstenite::tungstenite::{
    Error as WsError,
    error::ProtocolError,
    protocol::{CloseFrame as WsCloseFrame, frame::coding::CloseCode},
};

use super::ended::{By, Ended};

/// The longest reason of a close frame on a WebSocket (RFC 6455, section 5.5).
const LONGEST_REASON: usize = 123;

pub(super) const NO_BINARY: CloseFrame = CloseFrame::from_static(1003, "Binary messages are not supported");
pub(super) const SILENT: CloseFrame = CloseFrame::from_static(1011, "No answer to a ping");
const LOST: CloseFrame = CloseFrame::from_static(1011, "Backend connection lost");
const NORMAL: CloseFrame = CloseFrame::from_static(1000, "");
const BROKEN: CloseFrame = CloseFrame::from_static(1011, "Backend protocol error");

/// Who has ended the session, and what the backend is told.
pub(super) fn of_client(reason: Option<CloseReason>) -> (By, CloseFrame) {
    let away = |text| CloseFrame::from_static(1001, text);
    match reason {
        Some(CloseReason::Client(Some(frame))) if is_sent(frame.code()) => (By::Client, frame),
        Some(CloseReason::Client(_)) => (By::Client, NORMAL),
        Some(CloseReason::TimedOut) => (By::Client, away("Client timed out")),
        Some(CloseReason::WriteTimeout | CloseReason::SendQueueFull) => (By::Client, away("Client too slow")),
        Some(CloseReason::PongTimeout) => (By::Client, away("No answer from the client")),
        Some(CloseReason::RateExceeded) => (By::Client, CloseFrame::from_static(1008, "Client too fast")),
        Some(CloseReason::ProtocolError(frame)) => {
            (By::Client, CloseFrame::new(1002, format!("Client: {}", frame.reason())))
        }
        Some(CloseReason::Shutdown(_)) => (By::Gateway, away("Gateway shutting down")),
        Some(CloseReason::Server(_)) => (By::Gateway, away("Closed by the gateway")),
        // Also a reason of a later version.
        _ => (By::Client, away("Client connection lost")),
    }
}

/// What the client is told of a backend's close frame: the same.
pub(super) fn of_backend(frame: Option<&WsCloseFrame>) -> CloseFrame {
    frame.map_or(NORMAL, |frame| CloseFrame::new(frame.code.into(), frame.reason.as_str().to_owned()))
}

/// What the backend is told of its own violation, if it can be told anything, and what the client is told.
pub(super) fn of_error(error: &WsError) -> (Option<CloseFrame>, CloseFrame) {
    let told = |code, text| Some(CloseFrame::from_static(code, text));
    match error {
        WsError::Capacity(_) => {
            (told(1009, "Message too long"), CloseFrame::from_static(1011, "Backend message too long"))
        }
        WsError::Utf8(_) => (told(1007, "Not UTF-8"), BROKEN),
        WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => (None, LOST),
        WsError::Protocol(_) => (told(1002, "Protocol error"), BROKEN),
        _ => (None, LOST),
    }
}

/// How the connection to the backend was lost, if that was the end.
pub(crate) fn lost_backend(ended: &Ended) -> Option<&str> {
    (ended.frame == LOST || ended.frame == SILENT).then_some(ended.frame.reason())
}

/// The frame as the library sends it.
pub(super) fn on_wire(frame: &CloseFrame) -> WsCloseFrame {
    let mut reason = frame.reason();
    if reason.len() > LONGEST_REASON {
        let mut end = LONGEST_REASON;
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        reason = &reason[..end];
    }
    WsCloseFrame { code: CloseCode::from(frame.code()), reason: reason.into() }
}

/// Whether a WebSocket may send the code (RFC 6455, section 7.4).
fn is_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1013 | 3000..=4999)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let reason = "€".repeat(50);
        let sent = on_wire(&CloseFrame::new(4000, reason));
        assert_eq!(sent.reason.as_str(), "€".repeat(41));
    }

    #[test]
    fn each_end_of_a_client_has_its_frame() {
        let frame = CloseFrame::new(1007, "Broken JSON encoding");
        for (reason, by, code, text) in [
            (Some(CloseReason::Client(None)), By::Client, 1000, ""),
            (Some(CloseReason::Client(Some(CloseFrame::new(4001, "bye")))), By::Client, 4001, "bye"),
            (Some(CloseReason::Client(Some(CloseFrame::new(1006, "no")))), By::Client, 1000, ""),
            (Some(CloseReason::ConnectionLost), By::Client, 1001, "Client connection lost"),
            (Some(CloseReason::TimedOut), By::Client, 1001, "Client timed out"),
            (Some(CloseReason::WriteTimeout), By::Client, 1001, "Client too slow"),
            (Some(CloseReason::SendQueueFull), By::Client, 1001, "Client too slow"),
            (Some(CloseReason::PongTimeout), By::Client, 1001, "No answer from the client"),
            (Some(CloseReason::RateExceeded), By::Client, 1008, "Client too fast"),
            (Some(CloseReason::ProtocolError(frame)), By::Client, 1002, "Client: Broken JSON encoding"),
            (Some(CloseReason::Server(NORMAL)), By::Gateway, 1001, "Closed by the gateway"),
            (Some(CloseReason::Shutdown(NORMAL)), By::Gateway, 1001, "Gateway shutting down"),
            (None, By::Client, 1001, "Client connection lost"),
        ] {
            let message = format!("{reason:?}");
            assert_eq!(of_client(reason), (by, CloseFrame::new(code, text)), "{message}");
        }
    }
}
