//! Request bodies that are not used.

use std::{pin::pin, time::Duration};

use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt as _;

use super::timeout::timeout;

/// The most bytes read from an unused body. Reading it lets its sender see the response and reuse the connection.
pub(crate) const MAX_DISCARD: u64 = 32 << 20;

/// The longest time for reading an unused body.
const DISCARD_TIME: Duration = Duration::from_secs(10);

/// The reason why a body could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// The unused part of the body exceeds its limit.
    TooLarge,
    /// The body broke off or was not well-formed.
    Broken,
    /// The body did not arrive in time.
    TooSlow,
}

/// Reads a body and discards it, within limits. Beyond them the server closes the connection.
///
/// Without this, a client that sends a body to the wrong place would have its connection reset before it reads the
/// response, and a waiting request would hide a client disconnect.
pub(crate) async fn discard_body<B>(body: B)
where
    B: Body<Data = Bytes>,
{
    if body.is_end_stream() {
        return;
    }
    // Boxed, since few requests need it and it would make all of them larger.
    let discard = Box::pin(async {
        let mut body = pin!(body);
        let mut discarded = 0;
        while let Some(Ok(frame)) = body.frame().await {
            discarded += frame.data_ref().map_or(0, |data| data.len() as u64);
            if discarded > MAX_DISCARD {
                return;
            }
        }
    });
    // The response is the same whether or not the body ended in time.
    let _ = timeout(DISCARD_TIME, discard).await;
}
