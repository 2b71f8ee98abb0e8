//! The files that a configuration names.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use axum_sockjs_serve::Tls;

use crate::{backend::connector::Connector, config::config::Config};

/// Every file that the gateway would read at its start and cannot use: what it is for, and why.
pub(super) fn unusable(config: &Config) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(tls) = &config.tls {
        if let Err(error) = Tls::from_pem(&tls.certificate, &tls.key) {
            found.push(format!("tls: {error}"));
        }
    }
    for route in &config.routes {
        let path = &route.path;
        let connectors =
            route.upstream.backends.iter().map(|backend| Connector::new(&route.upstream, backend));
        // The files are those of all backends.
        if let Some(error) = connectors.filter_map(Result::err).next() {
            found.push(format!("route {path}: {error}"));
        }
        if let Some(script) = &route.endpoint.client_script {
            if let Err(error) = has_content(script) {
                found.push(format!("route {path}: the client script {}: {error}", script.display()));
            }
        }
    }
    found
}

fn has_content(path: &Path) -> io::Result<()> {
    match File::open(path)?.read(&mut [0])? {
        0 => Err(io::Error::other("it is empty")),
        _ => Ok(()),
    }
}
