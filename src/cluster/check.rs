//! Whether one node can reach another.

use std::{fmt, io, net::SocketAddr, pin::pin};

use http::StatusCode;
use http_body_util::{BodyExt as _, Limited};

use super::{connection::Connection, forwarded::Forwarded, handle::Cluster, owners::MAX_ANSWER};
use crate::util::timeout::timeout;

impl Cluster {
    /// Checks that this node reaches another at its internal address, that there is an endpoint of the same cluster below
    /// `prefix` (as clients see it behind the public URL, `""` or for instance `"/echo"`), and that the other node
    /// knows itself by this address. It may also be asked of the node's own address.
    ///
    /// ```no_run
    /// # async fn check(cluster: axum_sockjs::Cluster, others: Vec<std::net::SocketAddr>) {
    /// for other in others {
    ///     if let Err(error) = cluster.check(other, "/echo").await {
    ///         eprintln!("{other}: {error}");
    ///     }
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    /// Returns a [`CheckError`] that says how far it came, within
    /// [`connect_timeout`](crate::ClusterOptions::connect_timeout) and
    /// [`answer_timeout`](crate::ClusterOptions::answer_timeout).
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection.
    pub async fn check(&self, address: SocketAddr, prefix: &str) -> Result<(), CheckError> {
        let owners = self.owners();
        let mut connection =
            Connection::open(address, owners.times.connect).await.map_err(CheckError::Connect)?;
        let request = owners.check(address, prefix.trim_end_matches('/'), &Forwarded::default());
        let answer = pin!(async {
            let answer = connection.send(request).await.map_err(|_| CheckError::NoAnswer)?;
            let (parts, body) = answer.into_parts();
            if parts.status != StatusCode::OK {
                return Err(CheckError::Status(parts.status));
            }
            let mut body = Box::pin(Limited::new(body, MAX_ANSWER).collect());
            let whole = std::future::poll_fn(|cx| {
                // The connection reads only while it is asked whether it is ready.
                connection.is_ready(cx);
                body.as_mut().poll(cx)
            });
            whole.await.map_err(|_| CheckError::NotANode)
        });
        let answer = timeout(owners.times.answer, answer).await.unwrap_or(Err(CheckError::NoAnswer))?;
        let tag = String::from_utf8(answer.to_bytes().into()).map_err(|_| CheckError::NotANode)?;
        match self.read_tag(&tag) {
            Some(node) if node.address == address => Ok(()),
            Some(node) => Err(CheckError::OtherAddress(node.address)),
            None => Err(CheckError::NotANode),
        }
    }
}

/// Why one node does not reach another: see [`Cluster::check`].
#[derive(Debug)]
#[non_exhaustive]
pub enum CheckError {
    /// There is no connection: the address, a firewall, or a node that is down.
    Connect(io::Error),
    /// The connection has brought no answer in time.
    NoAnswer,
    /// The answer has this status. 404 means that there is no endpoint below the prefix, that its options have no
    /// cluster, or that its secrets are others; another one comes from what stands before the endpoint.
    Status(StatusCode),
    /// What answers is no node of a cluster with these secrets.
    NotANode,
    /// The node says that others reach it at this address, which is in its tags.
    OtherAddress(SocketAddr),
}

impl fmt::Display for CheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => write!(f, "no connection: {error}"),
            Self::NoAnswer => f.write_str("no answer"),
            Self::Status(StatusCode::NOT_FOUND) => {
                f.write_str("404: no endpoint there, or none of a cluster with this secret")
            }
            Self::Status(status) => write!(f, "the answer is {status}"),
            Self::NotANode => f.write_str("what answers is no node of this cluster"),
            Self::OtherAddress(address) => write!(f, "the node there says that its address is {address}"),
        }
    }
}

impl std::error::Error for CheckError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Connect(error) => Some(error),
            _ => None,
        }
    }
}
