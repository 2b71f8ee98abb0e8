//! A timeout that creates its timer only when needed.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
    time::Duration,
};

use tokio::time::error::Elapsed;

/// Like [`tokio::time::timeout`], but creates a timer only if the future has to wait. Most do not, and a task is
/// smaller without the timer.
pub(crate) async fn timeout<F: Future + Unpin>(limit: Duration, mut future: F) -> Result<F::Output, Elapsed> {
    match poll_fn(|cx| Poll::Ready(Pin::new(&mut future).poll(cx))).await {
        Poll::Ready(output) => Ok(output),
        Poll::Pending => Box::pin(tokio::time::timeout(limit, future)).await,
    }
}
