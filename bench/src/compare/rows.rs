//! What is measured, and the goals.

use std::time::Duration;

use crate::{
    choice::Chosen,
    load::{Body, Transport},
};

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
    /// MiB that the server grows by when some clients of an echo stop reading.
    SlowReaders,
    /// Sessions opened and ended per second of the server's processor time, beside others that are idle.
    Churn { transport: Transport, idle: usize },
    /// Microseconds of the server's processor time per message.
    Cost { transport: Transport, sessions: usize },
    /// The rate of two threads, of that of one, with no process pinned.
    TwoWorkers { transport: Transport, size: usize, in_flight: u64 },
    /// The slowest echo of one session in milliseconds, beside others that only get heartbeats.
    BesideHeartbeats { sessions: usize, every: Duration },
}

/// What a figure is to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Goal {
    /// So many times sockjs-node's: what must be, and what is aimed for.
    Times(f64, f64),
    /// At the most.
    Below(f64, f64),
    /// At the most, while the other clients keep this part of their rate.
    BelowKeeping(f64, f64),
    /// So many times what one node takes, at the most.
    AtMostTimes(f64),
    /// A figure to be known.
    None,
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

impl Chosen for Row {
    fn id(&self) -> &str {
        &self.id
    }

    fn is_quick(&self) -> bool {
        self.quick
    }
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
    // Each session's two queues of 1 MiB, four times, and 8 MiB.
    rows.push(Row {
        id: "slow-readers".to_owned(),
        title: "4 clients send 256 MiB to an xhr-streaming echo and stop reading: MiB more".to_owned(),
        work: Work::SlowReaders,
        goal: Goal::BelowKeeping(4.0 * 2.0 + 8.0, 0.9),
        quick: false,
    });
    rows
}

/// What it costs that another node has the sessions.
pub(crate) fn nodes() -> Vec<Row> {
    use Transport::{XhrPolling, XhrStreaming};
    let mut rows = Vec::new();
    let mut push = |id: String, title: String, work, goal| {
        rows.push(Row { id, title, work, goal, quick: true });
    };
    // Only polls and sends share connections between the nodes.
    for (transport, goal) in [(XhrPolling, Goal::AtMostTimes(2.0)), (XhrStreaming, Goal::None)] {
        let name = transport.name();
        // Alone, busy, and as busy as one core is.
        for sessions in [1, 16, 64, 512] {
            let title = format!("{name}, {sessions} sessions, 1 in flight each: us per message");
            push(format!("cost-{name}-{sessions}"), title, Work::Cost { transport, sessions }, goal);
        }
    }
    for transport in [XhrPolling, XhrStreaming] {
        let name = transport.name();
        let title = format!("idle session at 2,000, resident KiB: {name}");
        push(format!("idle-{name}"), title, Work::Idle { transport, sessions: 2000 }, Goal::None);
    }
    rows
}

/// How the figures change with the number of sessions and threads.
pub(crate) fn scale() -> Vec<Row> {
    use Transport::{JsonpPolling, WebSocket, XhrPolling, XhrStreaming};
    let mut rows = Vec::new();
    let mut push = |id: String, title: String, work| {
        rows.push(Row { id, title, work, goal: Goal::None, quick: true });
    };
    for transport in [WebSocket, XhrStreaming, XhrPolling] {
        let name = transport.name();
        // Two connections each, of the 20,000 descriptors that many systems allow.
        let most = if transport == WebSocket { 10_000 } else { 9500 };
        for sessions in [10, 100, 1000, most] {
            let title = format!("{name}, {sessions} active sessions: us per message");
            push(format!("cost-{name}-{sessions}"), title, Work::Cost { transport, sessions });
        }
    }
    for transport in [WebSocket, XhrStreaming, XhrPolling] {
        let name = transport.name();
        let title = format!("{name}: sessions opened and ended beside 10,000 idle ones of all kinds, /s");
        push(format!("churn-{name}"), title, Work::Churn { transport, idle: 10_000 });
    }
    for (transport, size, in_flight) in [
        (WebSocket, 64, 1),
        (WebSocket, 16 << 10, 4),
        (XhrStreaming, 16 << 10, 4),
        (JsonpPolling, 16 << 10, 4),
    ] {
        let name = transport.name();
        let title = format!("{name} {size} B, {in_flight} in flight: two threads' rate, of one's");
        push(format!("workers-{name}-{size}"), title, Work::TwoWorkers { transport, size, in_flight });
    }
    for (every, name) in [(25, "no heartbeat"), (3, "a heartbeat each 3 s")] {
        let title = format!("slowest echo beside 10,000 websockets with {name} meanwhile, ms");
        let every = Duration::from_secs(every);
        push(
            format!("beside-heartbeats-{}", every.as_secs()),
            title,
            Work::BesideHeartbeats { sessions: 10_000, every },
        );
    }
    rows
}
