//! TLS, and its certificate, which may be replaced.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};

use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, ring},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio_rustls::TlsAcceptor;

use crate::{certificate, tls_error::TlsError};

/// The names of the protocols in ALPN.
pub(crate) const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// TLS for [`Listener`](crate::Listener)s: TLS 1.2 and 1.3, by rustls with ring.
///
/// A clone is of the same certificate.
///
/// ```no_run
/// # async fn wait_for_the_next_certificate() {}
/// # async fn renew() -> Result<(), axum_sockjs_serve::TlsError> {
/// use axum_sockjs_serve::Tls;
///
/// let tls = Tls::from_pem("/etc/app/certificate.pem", "/etc/app/key.pem")?;
/// let renewed = tls.clone();
/// loop {
///     wait_for_the_next_certificate().await;
///     if let Err(error) = renewed.reload() {
///         eprintln!("the former certificate stays: {error}");
///     }
/// }
/// # }
/// ```
#[derive(Clone)]
pub struct Tls {
    config: Arc<ServerConfig>,
    /// What the certificate is from, if it is from files.
    files: Option<Arc<Files>>,
}

impl Tls {
    /// Reads a certificate and its key from files in PEM format. The first one holds the server's own certificate first and
    /// then those that lead to its root, as `fullchain.pem` does; the second one holds the key without a password, in PKCS #8,
    /// PKCS #1 or SEC 1.
    ///
    /// A certificate whose time is over, or has not come, is logged as a warning, and used.
    ///
    /// The call reads files, and blocks as long as that takes.
    ///
    /// # Errors
    /// If one of the files cannot be read or has nothing to use, or if they do not belong together.
    pub fn from_pem(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Result<Self, TlsError> {
        let (certificate, key) = (certificate.into(), key.into());
        let provider = Arc::new(ring::default_provider());
        let certified = certificate::read(&certificate, &key, &provider)?;
        let current = RwLock::new(Current { certificate, key, certified });
        let files = Arc::new(Files { provider: Arc::clone(&provider), current });
        let resolver: Arc<dyn ResolvesServerCert> = files.clone();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has what each version needs")
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        Ok(Self { config: Arc::new(config), files: Some(files) })
    }

    /// Takes a configuration as it is, except for ALPN: the listener says what is spoken over TLS.
    pub fn from_config(config: impl Into<Arc<ServerConfig>>) -> Self {
        Self { config: config.into(), files: None }
    }

    /// Reads the [files](Self::from_pem) anew. New connections get their certificate, by every clone and every listener that
    /// has one; connections that exist go on. Where the certificate is not from files, nothing happens.
    ///
    /// The call reads files, and blocks as long as that takes.
    ///
    /// # Errors
    /// As of [`from_pem`](Self::from_pem). The former certificate then stays.
    pub fn reload(&self) -> Result<(), TlsError> {
        let Some(files) = &self.files else { return Ok(()) };
        let (certificate, key) = {
            let current = files.current();
            (current.certificate.clone(), current.key.clone())
        };
        files.load(certificate, key)
    }

    /// Reads the certificate and its key from other files than before, as [`reload`](Self::reload) does, which from now on
    /// reads these. The former files may be gone. Where the certificate is not from files, nothing happens.
    ///
    /// The call reads files, and blocks as long as that takes.
    ///
    /// # Errors
    /// As of [`from_pem`](Self::from_pem). The former certificate and the names of its files then stay.
    pub fn reload_from(
        &self,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Result<(), TlsError> {
        let Some(files) = &self.files else { return Ok(()) };
        files.load(certificate.into(), key.into())
    }

    pub(crate) fn acceptor(&self, http2: bool) -> TlsAcceptor {
        let mut config = ServerConfig::clone(&self.config);
        let protocols: &[&[u8]] = if http2 { &[HTTP2, HTTP1] } else { &[HTTP1] };
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tls = f.debug_struct("Tls");
        if let Some(files) = &self.files {
            let current = files.current();
            tls.field("certificate", &current.certificate).field("key", &current.key);
        }
        tls.finish_non_exhaustive()
    }
}

/// A certificate from files.
#[derive(Debug)]
struct Files {
    provider: Arc<CryptoProvider>,
    current: RwLock<Current>,
}

/// What was read last, and from where.
#[derive(Debug)]
struct Current {
    certificate: PathBuf,
    key: PathBuf,
    certified: Arc<CertifiedKey>,
}

impl Files {
    fn current(&self) -> RwLockReadGuard<'_, Current> {
        self.current.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn load(&self, certificate: PathBuf, key: PathBuf) -> Result<(), TlsError> {
        let certified = certificate::read(&certificate, &key, &self.provider)?;
        let next = Current { certificate, key, certified };
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }
}

impl ResolvesServerCert for Files {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current().certified))
    }
}
