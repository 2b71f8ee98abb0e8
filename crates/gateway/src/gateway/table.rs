//! Which route has a path.

use std::sync::Arc;

use super::route::Route;

/// The routes, those with the longest paths first.
#[derive(Debug, Default)]
pub(super) struct Table(Vec<Arc<Route>>);

impl Table {
    pub(super) fn new(mut routes: Vec<Arc<Route>>) -> Self {
        routes.sort_by_key(|route| std::cmp::Reverse(route.path.len()));
        Self(routes)
    }

    /// The route of a path: below several, that with the longest path of its own.
    pub(super) fn route(&self, path: &str) -> Option<&Arc<Route>> {
        self.0.iter().find(|route| route.serves(path))
    }

    /// The route that has exactly this path.
    pub(super) fn get(&self, path: &str) -> Option<&Arc<Route>> {
        self.0.iter().find(|route| *route.path == *path)
    }

    pub(super) fn routes(&self) -> &[Arc<Route>] {
        &self.0
    }
}
