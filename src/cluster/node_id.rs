//! What names a node: its internal address, and which start of it this is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A start of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct NodeId {
    /// Where the other nodes reach it.
    pub(crate) address: SocketAddr,
    /// A number that each start chooses at random.
    pub(crate) boot: u64,
}

/// The first byte of an encoded id, by the family of its address.
const V4: u8 = 4;
const V6: u8 = 6;

/// The longest encoded id, in bytes.
pub(super) const MAX_NODE_ID: usize = 1 + 16 + 2 + 8;

impl NodeId {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        encode_address(self.address, out);
        out.extend_from_slice(&self.boot.to_be_bytes());
    }

    /// Reads an id at the beginning of `bytes`, and returns the rest.
    pub(super) fn decode(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (address, rest) = decode_address(bytes)?;
        let (boot, rest) = rest.split_first_chunk()?;
        Some((Self { address, boot: u64::from_be_bytes(*boot) }, rest))
    }
}

/// Appends an address in 7 or 19 bytes. The scope and flow of an IPv6 address mean nothing to another node.
pub(super) fn encode_address(address: SocketAddr, out: &mut Vec<u8>) {
    match address.ip() {
        IpAddr::V4(ip) => {
            out.push(V4);
            out.extend_from_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            out.push(V6);
            out.extend_from_slice(&ip.octets());
        }
    }
    out.extend_from_slice(&address.port().to_be_bytes());
}

pub(super) fn decode_address(bytes: &[u8]) -> Option<(SocketAddr, &[u8])> {
    let (ip, rest) = match bytes.split_first()? {
        (&V4, rest) => rest.split_first_chunk().map(|(ip, rest)| (IpAddr::V4(Ipv4Addr::from(*ip)), rest))?,
        (&V6, rest) => {
            rest.split_first_chunk::<16>().map(|(ip, rest)| (IpAddr::V6(Ipv6Addr::from(*ip)), rest))?
        }
        _ => return None,
    };
    let (port, rest) = rest.split_first_chunk()?;
    Some((SocketAddr::new(ip, u16::from_be_bytes(*port)), rest))
}
