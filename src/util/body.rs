//! Bodies that nobody wants.

use std::{pin::pin, time::Duration};

use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt as _;

use super::timeout::timeout;

/// How much of a body that nobody wants is read, so that its sender gets to see the answer and can go on
/// using the connection.
pub(crate) const MAX_DISCARD: u64 = 32 << 20;

/// How long a body that nobody wants is read.
const DISCARD_TIME: Duration = Duration::from_secs(10);

/// Why a body could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// There is more in it that is not wanted than is read.
    TooLarge,
    /// It broke off, or was not well-formed.
    Broken,
    /// It did not come in time.
    TooSlow,
}

/// Reads a body and throws it away, within bounds. Beyond them the connection is closed by the server.
///
/// Without this a client that sends a body to the wrong place would have its connection reset before it
/// reads the answer, and a parked request would hide that its client has gone.
pub(crate) async fn discard_body<B>(body: B)
where
    B: Body<Data = Bytes>,
{
    if body.is_end_stream() {
        return;
    }
    // Few requests come here: it is not to make all of them larger.
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
    // What matters is that it ends; the answer is the same either way.
    let _ = timeout(DISCARD_TIME, discard).await;
}
