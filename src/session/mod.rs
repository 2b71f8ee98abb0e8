//! Sessions, whatever transport carries them: the state of one, the tasks that wait for it, and the sessions of an
//! endpoint.
//!
//! Imports: util.

pub(crate) mod attachment;
mod boxed_error;
pub(crate) mod close_kind;
pub(crate) mod close_reason;
pub(crate) mod connection;
pub(crate) mod connection_id;
pub(crate) mod core;
pub(crate) mod drain;
pub(crate) mod driver;
pub(crate) mod fallible;
pub(crate) mod handler_error;
#[cfg(feature = "websocket")]
mod handler_waker;
pub(crate) mod json_error;
pub(crate) mod json_sender;
pub(crate) mod json_session;
pub(crate) mod limits;
pub(crate) mod opened;
pub(crate) mod owner;
pub(crate) mod peer;
pub(crate) mod registry;
pub(crate) mod send_error;
pub(crate) mod send_permit;
pub(crate) mod sender;
pub(crate) mod session;
pub(crate) mod shared;
pub(crate) mod state;
pub(crate) mod traffic;
pub(crate) mod turn;
pub(crate) mod waiters;

#[cfg(test)]
pub(crate) mod tests {
    use std::{
        sync::Arc,
        task::{Context, Waker},
        time::Duration,
    };

    use super::{
        connection::Connection,
        connection_id::ConnectionId,
        core::{
            kind::Kind,
            rate::Rates,
            receiver::ReceiverId,
            settings::{Overflow, Settings},
        },
        limits::LiveSession,
        shared::Shared,
    };
    use sockjs_core::Transport;

    /// The settings of a stream without a write timeout.
    pub(crate) const SETTINGS: Settings = Settings {
        heartbeat: None,
        disconnect_delay: Duration::from_secs(5),
        receive_queue_bytes: 1 << 20,
        receive_queue_messages: 100,
        send_queue_bytes: 1 << 20,
        send_overflow: Overflow::Wait,
        write_timeout: None,
        rates: Rates::NONE,
        kind: Kind::Stream,
    };

    /// An XHR streaming session whose open frame has been taken.
    pub(crate) fn open_session() -> (Arc<Shared>, ReceiverId) {
        open_session_with(SETTINGS)
    }

    pub(crate) fn open_session_with(settings: Settings) -> (Arc<Shared>, ReceiverId) {
        let connection = Connection {
            id: ConnectionId::from_u128(0),
            transport: Transport::XhrStreaming,
            peer: None,
            owner: None,
            subprotocol: None,
            binary: false,
            pings: false,
        };
        let (shared, id) = Shared::new(connection, settings, LiveSession::default());
        assert!(shared.poll_frame(id, 1, &mut Context::from_waker(Waker::noop())).is_ready());
        (shared, id)
    }
}
