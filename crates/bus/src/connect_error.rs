//! Why there is no connection to an engine.
//!
//! Imports: nothing.

use std::{error::Error, fmt, sync::Arc};

/// The reason why a driver did not connect to its engine.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address is none, or an option cannot be used: what is wrong.
    Invalid(Arc<str>),
    /// The server refuses the credentials, or wants some.
    Unauthorized(Arc<dyn Error + Send + Sync>),
    /// TLS failed: a certificate that is not trusted or cannot be read, or one of the two sides speaks no TLS.
    Tls(Arc<dyn Error + Send + Sync>),
    /// The server is too old for what the driver needs of it.
    Unsupported(Arc<dyn Error + Send + Sync>),
    /// No server can be reached.
    Unreachable(Arc<dyn Error + Send + Sync>),
    /// No server answered in the time that an option gives it.
    TimedOut,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(what) => write!(f, "the address or an option is invalid: {what}"),
            Self::Unauthorized(_) => f.write_str("the server of the bus refuses the credentials"),
            Self::Tls(_) => f.write_str("no TLS connection to the server of the bus"),
            Self::Unsupported(_) => f.write_str("the server of the bus is too old"),
            Self::Unreachable(_) => f.write_str("no server of the bus can be reached"),
            Self::TimedOut => f.write_str("no server of the bus answered in time"),
        }
    }
}

impl Error for ConnectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Unauthorized(error)
            | Self::Tls(error)
            | Self::Unsupported(error)
            | Self::Unreachable(error) => Some(&**error),
            Self::Invalid(_) | Self::TimedOut => None,
        }
    }
}
