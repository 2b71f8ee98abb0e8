//! What is measured, and the goals.

use crate::load::{Body, Transport};

/// What a row measures, as one figure per server.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Work {
    /// Messages per second of the server's processor time.
    Echo { transport: Transport, sessions: usize, in_flight: u64, size: usize, body: Body },
    /// Answers of `/info` per second of the server's processor time.
    Info,
    /// Deliveries of messages from one session to all, per second of the server's processor time.
    Broadcast { transport: Transport, sessions: usize, in_flight: u64 },
    /// Resident bytes per idle session.
    Idle { transport: Transport, sessions: usize },
    /// Microseconds of the server's processor time per heartbeat.
    Heartbeat { transport: Transport, sessions: usize },
}

/// What a figure is to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Goal {
    /// So many times sockjs-node's: what must be, and what is aimed for.
    Times(f64, f64),
    /// At the most.
    Below(f64, f64),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// What `--rows` looks for.
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) work: Work,
    pub(crate) goal: Goal,
    /// Whether `--quick` leaves it in.
    pub(crate) quick: bool,
}

pub(crate) fn all() -> Vec<Row> {
    use Transport::{EventSource, HtmlFile, JsonpPolling, WebSocket, XhrPolling, XhrStreaming};
    let mut rows = Vec::new();
    // Each transport's goals: for 1 and 16 small messages in flight, and for 4 large ones.
    let echoes = [
        (WebSocket, [(1.5, 1.8), (5.0, 10.0), (7.0, 12.0)]),
        (XhrStreaming, [(2.1, 2.5), (3.5, 5.0), (5.0, 9.0)]),
        (EventSource, [(2.1, 2.5), (3.5, 5.0), (5.0, 9.0)]),
        (HtmlFile, [(2.1, 2.5), (3.5, 5.0), (5.0, 9.0)]),
        (XhrPolling, [(2.8, 3.5), (5.0, 7.0), (6.0, 12.0)]),
        (JsonpPolling, [(2.8, 3.5), (5.0, 7.0), (6.0, 12.0)]),
    ];
    for (transport, goals) in echoes {
        let shapes = [(64, "64 B", 1), (64, "64 B", 16), (16 << 10, "16 KiB", 4)];
        for ((size, size_name, in_flight), (must, aim)) in shapes.into_iter().zip(goals) {
            rows.push(Row {
                id: format!("{}-{}-{in_flight}", transport.name(), size_name.replace(' ', "")),
                title: format!("{} {size_name}, {in_flight} in flight", transport.name()),
                work: Work::Echo { transport, sessions: 16, in_flight, size, body: Body::Ascii },
                goal: Goal::Times(must, aim),
                quick: matches!(transport, WebSocket | XhrStreaming | XhrPolling),
            });
        }
        if transport == WebSocket {
            rows.push(Row {
                id: "websocket-json-4".to_owned(),
                title: "websocket 1 KiB of JSON text, 4 in flight".to_owned(),
                work: Work::Echo { transport, sessions: 16, in_flight: 4, size: 1024, body: Body::Json },
                goal: Goal::Times(2.5, 4.0),
                quick: true,
            });
        }
    }
    rows.push(Row {
        id: "info".to_owned(),
        title: "`/info`".to_owned(),
        work: Work::Info,
        goal: Goal::Times(2.5, 3.0),
        quick: true,
    });
    for (transport, must, aim) in [(WebSocket, 1.9, 1.9), (XhrStreaming, 2.6, 2.6), (XhrPolling, 3.0, 3.0)] {
        rows.push(Row {
            id: format!("active-{}", transport.name()),
            title: format!("1,000 active sessions, 1 in flight: {}", transport.name()),
            work: Work::Echo { transport, sessions: 1000, in_flight: 1, size: 64, body: Body::Ascii },
            goal: Goal::Times(must, aim),
            quick: true,
        });
    }
    for transport in [WebSocket, XhrStreaming] {
        // Only with several in flight do messages queue up.
        for (in_flight, must, aim) in [(1, 1.2, 1.2), (16, 1.2, 3.0)] {
            rows.push(Row {
                id: format!("broadcast-{}-{in_flight}", transport.name()),
                title: format!("broadcast to 200, {in_flight} in flight, deliveries: {}", transport.name()),
                work: Work::Broadcast { transport, sessions: 200, in_flight },
                goal: Goal::Times(must, aim),
                quick: in_flight == 16,
            });
        }
    }
    for (transport, must, aim) in [(WebSocket, 8.0, 5.0), (XhrStreaming, 10.0, 7.0), (XhrPolling, 10.0, 7.0)]
    {
        rows.push(Row {
            id: format!("idle-{}", transport.name()),
            title: format!("idle session at 10,000, resident KiB: {}", transport.name()),
            work: Work::Idle { transport, sessions: 10_000 },
            goal: Goal::Below(must, aim),
            quick: false,
        });
    }
    for transport in [WebSocket, XhrStreaming, XhrPolling] {
        rows.push(Row {
            id: format!("heartbeat-{}", transport.name()),
            title: format!("processor time per heartbeat, us: {}", transport.name()),
            work: Work::Heartbeat { transport, sessions: 10_000 },
            goal: Goal::Below(10.0, 6.0),
            quick: false,
        });
    }
    rows
}
