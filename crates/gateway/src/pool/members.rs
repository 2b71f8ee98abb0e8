//! The backends of a configuration, ready to be dialled.

use std::{collections::HashSet, sync::Arc, time::Duration};

use http::Uri;

use super::{health::Rules, state::Member};
use crate::{
    backend::connector::{Connector, ConnectorError},
    config::backend::{Balance, Check, Health, Upstream},
};

/// What a pool is made of, or goes on with after a reload. Nothing happens before it is given to a pool: a
/// configuration that turns out to be wrong elsewhere leaves no trace.
#[derive(Debug)]
pub(crate) struct Members<D = Connector> {
    pub(super) members: Vec<(Member, Arc<D>)>,
    pub(super) balance: Balance,
    pub(super) rules: Rules,
    pub(super) health: Health,
    pub(super) open_timeout: Duration,
    pub(super) connect_timeout: Duration,
}

impl Members {
    /// # Errors
    /// A backend cannot be dialled by these settings, such as with a certificate that cannot be read.
    pub(crate) fn new(upstream: &Upstream) -> Result<Self, ConnectorError> {
        let connectors: Result<Vec<_>, _> =
            upstream.backends.iter().map(|backend| Connector::new(upstream, backend)).collect();
        Ok(Self::with(upstream, connectors?))
    }
}

impl<D> Members<D> {
    /// Those of a route that is no longer configured: none.
    pub(crate) fn none() -> Self {
        let health = Health {
            check: Check::Off,
            interval: Duration::MAX,
            timeout: Duration::MAX,
            fall: u32::MAX,
            rise: u32::MAX,
        };
        Self {
            members: Vec::new(),
            balance: Balance::default(),
            rules: Rules::from(&health),
            health,
            open_timeout: Duration::ZERO,
            connect_timeout: Duration::ZERO,
        }
    }

    /// With one connector for each backend, in their order.
    pub(super) fn with(upstream: &Upstream, connectors: Vec<D>) -> Self {
        let mut names = HashSet::new();
        let members = upstream.backends.iter().zip(connectors).map(|(backend, connector)| {
            let name = distinct(&shown(&backend.url), &mut names);
            let member = Member { url: backend.url.to_string().into(), name, drain: backend.drain };
            (member, Arc::new(connector))
        });
        Self {
            members: members.collect(),
            balance: upstream.balance,
            rules: Rules::from(&upstream.health),
            health: upstream.health.clone(),
            open_timeout: upstream.open_timeout,
            connect_timeout: upstream.connect_timeout,
        }
    }
}

/// A URL without its query. The configuration has refused one with a user or a password.
fn shown(url: &Uri) -> String {
    let authority = url.authority().map_or("", |authority| authority.as_str());
    format!("{}://{authority}{}", url.scheme_str().unwrap_or("ws"), url.path())
}

/// The name, with a number if it is another one's already.
fn distinct(name: &str, names: &mut HashSet<Arc<str>>) -> Arc<str> {
    let numbered = (2..).map(|number| format!("{name}#{number}"));
    let mut free =
        std::iter::once(name.to_owned()).chain(numbered).filter(|name| !names.contains(name.as_str()));
    let name: Arc<str> = free.next().unwrap_or_default().into();
    names.insert(name.clone());
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_secret_is_not_shown() {
        for (url, expected) in [
            ("ws://127.0.0.1:9000/ws?token=secret", "ws://127.0.0.1:9000/ws"),
            ("ws://[::1]:80", "ws://[::1]:80/"),
        ] {
            assert_eq!(shown(&url.parse().expect("a URL")), expected);
        }
    }

    #[test]
    fn backends_that_differ_in_what_is_not_shown_have_names_of_their_own() {
        let mut names = HashSet::new();
        let named = ["ws://a/", "ws://a/", "ws://b/", "ws://a/"].map(|name| distinct(name, &mut names));
        assert_eq!(named.map(|name| name.to_string()), ["ws://a/", "ws://a/#2", "ws://b/", "ws://a/#3"]);
    }
}
