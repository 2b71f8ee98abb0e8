//! Refuses options that cannot work.

use std::{fmt, time::Duration};

use sockjs_core::Transport;

use super::builder::Options;
/// The error of [`Options::validate`]: its text says which options cannot work, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidOptions(&'static str);

impl fmt::Display for InvalidOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InvalidOptions {}

/// The bytes around a message in a body.
const AROUND_MESSAGE: usize = br#"[""]"#.len();

impl Options {
    /// Checks that the options can work, alone and together. [`SockJs::options`](crate::SockJs::options) calls it and
    /// panics with its error; a program that reads its options from a file can call it before.
    ///
    /// # Errors
    /// These cannot work:
    ///
    /// - no transport, after [`disable`](Self::disable) and [`legacy_transports`](Self::legacy_transports);
    /// - a zero [`heartbeat`](Self::heartbeat), [`write_timeout`](Self::write_timeout) or
    ///   [`pong_timeout`](Self::pong_timeout), whose `None` means never; a zero
    ///   [`disconnect_delay`](Self::disconnect_delay) or [`open_timeout`](Self::open_timeout);
    /// - zero [`max_message_bytes`](Self::max_message_bytes), [`max_batch_messages`](Self::max_batch_messages) or
    ///   [`max_pending_sends`](Self::max_pending_sends);
    /// - a [`max_body_bytes`](Self::max_body_bytes) that does not exceed
    ///   [`max_message_bytes`](Self::max_message_bytes) by 4: a body has `["` and `"]` around a message;
    /// - a [`base_url`](Self::base_url) that is neither an absolute `http` or `https` URL nor a path that begins with
    ///   one `/`: what begins with two has a host.
    ///
    /// ```
    /// use axum_sockjs::Options;
    ///
    /// let options = Options::new().max_message_bytes(4 << 20);
    /// assert_eq!(
    ///     options.validate().unwrap_err().to_string(),
    ///     "`max_body_bytes` must exceed `max_message_bytes` by 4, since a body has `[\"` and `\"]` around the message",
    /// );
    /// assert!(options.max_body_bytes(6 << 20).validate().is_ok());
    /// ```
    pub fn validate(&self) -> Result<(), InvalidOptions> {
        let is_zero = |time: Option<Duration>| time == Some(Duration::ZERO);
        let enabled = |transport: &Transport| self.is_enabled(*transport);
        let problems = [
            (!Transport::ALL.iter().any(enabled), "no transport is enabled"),
            (
                is_zero(self.heartbeat),
                "a `heartbeat` of zero would be sent without pause; `None` disables heartbeats",
            ),
            (
                is_zero(self.write_timeout),
                "a `write_timeout` of zero ends every session; `None` waits forever",
            ),
            (is_zero(self.pong_timeout), "a `pong_timeout` of zero ends every session; `None` waits forever"),
            (
                self.disconnect_delay.is_zero(),
                "a `disconnect_delay` of zero ends every session before its next request",
            ),
            (self.open_timeout.is_zero(), "an `open_timeout` of zero lets no session open"),
            (self.max_message_bytes == 0, "a `max_message_bytes` of zero accepts only empty messages"),
            (self.max_batch_messages == 0, "a `max_batch_messages` of zero accepts no message"),
            (self.max_pending_sends == 0, "a `max_pending_sends` of zero accepts no sending request"),
            (
                self.max_body_bytes < self.max_message_bytes.saturating_add(AROUND_MESSAGE),
                "`max_body_bytes` must exceed `max_message_bytes` by 4, since a body has `[\"` and `\"]` around the message",
            ),
            (
                self.base_url.as_deref().is_some_and(|url| !is_http_url(url) && !is_path(url)),
                "the `base_url` is neither an absolute `http` or `https` URL nor a path that begins with one `/`",
            ),
        ];
        match problems.into_iter().find(|(is_wrong, _)| *is_wrong) {
            Some((_, why)) => Err(InvalidOptions(why)),
            None => Ok(()),
        }
    }
}

fn is_path(url: &str) -> bool {
    url.starts_with('/') && !url.starts_with("//")
}

fn is_http_url(url: &str) -> bool {
    url.parse::<http::Uri>().is_ok_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_refused() {
        let none =
            || Transport::ALL.iter().fold(Options::new(), |options, &transport| options.disable(transport));
        let zero = Duration::ZERO;
        for (options, word) in [
            (none(), "no transport"),
            (none().enable(Transport::JsonpPolling), "no transport"),
            (Options::new().heartbeat(zero), "`heartbeat`"),
            (Options::new().write_timeout(zero), "`write_timeout`"),
            (Options::new().pong_timeout(zero), "`pong_timeout`"),
            (Options::new().disconnect_delay(zero), "`disconnect_delay`"),
            (Options::new().open_timeout(zero), "`open_timeout`"),
            (Options::new().max_message_bytes(0), "`max_message_bytes`"),
            (Options::new().max_batch_messages(0), "`max_batch_messages`"),
            (Options::new().max_pending_sends(0), "`max_pending_sends`"),
            (Options::new().max_body_bytes(1003).max_message_bytes(1000), "`max_body_bytes`"),
            (Options::new().base_url(""), "`base_url`"),
            (Options::new().base_url("//cdn.example/x"), "`base_url`"),
            (Options::new().base_url("chat.example.com/sockjs"), "`base_url`"),
            (Options::new().base_url("ftp://chat.example.com"), "`base_url`"),
        ] {
            let error = options.validate().unwrap_err().to_string();
            assert!(error.contains(word), "{word}: {error}");
        }
    }

    #[test]
    fn what_can_work_is_not() {
        let none =
            || Transport::ALL.iter().fold(Options::new(), |options, &transport| options.disable(transport));
        for options in [
            Options::new(),
            none().enable(Transport::XhrPolling),
            none().enable(Transport::JsonpPolling).legacy_transports(true),
            Options::new()
                .heartbeat(None)
                .write_timeout(None)
                .pong_timeout(None)
                .receive_timeout(Duration::ZERO),
            Options::new().max_body_bytes(1004).max_message_bytes(1000),
            Options::new().max_sessions(0).max_sessions_per_peer(None),
            Options::new().base_url("https://chat.example.com/sockjs"),
            Options::new().base_url("/other"),
        ] {
            assert_eq!(options.validate(), Ok(()), "{options:?}");
        }
    }
}
