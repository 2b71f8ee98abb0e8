//! Values derived from several options.

use http::request::Parts;
use sockjs_core::{Transport, decode::Limits};

use super::builder::Options;
use crate::{
    origin::request::{MissingOrigin, OriginContext},
    session::{
        connection::Connection,
        core::{kind::Kind, settings::Settings},
    },
};

impl Options {
    /// The client script's URL in the iframe page.
    pub(crate) fn iframe_client_url(&self) -> &str {
        // Relative: the prefix of the page in the browser is unknown here.
        if self.client_script.is_some() { "sockjs.min.js" } else { &self.client_url }
    }

    /// The input of a request's origin check. `missing` is the rule of the URL; options may make it stricter.
    pub(crate) fn origin_context<'a>(
        &'a self,
        parts: &'a Parts,
        missing: MissingOrigin,
    ) -> OriginContext<'a> {
        let least = match self.require_origin_with_credentials {
            true => MissingOrigin::AllowedWithoutCredentials,
            false => MissingOrigin::Allowed,
        };
        OriginContext {
            uri: &parts.uri,
            headers: &parts.headers,
            trust_forwarded: self.trust_forwarded,
            scheme: self.scheme.as_ref(),
            missing: missing.max(least),
        }
    }

    /// Whether JSONP polling, HtmlFile and the iframe page are enabled.
    pub(crate) fn has_legacy_transports(&self) -> bool {
        self.legacy_transports.unwrap_or_else(|| self.origins.is_any())
    }

    pub(crate) fn is_enabled(&self, transport: Transport) -> bool {
        self.transports.contains(transport) && (self.has_legacy_transports() || !transport.is_legacy())
    }

    /// The settings of a session.
    pub(crate) fn settings(&self, connection: &Connection) -> Settings {
        let Connection { transport, pings, .. } = *connection;
        let kind = if transport.is_socket() {
            let pong_timeout = self.pong_timeout.filter(|_| pings);
            Kind::Socket { framed: transport.is_framed(), pong_timeout }
        } else if transport.is_polling() {
            Kind::Poll
        } else {
            Kind::Stream
        };
        Settings {
            heartbeat: self.heartbeat,
            disconnect_delay: self.disconnect_delay,
            receive_queue_bytes: self.receive_queue_bytes,
            receive_queue_messages: self.receive_queue_messages,
            send_queue_bytes: self.send_queue_bytes,
            send_overflow: self.send_overflow,
            write_timeout: self.write_timeout,
            rates: self.rates,
            kind,
        }
    }

    pub(crate) fn decode_limits(&self) -> Limits {
        Limits::new(self.max_message_bytes)
            .with_messages(self.max_batch_messages)
            .with_lone_surrogates(self.lone_surrogates)
    }
}
