//! Which route has a path.

use std::sync::Arc;

use super::route::Route;

/// The routes, also those that a reload has removed and that have sessions left. The path of none that is configured is
/// below that of another.
#[derive(Debug, Default)]
pub(super) struct Table(Vec<Arc<Route>>);

impl Table {
    pub(super) fn new(routes: Vec<Arc<Route>>) -> Self {
        Self(routes)
    }

    /// The route of a path. A removed one has no path but those of its sessions, which may be below a route of now.
    pub(super) fn route(&self, path: &str) -> Option<&Arc<Route>> {
        let serving = || self.0.iter().filter(|route| route.serves(path));
        let removed = serving().find(|route| route.is_removed() && route.has_session_at(path));
        removed.or_else(|| serving().find(|route| !route.is_removed()))
    }

    /// Without the routes that are gone.
    pub(super) fn without_gone(&self) -> Self {
        Self(self.0.iter().filter(|route| !route.is_gone()).cloned().collect())
    }

    /// The route that has exactly this path.
    pub(super) fn get(&self, path: &str) -> Option<&Arc<Route>> {
        self.0.iter().find(|route| *route.path == *path)
    }

    pub(super) fn routes(&self) -> &[Arc<Route>] {
        &self.0
    }
}
