//! Which route has a path.

use std::sync::Arc;

use super::route::Route;

/// The routes. The path of none is below that of another.
#[derive(Debug, Default)]
pub(super) struct Table(Vec<Arc<Route>>);

impl Table {
    pub(super) fn new(routes: Vec<Arc<Route>>) -> Self {
        Self(routes)
    }

    /// The route of a path.
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
