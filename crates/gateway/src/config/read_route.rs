//! The words of a route, and of what all routes have in common.

use std::{ops::Range, path::Path};

use super::{
    backend::Upstream,
    endpoint::Endpoint,
    problem::Problem,
    read_endpoint, read_upstream,
    route::Route,
    table::{Table, Value},
    value::of_text,
};

/// What a route has whose table says nothing else.
#[derive(Debug, Clone, Default)]
pub(super) struct Defaults {
    pub(super) endpoint: Endpoint,
    pub(super) upstream: Upstream,
}

/// A route of the file, with the place of its path.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) route: Route,
    pub(super) path: Range<usize>,
    pub(super) table: Range<usize>,
}

pub(super) fn defaults(table: &Table<'_>, directory: &Path) -> Defaults {
    let mut defaults = Defaults::default();
    read_endpoint::endpoint(table, directory, &mut defaults.endpoint);
    read_upstream::upstream(table, directory, &mut defaults.upstream);
    defaults
}

/// A route without a path is a problem, and `None`.
pub(super) fn route(table: &Table<'_>, directory: &Path, defaults: &Defaults) -> Option<Placed> {
    let Defaults { mut endpoint, mut upstream } = defaults.clone();
    let path = table.require("path", of_text(path));
    upstream.backends = read_upstream::backends(table);
    read_endpoint::endpoint(table, directory, &mut endpoint);
    read_upstream::upstream(table, directory, &mut upstream);
    let encrypted = upstream.backends.iter().any(|backend| backend.url.scheme_str() == Some("wss"));
    if let Some(tls) = table.get("backend_tls").filter(|_| !encrypted && !upstream.backends.is_empty()) {
        table.notes.push(tls.wrong("`backend_tls` is for backends whose URL begins with `wss:`"));
    }
    let span = table.get("path").map_or(0..0, Value::span);
    Some(Placed { route: Route { path: path?, endpoint, upstream }, path: span, table: table.span.clone() })
}

/// A path below which clients are served.
pub(crate) fn path(text: &str) -> Result<String, String> {
    let shown = text.escape_debug();
    if text == "/" {
        return Err("the root cannot be a route: clients need a path such as `/chat`".to_owned());
    }
    let Some(rest) = text.strip_prefix('/') else {
        return Err(format!("`{shown}` is no path: it begins with a slash, such as `/chat`"));
    };
    if text.ends_with('/') {
        return Err(format!(
            "`{shown}` ends with a slash: did you mean `{}`?",
            text.trim_end_matches('/').escape_debug()
        ));
    }
    let is_segment = |segment: &str| {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
        !matches!(segment, "" | "." | "..") && segment.bytes().all(is_plain)
    };
    if !rest.split('/').all(is_segment) {
        return Err(format!(
            "`{shown}` is no path of a route: between slashes it has letters, digits, and `-._~`"
        ));
    }
    Ok(text.to_owned())
}

/// Whether clients of one route would be taken for those of the other.
pub(super) fn overlap(one: &str, other: &str) -> bool {
    let below =
        |path: &str, prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'));
    one == other || below(one, other) || below(other, one)
}

/// What is wrong with a route as a whole.
pub(super) fn judge(route: &Route, span: Option<&Range<usize>>) -> Option<Problem> {
    let problem = |text: String| Problem { span: span.cloned(), text, hidden: false };
    if let Err(error) = route.endpoint.options().validate() {
        return Some(problem(format!("route `{}`: {error}", route.path)));
    }
    if route.upstream.connect_timeout > route.upstream.open_timeout {
        return Some(problem(format!(
            "route `{}`: `connect_timeout`, for one backend, must not exceed `open_timeout`, for all that are tried",
            route.path
        )));
    }
    None
}
