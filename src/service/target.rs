//! The target of a request.

use sockjs_core::{
    Transport,
    path::{self, Path, Span},
};

use super::head::Head;
use crate::{
    options::builder::Options,
    origin::request::MissingOrigin,
    transport::route::{ROUTES, Route},
};

/// The target of a request.
pub(super) enum Target {
    Greeting,
    Info,
    Iframe,
    Client { version: Option<Box<str>> },
    RawWebSocket,
    Session { route: &'static Route, id: Span },
}

impl Target {
    /// The target of a path, if the endpoint serves it.
    pub(super) fn of(head: &Head, options: &Options) -> Option<Self> {
        if head.is_route() {
            return Some(Self::RawWebSocket);
        }
        Some(match path::parse(head.path()?)? {
            Path::Greeting => Self::Greeting,
            Path::Info => Self::Info,
            Path::Iframe if options.has_legacy_transports() => Self::Iframe,
            Path::Client { version } if options.client_script.is_some() => {
                Self::Client { version: version.map(Box::from) }
            }
            Path::RawWebSocket if options.is_enabled(Transport::RawWebSocket) => Self::RawWebSocket,
            Path::Client { .. } | Path::Iframe | Path::RawWebSocket => return None,
            Path::Session { session, transport } => {
                let route = ROUTES.iter().find(|route| route.name == transport)?;
                let enabled = route.transports.iter().any(|&transport| options.is_enabled(transport));
                enabled.then(|| Self::Session { route, id: session.behind(head.prefix()) })?
            }
        })
    }

    /// Whether the origin policy applies. The other targets reveal nothing.
    pub(super) fn is_guarded(&self) -> bool {
        !matches!(self, Self::Greeting | Self::Client { .. })
    }

    /// The rule for a request without an origin.
    pub(super) fn missing_origin(&self) -> MissingOrigin {
        match self {
            Self::Iframe => MissingOrigin::Refused,
            Self::Session { route, .. } => route.missing_origin(),
            Self::Greeting | Self::Info | Self::Client { .. } | Self::RawWebSocket => MissingOrigin::Allowed,
        }
    }
}
