//! Why there is no connection.
//!
//! Imports: nothing.

use std::{error::Error, io, sync::Arc};

use async_nats::{ConnectErrorKind, rustls};
use sockjs_bus::ConnectError;

/// What an error of the library means.
pub(crate) fn connect_error(error: async_nats::ConnectError) -> ConnectError {
    match error.kind() {
        ConnectErrorKind::ServerParse => ConnectError::Invalid(error.to_string().into()),
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
            ConnectError::Unauthorized(Arc::new(error))
        }
        ConnectErrorKind::TimedOut => ConnectError::TimedOut,
        ConnectErrorKind::Tls => ConnectError::Tls(Arc::new(error)),
        ConnectErrorKind::Io if is_of_tls(&error) => ConnectError::Tls(Arc::new(error)),
        ConnectErrorKind::Dns | ConnectErrorKind::Io | ConnectErrorKind::MaxReconnects => {
            ConnectError::Unreachable(Arc::new(error))
        }
    }
}

/// Whether it is an error of TLS, which the library gives as one of reading and writing.
fn is_of_tls(error: &async_nats::ConnectError) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    source.and_then(io::Error::get_ref).is_some_and(|inner| inner.is::<rustls::Error>())
}
