//! Who the client is, where proxies in front are trusted.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

use crate::config::headers::is_claim;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies in front whose word counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Proxies(Vec<IpNet>);

impl Proxies {
    pub(super) fn new(trusted: Vec<IpNet>) -> Self {
        Self(trusted)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn trusts(&self, address: IpAddr) -> bool {
        // An IPv4 client of a socket for both families has an IPv6 address.
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Removes what a client says in the words of a proxy.
    pub(super) fn strip(&self, headers: &mut HeaderMap, peer: Option<SocketAddr>) {
        if peer.is_some_and(|peer| self.trusts(peer.ip())) {
            return;
        }
        let claims: Vec<_> = headers.keys().filter(|name| is_claim(name)).cloned().collect();
        for name in claims {
            headers.remove(name);
        }
    }

    /// The client's address: of those that the request has passed through, from here on, the first that is no trusted
    /// proxy's. What stands before it in `X-Forwarded-For` may be invented.
    pub(super) fn client(&self, headers: &HeaderMap, peer: IpAddr) -> IpAddr {
        let mut client = peer.to_canonical();
        let lines = headers.get_all(X_FORWARDED_FOR).into_iter().rev();
        for hop in lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.rsplit(',')) {
            if !self.trusts(client) {
                return client;
            }
            let Some(address) = parse(hop.trim()) else { return client };
            client = address;
        }
        client
    }
}

/// What of an address is one host: a single one has all IPv6 addresses that begin with the same 64 bits.
pub(super) fn host(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address @ IpAddr::V4(_) => address,
    }
}

/// An address, perhaps with a port or in brackets.
fn parse(hop: &str) -> Option<IpAddr> {
    let address = hop.parse::<IpAddr>().ok();
    let address = address.or_else(|| hop.parse::<SocketAddr>().ok().map(|address| address.ip()));
    let address = address.or_else(|| hop.strip_prefix('[')?.strip_suffix(']')?.parse().ok());
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn proxies() -> Proxies {
        Proxies::new(["10.0.0.0/8", "::1/128"].map(|network| network.parse().unwrap()).to_vec())
    }

    fn headers(lines: &[&str]) -> HeaderMap {
        let lines = lines.iter().map(|line| HeaderValue::from_bytes(line.as_bytes()).unwrap());
        lines.map(|line| (X_FORWARDED_FOR, line)).collect()
    }

    #[test]
    fn the_client_is_the_last_that_no_trusted_proxy_is() {
        for (peer, lines, client) in [
            ("192.0.2.1", &["198.51.100.7"][..], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &["6.6.6.6, 198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &["6.6.6.6", "198.51.100.7,10.0.0.2"], "198.51.100.7"),
            ("10.0.0.1", &["6.6.6.6, garbage, 10.0.0.2"], "10.0.0.2"),
            ("::ffff:10.0.0.1", &["[2001:db8::1]:443"], "2001:db8::1"),
            ("::1", &["[2001:db8::1]"], "2001:db8::1"),
            ("10.0.0.1", &["198.51.100.7:80"], "198.51.100.7"),
            ("10.0.0.1", &["10.0.0.9, 10.0.0.8"], "10.0.0.9"),
        ] {
            let found = proxies().client(&headers(lines), peer.parse().unwrap());
            assert_eq!(found, client.parse::<IpAddr>().unwrap(), "{peer} {lines:?}");
        }
    }

    #[test]
    fn a_host_has_a_network_of_ipv6() {
        for (address, whole) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:0:1:2:3:4:5", "2001:db8:0:1::"),
        ] {
            assert_eq!(host(address.parse().unwrap()), whole.parse::<IpAddr>().unwrap(), "{address}");
        }
    }

    #[test]
    fn only_trusted_proxies_speak_of_their_clients() {
        for (peer, stays) in [("10.1.2.3:4", true), ("[::1]:4", true), ("192.0.2.1:4", false)] {
            let mut headers = HeaderMap::new();
            for name in
                ["forwarded", "x-forwarded-for", "x-forwarded-port", "x-forwarded-prefix", "x-real-ip"]
            {
                headers.append(name, HeaderValue::from_static("a"));
                headers.append(name, HeaderValue::from_static("b"));
            }
            headers.insert("accept", HeaderValue::from_static("c"));
            proxies().strip(&mut headers, Some(peer.parse().unwrap()));
            assert_eq!(headers.len(), if stays { 11 } else { 1 }, "{peer}");
        }
        let mut nobody = headers(&["1.2.3.4"]);
        proxies().strip(&mut nobody, None);
        assert!(nobody.is_empty());
    }
}
