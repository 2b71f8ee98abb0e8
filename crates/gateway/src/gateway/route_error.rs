//! What a route cannot be made of.

use std::{error::Error, fmt, io, path::PathBuf};

use axum_sockjs::InvalidOptions;

use crate::backend::connector::ConnectorError;

#[derive(Debug)]
pub(crate) enum RouteError {
    /// Options that do not go together.
    Options(InvalidOptions),
    ClientScript {
        file: PathBuf,
        error: io::Error,
    },
    /// TLS to a backend.
    Connector(ConnectorError),
}

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Options(error) => error.fmt(f),
            Self::ClientScript { file, error } => write!(f, "the client script {}: {error}", file.display()),
            Self::Connector(error) => error.fmt(f),
        }
    }
}

impl Error for RouteError {}

impl From<ConnectorError> for RouteError {
    fn from(error: ConnectorError) -> Self {
        Self::Connector(error)
    }
}
