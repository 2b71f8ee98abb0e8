//! A route: a path, how clients are served below it, and where their messages go.

use super::{backend::Upstream, endpoint::Endpoint};

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Route {
    /// Such as `/chat`: begins with a slash, does not end with one.
    pub(crate) path: String,
    /// The browsers' side. A reload that changes it serves new sessions by another endpoint, beside the old one.
    pub(crate) endpoint: Endpoint,
    /// The backends' side. A reload that changes it counts for the sessions that open from then on.
    pub(crate) upstream: Upstream,
}
