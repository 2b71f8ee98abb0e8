//! Why a certificate cannot be used.

use std::{error::Error, fmt, io, path::PathBuf};

/// The reason why a certificate or its key cannot be used. Its text names the file, and what is wrong with it.
#[derive(Debug)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[non_exhaustive]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The answer of the operating system.
        error: io::Error,
    },
    /// A file is damaged: what begins as PEM does not go on as such.
    #[non_exhaustive]
    Malformed {
        /// The file.
        file: PathBuf,
        /// What is damaged.
        error: Box<dyn Error + Send + Sync>,
    },
    /// A file has no certificate in PEM format.
    #[non_exhaustive]
    NoCertificate {
        /// The file.
        file: PathBuf,
    },
    /// A file has no private key in PEM format, or one with a password.
    #[non_exhaustive]
    NoKey {
        /// The file.
        file: PathBuf,
    },
    /// What stands in PEM format is no certificate.
    #[non_exhaustive]
    Certificate {
        /// The file.
        file: PathBuf,
        /// The answer of rustls.
        error: rustls::Error,
    },
    /// What stands in PEM format is no key, or one of a kind that is not supported.
    #[non_exhaustive]
    Key {
        /// The file.
        file: PathBuf,
        /// The answer of rustls.
        error: rustls::Error,
    },
    /// The key is that of another certificate.
    #[non_exhaustive]
    Mismatch {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { file, error } => write!(f, "{} cannot be read: {error}", file.display()),
            Self::Malformed { file, error } => write!(f, "{} is damaged: {error}", file.display()),
            Self::NoCertificate { file } => {
                write!(f, "{} has no certificate in PEM format", file.display())
            }
            Self::NoKey { file } => {
                write!(f, "{} has no private key in PEM format without a password", file.display())
            }
            Self::Certificate { file, error } => {
                write!(f, "{} has a certificate that cannot be used: {error}", file.display())
            }
            Self::Key { file, error } => {
                write!(f, "{} has a private key that cannot be used: {error}", file.display())
            }
            Self::Mismatch { certificate, key } => write!(
                f,
                "the private key in {} is not that of the first certificate in {}",
                key.display(),
                certificate.display()
            ),
        }
    }
}

/// The text has the cause, which is thus no source.
impl Error for TlsError {}
