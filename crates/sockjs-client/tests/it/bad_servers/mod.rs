//! Servers that break the rules: what the client says of each, in bounded time and memory, and that nothing is left.

mod info;
mod receiving;
mod sending;
mod websocket;

use sockjs_client::{CloseEvent, ConnectError, Error, Session, Transport};

use crate::support::{raw::RawServer, soon};

/// More than a client takes from a server that never stops: the buffers of the system's sockets are most of it.
const TAKEN: usize = 24 << 20;

/// Why the only transport has not opened. Nothing is left of it.
async fn refused(server: &RawServer, transport: Transport) -> Error {
    let result = soon("an end", server.only(transport).connect()).await;
    let error = match result {
        Err(ConnectError::Transports(mut tried)) => tried.remove(0).1,
        other => panic!("{transport}: {other:?}"),
    };
    server.nothing_is_left().await;
    assert!(server.written() < TAKEN, "{transport}: {} bytes were taken", server.written());
    error
}

async fn opened(server: &RawServer, transport: Transport) -> Session {
    soon("a session", server.only(transport).max_frame_bytes(64 << 10).connect()).await.unwrap()
}

/// How a session ends, of whose messages there are none. Nothing is left of it.
async fn ended(server: &RawServer, mut session: Session) -> CloseEvent {
    let transport = session.transport();
    assert_eq!(soon("the end", session.recv()).await, None, "{transport}");
    let event = session.close_event().unwrap();
    drop(session);
    server.nothing_is_left().await;
    assert!(server.written() < TAKEN, "{transport}: {} bytes were taken", server.written());
    event
}
