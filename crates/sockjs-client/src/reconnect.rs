//! One session after the other.

use std::{fmt, time::Duration};

use backon::{BackoffBuilder as _, ExponentialBuilder};
use http::{StatusCode, header};
use tokio::time::{Instant, sleep_until};

use crate::{client::Client, error::ConnectError, session::Session};

/// Longer than anyone waits, and far from the end of the clock.
const LONGEST_DELAY: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Opens a new session whenever the last one has ended, after a delay that grows as long as that fails.
///
/// Each session is a new one for the server. The application decides what becomes of the messages that the old one has not
/// delivered ([`Session::unsent`]): this client sends no message twice.
///
/// ```no_run
/// use sockjs_client::Client;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut sessions = Client::new("http://127.0.0.1:8081/chat")?.reconnect();
/// loop {
///     let mut session = sessions.next().await?;
///     session.send("hello").await.ok();
///     while let Some(message) = session.recv().await {
///         println!("{message:?}");
///     }
///     match session.close_event() {
///         Some(event) if event.code() == 1000 => return Ok(()),
///         event => println!("lost: {event:?}, not sent: {:?}", session.unsent().queued),
///     }
/// }
/// # }
/// ```
#[must_use]
pub struct Reconnect {
    client: Client,
    min_delay: Duration,
    max_delay: Duration,
    max_attempts: Option<usize>,
    delays: Box<dyn Iterator<Item = Duration> + Send + Sync>,
    /// Before this, no further attempt.
    next_attempt: Option<Instant>,
    last_delay: Duration,
    opened: Option<Instant>,
    /// How many attempts have failed since a session was opened or the last error.
    failed: usize,
}

impl Reconnect {
    pub(crate) fn new(client: Client) -> Self {
        let (min_delay, max_delay) = (Duration::from_secs(1), Duration::from_secs(30));
        let delays = delays(min_delay, max_delay);
        Self {
            client,
            min_delay,
            max_delay,
            max_attempts: None,
            delays,
            next_attempt: None,
            last_delay: Duration::ZERO,
            opened: None,
            failed: 0,
        }
    }

    /// Sets the first delay and the longest one, each without its random part: up to as much again is added, so that
    /// the clients of a server that restarts do not come at once. Each failure doubles the delay. A session that lives as
    /// long as the delay before it starts anew with the first. Default: 1 and 30 seconds.
    pub fn delays(mut self, first: Duration, longest: Duration) -> Self {
        let first = first.min(LONGEST_DELAY);
        (self.min_delay, self.max_delay) = (first, longest.clamp(first, LONGEST_DELAY));
        self.delays = delays(self.min_delay, self.max_delay);
        self
    }

    /// Sets how many attempts in a row may fail until [`next`](Self::next) gives up; `None` for any number. Default:
    /// `None`.
    pub fn max_attempts(mut self, attempts: impl Into<Option<usize>>) -> Self {
        self.max_attempts = attempts.into();
        self
    }

    /// Opens the next session, as [`Client::connect`] does: the first one at once, each other one after a delay. A
    /// `Retry-After` in seconds, in a server's refusal, is obeyed if it is longer, up to the longest delay.
    ///
    /// Cancel safe: a delay goes on with the next call, and so does the count of failed attempts. An attempt that is under
    /// way is given up, and the next call makes another one at once.
    ///
    /// # Errors
    /// The server refuses with a status from 400 to 499, which another attempt would not change (other than 408, 425 and
    /// 429), it closes the session while it opens with 1000 or 3000–4999, a header or a URL is invalid, or
    /// [`max_attempts`](Self::max_attempts) have failed. The next call tries again, after a delay.
    pub async fn next(&mut self) -> Result<Session, ConnectError> {
        if let Some(opened) = self.opened.take() {
            if opened.elapsed() >= self.last_delay {
                self.delays = delays(self.min_delay, self.max_delay);
            }
            self.wait(Duration::ZERO);
        }
        loop {
            if let Some(next_attempt) = self.next_attempt {
                sleep_until(next_attempt).await;
                self.next_attempt = None;
            }
            match self.client.connect().await {
                Ok(session) => {
                    self.opened = Some(Instant::now());
                    self.failed = 0;
                    return Ok(session);
                }
                Err(error) => {
                    tracing::debug!(%error, "not connected");
                    self.failed += 1;
                    self.wait(retry_after(&error).min(self.max_delay));
                    if is_lasting(&error) || self.max_attempts.is_some_and(|most| self.failed >= most) {
                        self.failed = 0;
                        return Err(error);
                    }
                }
            }
        }
    }

    fn wait(&mut self, least: Duration) {
        let delay = self.delays.next().unwrap_or(self.max_delay).max(least);
        self.last_delay = delay;
        self.next_attempt = Some(Instant::now() + delay);
    }
}

impl fmt::Debug for Reconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconnect")
            .field("client", &self.client)
            .field("min_delay", &self.min_delay)
            .field("max_delay", &self.max_delay)
            .field("max_attempts", &self.max_attempts)
            .finish_non_exhaustive()
    }
}

fn delays(min: Duration, max: Duration) -> Box<dyn Iterator<Item = Duration> + Send + Sync> {
    let builder = ExponentialBuilder::default();
    Box::new(builder.with_min_delay(min).with_max_delay(max).with_jitter().without_max_times().build())
}

/// How long the server wants to be left alone.
fn retry_after(error: &ConnectError) -> Duration {
    let value = error.response().and_then(|response| response.headers().get(header::RETRY_AFTER));
    let seconds = value.and_then(|value| value.to_str().ok()?.trim().parse().ok());
    Duration::from_secs(seconds.unwrap_or_default())
}

/// Whether the next attempt would fail as well.
fn is_lasting(error: &ConnectError) -> bool {
    let is_final = matches!(error.close_frame().code(), 1000 | 3000..=4999);
    let status = error.response().map(http::Response::status).filter(StatusCode::is_client_error);
    let may_pass = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
    is_final || error.is_invalid() || status.is_some_and(|status| !may_pass.contains(&status))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use sockjs_core::Transport;

    use super::*;
    use crate::memory::{Answer, Log, client, ok, timed};

    const SECOND: Duration = Duration::from_secs(1);

    /// The first of these requests for `/info` are refused so; later ones, and all others, are good.
    fn refusing(count: usize, refusal: &'static str) -> (Reconnect, Log) {
        let asked = AtomicUsize::new(0);
        let (client, log) = client("http://h/app", move |seen| match seen.name() {
            "info" if asked.fetch_add(1, Ordering::Relaxed) < count => {
                Answer::at_once(format!("HTTP/1.1 {refusal}\r\nContent-Length: 0\r\n\r\n"))
            }
            "info" => Answer::ok("{}"),
            "xhr_send" => Answer::Silence,
            _ => Answer::Parts(vec![
                (
                    Duration::ZERO,
                    ok("")[..ok("").len() - 4].replace("Content-Length: 0", "Connection: close").into(),
                ),
                (Duration::ZERO, "\r\n\r\no\n".into()),
                (2 * SECOND, "c[1012,\"restart\"]\n".into()),
            ]),
        });
        (client.transports([Transport::XhrStreaming]).reconnect(), log)
    }

    fn asked(log: &Log) -> Vec<f64> {
        log.all().iter().filter(|seen| seen.name() == "info").map(|seen| seen.at.as_secs_f64()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_follow_each_other_with_growing_delays() {
        let (sessions, log) = refusing(4, "502 Bad Gateway");
        let mut sessions = sessions.delays(SECOND, 4 * SECOND);
        drop(sessions.next().await.unwrap());
        let at = asked(&log);
        let gaps: Vec<_> = at.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!((at[0], gaps.len()), (0.0, 4));
        for (gap, least) in gaps.iter().zip([1.0, 2.0, 4.0, 4.0]) {
            assert!((least..=2.0 * least).contains(gap), "{gaps:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_session_is_a_new_one_and_gets_no_message_of_the_last() {
        let (sessions, log) = refusing(0, "");
        let mut sessions = sessions.delays(SECOND, 60 * SECOND);
        for _ in 0..5 {
            let (time, session) = timed(sessions.next()).await;
            let mut session = session.unwrap();
            // Each has lived as long as the delay before it, so that starts anew.
            assert!(time <= 2 * SECOND, "{time:?}");
            session.send("once").await.unwrap();
            assert_eq!(session.recv().await, None);
            assert_eq!(session.close_event().unwrap().code(), 1012);
            assert_eq!(session.unsent().uncertain, ["once"]);
        }
        let all = log.all();
        let sent: Vec<_> = all.iter().filter(|seen| seen.name() == "xhr_send").collect();
        assert_eq!(sent.len(), 5);
        let urls: std::collections::BTreeSet<_> = sent.iter().map(|seen| seen.target().to_owned()).collect();
        assert_eq!(urls.len(), 5);
    }

    /// A server that takes sessions and ends them at once is left alone for longer and longer, too.
    #[tokio::test(start_paused = true)]
    async fn sessions_that_end_at_once_do_not_start_the_delays_anew() {
        let (client, _) = client("http://h/app", |seen| match seen.name() {
            "info" => Answer::ok("{}"),
            _ => Answer::ok("o\nc[1012,\"restart\"]\n"),
        });
        let sessions = client.transports([Transport::XhrStreaming]).reconnect();
        let mut sessions = sessions.delays(SECOND, 8 * SECOND);
        for least in [0, 1, 2, 4, 8, 8] {
            let (time, session) = timed(sessions.next()).await;
            assert_eq!(session.unwrap().recv().await, None);
            assert!((least * SECOND..=2 * least * SECOND).contains(&time), "{least}: {time:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_another_attempt_would_not_change_is_told_at_once() {
        for (refusal, lasts) in [
            ("401 Unauthorized", true),
            ("404 Not Found", true),
            ("429 Too Many Requests", false),
            ("503 Service Unavailable", false),
        ] {
            let (mut sessions, log) = refusing(1, refusal);
            let (time, first) = timed(sessions.next()).await;
            assert_eq!((first.is_err(), time.is_zero()), (lasts, lasts), "{refusal}");
            if lasts {
                // Asked again all the same, it waits before.
                let (time, second) = timed(sessions.next()).await;
                assert!(second.is_ok() && time >= SECOND, "{refusal}");
            }
            assert_eq!(asked(&log).len(), 2);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_gives_up_after_so_many_attempts_and_waits_as_long_as_the_server_says() {
        let (sessions, log) = refusing(usize::MAX, "503 Service Unavailable\r\nRetry-After: 20");
        let mut sessions = sessions.max_attempts(3);
        let (time, result) = timed(sessions.next()).await;
        assert_eq!(result.unwrap_err().close_frame().code(), 503);
        assert_eq!(time, 40 * SECOND);
        assert_eq!(asked(&log), [0.0, 20.0, 40.0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_delay_goes_on_after_it_was_interrupted() {
        let (mut sessions, log) = refusing(1, "503 Service Unavailable\r\nRetry-After: 20");
        for _ in 0..3 {
            tokio::time::timeout(5 * SECOND, sessions.next()).await.unwrap_err();
        }
        drop(sessions.next().await.unwrap());
        assert_eq!(asked(&log), [0.0, 20.0]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_interrupted_call_does_not_forget_failed_attempts() {
        let (sessions, log) = refusing(usize::MAX, "503 Service Unavailable\r\nRetry-After: 20");
        let mut sessions = sessions.max_attempts(2);
        for _ in 0..3 {
            tokio::time::timeout(6 * SECOND, sessions.next()).await.unwrap_err();
        }
        assert_eq!(sessions.next().await.unwrap_err().close_frame().code(), 503);
        assert_eq!(asked(&log), [0.0, 20.0]);
        // The next call has as many attempts again.
        sessions.next().await.unwrap_err();
        assert_eq!(asked(&log), [0.0, 20.0, 40.0, 60.0]);
    }

    #[test]
    fn delays_grow_to_the_longest_with_jitter() {
        let (first, longest) = (Duration::from_secs(1), Duration::from_secs(30));
        let all: Vec<_> = delays(first, longest).take(100).collect();
        for (at, &delay) in all.iter().enumerate() {
            let exact = longest.min(first * 2_u32.pow(at.min(10) as u32));
            assert!(delay >= exact && delay <= 2 * longest, "{at}: {delay:?}");
        }
        assert_ne!(all, delays(first, longest).take(100).collect::<Vec<_>>());
    }

    #[test]
    fn no_delay_is_too_long_for_the_clock() {
        for first in [Duration::ZERO, Duration::MAX] {
            let mut sessions = Client::new("http://h").unwrap().reconnect().delays(first, Duration::MAX);
            for _ in 0..100 {
                sessions.wait(Duration::ZERO);
            }
            assert_eq!(sessions.max_delay, LONGEST_DELAY);
        }
    }
}
