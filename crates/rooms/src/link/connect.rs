//! How a node comes onto a bus.

use std::sync::Arc;

use sockjs_bus::Bus;
use tokio::runtime::Handle;

use super::{
    link::{Link, Settings},
    task,
};
use crate::{
    build_error::BuildError,
    key::{Data, Key},
    node::node::Node,
};

/// Connects a node, and starts the task that tells the others of it.
pub(crate) fn connect<K: Key, U: Key, D: Data>(
    node: &Arc<Node<K, U, D>>,
    bus: Arc<dyn Bus>,
    settings: Settings,
    runtime: &Handle,
) -> Result<(), BuildError> {
    let link = Arc::new(Link::new(node, bus, settings, runtime)?);
    let subscriptions = link.listen_to_all();
    runtime.spawn(task::run(Arc::downgrade(&link), Arc::clone(&link.wake), subscriptions));
    node.set_elsewhere(link);
    Ok(())
}
