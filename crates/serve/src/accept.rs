//! The next connection of several listeners.

use std::{
    future::poll_fn,
    io::{Error, ErrorKind},
    net::SocketAddr,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    time::{Instant, sleep_until},
};

use crate::listener::Listener;

/// How long nothing is accepted where the process has no file descriptors left.
const PAUSE: Duration = Duration::from_secs(1);

/// A connection, and the place of its listener among the others.
pub(crate) type Accepted = (usize, TcpStream, SocketAddr);

/// What an accept loop remembers from one connection to the next.
#[derive(Debug, Default)]
pub(crate) struct Accepting {
    /// The listener that is asked first, so that none waits for the others.
    turn: usize,
    /// Nothing is accepted before.
    paused_until: Option<Instant>,
}

impl Accepting {
    /// Returns the next connection.
    ///
    /// # Cancel safety
    /// No connection is lost, and a pause goes on with the next call.
    pub(crate) async fn next(&mut self, listeners: &[Listener]) -> Accepted {
        self.next_of(|turn, cx| poll(listeners, turn, cx)).await
    }

    async fn next_of<T>(
        &mut self,
        mut poll: impl FnMut(&mut usize, &mut Context<'_>) -> Poll<Result<T, Error>>,
    ) -> T {
        loop {
            if let Some(end) = self.paused_until {
                sleep_until(end).await;
                self.paused_until = None;
            }
            match poll_fn(|cx| poll(&mut self.turn, cx)).await {
                Ok(accepted) => return accepted,
                // The client has gone before it was accepted.
                Err(error) if is_of_the_connection(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "no connection can be accepted");
                    self.paused_until = Some(Instant::now() + PAUSE);
                }
            }
        }
    }
}

fn poll(listeners: &[Listener], turn: &mut usize, cx: &mut Context<'_>) -> Poll<Result<Accepted, Error>> {
    for place in (0..listeners.len()).map(|step| (*turn + step) % listeners.len()) {
        if let Poll::Ready(accepted) = listeners[place].tcp.poll_accept(cx) {
            *turn = place + 1;
            return Poll::Ready(accepted.map(|(tcp, peer)| (place, tcp, peer)));
        }
    }
    Poll::Pending
}

fn is_of_the_connection(error: &Error) -> bool {
    use ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// The connections that nobody has accepted yet, and the end of the listener.
pub(crate) fn waiting(listener: TcpListener) -> Vec<(TcpStream, SocketAddr)> {
    // It does not block: there is an error when none waits.
    let Ok(listener) = listener.into_std() else { return Vec::new() };
    std::iter::from_fn(|| {
        let (tcp, peer) = listener.accept().ok()?;
        tcp.set_nonblocking(true).ok()?;
        Some((TcpStream::from_std(tcp).ok()?, peer))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_busy_listener_does_not_keep_the_others_waiting() -> Result<(), Error> {
        let mut listeners = Vec::new();
        let mut clients = Vec::new();
        for connections in [3, 1, 0, 1] {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            for _ in 0..=connections {
                clients.push(TcpStream::connect(listener.local_addr()?).await?);
            }
            // From now on it is known that something waits there.
            listener.accept().await?;
            listeners.push(Listener::new(listener));
        }
        let (mut accepting, mut places) = (Accepting::default(), Vec::new());
        for _ in 0..5 {
            places.push(accepting.next(&listeners).await.0);
        }
        assert_eq!(places, [0, 1, 3, 0, 0]);
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_goes_on_though_the_wait_for_a_connection_is_given_up() {
        let (mut accepting, mut polls) = (Accepting::default(), 0);
        // A connection ends every ten milliseconds.
        for _ in 0..250 {
            let accepts = accepting.next_of(|_, _| {
                polls += 1;
                Poll::<Result<(), Error>>::Ready(Err(Error::from_raw_os_error(24)))
            });
            assert!(timeout(Duration::from_millis(10), accepts).await.is_err());
        }
        assert_eq!(polls, 3, "one for each second that has begun");
    }
}
