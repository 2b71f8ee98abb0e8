//! Why there is no connection.
//!
//! Imports: nothing.

use std::{error::Error, fmt, sync::Arc};

use redis::{ErrorKind, RedisError};

/// The reason why a [`Redis`](crate::Redis) did not connect.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address is none, or an option cannot be used: what is wrong.
    Invalid(Arc<str>),
    /// The server refuses the credentials, or wants some.
    Unauthorized(Arc<dyn Error + Send + Sync>),
    /// The server is too old: it does not speak RESP3, which Redis does since 6.0.
    Unsupported(Arc<dyn Error + Send + Sync>),
    /// The server cannot be reached, or TLS fails.
    Unreachable(Arc<dyn Error + Send + Sync>),
    /// The server did not answer in [time](crate::Options::connect_timeout).
    TimedOut,
}

impl ConnectError {
    pub(crate) fn new(error: RedisError) -> Self {
        match error.kind() {
            ErrorKind::AuthenticationFailed => Self::Unauthorized(Arc::new(error)),
            ErrorKind::InvalidClientConfig => Self::Invalid(error.to_string().into()),
            ErrorKind::RESP3NotSupported => Self::Unsupported(Arc::new(error)),
            _ if error.is_timeout() => Self::TimedOut,
            _ if matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM")) => {
                Self::Unauthorized(Arc::new(error))
            }
            _ => Self::Unreachable(Arc::new(error)),
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(what) => write!(f, "the address or an option is invalid: {what}"),
            Self::Unauthorized(_) => f.write_str("the Redis server refuses the credentials"),
            Self::Unsupported(_) => f.write_str("the Redis server does not speak RESP3"),
            Self::Unreachable(_) => f.write_str("the Redis server cannot be reached"),
            Self::TimedOut => f.write_str("the Redis server did not answer in time"),
        }
    }
}

impl Error for ConnectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Unauthorized(error) | Self::Unsupported(error) | Self::Unreachable(error) => Some(&**error),
            Self::Invalid(_) | Self::TimedOut => None,
        }
    }
}
