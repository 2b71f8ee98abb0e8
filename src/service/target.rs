//! What a request asks for.

use super::head::Head;
use crate::{
    options::builder::Options,
    origin::request::MissingOrigin,
    protocol::{
        path::{self, Path, Span},
        transport::Transport,
    },
    transport::route::{ROUTES, Route},
};

/// What a request asks for.
pub(super) enum Target {
    Greeting,
    Info,
    Iframe,
    Client { version: Option<Box<str>> },
    RawWebSocket,
    Session { route: &'static Route, id: Span },
}

impl Target {
    /// What a path stands for, if the endpoint has it.
    pub(super) fn of(head: &Head, options: &Options) -> Option<Self> {
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

    /// Whether only pages of certain origins may ask for it. The others give nothing away.
    pub(super) fn is_guarded(&self) -> bool {
        !matches!(self, Self::Greeting | Self::Client { .. })
    }

    /// What becomes of a request without an origin.
    pub(super) fn missing_origin(&self) -> MissingOrigin {
        match self {
            Self::Iframe => MissingOrigin::Refused,
            Self::Session { route, .. } => route.missing_origin(),
            Self::Greeting | Self::Info | Self::Client { .. } | Self::RawWebSocket => MissingOrigin::Allowed,
        }
    }
}
