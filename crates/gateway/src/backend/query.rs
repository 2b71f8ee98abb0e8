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

/// The query of the backend's URL, and behind it that of the client: without what has a name that the first has, since
/// some parsers take the last of a name.
pub(super) fn join(own: Option<&str>, client: Option<&str>) -> Option<String> {
    let own = own.unwrap_or_default();
    let names: Vec<_> = own.split(['&', ';']).filter(|pair| !pair.is_empty()).map(name).collect();
    let is_taken = |pair: &str| pair.split(';').any(|part| names.contains(&name(part)));
    let mut joined = own.to_owned();
    for pair in client.unwrap_or_default().split('&').filter(|pair| !pair.is_empty() && !is_taken(pair)) {
        if !joined.is_empty() {
            joined.push('&');
        }
        joined.push_str(pair);
    }
    (!joined.is_empty()).then_some(joined)
}

/// The name of a pair, such that two are one if any usual parser takes them for one: there are such that ignore case, that
/// take `a[]` and `a[b]` for parts of `a`, that take a dot for an underline, and that end a pair at a semicolon.
fn name(pair: &str) -> String {
    let name =
        form_urlencoded::parse(pair.as_bytes()).next().map_or(String::new(), |(name, _)| name.into_owned());
    let name = name.split(['[', '\0']).next().unwrap_or_default();
    name.trim().to_lowercase().replace(['.', ' '], "_")
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
        assert_eq!(join(Some("a=1"), Some("b=2&c=%26")).as_deref(), Some("a=1&b=2&c=%26"));
    }

    #[test]
    fn a_client_cannot_say_what_the_configuration_says() {
        let own = Some("role=guest&x.y=1&key");
        for said in [
            "role=admin",
            "role",
            "b=2&role=admin",
            "b=2&role=admin&role=root",
            "b=2&r%6Fle=admin",
            "b=2&ROLE=admin",
            "b=2&role[]=admin",
            "b=2&role%5Ba%5D=admin",
            "b=2&+role=admin",
            "b=2&role%00=admin",
            "b=2&c=3;role=admin",
            "b=2&x_y=2",
            "b=2&key=1",
        ] {
            let joined = join(own, Some(said)).unwrap();
            let rest = if said.starts_with("b=2") { "&b=2" } else { "" };
            assert_eq!(joined, format!("role=guest&x.y=1&key{rest}"), "{said}");
        }
        assert_eq!(join(Some("a=1"), Some("aa=2&b=a")).as_deref(), Some("a=1&aa=2&b=a"));
        assert_eq!(join(None, Some("a=1&a=2")).as_deref(), Some("a=1&a=2"));
    }
}
