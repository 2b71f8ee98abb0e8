//! What an edge says of a request that it forwards, in one header that only nodes can write.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
};

use data_encoding::BASE64URL_NOPAD;
use http::{
    HeaderName, HeaderValue, Method,
    uri::{Authority, Scheme},
};

use super::{
    node_id::{MAX_NODE_ID, NodeId, decode_address, encode_address},
    secret::{MAC, NONCE, Seal},
};

/// The header's name. An endpoint of a cluster takes it from nodes only.
pub(crate) const FORWARDED: HeaderName = HeaderName::from_static("sockjs-forwarded");

/// The longest authority that fits: a host has 253 characters and a port six.
const MAX_AUTHORITY: usize = 512;

const COUNTER: usize = 8;
const MAX_BYTES: usize = MAX_NODE_ID + COUNTER + 1 + 19 + MAX_AUTHORITY + MAC;

/// What the owner would know of a request if the client had come to it, and the request itself does not say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Forwarded {
    /// The client's address, if the edge knows it.
    pub(crate) client: Option<SocketAddr>,
    /// Of the request's URL, which HTTP/1.1 does not carry: `http` or `https`.
    pub(crate) scheme: Option<Scheme>,
    /// Of the request's URL; `Host` is a header like any other.
    pub(crate) authority: Option<Authority>,
    /// Whether the edge shuts down, so that nothing should wait there for long.
    pub(crate) leaving: bool,
}

const HTTP: u8 = 1;
const HTTPS: u8 = 2;
const CLIENT: u8 = 4;
const LEAVING: u8 = 8;

impl Forwarded {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let mut flags = match &self.scheme {
            Some(scheme) if *scheme == Scheme::HTTPS => HTTPS,
            Some(scheme) if *scheme == Scheme::HTTP => HTTP,
            _ => 0,
        };
        flags |= if self.leaving { LEAVING } else { 0 };
        flags |= if self.client.is_some() { CLIENT } else { 0 };
        out.push(flags);
        if let Some(client) = self.client {
            encode_address(client, out);
        }
        let authority = self.authority.as_ref().map_or("", Authority::as_str);
        if authority.len() <= MAX_AUTHORITY {
            out.extend_from_slice(authority.as_bytes());
        }
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (&flags, rest) = bytes.split_first()?;
        let (client, rest) = match flags & CLIENT {
            0 => (None, rest),
            _ => decode_address(rest).map(|(client, rest)| (Some(client), rest))?,
        };
        let scheme = match flags & (HTTP | HTTPS) {
            HTTPS => Some(Scheme::HTTPS),
            HTTP => Some(Scheme::HTTP),
            _ => None,
        };
        let authority = match rest {
            [] => None,
            text => Some(Authority::try_from(text).ok()?),
        };
        Some(Self { client, scheme, authority, leaving: flags & LEAVING != 0 })
    }
}

/// The request that a header is for. It means nothing on another.
pub(crate) struct Context<'a> {
    pub(crate) method: &'a Method,
    /// The path below the endpoint, since the prefix is a matter of the application's router.
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
}

impl<'a> Context<'a> {
    /// What proves to the writer of a header that a node has read it. No request has such a path.
    pub(crate) fn proof(header: &'a HeaderValue) -> Option<Self> {
        Some(Self { method: &Method::GET, path: header.to_str().ok()?, query: None })
    }

    fn bytes(&self) -> Vec<u8> {
        let (method, query) = (self.method.as_str(), self.query.unwrap_or_default());
        let mut bytes = Vec::with_capacity(method.len() + self.path.len() + query.len() + 2);
        for part in [method, " ", self.path, "?", query] {
            bytes.extend_from_slice(part.as_bytes());
        }
        bytes
    }
}

/// Writes the headers of one start of a node.
pub(super) struct Writer {
    node: NodeId,
    key: Seal,
    /// The key is this start's own, so a counter never gives a nonce twice.
    counter: AtomicU64,
}

impl Writer {
    pub(super) fn new(node: NodeId, key: Seal) -> Self {
        Self { node, key, counter: AtomicU64::new(0) }
    }

    pub(super) fn write(&self, forwarded: &Forwarded, context: &Context<'_>) -> HeaderValue {
        let counter = self.counter.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let mut bytes = Vec::with_capacity(96);
        self.node.encode(&mut bytes);
        bytes.extend_from_slice(&counter);
        let start = bytes.len();
        forwarded.encode(&mut bytes);
        self.key.seal(nonce(counter), &context.bytes(), &mut bytes, start);
        HeaderValue::try_from(BASE64URL_NOPAD.encode(&bytes)).expect("base64 is a header's value")
    }
}

fn nonce(counter: [u8; COUNTER]) -> [u8; NONCE] {
    let mut nonce = [0; NONCE];
    nonce[NONCE - COUNTER..].copy_from_slice(&counter);
    nonce
}

/// A header before it is authenticated.
pub(super) struct Sealed {
    /// The node that says to have written it.
    pub(super) node: NodeId,
    nonce: [u8; NONCE],
    bytes: Vec<u8>,
    start: usize,
}

impl Sealed {
    pub(super) fn parse(value: &HeaderValue) -> Option<Self> {
        if value.len() > MAX_BYTES.div_ceil(3) * 4 {
            return None;
        }
        let bytes = BASE64URL_NOPAD.decode(value.as_bytes()).ok()?;
        let (node, rest) = NodeId::decode(&bytes)?;
        let (counter, rest) = rest.split_first_chunk()?;
        let (nonce, start) = (nonce(*counter), bytes.len() - rest.len());
        Some(Self { node, nonce, bytes, start })
    }

    /// `None` if another key or another request is meant.
    pub(super) fn open(&self, key: &Seal, context: &Context<'_>) -> Option<Forwarded> {
        Forwarded::decode(&key.open(self.nonce, &context.bytes(), &self.bytes[self.start..])?)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::{super::secret::Secret, *};

    const GET: Context<'_> = Context { method: &Method::GET, path: "/~tag/000/id/xhr", query: Some("a=b") };

    fn node() -> NodeId {
        NodeId { address: "10.1.2.3:80".parse().unwrap(), boot: 7 }
    }

    fn forwarded() -> impl Strategy<Value = Forwarded> {
        let client = proptest::option::of(any::<(std::net::IpAddr, u16)>().prop_map(SocketAddr::from));
        let scheme = proptest::sample::select(vec![None, Some(Scheme::HTTP), Some(Scheme::HTTPS)]);
        let authority = proptest::option::of("[a-z0-9.-]{1,20}(:[0-9]{1,4})?");
        (client, scheme, authority, any::<bool>()).prop_map(|(client, scheme, authority, leaving)| {
            let authority = authority.map(|text| text.parse().unwrap());
            Forwarded { client, scheme, authority, leaving }
        })
    }

    proptest! {
        #[test]
        fn the_owner_reads_what_the_edge_writes(forwarded in forwarded()) {
            let secret = Secret::new(b"a");
            let writer = Writer::new(node(), secret.forwarded_by(&node()));
            let value = writer.write(&forwarded, &GET);
            let sealed = Sealed::parse(&value).unwrap();
            prop_assert_eq!(sealed.node, node());
            prop_assert_eq!(sealed.open(&secret.forwarded_by(&node()), &GET), Some(forwarded.clone()));
            prop_assert_ne!(writer.write(&forwarded, &GET), value);
        }

        #[test]
        fn a_changed_header_says_nothing(
            forwarded in forwarded(), at in any::<prop::sample::Index>(), other in "[A-Za-z0-9_-]",
        ) {
            let secret = Secret::new(b"a");
            let key = secret.forwarded_by(&node());
            let value = Writer::new(node(), key).write(&forwarded, &GET);
            let text = value.to_str().unwrap();
            let at = at.index(text.len());
            for changed in [format!("{}{other}{}", &text[..at], &text[at + 1..]), text[..at].to_owned()] {
                if changed != text {
                    let sealed = Sealed::parse(&HeaderValue::try_from(changed).unwrap());
                    let opened = sealed.and_then(|sealed| sealed.open(&secret.forwarded_by(&sealed.node), &GET));
                    prop_assert_eq!(opened, None);
                }
            }
        }
    }

    #[test]
    fn a_header_is_for_one_request() {
        let secret = Secret::new(b"a");
        let key = secret.forwarded_by(&node());
        let value = Writer::new(node(), key.clone()).write(&Forwarded::default(), &GET);
        let sealed = Sealed::parse(&value).unwrap();
        assert!(sealed.open(&key, &GET).is_some());
        for other in [
            Context { method: &Method::POST, ..GET },
            Context { path: "/~tag/000/id/xhr_send", ..GET },
            Context { query: Some("a=c"), ..GET },
            Context { query: None, ..GET },
        ] {
            assert_eq!(sealed.open(&key, &other), None);
        }
        let other = NodeId { boot: 8, ..node() };
        assert_eq!(sealed.open(&secret.forwarded_by(&other), &GET), None);
        assert_eq!(sealed.open(&Secret::new(b"b").forwarded_by(&node()), &GET), None);
    }

    #[test]
    fn a_long_authority_is_left_out() {
        let authority = Some(format!("{}.example", "a".repeat(600)).parse().unwrap());
        let mut bytes = Vec::new();
        Forwarded { authority, ..Forwarded::default() }.encode(&mut bytes);
        assert_eq!(Forwarded::decode(&bytes), Some(Forwarded::default()));
    }
}
