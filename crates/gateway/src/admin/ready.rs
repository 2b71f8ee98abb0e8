//! `/readyz`: whether sessions may come, and why not.

use serde::Serialize;

use super::shown::Shown;

#[derive(Debug, Serialize, PartialEq, Eq)]
pub(super) struct Readiness {
    pub(super) ready: bool,
    /// None if it is ready.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<String>,
}

impl From<&Shown> for Readiness {
    fn from(shown: &Shown) -> Self {
        let stopping = shown.is_stopping.then(|| "the gateway is stopping".to_owned());
        let without = shown.pools.iter().filter(|pool| !pool.ready);
        let without = without.map(|pool| format!("the route {} has no backend that is up", pool.route));
        let reasons: Vec<String> = stopping.into_iter().chain(without).collect();
        Self { ready: reasons.is_empty(), reasons }
    }
}
