//! The nodes that forward requests to this one.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use http::HeaderValue;
use tokio::sync::{Notify, futures::OwnedNotified};

use super::{
    forwarded::{Context, Forwarded, Sealed},
    node_id::NodeId,
    secret::{Seal, Secret},
};

/// As many edges are known as a cluster may have nodes; a restarted one is another. Beyond it, keys are derived anew.
const MAX_EDGES: usize = 256;

/// The nodes that have forwarded something to this one.
#[derive(Default)]
pub(super) struct Edges(Mutex<HashMap<NodeId, Arc<Edge>>>);

/// A node that forwards requests to this one.
pub(crate) struct Edge {
    pub(crate) node: NodeId,
    key: Seal,
    leaves: Arc<Notify>,
}

impl Edge {
    /// Completes when the edge says that it shuts down.
    pub(crate) fn leaves(&self) -> OwnedNotified {
        Arc::clone(&self.leaves).notified_owned()
    }

    /// What waits here for the edge has to end.
    pub(crate) fn leave(&self) {
        self.leaves.notify_waiters();
    }
}

impl Edges {
    /// Reads the header of a forwarded request. `None` unless a node has written it, for this request.
    pub(super) fn read(
        &self,
        secrets: &[Secret],
        value: &HeaderValue,
        context: &Context<'_>,
    ) -> Option<(Arc<Edge>, Forwarded)> {
        let sealed = Sealed::parse(value)?;
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&sealed.node).cloned();
        if let Some(edge) = known {
            let forwarded = sealed.open(&edge.key, context)?;
            return Some((edge, forwarded));
        }
        let (key, forwarded) = secrets.iter().find_map(|secret| {
            let key = secret.forwarded_by(&sealed.node);
            let forwarded = sealed.open(&key, context)?;
            Some((key, forwarded))
        })?;
        let mut edges = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if edges.len() >= MAX_EDGES {
            edges.retain(|_, edge| Arc::strong_count(&edge.leaves) > 1);
        }
        if edges.len() >= MAX_EDGES {
            edges.clear();
        }
        let new = || Arc::new(Edge { node: sealed.node, key, leaves: Arc::default() });
        let edge = Arc::clone(edges.entry(sealed.node).or_insert_with(new));
        Some((edge, forwarded))
    }
}
