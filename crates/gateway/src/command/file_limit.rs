//! The limit of open files, of which each connection is one.

use crate::config::{config::Config, endpoint::Endpoint};

/// A session of a client: two connections of a browser, to receive and to send, and one of the backend.
const OF_SESSION: u64 = 3;

/// What is open beside the sessions: listeners, health checks, files, `/metrics`.
const BESIDE: u64 = 64;

/// So few sessions are worth a warning, whatever is configured.
const FEW: u64 = 1024;

/// What the limit means for the sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// All sessions that may open can.
    Enough,
    /// It is lower than what nobody has set: an operator need not care, or has been told of no number.
    Allows(u64),
    /// It allows no more, and that is little, or less than the `max_sessions` that was set.
    Low(u64),
    /// No session can open.
    None,
}

/// Raises the limit as far as the system allows, and says what it means. An error if no session could open.
pub(super) fn raise(config: &Config) -> Result<(), String> {
    let limit = match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) => limit,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files is not known");
            return Ok(());
        }
    };
    match judge(config, limit) {
        Verdict::Enough => tracing::debug!(limit, "the limit of open files is enough for all sessions"),
        Verdict::Allows(sessions) => {
            tracing::info!(limit, sessions, "the limit of open files allows so many sessions");
        }
        Verdict::Low(sessions) => tracing::warn!(
            limit,
            sessions,
            "the limit of open files is too low: raise it (LimitNOFILE= of systemd, ulimit -n), or lower `max_sessions`"
        ),
        Verdict::None => {
            return Err(format!(
                "the limit of open files, {limit}, allows no session: raise it (LimitNOFILE= of systemd, ulimit -n)"
            ));
        }
    }
    Ok(())
}

fn judge(config: &Config, limit: u64) -> Verdict {
    let sessions = limit.saturating_sub(BESIDE) / OF_SESSION;
    // One that is as by default has not been set, as far as one can see.
    let default = Endpoint::default().max_sessions;
    let limits = || config.routes.iter().map(|route| route.endpoint.max_sessions);
    let all = limits().try_fold(0, |sum: u64, max| Some(sum.saturating_add(max? as u64)));
    let set = limits().filter(|max| *max != default).flatten();
    let set = set.fold(0, |sum: u64, max| sum.saturating_add(max as u64));
    match sessions {
        0 => Verdict::None,
        _ if all.is_some_and(|all| all <= sessions) => Verdict::Enough,
        _ if sessions < set.max(FEW) => Verdict::Low(sessions),
        _ => Verdict::Allows(sessions),
    }
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
    fn a_low_limit_is_a_warning_where_somebody_wants_more() {
        const DEFAULT: &str = "65536";
        for (max_sessions, limit, verdict) in [
            // By default, as the unit of the package has it, and as a shell has it.
            ([DEFAULT, DEFAULT], 1_048_576, Verdict::Enough),
            ([DEFAULT, DEFAULT], 64 + 3 * 131_071, Verdict::Allows(131_071)),
            ([DEFAULT, DEFAULT], 64 + 3 * 1024, Verdict::Allows(1024)),
            ([DEFAULT, DEFAULT], 1024, Verdict::Low(320)),
            (["\"off\"", DEFAULT], 1_048_576, Verdict::Allows(349_504)),
            (["\"off\"", "\"off\""], 1024, Verdict::Low(320)),
            // Set.
            (["100", "200"], 1024, Verdict::Enough),
            (["100", "300"], 1024, Verdict::Low(320)),
            (["100000", DEFAULT], 64 + 3 * 100_000, Verdict::Allows(100_000)),
            (["100000", DEFAULT], 64 + 3 * 99_999, Verdict::Low(99_999)),
            (["9223372036854775807", "9223372036854775807"], 1 << 40, Verdict::Low(366_503_875_904)),
            // Absurd.
            (["1", "1"], 64, Verdict::None),
            (["1", "1"], 66, Verdict::None),
            ([DEFAULT, DEFAULT], 0, Verdict::None),
        ] {
            assert_eq!(judge(&config(max_sessions), limit), verdict, "{max_sessions:?} {limit}");
        }
    }
}
