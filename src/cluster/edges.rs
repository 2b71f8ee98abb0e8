//! The nodes that forward requests to this one.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::HeaderValue;
use tokio::{
    sync::{Notify, futures::OwnedNotified},
    time::Instant,
};

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
    /// When it has said last that it shuts down.
    left: Mutex<Option<Instant>>,
}

/// An edge says each second that it shuts down, as long as it waits for something. After this long without a word what
/// shuts down there was one endpoint of several.
const LEFT: Duration = Duration::from_secs(5);

impl Edge {
    fn left(&self) -> MutexGuard<'_, Option<Instant>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Completes when the edge says that it shuts down. `None` if it has already: that may overtake a request.
    pub(crate) fn leaves(&self) -> Option<OwnedNotified> {
        // In this order, so that nothing is missed in between.
        let leaves = Arc::clone(&self.leaves).notified_owned();
        let has_left = self.left().is_some_and(|left| left.elapsed() < LEFT);
        (!has_left).then_some(leaves)
    }

    /// What waits here for the edge has to end.
    pub(crate) fn leave(&self) {
        *self.left() = Some(Instant::now());
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
            // A request that has not begun to wait holds the edge itself.
            edges.retain(|_, edge| Arc::strong_count(edge) > 1 || Arc::strong_count(&edge.leaves) > 1);
        }
        if edges.len() >= MAX_EDGES {
            edges.clear();
        }
        let new =
            || Arc::new(Edge { node: sealed.node, key, leaves: Arc::default(), left: Mutex::default() });
        let edge = Arc::clone(edges.entry(sealed.node).or_insert_with(new));
        Some((edge, forwarded))
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::{super::forwarded::Writer, *};

    fn request(edges: &Edges, port: u16) -> Arc<Edge> {
        let secrets = [Secret::new(b"a secret")];
        let node = NodeId { address: ([127, 0, 0, 1], port).into(), boot: 1 };
        let writer = Writer::new(node, secrets[0].forwarded_by(&node));
        let context = Context { method: &Method::GET, path: "/~", query: None };
        let header = writer.write(&Forwarded::default(), &context);
        edges.read(&secrets, &header, &context).expect("it is authentic").0
    }

    #[tokio::test(start_paused = true)]
    async fn who_begins_to_wait_after_the_edge_has_left_learns_of_it() {
        let edges = Edges::default();
        let edge = request(&edges, 1);
        let earlier = edge.leaves().expect("it has not left");
        edge.leave();
        earlier.await;
        assert!(request(&edges, 1).leaves().is_none());
        // One endpoint of several may have been shut down.
        tokio::time::advance(LEFT).await;
        assert!(request(&edges, 1).leaves().is_some());
    }

    #[test]
    fn an_edge_with_a_request_under_way_is_not_forgotten() {
        let edges = Edges::default();
        let edge = request(&edges, 1);
        (2..2 + MAX_EDGES as u16).for_each(|port| drop(request(&edges, port)));
        request(&edges, 1).leave();
        assert!(edge.leaves().is_none());
    }
}
