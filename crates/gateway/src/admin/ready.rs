//! `/readyz`: whether sessions may come, and why not.
//!
//! A gateway is ready while one of its routes takes sessions. If one route without a backend made it unready, a balancer
//! would take the sessions of all other routes from it too, and from its sisters, whose backends are the same.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::shown::Shown;

/// The query of `/readyz`.
#[derive(Debug, Deserialize)]
pub(super) struct Question {
    /// Ask for this one only.
    pub(super) route: Option<String>,
}

#[derive(Debug, Serialize, PartialEq, Eq)]
pub(super) struct Readiness {
    pub(super) ready: bool,
    /// Whether each route takes sessions, by its path.
    routes: BTreeMap<String, bool>,
    /// What is not well, also while it is ready.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<String>,
}

impl Readiness {
    /// None if there is no such route.
    pub(super) fn of(shown: &Shown, route: Option<&str>) -> Option<Self> {
        let pools = shown.pools.iter().filter(|pool| pool.is_configured);
        let routes: BTreeMap<String, bool> = pools
            .filter(|pool| route.is_none_or(|route| *pool.route == *route))
            .map(|pool| (pool.route.to_string(), pool.ready && !shown.is_stopping))
            .collect();
        if route.is_some() && routes.is_empty() {
            return None;
        }
        let stopping = shown.is_stopping.then(|| "the gateway is stopping".to_owned());
        let without = shown.pools.iter().filter(|pool| !pool.ready && routes.contains_key(&*pool.route));
        let without = without.map(|pool| format!("the route {} has no backend that is up", pool.route));
        let reasons: Vec<String> = stopping.into_iter().chain(without).collect();
        Some(Self { ready: routes.values().any(|ready| *ready), routes, reasons })
    }
}
