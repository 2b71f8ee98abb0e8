//! Why a gateway does not start.

use std::{error::Error, fmt, io, net::SocketAddr};

use axum_sockjs::InvalidCluster;
use axum_sockjs_serve::TlsError;

use super::route_error::RouteError;

/// Why a gateway does not start, or a reload has left everything as it was.
#[derive(Debug)]
#[non_exhaustive]
pub struct StartError(Kind);

#[derive(Debug)]
enum Kind {
    Listen { address: SocketAddr, error: io::Error },
    Tls(TlsError),
    Cluster(InvalidCluster),
    Route { path: String, error: RouteError },
}

impl StartError {
    pub(super) fn listen(address: SocketAddr, error: io::Error) -> Self {
        Self(Kind::Listen { address, error })
    }

    pub(super) fn route((path, error): (String, RouteError)) -> Self {
        Self(Kind::Route { path, error })
    }
}

impl From<TlsError> for StartError {
    fn from(error: TlsError) -> Self {
        Self(Kind::Tls(error))
    }
}

impl From<InvalidCluster> for StartError {
    fn from(error: InvalidCluster) -> Self {
        Self(Kind::Cluster(error))
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Listen { address, error } => write!(f, "{address} cannot be listened at: {error}"),
            Kind::Tls(error) => write!(f, "tls: {error}"),
            Kind::Cluster(error) => write!(f, "cluster: {error}"),
            Kind::Route { path, error } => write!(f, "route {path}: {error}"),
        }
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0 {
            Kind::Listen { error, .. } => Some(error),
            Kind::Tls(error) => Some(error),
            Kind::Cluster(error) => Some(error),
            Kind::Route { error, .. } => Some(error),
        }
    }
}
