//! How a broker comes onto a bus.

use std::sync::Arc;

use sockjs_bus::Bus;
use tokio::runtime::Handle;

use super::{link::Link, settings::Settings, task};
use crate::broker::memory::{over_bus::BuildError, shared::Shared};

/// Connects a broker to those of other nodes, and starts the task that speaks with them.
pub(crate) fn connect(
    shared: &Arc<Shared>,
    bus: Arc<dyn Bus>,
    settings: Settings,
    runtime: &Handle,
) -> Result<Arc<Link>, BuildError> {
    let link = Arc::new(Link::new(shared, bus, settings)?);
    let listening = link.listen_to_nodes();
    runtime.spawn(task::run(Arc::downgrade(&link), Arc::clone(&link.wake), listening, link.status()));
    Ok(link)
}
