//! Connects to the first of several addresses that answers ([RFC 8305, section
//! 5](https://www.rfc-editor.org/rfc/rfc8305#section-5)).

use std::{
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use tokio::time::sleep;

/// After so long without an answer, the next address is tried beside those before it.
const CONNECTION_ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Tries the addresses in their order: the next one when an attempt has failed, or has gone on for 250 ms. The first
/// connection counts, and the other attempts are dropped. How many go on at once depends on the caller's patience only.
///
/// # Errors
/// None of them accepts a connection: the error is that of the last attempt that failed.
///
/// # Cancel safety
/// Dropped before its end, it drops all attempts.
pub(super) async fn connect<Io, Attempt: Future<Output = io::Result<Io>>>(
    addresses: impl IntoIterator<Item = SocketAddr>,
    mut connect: impl FnMut(SocketAddr) -> Attempt,
) -> io::Result<Io> {
    let mut addresses = addresses.into_iter();
    let mut attempts: Vec<Pin<Box<Attempt>>> = Vec::new();
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        let next = addresses.next();
        let is_next = next.is_some();
        attempts.extend(next.map(|address| Box::pin(connect(address))));
        if attempts.is_empty() {
            return Err(failure);
        }
        let mut delay = pin!(sleep(CONNECTION_ATTEMPT_DELAY));
        let ended = poll_fn(|cx| {
            for at in 0..attempts.len() {
                if let Poll::Ready(result) = attempts[at].as_mut().poll(cx) {
                    drop(attempts.remove(at));
                    return Poll::Ready(Some(result));
                }
            }
            if is_next { delay.as_mut().poll(cx).map(|()| None) } else { Poll::Pending }
        });
        match ended.await {
            Some(Ok(io)) => return Ok(io),
            Some(Err(error)) => failure = error,
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, net::Ipv4Addr, rc::Rc};

    use tokio::time::Instant;

    use super::*;

    /// What an address does.
    #[derive(Debug, Clone, Copy)]
    enum Address {
        Swallows,
        /// After so many milliseconds.
        Connects(u64),
        Refuses(u64),
    }
    use Address::{Connects, Refuses, Swallows};

    /// One more attempt, as long as it lives.
    struct Alive(Rc<Cell<usize>>);

    impl Drop for Alive {
        fn drop(&mut self) {
            self.0.set(self.0.get() - 1);
        }
    }

    /// The place of the address that connects, after how many milliseconds, and when which was tried.
    async fn run(addresses: &[Address]) -> (io::Result<usize>, u64, Vec<u64>) {
        let began = Instant::now();
        let elapsed = || u64::try_from(began.elapsed().as_millis()).unwrap();
        let alive = Rc::new(Cell::new(0));
        let mut tried = Vec::new();
        let result = connect(
            (0..addresses.len()).map(|at| (Ipv4Addr::LOCALHOST, u16::try_from(at).unwrap()).into()),
            |address| {
                let at = usize::from(address.port());
                assert_eq!(at, tried.len(), "in their order");
                tried.push(elapsed());
                alive.set(alive.get() + 1);
                let (alive, does) = (Alive(alive.clone()), addresses[at]);
                async move {
                    let _alive = alive;
                    let millis = Duration::from_millis;
                    match does {
                        Swallows => std::future::pending().await,
                        Connects(after) => {
                            sleep(millis(after)).await;
                            Ok(at)
                        }
                        Refuses(after) => {
                            sleep(millis(after)).await;
                            Err(io::Error::other(at.to_string()))
                        }
                    }
                }
            },
        )
        .await;
        assert_eq!(alive.get(), 0, "no attempt is left");
        (result, elapsed(), tried)
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_that_connects_wins() {
        for (addresses, winner, after, tried) in [
            (&[Connects(10)][..], 0, 10, &[0][..]),
            (&[Connects(200), Connects(0)], 0, 200, &[0]),
            // One that swallows packets costs 250 ms.
            (&[Swallows, Connects(10)], 1, 260, &[0, 250]),
            (&[Swallows, Swallows, Connects(10), Connects(0)], 2, 510, &[0, 250, 500]),
            // A slow one goes on, and may still be the first.
            (&[Connects(300), Connects(100)], 0, 300, &[0, 250]),
            (&[Connects(900), Connects(100)], 1, 350, &[0, 250]),
            // The next one does not wait after a failure.
            (&[Refuses(5), Refuses(0), Connects(10)], 2, 15, &[0, 5, 5]),
            (&[Swallows, Refuses(10), Connects(10)], 2, 270, &[0, 250, 260]),
            // None is left to try, and one is under way.
            (&[Connects(5_000), Refuses(0)], 0, 5_000, &[0, 250]),
        ] {
            let (result, elapsed, starts) = run(addresses).await;
            assert_eq!((result.unwrap(), elapsed, &*starts), (winner, after, tried), "{addresses:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn all_that_fail_are_a_failure() {
        let (result, elapsed, tried) = run(&[Refuses(300), Refuses(0), Refuses(10)]).await;
        assert_eq!(
            (result.unwrap_err().to_string(), elapsed, tried),
            ("0".to_owned(), 300, vec![0, 250, 250])
        );
        assert_eq!(run(&[]).await.0.unwrap_err().kind(), io::ErrorKind::NotFound);
        let swallows = tokio::time::timeout(Duration::from_secs(20), run(&[Swallows, Swallows]));
        assert!(swallows.await.is_err());
    }
}
