//! What an endpoint's settings are to `axum_sockjs`, and their defaults.

use std::time::Duration;

use axum_sockjs::{Cookie, Options, Rate, Transport};

use super::endpoint::{Endpoint, Origins};

impl Default for Endpoint {
    /// Those of `axum_sockjs::Options`, as a test compares.
    fn default() -> Self {
        Self {
            origins: Origins::Same,
            transports: Transport::ALL.to_vec(),
            legacy_transports: None,
            subprotocols: Vec::new(),
            heartbeat: Some(Duration::from_secs(25)),
            disconnect_delay: Duration::from_secs(5),
            response_limit: 128 << 10,
            client_script: None,
            client_url: None,
            require_origin_with_credentials: false,
            affinity_cookie: None,
            max_message_bytes: 128 << 10,
            max_body_bytes: 1 << 20,
            max_batch_messages: 1000,
            receive_queue_bytes: 1 << 20,
            receive_queue_messages: 1000,
            receive_timeout: None,
            max_pending_sends: 8,
            send_queue_bytes: 1 << 20,
            write_timeout: Some(Duration::from_secs(10)),
            pong_timeout: Some(Duration::from_secs(10)),
            max_sessions: Some(65_536),
            max_sessions_per_peer: None,
            message_rate: None,
            byte_rate: None,
            hixie76: false,
        }
    }
}

impl Origins {
    /// The policy of these origins; an error names the pattern that is none.
    pub(crate) fn policy(&self) -> Result<axum_sockjs::Origins, axum_sockjs::InvalidOrigin> {
        match self {
            Self::Same => Ok(axum_sockjs::Origins::same()),
            Self::Any => Ok(axum_sockjs::Origins::any()),
            Self::List(patterns) => axum_sockjs::Origins::list(patterns),
        }
    }
}

impl Endpoint {
    /// The options of the endpoint, without what the process adds: the proxies, the scheme, the cluster and the client
    /// script's content.
    pub(crate) fn options(&self) -> Options {
        // Destructuring makes a setting without an effect a compile error.
        let Self {
            origins,
            transports,
            legacy_transports,
            subprotocols,
            heartbeat,
            disconnect_delay,
            response_limit,
            client_script: _,
            client_url,
            require_origin_with_credentials,
            affinity_cookie,
            max_message_bytes,
            max_body_bytes,
            max_batch_messages,
            receive_queue_bytes,
            receive_queue_messages,
            receive_timeout,
            max_pending_sends,
            send_queue_bytes,
            write_timeout,
            pong_timeout,
            max_sessions,
            max_sessions_per_peer,
            message_rate,
            byte_rate,
            hixie76,
        } = self;
        let rate = |rate: &Option<u64>| rate.filter(|&count| count > 0).map(Rate::per_second);
        let mut options = Options::new()
            // A list was judged where it was read. Should it be wrong all the same, nobody else's pages come in.
            .origins(origins.policy().unwrap_or_default())
            .subprotocols(subprotocols.clone())
            .heartbeat(*heartbeat)
            .disconnect_delay(*disconnect_delay)
            .response_limit(*response_limit)
            .require_origin_with_credentials(*require_origin_with_credentials)
            .max_message_bytes(*max_message_bytes)
            .max_body_bytes(*max_body_bytes)
            .max_batch_messages(*max_batch_messages)
            .receive_queue_bytes(*receive_queue_bytes)
            .receive_queue_messages(*receive_queue_messages)
            .receive_timeout(*receive_timeout)
            .max_pending_sends(*max_pending_sends)
            .send_queue_bytes(*send_queue_bytes)
            .write_timeout(*write_timeout)
            .pong_timeout(*pong_timeout)
            .max_sessions(*max_sessions)
            .max_sessions_per_peer(*max_sessions_per_peer)
            .message_rate(rate(message_rate))
            .byte_rate(rate(byte_rate))
            .hixie76(*hixie76);
        for &transport in Transport::ALL {
            if !transports.contains(&transport) {
                options = options.disable(transport);
            }
        }
        if let Some(on) = legacy_transports {
            options = options.legacy_transports(*on);
        }
        if let Some(url) = client_url {
            options = options.client_url(url.clone());
        }
        if let Some(name) = affinity_cookie {
            options = options.cookie(Cookie::named(name.clone()));
        }
        options
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_options() {
        assert_eq!(format!("{:?}", Endpoint::default().options()), format!("{:?}", Options::new()));
    }

    #[test]
    fn every_setting_reaches_the_options() {
        let endpoint = Endpoint {
            origins: Origins::List(vec!["https://*.example.com".to_owned()]),
            transports: vec![Transport::XhrPolling],
            legacy_transports: Some(true),
            subprotocols: vec!["v12.stomp".to_owned()],
            heartbeat: None,
            disconnect_delay: Duration::from_secs(1),
            response_limit: 2,
            client_script: None,
            client_url: Some("/sockjs.js".to_owned()),
            require_origin_with_credentials: true,
            affinity_cookie: Some("node".to_owned()),
            max_message_bytes: 3,
            max_body_bytes: 40,
            max_batch_messages: 5,
            receive_queue_bytes: 6,
            receive_queue_messages: 7,
            receive_timeout: Some(Duration::from_secs(8)),
            max_pending_sends: 9,
            send_queue_bytes: 10,
            write_timeout: Some(Duration::from_secs(11)),
            pong_timeout: None,
            max_sessions: None,
            max_sessions_per_peer: Some(12),
            message_rate: Some(13),
            byte_rate: Some(14),
            hixie76: true,
        };
        let text = format!("{:?}", endpoint.options());
        for part in [
            "enable, disable: [XhrPolling]",
            "origins: same origin, https://*.example.com",
            "legacy_transports: on",
            "v12.stomp",
            "heartbeat: off",
            "disconnect_delay: 1s",
            "response_limit: 2 B",
            "client_url: /sockjs.js",
            "require_origin_with_credentials: on",
            "cookie: node",
            "max_message_bytes: 3 B",
            "max_body_bytes: 40 B",
            "max_batch_messages: 5",
            "receive_queue_bytes: 6 B",
            "receive_queue_messages: 7",
            "receive_timeout: 8s",
            "max_pending_sends: 9",
            "send_queue_bytes: 10 B",
            "write_timeout: 11s",
            "pong_timeout: no limit",
            "max_sessions: no limit",
            "max_sessions_per_peer: 12",
            "message_rate: 13 per 1s",
            "byte_rate: 14 per 1s",
            "hixie76: on",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
