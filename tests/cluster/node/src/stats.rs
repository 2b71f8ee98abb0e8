//! What a node has counted.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use axum::{
    Json,
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use axum_sockjs::SockJsHandle;
use axum_sockjs_rooms::BusStats;
use serde_json::{Value, json};
use sockjs_bus::{Bus, Status};
use tokio::runtime::Handle;

use crate::rooms::Rooms;

#[derive(Clone)]
pub(crate) struct Stats(Arc<Counted>);

struct Counted {
    handles: Vec<(&'static str, SockJsHandle)>,
    rooms: Rooms,
    bus: Option<Arc<dyn Bus>>,
    /// Requests for services.
    requests: AtomicU64,
    /// Those of them that say that another node has forwarded them.
    forwarded: AtomicU64,
}

impl Stats {
    pub(crate) fn new(
        handles: Vec<(&'static str, SockJsHandle)>,
        rooms: Rooms,
        bus: Option<Arc<dyn Bus>>,
    ) -> Self {
        let (requests, forwarded) = Default::default();
        Self(Arc::new(Counted { handles, rooms, bus, requests, forwarded }))
    }
}

/// Counts each request but those for what has been counted.
pub(crate) async fn count(State(stats): State<Stats>, request: Request, next: Next) -> Response {
    if !["/stats", "/presence"].contains(&request.uri().path()) {
        stats.0.requests.fetch_add(1, Relaxed);
        let is_forwarded = request.headers().contains_key("sockjs-forwarded");
        stats.0.forwarded.fetch_add(u64::from(is_forwarded), Relaxed);
    }
    next.run(request).await
}

pub(crate) async fn show(State((Stats(stats), _)): State<(Stats, Rooms)>) -> Json<Value> {
    let endpoints: BTreeMap<_, _> =
        stats.handles.iter().map(|(name, handle)| (*name, endpoint(handle))).collect();
    let rooms = stats.rooms.stats();
    Json(json!({
        "requests": stats.requests.load(Relaxed),
        "forwarded": stats.forwarded.load(Relaxed),
        "tasks": Handle::current().metrics().num_alive_tasks(),
        "endpoints": endpoints,
        "members": rooms.members,
        "bus": rooms.bus.as_ref().map(bus),
        "reconnects": stats.bus.as_ref().map(|bus| bus.stats().reconnects),
        "overflowed": stats.bus.as_ref().map(|bus| bus.stats().overflowed),
    }))
}

fn endpoint(handle: &SockJsHandle) -> Value {
    let stats = handle.stats();
    let named = |counted: &mut dyn Iterator<Item = (&'static str, u64)>| {
        counted.filter(|(_, number)| *number > 0).collect::<BTreeMap<_, _>>()
    };
    json!({
        "open": handle.len(),
        "opened": stats.total().opened,
        "attached": stats.total().attached,
        "sent": stats.total().messages_sent,
        "handlers": stats.handlers,
        "closed": named(&mut stats.closed.iter().map(|(kind, number)| (kind.name(), *number))),
        "rejected": named(&mut stats.rejected.iter().map(|(cause, number)| (cause.name(), *number))),
    })
}

fn bus(stats: &BusStats) -> Value {
    json!({
        "status": match stats.status {
            Status::Connected => "connected",
            Status::Reconnecting { .. } => "reconnecting",
            _ => "closed",
        },
        "nodes": stats.nodes,
        "published": stats.port.published,
        "refused": stats.port.refused,
        "received": stats.port.received,
        "missed": stats.port.missed,
        "repeated": stats.port.repeated,
        "holes": stats.holes,
        "notKept": stats.not_kept,
        "historiesLost": stats.histories_lost,
        "dead": stats.dead,
    })
}
