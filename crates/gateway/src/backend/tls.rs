//! TLS to a backend.

use std::{fmt, io, path::Path, sync::Arc};

use tokio_rustls::{
    TlsConnector,
    rustls::{
        self, ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{
            CertificateDer, InvalidDnsNameError, PrivateKeyDer, ServerName, pem, pem::PemObject as _,
        },
    },
};

use super::target::InvalidTarget;
use crate::config::backend::BackendTls;

/// Why a backend cannot be dialled at all: the configuration is wrong, or a file.
#[derive(Debug)]
pub(crate) enum ConnectorError {
    Target(InvalidTarget),
    /// A PEM file cannot be read, or has nothing of its kind.
    File {
        path: String,
        error: pem::Error,
    },
    /// The authorities in this file cannot be used.
    Authority {
        path: String,
        error: rustls::Error,
    },
    /// The system has no authorities.
    NoSystemRoots(String),
    /// The certificate and the key do not fit.
    Identity {
        path: String,
        error: rustls::Error,
    },
    ServerName {
        name: String,
        error: InvalidDnsNameError,
    },
    Rustls(rustls::Error),
}

impl fmt::Display for ConnectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target(error) => error.fmt(f),
            Self::File { path, error } => write!(f, "{path}: {error}"),
            Self::Authority { path, error } => write!(f, "{path} is no authority for certificates: {error}"),
            Self::NoSystemRoots(error) => {
                write!(f, "the system has no certificates of authorities{error}; `ca` names a file")
            }
            Self::Identity { path, error } => write!(f, "{path} cannot be shown to the backend: {error}"),
            Self::ServerName { name, error } => {
                write!(f, "{name:?} cannot be the name in a certificate: {error}")
            }
            Self::Rustls(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ConnectorError {}

/// TLS to one backend.
#[derive(Clone)]
pub(super) struct Tls {
    connector: TlsConnector,
    server_name: ServerName<'static>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads all files. `host` is that of the backend's URL.
    pub(super) fn new(host: &str, settings: &BackendTls) -> Result<Self, ConnectorError> {
        let name = settings.server_name.as_deref().unwrap_or(host);
        let server_name = ServerName::try_from(name.to_owned())
            .map_err(|error| ConnectorError::ServerName { name: name.to_owned(), error })?;
        let roots = match &settings.ca {
            Some(path) => roots_of(path)?,
            None => roots_of_system()?,
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(ConnectorError::Rustls)?
            .with_root_certificates(roots);
        let mut config = match &settings.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let certificates = certificates_of(&identity.certificate)?;
                let key = PrivateKeyDer::from_pem_file(&identity.key).map_err(file(&identity.key))?;
                let path = identity.certificate.display().to_string();
                builder
                    .with_client_auth_cert(certificates, key)
                    .map_err(|error| ConnectorError::Identity { path, error })?
            }
        };
        // A WebSocket is opened over HTTP/1.1: a backend that would choose HTTP/2 knows.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), server_name })
    }

    pub(super) async fn connect<Io>(&self, io: Io) -> io::Result<tokio_rustls::client::TlsStream<Io>>
    where
        Io: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    {
        self.connector.connect(self.server_name.clone(), io).await
    }
}

fn roots_of(path: &Path) -> Result<RootCertStore, ConnectorError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates_of(path)? {
        roots
            .add(certificate)
            .map_err(|error| ConnectorError::Authority { path: path.display().to_string(), error })?;
    }
    Ok(roots)
}

fn roots_of_system() -> Result<RootCertStore, ConnectorError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // A system may have some that rustls does not accept.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let errors = found.errors.iter().map(|error| format!(": {error}")).collect();
        return Err(ConnectorError::NoSystemRoots(errors));
    }
    Ok(roots)
}

fn certificates_of(path: &Path) -> Result<Vec<CertificateDer<'static>>, ConnectorError> {
    let all = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(file(path))?;
    if all.is_empty() { Err(file(path)(pem::Error::NoItemsFound)) } else { Ok(all) }
}

fn file(path: &Path) -> impl Fn(pem::Error) -> ConnectorError + '_ {
    |error| ConnectorError::File { path: path.display().to_string(), error }
}
