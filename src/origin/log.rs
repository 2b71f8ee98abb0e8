//! Logging of requests rejected by their origin: at most one line a minute.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use http::{HeaderValue, header::HOST, request::Parts};
use tokio::time::Instant;

use super::policy::{MAX_SHOWN, Refused};

/// Rejected pages may retry again and again: one line for each request would let anyone fill the log.
const SILENCE: Duration = Duration::from_secs(60);

/// The log of one endpoint's rejected requests.
#[derive(Debug, Default)]
pub(crate) struct RefusalLog(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last_line: Option<Instant>,
    /// Rejected requests since then.
    untold: u64,
}

impl RefusalLog {
    /// Logs the rejected origin and the option that would allow it. Never logs the URL, which contains the session
    /// id.
    pub(crate) fn log(&self, refused: &Refused, parts: &Parts) {
        let host = parts.uri.authority().map(|authority| authority.as_str().as_bytes());
        let host = host.or(parts.headers.get(HOST).map(HeaderValue::as_bytes)).unwrap_or_default();
        let Some(untold) = self.next_line(Instant::now()) else {
            tracing::debug!(origin = %refused, "a request of another origin was refused");
            return;
        };
        tracing::warn!(
            origin = %refused,
            host = %host[..host.len().min(MAX_SHOWN)].escape_ascii(),
            untold,
            "a request of another origin was refused; `Options::origins` says which may use the endpoint, \
             and behind a proxy that changes `Host`, `Options::trust_forwarded` tells them apart",
        );
    }

    /// Returns the number of rejections that were not logged since the last line, if a line may be logged now.
    fn next_line(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.last_line.is_some_and(|last| now < last + SILENCE) {
            state.untold += 1;
            return None;
        }
        state.last_line = Some(now);
        Some(std::mem::take(&mut state.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_minute_counts_the_others() {
        let (refusal_log, start) = (RefusalLog::default(), Instant::now());
        let at = |seconds| refusal_log.next_line(start + Duration::from_secs(seconds));
        assert_eq!(
            [at(0), at(0), at(59), at(60), at(61), at(200)],
            [Some(0), None, None, Some(2), None, Some(1)]
        );
    }
}
