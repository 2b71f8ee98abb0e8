//! Servers that break the rules: what the client says of each, in bounded time and memory, and that nothing is left.

mod info;
mod receiving;
mod sending;
mod websocket;

use std::time::Duration;

use sockjs_client::{Client, CloseEvent, ConnectError, Error, Session, Transport};

use crate::support::{raw::RawServer, soon};

/// More than a client takes from a server that never stops: the buffers of the system's sockets are most of it.
const TAKEN: usize = 24 << 20;

/// Why the only transport has not opened. Nothing is left of it.
async fn refused(server: &RawServer, transport: Transport) -> Error {
    refused_to(server.only(transport), server, transport).await
}

/// The same of a transport that does not open in time, which is 600 ms.
async fn timed_out(server: &RawServer, transport: Transport) {
    let error = refused_to(server.only(transport).min_open_timeout(Duration::ZERO), server, transport).await;
    assert_eq!(error.close_frame().code(), 2007, "{transport}: {error}");
    assert!(error.to_string().starts_with("timed out after "), "{error}");
}

async fn refused_to(client: Client, server: &RawServer, transport: Transport) -> Error {
    let result = soon("an end", client.connect()).await;
    drop(client);
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
