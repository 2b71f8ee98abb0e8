//! A session and its client in process.

use std::{fmt, future::Future, hash::Hash, net::SocketAddr};

use sockjs_core::Transport;

use super::{output::HandlerOutput, seal::SEAL};
use crate::{
    options::builder::Options,
    session::{
        connection::Connection,
        connection_id::ConnectionId,
        core::{kind::Kind, rate::Rates, settings::Settings},
        owner::Owner,
        peer::{Peer, pair},
        session::Session,
    },
};

/// Makes a [`Session`] and its client as a pair in process, without an endpoint, a socket or a task: for tests of
/// handlers, and for programs that run a handler themselves.
///
/// ```
/// use axum_sockjs::{Pair, Session};
///
/// async fn shout(mut session: Session) {
///     while let Some(message) = session.recv().await {
///         let text = message.as_str().unwrap_or_default().to_uppercase();
///         session.send(text).await.ok();
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let (mut peer, handler) = Pair::new().serve(shout);
/// let handler = tokio::spawn(handler);
/// peer.send("hello").await.unwrap();
/// assert_eq!(peer.recv().await.unwrap(), "HELLO");
/// peer.close(1000, "bye");
/// handler.await.unwrap();
/// # }
/// ```
///
/// The [guide to tests](crate::guide::testing) shows tests with a pair, their traps, and tests of a whole endpoint.
///
/// The session is open from the beginning and stays attached, like a WebSocket. It has no time: no heartbeat, no rate, no
/// timeout, no disconnect delay. Queues and [`send_overflow`](Options::send_overflow) are those of
/// [`options`](Self::options).
#[must_use]
pub struct Pair {
    connection: Connection,
    settings: Settings,
}

impl Pair {
    /// Creates a pair over [`Transport::RawWebSocket`] with the default options.
    pub fn new() -> Self {
        let connection = Connection {
            id: ConnectionId::random(),
            transport: Transport::RawWebSocket,
            peer: None,
            owner: None,
            subprotocol: None,
            binary: true,
            pings: false,
        };
        let settings = without_time(&Options::default(), &connection);
        Self { connection, settings }
    }

    /// Sets the limits of the session's two queues, and what happens when that to the client is full. Other options
    /// have no effect.
    pub fn options(mut self, options: &Options) -> Self {
        self.settings = without_time(options, &self.connection);
        self
    }

    /// Sets the transport that [`Session::transport`] returns. Only [`Transport::RawWebSocket`] carries binary data.
    pub fn transport(mut self, transport: Transport) -> Self {
        self.connection.transport = transport;
        self.connection.binary = transport == Transport::RawWebSocket;
        self.settings.kind = kind(transport);
        self
    }

    /// Sets the identity that [`Session::identity`] returns.
    pub fn identity<I: Eq + Hash + Send + Sync + 'static>(mut self, identity: I) -> Self {
        self.connection.owner = Some(Owner::new(identity));
        self
    }

    /// Sets the address that [`Session::peer_addr`] returns.
    pub fn peer_addr(mut self, addr: SocketAddr) -> Self {
        self.connection.peer = Some(addr);
        self
    }

    /// Sets the sub-protocol that [`Session::subprotocol`] returns.
    pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
        self.connection.subprotocol = Some(name.into().into());
        self
    }

    /// Opens the session and returns its client and the future of its handler, which does with the handler's result
    /// what an endpoint does: an error is logged, and closes the session with [its
    /// frame](crate::HandlerError::close_frame).
    ///
    /// ```
    /// use axum::extract::State;
    /// use axum_sockjs::{CloseFrame, Pair, Session};
    ///
    /// async fn guarded(State(password): State<&str>, mut session: Session) -> Result<(), CloseFrame> {
    ///     match session.recv().await {
    ///         Some(message) if message == password => Ok(()),
    ///         _ => Err(CloseFrame::new(4001, "wrong password")),
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let (mut peer, handler) = Pair::new().serve(|session| guarded(State("open sesame"), session));
    /// let handler = tokio::spawn(handler);
    /// peer.send("let me in").await.unwrap();
    /// assert_eq!(peer.recv().await, None);
    /// assert_eq!(peer.close_frame(), Some(&CloseFrame::new(4001, "wrong password")));
    /// handler.await.unwrap();
    /// # }
    /// ```
    pub fn serve<F>(
        self,
        handler: impl FnOnce(Session) -> F + Send + 'static,
    ) -> (Peer, impl Future<Output = ()> + Send + 'static)
    where
        F: Future<Output: HandlerOutput> + Send + 'static,
    {
        let (session, peer) = self.open();
        (peer, HandlerOutput::run(handler, session, SEAL))
    }

    /// Opens the session without a handler. A function that gets the session and fails only drops it, and its client
    /// sees 1000: use [`serve`](Self::serve) for handlers that return a `Result`.
    #[must_use]
    pub fn open(self) -> (Session, Peer) {
        pair(self.connection, self.settings)
    }
}

impl Default for Pair {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pair").field("connection", &self.connection).finish_non_exhaustive()
    }
}

/// Nobody drives the clock of a pair.
fn without_time(options: &Options, connection: &Connection) -> Settings {
    let settings = options.settings(connection);
    let kind = kind(connection.transport);
    Settings { heartbeat: None, write_timeout: None, rates: Rates::NONE, kind, ..settings }
}

/// The client is attached as long as it lives, whatever the transport.
fn kind(transport: Transport) -> Kind {
    Kind::Socket { framed: transport.is_framed(), pong_timeout: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockjs_core::Message;

    use crate::session::{close_reason::CloseReason, send_error::SendError};

    #[tokio::test]
    async fn messages_go_both_ways_up_to_the_end() {
        let (mut session, mut peer) = Pair::new().open();
        for text in ["a", "b"] {
            session.send(text).await.unwrap();
            peer.send(text).await.unwrap();
        }
        peer.close(4000, "bye");
        assert_eq!(session.recv().await.unwrap(), "a");
        assert_eq!(session.recv().await.unwrap(), "b");
        assert_eq!(session.recv().await, None);
        assert_eq!(session.closed().await.to_string(), "closed by the client: 4000 \"bye\"");
        assert!(matches!(peer.send("late").await, Err(SendError::Closed(message)) if message == "late"));
        drop(session);
        // What the application has sent to a client that has closed is lost.
        assert_eq!(peer.recv().await, None);
    }

    #[tokio::test]
    async fn a_close_comes_behind_the_messages() {
        let (session, mut peer) = Pair::new().open();
        session.send("last").await.unwrap();
        session.close(4001, "go");
        assert_eq!(peer.recv().await.unwrap(), "last");
        assert_eq!(peer.close_frame(), None);
        assert_eq!(peer.recv().await, None);
        let told = peer.close_frame().unwrap();
        assert_eq!((told.code(), told.reason()), (4001, "go"));
    }

    #[tokio::test]
    async fn a_dropped_peer_is_a_lost_connection() {
        let (mut session, peer) = Pair::new().open();
        peer.send("first").await.unwrap();
        drop(peer);
        assert_eq!(session.recv().await.unwrap(), "first");
        assert_eq!(session.recv().await, None);
        assert_eq!(session.close_reason(), Some(CloseReason::ConnectionLost));
    }

    #[tokio::test]
    async fn queues_have_their_limits() {
        let options = Options::new().send_queue_bytes(300).receive_queue_messages(1);
        let (mut session, mut peer) = Pair::new().options(&options).open();
        session.try_send("a").unwrap();
        session.try_send("b").unwrap();
        assert!(matches!(session.try_send("c"), Err(SendError::Full(_))));
        assert_eq!(peer.try_recv().unwrap(), "a");
        session.try_send("c").unwrap();
        peer.send("a").await.unwrap();
        let mut waits = std::pin::pin!(peer.send("b"));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(waits.as_mut().poll(&mut cx).is_pending());
        assert_eq!(session.try_recv().unwrap(), "a");
        waits.await.unwrap();
        assert_eq!(session.try_recv().unwrap(), "b");
    }

    #[tokio::test]
    async fn empty_messages_come_one_by_one_too() {
        for transport in [Transport::RawWebSocket, Transport::WebSocket] {
            let (session, mut peer) = Pair::new().transport(transport).open();
            let texts = ["", "", "a", "", "b"];
            for text in texts {
                session.send(text).await.unwrap();
            }
            session.close(3000, "");
            for text in texts {
                assert_eq!(peer.recv().await.unwrap(), text);
            }
            assert_eq!(peer.recv().await, None);
        }
    }

    #[tokio::test]
    async fn a_message_that_waits_for_an_application_that_closes_comes_back() {
        let options = Options::new().receive_queue_messages(1);
        let (session, peer) = Pair::new().options(&options).open();
        peer.send("a").await.unwrap();
        let mut waits = std::pin::pin!(peer.send("b"));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(waits.as_mut().poll(&mut cx).is_pending());
        drop(session);
        assert!(matches!(waits.await, Err(SendError::Closed(message)) if message == "b"));
    }

    #[tokio::test]
    async fn a_pair_has_what_a_session_has() {
        let addr = "127.0.0.1:1".parse().unwrap();
        let pair =
            Pair::new().identity(7).peer_addr(addr).subprotocol("chat").transport(Transport::XhrPolling);
        let (session, peer) = pair.open();
        assert_eq!((session.identity(), session.peer_addr()), (Some(&7), Some(addr)));
        assert_eq!((session.subprotocol(), session.transport()), (Some("chat"), Transport::XhrPolling));
        let binary = Message::binary(&b"ab"[..]);
        assert!(matches!(session.send(binary.clone()).await, Err(SendError::BinaryUnsupported(_))));
        assert!(matches!(peer.send(binary).await, Err(SendError::BinaryUnsupported(_))));
    }
}
