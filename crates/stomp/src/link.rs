//! The connection below: what takes the pieces of a session's output.
//!
//! Imports: stream.

use axum_sockjs::{CloseReason, Message as Piece, SendError, Sender};
use tokio::time::Instant;

#[cfg(feature = "tcp")]
use crate::stream::{Refused, StreamSender};

/// The sending half of a connection.
#[derive(Debug)]
pub(crate) enum Link {
    SockJs(Sender),
    #[cfg(feature = "tcp")]
    Stream(StreamSender),
    #[cfg(test)]
    Test(test::TestLink),
}

/// Why a connection has not taken a piece.
#[derive(Debug)]
pub(crate) enum LinkError {
    Full(Piece),
    Closed,
}

impl Link {
    /// Hands a piece over, if the connection has room for it.
    pub(crate) fn try_send(&self, piece: Piece) -> Result<(), LinkError> {
        match self {
            Self::SockJs(sender) => sender.try_send(piece).map_err(|error| match error {
                SendError::Full(piece) => LinkError::Full(piece),
                _ => LinkError::Closed,
            }),
            #[cfg(feature = "tcp")]
            Self::Stream(sender) => sender.try_send(piece).map_err(|refused| match refused {
                Refused::Full(piece) => LinkError::Full(piece),
                Refused::Closed => LinkError::Closed,
            }),
            #[cfg(test)]
            Self::Test(link) => link.try_send(piece),
        }
    }

    /// Who the endpoint below says that the client is, if that is an `I`.
    pub(crate) fn identity<I: 'static>(&self) -> Option<&I> {
        match self {
            Self::SockJs(sender) => sender.identity(),
            #[cfg(feature = "tcp")]
            Self::Stream(_) => None,
            #[cfg(test)]
            Self::Test(_) => None,
        }
    }

    /// Waits until the connection has ended. What the client has sent before may still have to be received.
    pub(crate) async fn closed(&self) {
        match self {
            Self::SockJs(sender) => {
                sender.closed().await;
            }
            #[cfg(feature = "tcp")]
            Self::Stream(sender) => sender.closed().await,
            #[cfg(test)]
            Self::Test(_) => std::future::pending().await,
        }
    }

    /// When some bytes of what it has taken were written last, if it tells that.
    pub(crate) fn written_at(&self) -> Option<Instant> {
        match self {
            // It has its own watch.
            Self::SockJs(_) => None,
            #[cfg(feature = "tcp")]
            Self::Stream(sender) => Some(sender.written_at()),
            #[cfg(test)]
            Self::Test(_) => None,
        }
    }

    /// Why it has ended, if that is known.
    pub(crate) fn close_reason(&self) -> Option<CloseReason> {
        match self {
            Self::SockJs(sender) => sender.close_reason(),
            #[cfg(feature = "tcp")]
            Self::Stream(_) => None,
            #[cfg(test)]
            Self::Test(_) => None,
        }
    }

    /// The session sends heart-beats of its own: those of the connection stop.
    pub(crate) fn stop_heartbeats(&self) {
        match self {
            Self::SockJs(sender) => sender.set_heartbeat(None),
            #[cfg(feature = "tcp")]
            Self::Stream(_) => {}
            #[cfg(test)]
            Self::Test(_) => {}
        }
    }

    /// Closes the connection once what was handed over has been written. A client that still sends is read until it has
    /// seen the end.
    pub(crate) fn close(&self, code: u16, reason: &'static str) {
        match self {
            Self::SockJs(sender) => sender.close(code, reason),
            #[cfg(feature = "tcp")]
            Self::Stream(sender) => sender.close(),
            #[cfg(test)]
            Self::Test(link) => link.close(),
        }
    }

    /// Hands a piece over when the connection has room for it. Returns `false` if the connection has ended.
    pub(crate) async fn send(&self, piece: Piece) -> bool {
        match self {
            Self::SockJs(sender) => sender.send(piece).await.is_ok(),
            #[cfg(feature = "tcp")]
            Self::Stream(sender) => sender.send(piece).await,
            #[cfg(test)]
            Self::Test(link) => link.send(piece).await,
        }
    }
}

#[cfg(test)]
pub(crate) mod test {
    use std::{
        collections::VecDeque,
        sync::{Arc, Mutex},
    };

    use tokio::sync::Semaphore;

    use super::*;

    /// A connection that takes as many pieces as a test allows.
    #[derive(Debug, Clone)]
    pub(crate) struct TestLink {
        room: Arc<Semaphore>,
        taken: Arc<Mutex<VecDeque<String>>>,
    }

    impl TestLink {
        pub(crate) fn new(room: usize) -> Self {
            Self { room: Arc::new(Semaphore::new(room)), taken: Arc::default() }
        }

        pub(crate) fn allow(&self, pieces: usize) {
            self.room.add_permits(pieces);
        }

        pub(crate) fn close(&self) {
            self.room.close();
        }

        /// What has been taken since the last call.
        pub(crate) fn taken(&self) -> Vec<String> {
            self.taken.lock().unwrap().drain(..).collect()
        }

        fn take(&self, piece: &Piece) {
            self.taken.lock().unwrap().push_back(String::from_utf8_lossy(piece.as_bytes()).into_owned());
        }

        pub(super) fn try_send(&self, piece: Piece) -> Result<(), LinkError> {
            match self.room.try_acquire() {
                Ok(permit) => permit.forget(),
                Err(_) if self.room.is_closed() => return Err(LinkError::Closed),
                Err(_) => return Err(LinkError::Full(piece)),
            }
            self.take(&piece);
            Ok(())
        }

        pub(super) async fn send(&self, piece: Piece) -> bool {
            let Ok(permit) = self.room.acquire().await else { return false };
            permit.forget();
            self.take(&piece);
            true
        }
    }
}
