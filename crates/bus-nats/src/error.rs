//! Why there is no connection.
//!
//! Imports: nothing.

use std::{error::Error, fmt, sync::Arc};

/// The reason why a [`Nats`](crate::Nats) did not connect.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address is none, or an option cannot be used: what is wrong.
    Invalid(Arc<str>),
    /// The server refuses the credentials, or wants some.
    Unauthorized(Arc<dyn Error + Send + Sync>),
    /// TLS failed: a certificate that is not trusted or cannot be read, or a server without TLS.
    Tls(Arc<dyn Error + Send + Sync>),
    /// No server can be reached.
    Unreachable(Arc<dyn Error + Send + Sync>),
    /// No server answered in [time](crate::Options::connect_timeout).
    TimedOut,
}

impl ConnectError {
    pub(crate) fn new(error: async_nats::ConnectError) -> Self {
        use async_nats::ConnectErrorKind::{Authentication, AuthorizationViolation, Dns, Io, MaxReconnects};
        use async_nats::ConnectErrorKind::{ServerParse, TimedOut, Tls};
        match error.kind() {
            ServerParse => Self::Invalid(error.to_string().into()),
            Authentication | AuthorizationViolation => Self::Unauthorized(Arc::new(error)),
            TimedOut => Self::TimedOut,
            Tls => Self::Tls(Arc::new(error)),
            Dns | Io | MaxReconnects => Self::Unreachable(Arc::new(error)),
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(what) => write!(f, "the address or an option is invalid: {what}"),
            Self::Unauthorized(_) => f.write_str("the NATS server refuses the credentials"),
            Self::Tls(_) => f.write_str("no TLS connection to the NATS server"),
            Self::Unreachable(_) => f.write_str("no NATS server can be reached"),
            Self::TimedOut => f.write_str("no NATS server answered in time"),
        }
    }
}

impl Error for ConnectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Unauthorized(error) | Self::Tls(error) | Self::Unreachable(error) => Some(&**error),
            Self::Invalid(_) | Self::TimedOut => None,
        }
    }
}
