//! The files that a configuration names.

use std::{fmt, fs::File, io, path::Path};

use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject};

use crate::config::config::{Config, Identity};

/// A file that cannot be used, and what it is for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unusable {
    of: String,
    word: &'static str,
    path: String,
    why: String,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { of, word, path, why } = self;
        write!(f, "{of}: `{word}`: `{path}`: {why}")
    }
}

/// Every file that the gateway would read at its start and cannot use.
pub(super) fn unusable(config: &Config) -> Vec<Unusable> {
    let mut found = Vec::new();
    let mut judge = |of: &str, word, path: &Path, result: Result<(), String>| {
        if let Err(why) = result {
            found.push(Unusable { of: of.to_owned(), word, path: path.display().to_string(), why });
        }
    };
    let mut identity = |of: &str, Identity { certificate, key }: &Identity| {
        judge(of, "certificate", certificate, certificates(certificate));
        judge(of, "key", key, private_key(key));
    };
    if let Some(tls) = &config.tls {
        identity("[tls]", tls);
    }
    for route in &config.routes {
        let of = format!("route `{}`", route.path);
        if let Some(tls) = &route.upstream.tls.identity {
            identity(&of, tls);
        }
    }
    for route in &config.routes {
        let of = format!("route `{}`", route.path);
        if let Some(ca) = &route.upstream.tls.ca {
            judge(&of, "ca", ca, certificates(ca));
        }
        if let Some(script) = &route.endpoint.client_script {
            judge(&of, "client_script", script, content(script));
        }
    }
    found
}

fn certificates(path: &Path) -> Result<(), String> {
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| shown(&error))?;
    let certificates: Result<Vec<_>, _> = certificates.collect();
    match certificates.map_err(|error| shown(&error))?.len() {
        0 => Err("there is no certificate in it".to_owned()),
        _ => Ok(()),
    }
}

fn private_key(path: &Path) -> Result<(), String> {
    match PrivateKeyDer::from_pem_file(path) {
        Ok(_) => Ok(()),
        Err(pem::Error::NoItemsFound) => Err("there is no private key in it".to_owned()),
        Err(error) => Err(shown(&error)),
    }
}

fn content(path: &Path) -> Result<(), String> {
    let length = File::open(path).and_then(|mut file| io::copy(&mut file, &mut io::sink()));
    match length {
        Ok(0) => Err("it is empty".to_owned()),
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

fn shown(error: &pem::Error) -> String {
    match error {
        pem::Error::Io(error) => error.to_string(),
        _ => "it is not in PEM".to_owned(),
    }
}
