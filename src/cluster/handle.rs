//! One node of a cluster.

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::{Arc, PoisonError, RwLock},
};

use http::HeaderValue;

use super::{
    edges::{Edge, Edges},
    forwarded::{Context, Forwarded, Writer},
    node_id::NodeId,
    options::{ClusterOptions, InvalidCluster, MIN_SECRET},
    owners::{Owners, Times},
    public_url::PublicUrl,
    secret::Secret,
    tag,
};
use crate::util::random;

/// This node of a cluster, for [`Options::cluster`](crate::Options::cluster): any node then answers any request of a
/// session, and forwards it to the node that has the session. See the [guide](crate::guide::cluster).
///
/// All endpoints of a process share one: clones are the same node.
#[derive(Clone)]
pub struct Cluster(Arc<Node>);

struct Node {
    /// The first one seals.
    secrets: Arc<[Secret]>,
    id: NodeId,
    tag: Box<str>,
    /// The tags of other nodes that have been read.
    tags: RwLock<HashMap<Box<str>, NodeId>>,
    edges: Edges,
    owners: Arc<Owners>,
    public_url: Option<PublicUrl>,
}

/// Other nodes, and starts of them, that may have tags in use; beyond it, they are read anew.
const MAX_TAGS: usize = 1024;

/// Where the session of a tag is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// At this node.
    Here,
    /// At an earlier start of this node, so nowhere.
    Lost,
    Elsewhere(NodeId),
}

impl Cluster {
    /// Creates this node. Its number, which is in its tag, is new each time: sessions do not survive a restart.
    ///
    /// # Errors
    /// Returns [`InvalidCluster`] for a secret below 32 bytes, two equal ones, an address without a port or without a
    /// known IP address, a public URL that is no absolute `http` or `https` URL (or has a query), and limits of zero.
    pub fn new(options: ClusterOptions) -> Result<Self, InvalidCluster> {
        let ClusterOptions {
            secret,
            other_secret,
            address,
            public_url,
            connect_timeout: connect,
            answer_timeout: answer,
            idle_timeout: idle,
            max_connections,
        } = options;
        let texts = [Some(&secret), other_secret.as_ref()].into_iter().flatten();
        if texts.clone().any(|text| text.len() < MIN_SECRET) {
            return Err(InvalidCluster("the secret of a cluster must be a random text of at least 32 bytes"));
        }
        if other_secret.as_ref() == Some(&secret) {
            return Err(InvalidCluster("the other secret of a cluster must differ from the first"));
        }
        if connect.is_zero() || answer.is_zero() || max_connections == 0 {
            return Err(InvalidCluster("a limit of zero lets no node reach another"));
        }
        let public_url = match public_url {
            Some(url) => Some(PublicUrl::parse(&url).ok_or(InvalidCluster(
                "the public URL is not an absolute `http` or `https` URL without a query",
            ))?),
            None => None,
        };
        let secrets: Arc<[_]> = texts.map(|text| Secret::new(text.as_bytes())).collect();
        let id = NodeId { address: reachable(address)?, boot: u64::from_be_bytes(random::bytes()) };
        let tag = tag::seal(&secrets[0].tags, &id).into();
        let writer = Writer::new(id, secrets[0].forwarded_by(&id));
        let owners = Arc::new(Owners::new(
            writer,
            Arc::clone(&secrets),
            Times { connect, answer, idle },
            max_connections,
        ));
        let (tags, edges) = Default::default();
        Ok(Self(Arc::new(Node { secrets, id, tag, tags, edges, owners, public_url })))
    }

    /// Returns the address at which this node says that it can be reached.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.0.id.address
    }

    pub(crate) fn tag(&self) -> &str {
        &self.0.tag
    }

    pub(crate) fn public_url(&self) -> Option<&PublicUrl> {
        self.0.public_url.as_ref()
    }

    pub(super) fn owners(&self) -> &Arc<Owners> {
        &self.0.owners
    }

    pub(super) fn read_tag(&self, tag: &str) -> Option<NodeId> {
        tag::open(&self.0.secrets, tag)
    }

    /// Where the session of a tag is; `None` if no node has made the tag.
    pub(crate) fn place(&self, tag: &str) -> Option<Place> {
        if tag == self.tag() {
            return Some(Place::Here);
        }
        let known = self.0.tags.read().unwrap_or_else(PoisonError::into_inner).get(tag).copied();
        let node = match known {
            Some(node) => node,
            None => {
                let node = self.read_tag(tag)?;
                let mut tags = self.0.tags.write().unwrap_or_else(PoisonError::into_inner);
                if tags.len() >= MAX_TAGS {
                    tags.clear();
                }
                tags.insert(tag.into(), node);
                node
            }
        };
        Some(if node == self.0.id {
            // Sealed with the other secret by a clone of these options; the number makes it this one.
            Place::Here
        } else if node.address == self.0.id.address {
            Place::Lost
        } else {
            Place::Elsewhere(node)
        })
    }

    /// Reads the header of a forwarded request. `None` unless a node has written it, for this request.
    pub(crate) fn read_forwarded(
        &self,
        value: &HeaderValue,
        context: &Context<'_>,
    ) -> Option<(Arc<Edge>, Forwarded)> {
        self.0.edges.read(&self.0.secrets, value, context)
    }

    /// What proves to another node that this one has read its header, and so knows the secret.
    pub(crate) fn prove(&self, header: &HeaderValue) -> Option<HeaderValue> {
        Some(self.owners().writer.write(&Forwarded::default(), &Context::proof(header)?))
    }

    /// Asks the nodes for which this one waits to end that, without a loss: this one shuts down.
    pub(crate) fn leave(&self) {
        for owner in self.owners().waited_for() {
            let owners = Arc::clone(self.owners());
            tokio::spawn(async move { owners.leave(&owner).await });
        }
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("address", &self.address())
            .field("public_url", &self.0.public_url)
            .finish_non_exhaustive()
    }
}

/// The address that a listener has for others.
fn reachable(address: SocketAddr) -> Result<SocketAddr, InvalidCluster> {
    if address.port() == 0 {
        return Err(InvalidCluster("the internal address has no port: use that of the bound listener"));
    }
    if !address.ip().is_unspecified() {
        return Ok(address);
    }
    let own = own_address(address.is_ipv6()).ok_or(InvalidCluster(
        "the internal address is the unspecified one, and the machine has no route that would tell its own",
    ))?;
    Ok(SocketAddr::new(own, address.port()))
}

/// The address from which this machine would reach other networks. A datagram socket that is connected chooses it, and
/// sends nothing. A listener at `::` usually serves IPv4 too.
fn own_address(v6: bool) -> Option<IpAddr> {
    // Addresses for documentation, which nobody has.
    let to_v4 = (IpAddr::from(Ipv4Addr::UNSPECIFIED), IpAddr::from(Ipv4Addr::new(192, 0, 2, 1)));
    let to_v6 =
        (IpAddr::from(Ipv6Addr::UNSPECIFIED), IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)));
    let ways = if v6 { [Some(to_v6), Some(to_v4)] } else { [Some(to_v4), None] };
    ways.into_iter().flatten().find_map(|(from, to)| {
        let socket = UdpSocket::bind((from, 0)).ok()?;
        socket.connect((to, 9)).ok()?;
        let own = socket.local_addr().ok()?.ip();
        (!own.is_unspecified()).then_some(own)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "a secret of thirty-two bytes, or more";

    fn at(address: &str) -> ClusterOptions {
        ClusterOptions::new(SECRET, address.parse().unwrap())
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let zero = std::time::Duration::ZERO;
        for (options, word) in [
            (ClusterOptions::new("short", "127.0.0.1:80".parse().unwrap()), "32 bytes"),
            (at("127.0.0.1:80").other_secret("short"), "32 bytes"),
            (at("127.0.0.1:80").other_secret(SECRET), "differ"),
            (at("127.0.0.1:0"), "no port"),
            (at("127.0.0.1:80").public_url("www.example.com"), "public URL"),
            (at("127.0.0.1:80").connect_timeout(zero), "zero"),
            (at("127.0.0.1:80").answer_timeout(zero), "zero"),
            (at("127.0.0.1:80").max_connections(0), "zero"),
        ] {
            let text = format!("{options:?}");
            assert!(!text.contains(SECRET), "{text}");
            let error = Cluster::new(options).unwrap_err().to_string();
            assert!(error.contains(word), "{word}: {error}");
        }
    }

    #[test]
    fn each_start_is_another_node() {
        let (first, second) =
            (Cluster::new(at("10.0.0.1:80")).unwrap(), Cluster::new(at("10.0.0.1:80")).unwrap());
        let other = Cluster::new(at("10.0.0.2:80")).unwrap();
        assert_eq!(first.place(first.tag()), Some(Place::Here));
        assert_eq!(second.place(first.tag()), Some(Place::Lost));
        assert!(
            matches!(other.place(first.tag()), Some(Place::Elsewhere(node)) if node.address == first.address())
        );
        // The second time from the cache.
        assert_eq!(other.place(first.tag()), other.place(first.tag()));
        assert_eq!(other.place("x"), None);
        assert_eq!(other.place(""), None);
        let foreign = ClusterOptions::new(SECRET.to_uppercase(), "10.0.0.1:80".parse().unwrap());
        assert_eq!(other.place(Cluster::new(foreign).unwrap().tag()), None);
    }

    #[test]
    fn a_listener_for_all_addresses_has_one_for_others() {
        // A machine without any route has none.
        if own_address(false).is_some() {
            let cluster = Cluster::new(at("0.0.0.0:8081")).unwrap();
            assert!(!cluster.address().ip().is_unspecified());
            assert_eq!(cluster.address().port(), 8081);
        }
    }
}
