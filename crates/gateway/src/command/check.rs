//! What `--check` says.

use std::fmt;

use crate::config::{
    backend::{Backend, Balance, Check},
    config::{Config, LogFormat},
    endpoint::Origins,
    route::Route,
};

/// A configuration in short.
pub(super) struct Summary<'a>(pub(super) &'a Config);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Config { listen, tls, http2, admin, cluster, trusted_proxies, grace, log, routes } = self.0;
        let listen: Vec<_> = listen.iter().map(ToString::to_string).collect();
        let tls = if tls.is_some() { ", TLS" } else { "" };
        let http2 = if *http2 { ", HTTP/2" } else { "" };
        writeln!(f, "listen: {}{tls}{http2}", listen.join(", "))?;
        if let Some(admin) = admin {
            writeln!(f, "admin: {admin}")?;
        }
        if let Some(cluster) = cluster {
            writeln!(f, "cluster: {}", cluster.address)?;
        }
        if !trusted_proxies.is_empty() {
            let proxies: Vec<_> = trusted_proxies.iter().map(ToString::to_string).collect();
            writeln!(f, "trusted proxies: {}", proxies.join(", "))?;
        }
        let format = match log.format {
            LogFormat::Text => "text",
            LogFormat::Json => "JSON",
        };
        writeln!(f, "log: {format}, {}", log.filter)?;
        writeln!(f, "grace: {}", humantime::format_duration(*grace))?;
        routes.iter().try_for_each(|route| write_route(f, route))
    }
}

fn write_route(f: &mut fmt::Formatter<'_>, route: &Route) -> fmt::Result {
    let Route { path, endpoint, upstream } = route;
    let origins = match &endpoint.origins {
        Origins::Same => "the same origin".to_owned(),
        Origins::Any => "any origin".to_owned(),
        Origins::List(list) => list.join(", "),
    };
    let sessions = endpoint.max_sessions.map_or("no limit".to_owned(), |max| max.to_string());
    writeln!(f, "route {path}: from {origins}; sessions: {sessions}")?;
    let balance = match upstream.balance {
        _ if upstream.backends.len() == 1 => "",
        Balance::RoundRobin => ", in turn",
        Balance::LeastSessions => ", by sessions",
    };
    let check = match &upstream.health.check {
        Check::Off => "not checked".to_owned(),
        Check::Tcp => "checked by TCP".to_owned(),
        Check::Http(path) => format!("checked by GET {path}"),
        Check::WebSocket => "checked by WebSocket".to_owned(),
    };
    for Backend { url, drain } in &upstream.backends {
        let drain = if *drain { ", drained" } else { "" };
        // Without the query, which may have a token.
        let scheme = url.scheme_str().unwrap_or_default();
        let host = url.authority().map_or("", |authority| authority.as_str());
        writeln!(f, "  {scheme}://{host}{}{balance}, {check}{drain}", url.path())?;
    }
    Ok(())
}
