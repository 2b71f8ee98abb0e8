//! A bound on the time that something takes.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
    time::Duration,
};

use tokio::time::error::Elapsed;

/// [`tokio::time::timeout`], with a timer only where there is something to wait for. Mostly there is not, and a task
/// that might have one is smaller without it.
pub(crate) async fn timeout<F: Future + Unpin>(limit: Duration, mut future: F) -> Result<F::Output, Elapsed> {
    match poll_fn(|cx| Poll::Ready(Pin::new(&mut future).poll(cx))).await {
        Poll::Ready(output) => Ok(output),
        Poll::Pending => Box::pin(tokio::time::timeout(limit, future)).await,
    }
}
