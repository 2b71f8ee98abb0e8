//! Why there is no connection.
//!
//! Imports: nothing.

use std::sync::Arc;

use redis::{ErrorKind, RedisError};
use sockjs_bus::ConnectError;

/// What an error of the library means.
pub(crate) fn connect_error(error: RedisError) -> ConnectError {
    match error.kind() {
        ErrorKind::AuthenticationFailed => ConnectError::Unauthorized(Arc::new(error)),
        ErrorKind::InvalidClientConfig => ConnectError::Invalid(error.to_string().into()),
        // Redis does since 6.0.
        ErrorKind::RESP3NotSupported => ConnectError::Unsupported(Arc::new(error)),
        _ if error.is_timeout() => ConnectError::TimedOut,
        _ if is_of_tls(&error) => ConnectError::Tls(Arc::new(error)),
        _ if matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM")) => {
            ConnectError::Unauthorized(Arc::new(error))
        }
        _ => ConnectError::Unreachable(Arc::new(error)),
    }
}

#[cfg(feature = "tls")]
fn is_of_tls(error: &RedisError) -> bool {
    use std::{error::Error, io};
    // The library's sources are pointers to errors.
    let source = error.source().and_then(|source| source.downcast_ref::<Arc<dyn Error + Send + Sync>>());
    let Some(source) = source else { return false };
    let inner = source.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    source.is::<rustls::Error>() || inner.is_some_and(|inner| inner.is::<rustls::Error>())
}

#[cfg(not(feature = "tls"))]
const fn is_of_tls(_: &RedisError) -> bool {
    false
}
