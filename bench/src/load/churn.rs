//! Sessions that open, and end at once.

use std::{sync::Arc, time::Instant};

use tokio::{sync::watch, task::JoinSet};

use super::{Load, Report, Run, Shape, Spec, open};

/// How many open at the same time.
const AT_ONCE: usize = 16;

/// Opens sessions one after the other, and measures that: each counts as a message.
pub(crate) async fn churn(spec: Spec) -> Result<Report, String> {
    let run = Run::new(Spec { sessions: AT_ONCE, in_flight: 1, shape: Shape::Echo, ..spec });
    let mut tasks = JoinSet::new();
    for first in 0..AT_ONCE {
        tasks.spawn(open_and_end(run.clone(), first));
    }
    let (go, _) = watch::channel(true);
    Load { run, tasks, go }.measure().await
}

async fn open_and_end(run: Arc<Run>, first: usize) -> Result<u64, String> {
    let mut opened = 0;
    let mut number = first;
    while run.is_sending() {
        let start = Instant::now();
        drop(open(&run, number).await?);
        run.count(1, 0, Instant::now(), std::iter::once(start));
        opened += 1;
        number += AT_ONCE;
    }
    Ok(opened)
}
