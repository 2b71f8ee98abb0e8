//! Clients that stop reading what they keep asking for.

use std::{
    future::poll_fn,
    time::{Duration, Instant},
};

use tokio::{task::JoinSet, time::timeout};

use super::{Load, Run, Spec, session::Session};
use crate::procfs;

const CLIENTS: usize = 4;
/// What each of them sends in all, if it is let, and how much at once.
const MESSAGES: u64 = 4096;
const MESSAGE_BYTES: usize = 16 << 10;
const AT_ONCE: u64 = 16;
/// A server that does not answer for so long has stopped a client, and that is well.
const STOPPED: Duration = Duration::from_secs(2);

/// What was seen.
#[derive(Debug, Clone)]
pub(crate) struct SlowReport {
    /// The most that the server grew by, in bytes.
    pub(crate) grown: u64,
    /// What the server took from the slow clients, in bytes.
    pub(crate) taken: u64,
    /// The other clients' rate beside them, of the rate before.
    pub(crate) kept: f64,
}

/// Measures some clients' rate, alone and beside those that do not read.
pub(crate) async fn beside_slow_readers(spec: Spec, pid: u32) -> Result<SlowReport, String> {
    const WINDOW: Duration = Duration::from_secs(5);
    let slow = Spec { sessions: CLIENTS, size: MESSAGE_BYTES, ..spec.clone() };
    let mut others = Load::open(spec).await?;
    others.start();
    others.pass(Duration::from_secs(1)).await?;
    let before = others.sample(Duration::from_secs(3)).await?.per_second;
    let resident = procfs::resident(pid);
    let mut most = resident;
    let mut clients = JoinSet::new();
    let run = Run::new(slow);
    for number in 0..CLIENTS {
        let mut session = Session::connect(run.clone(), number).await?;
        poll_fn(|cx| session.poll_open(cx)).await?;
        session.prepare_to_send().await?;
        clients.spawn(flood(session));
    }
    let start = Instant::now();
    let received = others.received();
    while start.elapsed() < WINDOW {
        others.pass(Duration::from_millis(50)).await?;
        most = most.max(procfs::resident(pid));
    }
    let beside = (others.received() - received) as f64 / start.elapsed().as_secs_f64();
    let mut taken = 0;
    // Those that were stopped stay, so that their memory does.
    let mut stopped = Vec::new();
    while let Some(client) = timeout(Duration::from_secs(30), clients.join_next())
        .await
        .map_err(|_| "the slow clients do not end".to_owned())?
    {
        let (session, messages) = client.map_err(|error| error.to_string())?;
        taken += messages * MESSAGE_BYTES as u64;
        stopped.push(session);
    }
    most = most.max(procfs::resident(pid));
    drop(stopped);
    others.finish().await?;
    Ok(SlowReport { grown: most - resident, taken, kept: beside / before })
}

/// Sends without ever reading, until all is sent or the server lets it wait or refuses.
async fn flood(mut session: Session) -> (Session, u64) {
    let mut taken = 0;
    while taken < MESSAGES {
        session.send(AT_ONCE, Instant::now());
        match timeout(STOPPED, poll_fn(|cx| session.poll_posted(cx))).await {
            Ok(Ok(())) => taken += AT_ONCE,
            _ => break,
        }
    }
    (session, taken)
}
