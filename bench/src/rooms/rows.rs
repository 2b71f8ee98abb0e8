//! What is measured: one member of a room sends, and all get it.

use crate::{choice::Chosen, load::Transport};

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    /// What `--rows` looks for.
    pub(super) id: String,
    pub(super) transport: Transport,
    pub(super) members: usize,
    pub(super) in_flight: u64,
    pub(super) history: bool,
    /// Whether `--quick` leaves it in.
    pub(super) quick: bool,
}

impl Chosen for Row {
    fn id(&self) -> &str {
        &self.id
    }

    fn is_quick(&self) -> bool {
        self.quick
    }
}

/// Deliveries per second while latencies are measured: a fraction of what one core can do.
const DELIVERIES: f64 = 15_000.0;

impl Row {
    pub(super) fn title(&self) -> String {
        let number = match self.members {
            members if members >= 1000 => format!("{},{:03}", members / 1000, members % 1000),
            members => members.to_string(),
        };
        let with = if self.history { ", with history" } else { "" };
        format!("{number} members by {}, {} in flight{with}", self.transport.name(), self.in_flight)
    }

    /// Messages per second while latencies are measured.
    pub(super) fn rate(&self) -> f64 {
        DELIVERIES / self.members as f64
    }
}

pub(super) fn all() -> Vec<Row> {
    use Transport::{WebSocket, XhrStreaming};
    let rows = [
        (WebSocket, 300, 1, false),
        (WebSocket, 300, 16, false),
        (WebSocket, 3000, 1, false),
        (XhrStreaming, 300, 1, false),
        (WebSocket, 300, 1, true),
        (WebSocket, 300, 16, true),
        (WebSocket, 3000, 1, true),
    ];
    let row = |(transport, members, in_flight, history): (Transport, usize, u64, bool)| {
        let kind = if history { "kept" } else { "plain" };
        Row {
            id: format!("{kind}-{}-{members}-{in_flight}", transport.name()),
            transport,
            members,
            in_flight,
            history,
            quick: members == 300 && in_flight == 1 && transport == WebSocket,
        }
    };
    rows.into_iter().map(row).collect()
}

/// The same with few members.
pub(super) fn smoke() -> Vec<Row> {
    let mut rows = all();
    rows.retain(|row| row.members == 300);
    rows.iter_mut().for_each(|row| row.members = 6);
    rows
}
