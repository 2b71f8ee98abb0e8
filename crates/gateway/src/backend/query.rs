//! The query of the backend's URL, and that of the client behind it.

use super::opening::Kind;

/// The query of the application, without what sockjs-client appends for itself: the time against caches where it uses
/// XHR, and the name of the function that JSONP and htmlfile call. It appends them, so a parameter of the same name that
/// the application has before stays.
pub(super) fn of_application(query: &str, kind: Kind) -> &str {
    let (rest, last) = query.rsplit_once('&').unwrap_or(("", query));
    let (name, value) = last.split_once('=').unwrap_or((last, ""));
    let is_own = match kind {
        Kind::WebSocket | Kind::EventSource => false,
        Kind::Xhr => name == "t" && !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()),
        Kind::Callback => matches!(name, "c" | "callback"),
    };
    if is_own { rest } else { query }
}

/// One query behind the other.
pub(super) fn join(first: Option<&str>, second: Option<&str>) -> Option<String> {
    let parts = [first, second].map(|query| query.filter(|query| !query.is_empty()));
    match parts {
        [None, None] => None,
        [Some(one), None] | [None, Some(one)] => Some(one.to_owned()),
        [Some(first), Some(second)] => Some(format!("{first}&{second}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_client_appends_is_not_the_applications() {
        for (kind, query, rest) in [
            (Kind::WebSocket, "a=1&t=2", "a=1&t=2"),
            (Kind::EventSource, "a=1&t=2", "a=1&t=2"),
            (Kind::Xhr, "t=1764300000000", ""),
            (Kind::Xhr, "a=1&t=2&t=1764300000000", "a=1&t=2"),
            (Kind::Xhr, "t=1764300000000&a=1", "t=1764300000000&a=1"),
            (Kind::Xhr, "a=1&t=b", "a=1&t=b"),
            (Kind::Xhr, "a=1&t=", "a=1&t="),
            (Kind::Xhr, "a=1&c=d", "a=1&c=d"),
            (Kind::Callback, "c=_jp.a123", ""),
            (Kind::Callback, "c=d&c=_jp.a123", "c=d"),
            (Kind::Callback, "a=1&callback=f", "a=1"),
            (Kind::Callback, "a=1&t=2", "a=1&t=2"),
            (Kind::Xhr, "", ""),
        ] {
            assert_eq!(of_application(query, kind), rest, "{kind:?} {query}");
        }
    }

    #[test]
    fn queries_join() {
        assert_eq!(join(None, None), None);
        assert_eq!(join(Some("a=1"), Some("")).as_deref(), Some("a=1"));
        assert_eq!(join(None, Some("b")).as_deref(), Some("b"));
        assert_eq!(join(Some("a=1"), Some("a=2")).as_deref(), Some("a=1&a=2"));
    }
}
