//! What is measured.

use crate::{
    choice::Chosen,
    load::{Shape, Transport},
};

/// What a row measures, as one figure per server.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Work {
    /// Deliveries per second of the server's processor time.
    Messages { shape: Shape, sessions: usize, in_flight: u64, size: usize },
    /// Clients that connect, get `CONNECTED` and leave, per second of the server's processor time; plain SockJS sessions
    /// get one message back.
    Connects,
    /// Resident KiB per idle client that has subscribed.
    Idle { sessions: usize },
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    /// What `--rows` looks for.
    pub(super) id: String,
    pub(super) title: String,
    pub(super) transport: Transport,
    pub(super) work: Work,
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

pub(super) fn all() -> Vec<Row> {
    use Transport::{RawWebSocket, WebSocket, XhrStreaming};
    const TRANSPORTS: [Transport; 3] = [RawWebSocket, WebSocket, XhrStreaming];
    let mut rows = Vec::new();
    let mut push = |id: &str, title: &str, transport: Transport, work, quick| {
        let name = transport.name();
        let (id, title) = (format!("{id}-{name}"), format!("{title}: {name}"));
        rows.push(Row { id, title, transport, work, quick });
    };
    for (id, title, sessions, in_flight, size) in [
        ("fan-out-200-1", "fan-out of 64 B to 200, 1 in flight", 200, 1, 64),
        ("fan-out-200-16", "fan-out of 64 B to 200, 16 in flight", 200, 16, 64),
        ("fan-out-200-1KiB", "fan-out of 1 KiB to 200, 1 in flight", 200, 1, 1024),
        ("fan-out-10000-1", "fan-out of 64 B to 10,000, 1 in flight", 10_000, 1, 64),
    ] {
        for transport in TRANSPORTS {
            let work = Work::Messages { shape: Shape::Broadcast, sessions, in_flight, size };
            push(id, title, transport, work, sessions == 200 && size == 64);
        }
    }
    for (id, title, shape, sessions) in [
        ("pairs", "64 B from one session to one other, 16 pairs", Shape::Pairs, 32),
        ("echo", "64 B to a handler that answers, 16 sessions", Shape::Echo, 16),
    ] {
        for in_flight in [1, 16] {
            for transport in TRANSPORTS {
                let work = Work::Messages { shape, sessions, in_flight, size: 64 };
                let (id, title) = (format!("{id}-{in_flight}"), format!("{title}, {in_flight} in flight"));
                push(&id, &title, transport, work, in_flight == 1);
            }
        }
    }
    for transport in TRANSPORTS {
        push("connects", "clients that connect and leave", transport, Work::Connects, true);
    }
    for transport in TRANSPORTS {
        let title = "idle subscribed client at 10,000, resident KiB";
        push("idle", title, transport, Work::Idle { sessions: 10_000 }, false);
    }
    rows
}

/// The same with few sessions.
pub(super) fn smoke() -> Vec<Row> {
    let mut rows = all();
    rows.retain(|row| {
        matches!(
            row.work,
            Work::Messages { sessions: ..=200, in_flight: 1, size: 64, .. }
                | Work::Connects
                | Work::Idle { .. }
        )
    });
    for row in &mut rows {
        match &mut row.work {
            Work::Messages { sessions, .. } | Work::Idle { sessions } => *sessions = 6,
            Work::Connects => {}
        }
    }
    rows
}
