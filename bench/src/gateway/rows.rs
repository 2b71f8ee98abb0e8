//! What is measured.

use crate::{choice::Chosen, load::Transport};

/// What a row measures, as one figure per server.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Work {
    /// Messages that come back, per second of processor time.
    Echo { sessions: usize, in_flight: u64, size: usize },
    /// Sessions that open and end, per second of processor time.
    Comes,
    /// Resident KiB per idle session.
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
    use Transport::{EventSource, RawWebSocket, WebSocket, XhrPolling, XhrStreaming};
    let mut rows = Vec::new();
    for (id, title, work, quick) in [
        ("64B-1", "echo of 64 B, 1 in flight", echo(16, 1, 64), true),
        ("64B-16", "echo of 64 B, 16 in flight", echo(16, 16, 64), true),
        ("1KiB-1", "echo of 1 KiB, 1 in flight", echo(16, 1, 1 << 10), false),
        ("16KiB-1", "echo of 16 KiB, 1 in flight", echo(16, 1, 16 << 10), false),
        ("64B-1-of-1000", "echo of 64 B, 1 in flight, 1,000 sessions", echo(1000, 1, 64), false),
        ("comes", "sessions that open and end", Work::Comes, false),
        // Twice as many sockets in the gateway: many a shell may have 20,000.
        ("idle", "idle session at 9,000, resident KiB", Work::Idle { sessions: 9_000 }, false),
    ] {
        for transport in [RawWebSocket, WebSocket, XhrStreaming, EventSource, XhrPolling] {
            let name = transport.name();
            let (id, title) = (format!("{id}-{name}"), format!("{title}: {name}"));
            let quick = quick && transport != EventSource;
            rows.push(Row { id, title, transport, work, quick });
        }
    }
    rows
}

const fn echo(sessions: usize, in_flight: u64, size: usize) -> Work {
    Work::Echo { sessions, in_flight, size }
}

/// Some of them, with few sessions.
pub(super) fn smoke() -> Vec<Row> {
    let mut rows = all();
    rows.retain(|row| !matches!(row.work, Work::Echo { sessions: 1000, .. }));
    for row in &mut rows {
        match &mut row.work {
            Work::Echo { sessions, .. } | Work::Idle { sessions } => *sessions = 6,
            Work::Comes => {}
        }
    }
    rows
}
