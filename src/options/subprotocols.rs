//! The sub-protocols of WebSockets ([RFC 6455, section 1.9](https://www.rfc-editor.org/rfc/rfc6455#section-1.9)).

use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, Once},
};

use http::{HeaderMap, header::SEC_WEBSOCKET_PROTOCOL, request::Parts};

/// The sub-protocols that an endpoint knows.
#[derive(Clone, Default)]
pub(crate) enum Subprotocols {
    #[default]
    None,
    /// The first of these that the client offers is chosen.
    Known(Arc<[Cow<'static, str>]>),
    Custom(Arc<Custom>),
}

pub(crate) struct Custom {
    choose: Box<ChooseSubprotocol>,
    /// Whether the log has reported a choice that the client had not offered.
    warning: Once,
}

pub(crate) type ChooseSubprotocol = dyn for<'a> Fn(&[&'a str], &Parts) -> Option<&'a str> + Send + Sync;

impl Subprotocols {
    #[track_caller]
    pub(super) fn known(names: impl IntoIterator<Item = Cow<'static, str>>) -> Self {
        let names: Vec<_> = names.into_iter().collect();
        for (place, name) in names.iter().enumerate() {
            assert!(is_token(name.as_bytes()), "a sub-protocol's name must be a token, not {name:?}");
            assert!(!names[..place].contains(name), "the sub-protocol {name:?} is named twice");
        }
        if names.is_empty() { Self::None } else { Self::Known(names.into()) }
    }

    pub(super) fn custom(choose: Box<ChooseSubprotocol>) -> Self {
        Self::Custom(Arc::new(Custom { choose, warning: Once::new() }))
    }

    pub(crate) fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// The sub-protocol for a request: always one that it offers. `parts` is the head that a custom function sees.
    pub(crate) fn choose(&self, headers: &HeaderMap, parts: impl FnOnce() -> Parts) -> Option<Box<str>> {
        let offered = offered(headers);
        let chosen = match self {
            Self::None => None,
            Self::Known(names) => names.iter().map(|name| &**name).find(|name| offered.contains(name)),
            // Without an offer there is no choice (RFC 6455, section 4.2.2).
            Self::Custom(_) if offered.is_empty() => None,
            Self::Custom(custom) => custom.choose(&offered, &parts()),
        };
        chosen.map(Box::from)
    }
}

impl Custom {
    fn choose<'a>(&self, offered: &[&'a str], parts: &Parts) -> Option<&'a str> {
        let chosen = (self.choose)(offered, parts)?;
        if offered.contains(&chosen) {
            return Some(chosen);
        }
        // A client fails the connection if it gets what it has not offered.
        self.warning.call_once(|| {
            tracing::warn!(
                chosen,
                "the client has not offered the sub-protocol that was chosen; it gets none"
            );
        });
        None
    }
}

impl fmt::Debug for Subprotocols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Known(names) => f.write_str(&names.join(", ")),
            Self::Custom(_) => f.write_str("custom"),
        }
    }
}

/// The names that a request offers, in its order. What is no token is no name.
fn offered(headers: &HeaderMap) -> Vec<&str> {
    let lines = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let names = lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b',')).map(<[u8]>::trim_ascii);
    names.filter(|name| is_token(name)).filter_map(|name| std::str::from_utf8(name).ok()).collect()
}

/// A token of [RFC 9110, section 5.6.2](https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2).
fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        let lines = lines.iter().map(|line| HeaderValue::from_bytes(line.as_bytes()).unwrap());
        lines.map(|line| (SEC_WEBSOCKET_PROTOCOL, line)).collect()
    }

    fn parts() -> Parts {
        http::Request::new(()).into_parts().0
    }

    #[test]
    fn the_first_known_name_that_is_offered_is_chosen() {
        let known = Subprotocols::known(["v12.stomp", "v11.stomp", "chat"].map(Cow::from));
        for (lines, chosen) in [
            (&["chat, superchat"][..], Some("chat")),
            (&["chat,v11.stomp"], Some("v11.stomp")),
            (&["superchat", "\tchat ,x"], Some("chat")),
            (&["caf\u{e9}, chat", ""], Some("chat")),
            (&["Chat"], None),
            (&["superchat"], None),
            (&["a chat", ",,"], None),
            (&[], None),
        ] {
            assert_eq!(known.choose(&headers(lines), parts).as_deref(), chosen, "{lines:?}");
        }
        assert_eq!(Subprotocols::None.choose(&headers(&["chat"]), parts), None);
        assert_eq!(format!("{known:?}"), "v12.stomp, v11.stomp, chat");
    }

    #[test]
    fn a_function_chooses_among_what_is_offered() {
        let last = Subprotocols::custom(Box::new(|offered, _| offered.last().copied()));
        assert_eq!(last.choose(&headers(&["a, b"]), parts).as_deref(), Some("b"));
        assert_eq!(last.choose(&headers(&[]), parts), None);
        let fixed = Subprotocols::custom(Box::new(|_, _| Some("a")));
        assert_eq!(fixed.choose(&headers(&["b, a"]), parts).as_deref(), Some("a"));
        assert_eq!(fixed.choose(&headers(&["b"]), parts), None);
        assert_eq!(fixed.choose(&headers(&[]), || panic!("nothing is offered")), None);
    }

    #[test]
    #[should_panic(expected = "must be a token")]
    fn a_name_is_a_token() {
        Subprotocols::known(["v1 stomp".into()]);
    }

    #[test]
    #[should_panic(expected = "named twice")]
    fn a_name_comes_once() {
        Subprotocols::known(["chat".into(), "chat".into()]);
    }
}
