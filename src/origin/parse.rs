//! Origins as text.

/// The origin of pages that hide theirs.
pub(super) const NULL: &str = "null";

/// An origin, as in [RFC 6454, section 6.2](https://www.rfc-editor.org/rfc/rfc6454#section-6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Origin<'a> {
    pub(super) scheme: &'a str,
    pub(super) host: &'a str,
    /// `None` if the scheme has no ports.
    pub(super) port: Option<u16>,
}

impl<'a> Origin<'a> {
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let (host, port) = split_authority(authority)?;
        is_scheme(scheme).then(|| Self { scheme, host, port: port.or(default_port(scheme)) })
    }
}

/// Splits `host:port`; an empty port is `None`.
pub(super) fn split_authority(authority: &str) -> Option<(&str, Option<u16>)> {
    // The colons of an IPv6 address are in brackets.
    let end = if authority.starts_with('[') {
        authority.find(']')? + 1
    } else {
        authority.bytes().position(|b| b == b':').unwrap_or(authority.len())
    };
    let (host, port) = authority.split_at(end);
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => None,
        None => return None,
        Some("") => None,
        Some(digits) => Some(parse_port(digits)?),
    };
    is_host(host).then_some((host, port))
}

pub(super) fn parse_port(digits: &str) -> Option<u16> {
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// Whether this can be a name or an address. Only characters that are safe in every header are allowed.
pub(super) fn is_host(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => {
            !address.is_empty() && address.bytes().all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'))
        }
        None => {
            let is_letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
            !host.is_empty() && !host.starts_with('.') && host.bytes().all(is_letter)
        }
    }
}

pub(super) fn is_scheme(scheme: &str) -> bool {
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

pub(crate) fn default_port(scheme: &str) -> Option<u16> {
    // Some clients that are not browsers write the scheme of their WebSocket URL.
    if ["http", "ws"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        Some(80)
    } else if ["https", "wss"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        Some(443)
    } else {
        None
    }
}
