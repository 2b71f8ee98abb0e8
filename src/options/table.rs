//! The name and value of each option, as in the documentation.

use std::{fmt, time::Duration};

use http::uri::Scheme;

use super::builder::Options;
use crate::{
    options::transport_set::TransportSet,
    session::core::rate::{Rate, Rates},
};

impl Options {
    /// The name and value of each option, as in its row of the documentation.
    fn rows(&self) -> Vec<(&'static str, String)> {
        // Destructuring makes an option without a row a compile error.
        let Self {
            transports,
            heartbeat,
            disconnect_delay,
            response_limit,
            client_url,
            client_script,
            cookie,
            base_url,
            origins,
            trust_forwarded,
            scheme,
            require_origin_with_credentials,
            legacy_transports,
            cors,
            max_message_bytes,
            max_body_bytes,
            max_batch_messages,
            receive_queue_bytes,
            receive_queue_messages,
            receive_timeout,
            max_pending_sends,
            send_queue_bytes,
            send_overflow,
            write_timeout,
            pong_timeout,
            max_sessions,
            max_sessions_per_peer,
            peer_key,
            open_timeout,
            span_level,
            #[cfg(feature = "websocket")]
            hixie76,
            #[cfg(feature = "websocket")]
            subprotocols,
            lone_surrogates,
            #[cfg(feature = "cluster")]
            cluster,
            rates: Rates { messages: message_rate, bytes: byte_rate, overflow: rate_overflow },
        } = self;
        let bytes = |bytes: &usize| match bytes {
            bytes if bytes % (1 << 20) == 0 => format!("{} MiB", bytes >> 20),
            bytes if bytes % (1 << 10) == 0 => format!("{} KiB", bytes >> 10),
            bytes => format!("{bytes} B"),
        };
        let on_or_off = |on: bool| if on { "on" } else { "off" };
        let limit = |limit: &Option<usize>| limit.map_or("no limit".to_owned(), |limit| limit.to_string());
        let time =
            |time: &Option<Duration>, none: &str| time.map_or(none.to_owned(), |time| format!("{time:?}"));
        let rate = |rate: &Option<Rate>| rate.map_or_else(|| "none".to_owned(), |rate| rate.to_string());
        vec![
            (
                "enable, disable",
                if *transports == TransportSet::ALL {
                    "all on".to_owned()
                } else {
                    format!("{transports:?}")
                },
            ),
            ("heartbeat", time(heartbeat, "off")),
            ("disconnect_delay", format!("{disconnect_delay:?}")),
            ("response_limit", bytes(response_limit)),
            ("client_url", client_url.clone()),
            (
                "client_script",
                client_script.as_ref().map_or("none".to_owned(), |script| format!("{script:?}")),
            ),
            ("cookie", format!("{cookie:?}")),
            ("base_url", base_url.clone().unwrap_or_else(|| "none".to_owned())),
            ("origins", format!("{origins:?}")),
            ("trust_forwarded", on_or_off(*trust_forwarded).to_owned()),
            ("scheme", scheme.as_ref().map_or("unknown", Scheme::as_str).to_owned()),
            ("require_origin_with_credentials", on_or_off(*require_origin_with_credentials).to_owned()),
            ("legacy_transports", legacy_transports.map_or("with any origin", on_or_off).to_owned()),
            ("cors", format!("{cors:?}")),
            ("max_message_bytes", bytes(max_message_bytes)),
            ("max_body_bytes", bytes(max_body_bytes)),
            ("max_batch_messages", max_batch_messages.to_string()),
            ("receive_queue_bytes", bytes(receive_queue_bytes)),
            ("receive_queue_messages", receive_queue_messages.to_string()),
            ("receive_timeout", time(receive_timeout, "no limit")),
            ("max_pending_sends", max_pending_sends.to_string()),
            ("send_queue_bytes", bytes(send_queue_bytes)),
            ("send_overflow", format!("{send_overflow:?}")),
            ("write_timeout", time(write_timeout, "no limit")),
            ("pong_timeout", time(pong_timeout, "no limit")),
            ("max_sessions", limit(max_sessions)),
            ("max_sessions_per_peer", limit(max_sessions_per_peer)),
            ("peer_key", format!("{peer_key:?}")),
            ("open_timeout", format!("{open_timeout:?}")),
            ("span_level", span_level.to_string()),
            #[cfg(feature = "websocket")]
            ("hixie76", on_or_off(*hixie76).to_owned()),
            #[cfg(feature = "websocket")]
            ("subprotocols", format!("{subprotocols:?}")),
            #[cfg(feature = "cluster")]
            ("cluster", cluster.as_ref().map_or("none".to_owned(), |cluster| cluster.address().to_string())),
            ("lone_surrogates", format!("{lone_surrogates:?}")),
            ("message_rate", rate(message_rate)),
            ("byte_rate", rate(byte_rate)),
            ("rate_overflow", format!("{rate_overflow:?}")),
        ]
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for (name, value) in self.rows() {
            map.entry(&format_args!("{name}"), &format_args!("{value}"));
        }
        map.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::cookie::Cookie;

    /// The rows of the documented table: the option and its default.
    fn documented() -> Vec<(String, String)> {
        include_str!("../docs/options.md")
            .lines()
            .filter(|line| line.starts_with("| `"))
            .map(|line| {
                let cells: Vec<_> =
                    line.split('|').map(|cell| cell.replace('`', "").trim().to_owned()).collect();
                (cells[1].clone(), cells[2].clone())
            })
            .collect()
    }

    #[test]
    fn the_documented_defaults_are_the_real_ones() {
        let real: Vec<_> =
            Options::default().rows().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let documented = documented();
        for row in &real {
            assert!(documented.contains(row), "missing or wrong in docs/options.md: {row:?}");
        }
        let of_features =
            2 * usize::from(cfg!(not(feature = "websocket"))) + usize::from(cfg!(not(feature = "cluster")));
        assert_eq!(
            documented.len(),
            real.len() + of_features,
            "docs/options.md lists an option that does not exist"
        );
    }

    #[test]
    fn debug_shows_every_option() {
        let text = format!("{:?}", Options::new().cookie(Cookie::jsessionid()).max_sessions(7));
        assert!(text.contains("cookie: JSESSIONID") && text.contains("max_sessions: 7"), "{text}");
    }
}
