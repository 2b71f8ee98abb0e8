//! The limit of open files, of which each connection is one.

use crate::config::config::Config;

/// A session of a client: two connections of a browser, to receive and to send, and one of the backend.
const OF_SESSION: u64 = 3;

/// What is open beside the sessions: listeners, health checks, files, `/metrics`.
const BESIDE: u64 = 64;

/// What the limit is, and what the sessions may take of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Files {
    limit: u64,
    /// `None` if the sessions have no limit.
    wanted: Option<u64>,
}

/// Raises the limit as far as the system allows, and says so if that is not enough for the sessions that may open.
pub(super) fn raise(config: &Config) {
    let limit = match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) => limit,
        Err(error) => return tracing::warn!(%error, "the limit of open files is not known"),
    };
    let files = Files { limit, wanted: wanted(config) };
    match files.wanted {
        Some(wanted) if wanted <= limit => {
            tracing::debug!(limit, wanted, "the limit of open files is enough");
        }
        Some(wanted) => tracing::warn!(
            limit,
            wanted,
            sessions = files.sessions(),
            "the limit of open files is too low for `max_sessions`: raise it (LimitNOFILE= of systemd, ulimit -n), or lower \
             `max_sessions`"
        ),
        None => tracing::warn!(
            limit,
            sessions = files.sessions(),
            "the sessions have no limit, but the open files have"
        ),
    }
}

impl Files {
    /// So many can be open at a time.
    fn sessions(self) -> u64 {
        self.limit.saturating_sub(BESIDE) / OF_SESSION
    }
}

/// The files of all sessions that may open, if their number has a limit.
fn wanted(config: &Config) -> Option<u64> {
    config.routes.iter().try_fold(BESIDE, |sum, route| {
        let sessions = route.endpoint.max_sessions?;
        Some(sum.saturating_add((sessions as u64).saturating_mul(OF_SESSION)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(max_sessions: [&str; 2]) -> Config {
        let route = |path: &str, max: &str| {
            format!("[[route]]\npath = \"{path}\"\nbackends = \"ws://127.0.0.1:1\"\nmax_sessions = {max}\n")
        };
        Config::parse(&(route("/a", max_sessions[0]) + &route("/b", max_sessions[1]))).unwrap()
    }

    #[test]
    fn each_session_takes_three() {
        assert_eq!(wanted(&config(["100", "1000"])), Some(64 + 3 * 1100));
        assert_eq!(wanted(&config(["100", "\"off\""])), None);
        assert_eq!(wanted(&config(["9223372036854775807", "9223372036854775807"])), Some(u64::MAX));
        assert_eq!(Files { limit: 1024, wanted: None }.sessions(), 320);
        assert_eq!(Files { limit: 10, wanted: None }.sessions(), 0);
    }
}
