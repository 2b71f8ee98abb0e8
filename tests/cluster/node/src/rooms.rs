//! Rooms over the bus.
//!
//! `/room?key=KEY&since=POSITION` is a member of the room. Each message is a line for all members, and is itself JSON; they
//! get `{"line":…}`, or `{"position":…,"line":…}` in a room whose key begins with `kept`, which has a history. A member
//! is first told `{"joined":KEY,"node":…}`, with a history `{"outcome":…,"position":…}` before that. Who sends is told
//! `{"unsent":…}` if the line has not gone to the other nodes, or to nobody.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    BoxError, Json,
    extract::{Query, State},
};
use axum_sockjs::{Message, Session};
use axum_sockjs_rooms::{History, Position, Recovery};
use serde::Deserialize;
use serde_json::{Value, json};
use sockjs_bus::Bus;

use crate::stats::Stats;

pub(crate) type Rooms = axum_sockjs_rooms::Rooms<String, String, ()>;

/// How fast a node comes back to its bus, so that a test does not wait longer than it has to.
const MAX_RECONNECT_DELAY: Duration = Duration::from_millis(200);

pub(crate) async fn bus(address: &str, ping_interval: Duration) -> Result<Arc<dyn Bus>, BoxError> {
    if address.starts_with("nats:") {
        let options = sockjs_bus_nats::Options::new(address);
        let options = options.ping_interval(ping_interval).max_reconnect_delay(MAX_RECONNECT_DELAY);
        Ok(Arc::new(options.connect().await?))
    } else {
        let options = sockjs_bus_redis::Options::new(address);
        let options = options.ping_interval(ping_interval).max_reconnect_delay(MAX_RECONNECT_DELAY);
        Ok(Arc::new(options.connect().await?))
    }
}

pub(crate) fn rooms(bus: Option<Arc<dyn Bus>>, dead_after: Duration, name: SocketAddr) -> Rooms {
    let builder = Rooms::builder()
        .history_of(|key| key.starts_with("kept").then(|| History::last(10_000)))
        .encode(|position, line| {
            let line = line.as_str().unwrap_or("null");
            format!(r#"{{"position":"{position}","line":{line}}}"#).into()
        });
    match bus {
        Some(bus) => builder.bus(bus).dead_after(dead_after).node_name(name.to_string()).build(),
        None => builder.build(),
    }
}

#[derive(Deserialize)]
pub(crate) struct Visit {
    key: String,
    since: Option<Position>,
}

fn greet(recovery: &Recovery) -> Option<Message> {
    Message::json(&json!({ "outcome": recovery.outcome, "position": recovery.position })).ok()
}

pub(crate) async fn room(
    Query(Visit { key, since }): Query<Visit>,
    State((rooms, node)): State<(Rooms, SocketAddr)>,
    mut session: Session,
) -> Result<(), BoxError> {
    let has_history = key.starts_with("kept");
    let joined = Message::json(&json!({ "joined": key, "node": node }))?;
    let join = rooms.join(&session, key);
    let member = if has_history { join.since(since).last(0).greet(greet).await? } else { join.await? };
    session.send(joined).await?;
    while let Some(line) = session.recv().await {
        let line = line.as_str().unwrap_or("null");
        let line = if has_history { line.to_owned() } else { format!(r#"{{"line":{line}}}"#) };
        let sent = member.send(line);
        let unsent = sent.refused.map(|refused| format!("{refused:?}"));
        if let Some(unsent) = unsent.or_else(|| sent.bus.map(|error| format!("{error:?}"))) {
            session.send(Message::json(&json!({ "unsent": unsent }))?).await?;
        }
    }
    Ok(())
}

/// How many members each room has on all nodes, by their numbers: `{"10": 1000}` are 1,000 rooms of ten.
pub(crate) async fn presence(State((_, rooms)): State<(Stats, Rooms)>) -> Json<Value> {
    let mut rooms_of = BTreeMap::<usize, usize>::new();
    for key in rooms.keys() {
        *rooms_of.entry(rooms.len(&key)).or_default() += 1;
    }
    Json(json!(rooms_of))
}
