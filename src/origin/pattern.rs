//! Patterns for origins in a list.

use std::fmt;

use super::parse::{NULL, Origin, default_port, is_scheme, split_authority};

/// The error of [`Origins::list`](crate::Origins::list) for an invalid pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidOrigin {
    pattern: String,
    why: &'static str,
}

impl fmt::Display for InvalidOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no pattern of an origin: {}", self.pattern, self.why)
    }
}

impl std::error::Error for InvalidOrigin {}

/// A pattern for origins in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    scheme: Box<str>,
    host: Box<str>,
    /// The pattern matches names that end with a dot and the host.
    below: bool,
    port: PortPattern,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PortPattern {
    Any,
    /// As in [`Origin::port`].
    Is(Option<u16>),
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self, InvalidOrigin> {
        let invalid = |why| InvalidOrigin { pattern: text.to_owned(), why };
        if text == "*" {
            return Err(invalid("`Origins::any` lets every origin in"));
        }
        if text == NULL {
            return Err(invalid("any page can send it; `Origins::any` or `Origins::custom` lets it in"));
        }
        let Some((scheme, authority)) = text.split_once("://").filter(|(scheme, _)| is_scheme(scheme)) else {
            return Err(invalid("it has to begin with a scheme, as in https://www.example.com"));
        };
        if authority.contains(['/', '?', '#', '@']) {
            return Err(invalid(
                "it has a scheme, a host and perhaps a port, and nothing behind, not even a slash",
            ));
        }
        if !authority.is_ascii() {
            return Err(invalid("browsers write the name in ASCII (xn--…)"));
        }
        let (authority, any_port) = match authority.strip_suffix(":*") {
            Some(authority) => (authority, true),
            None => (authority, false),
        };
        let (authority, below) = match authority.strip_prefix("*.") {
            Some(authority) => (authority, true),
            None => (authority, false),
        };
        let Some((host, port)) = split_authority(authority).filter(|(_, port)| !(any_port && port.is_some()))
        else {
            return Err(invalid(
                "the host is not one, or the port; `*` may only stand before a dot or as the port",
            ));
        };
        Ok(Self {
            scheme: scheme.to_ascii_lowercase().into(),
            host: host.to_ascii_lowercase().into(),
            below,
            port: if any_port { PortPattern::Any } else { PortPattern::Is(port.or(default_port(scheme))) },
        })
    }

    pub(super) fn matches(&self, origin: &Origin<'_>) -> bool {
        let host = if self.below {
            // Hosts are ASCII: every byte is a character.
            let name = origin.host.len().checked_sub(self.host.len()).filter(|&length| length > 1);
            name.and_then(|length| {
                let (name, host) = origin.host.split_at(length);
                name.ends_with('.').then_some(host)
            })
        } else {
            Some(origin.host)
        };
        self.scheme.eq_ignore_ascii_case(origin.scheme)
            && host.is_some_and(|host| self.host.eq_ignore_ascii_case(host))
            && match self.port {
                PortPattern::Any => true,
                PortPattern::Is(port) => port == origin.port,
            }
    }
}

/// The pattern as written, except for case and default ports; also a source of a content security policy.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, host, below, port } = self;
        write!(f, "{scheme}://{}{host}", if *below { "*." } else { "" })?;
        match port {
            PortPattern::Any => f.write_str(":*"),
            PortPattern::Is(Some(port)) if default_port(scheme) != Some(*port) => write!(f, ":{port}"),
            PortPattern::Is(_) => Ok(()),
        }
    }
}
