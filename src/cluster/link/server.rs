//! The owner's end of a link.

use std::{
    collections::HashMap,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    task::Poll,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Response, StatusCode};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::{AbortHandle, JoinError, JoinSet},
};

use super::{
    frame::{self, FromEdge, Linked, MAX_REQUEST},
    framed::{Framed, MAX_TURN, Turn},
};
use crate::util::timeout::timeout;

/// How long an edge may take to prove that it knows the secret.
const HELLO: Duration = Duration::from_secs(5);

/// As many requests of one link wait here; further ones go the ordinary way.
const MAX_WAITING: usize = 32 << 10;

/// While more than this waits for the edge to read it, in bytes, no further request is read.
const MAX_UNREAD: usize = 4 << 20;

/// What becomes of a request.
pub(crate) struct Answered<T> {
    /// `None` if the request is to come the ordinary way, and nothing was done.
    pub(crate) response: Option<Response<Bytes>>,
    /// What is held until the answer has left.
    pub(crate) held: T,
}

/// A task's result: the number of its request, and what becomes of it.
type Done<T> = (u32, Answered<T>);

/// Answers the requests of an edge until the connection is over; those that wait then are dropped, as if their own
/// connection broke. `is_node` says whether a proof is one.
pub(crate) async fn serve<I, A, T>(
    io: I,
    is_node: impl FnOnce(&HeaderValue) -> bool,
    answer: impl Fn(Linked) -> A,
) where
    I: AsyncRead + AsyncWrite + Unpin,
    A: Future<Output = Answered<T>> + Send + 'static,
    T: Send + 'static,
{
    let mut framed = Framed::new(io, BytesMut::new(), MAX_REQUEST);
    let hello = timeout(HELLO, Box::pin(poll_fn(|cx| framed.poll_next(cx)))).await;
    match hello.map(|hello| hello.map(FromEdge::decode)) {
        Ok(Ok(Ok(FromEdge::Hello(proof)))) if is_node(&proof) => {}
        _ => return,
    }
    // Dropped, it ends its tasks.
    let mut tasks: JoinSet<Done<T>> = JoinSet::new();
    let mut waiting: HashMap<u32, AbortHandle> = HashMap::new();
    let mut held: Vec<T> = Vec::new();
    let mut turn = Turn::default();
    poll_fn(|cx| {
        if !turn.has_come(cx) {
            return Poll::Pending;
        }
        let mut is_more = false;
        for read in 0.. {
            // If the edge does not read, nothing is read from it either.
            if read == MAX_TURN || framed.out.len() > MAX_UNREAD {
                is_more = true;
                break;
            }
            let Poll::Ready(frame) = framed.poll_next(cx) else { break };
            match frame.ok().map(FromEdge::decode) {
                Some(Ok(FromEdge::Request(id, _))) if tasks.len() >= MAX_WAITING => {
                    frame::decline(&mut framed.out, id);
                }
                Some(Ok(FromEdge::Request(id, linked))) => {
                    let mut answer = Box::pin(answer(*linked));
                    // Many do not wait, and need no task. A panic ends one request, as it would in a task.
                    match catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(cx))) {
                        Ok(Poll::Ready(answered)) => put(&mut framed.out, id, Some(answered), &mut held),
                        Ok(Poll::Pending) => {
                            waiting.insert(id, tasks.spawn(async move { (id, answer.await) }));
                        }
                        Err(_) => put(&mut framed.out, id, None, &mut held),
                    }
                }
                Some(Ok(FromEdge::Cancel(id))) => {
                    if let Some(task) = waiting.remove(&id) {
                        task.abort();
                    }
                }
                _ => return Poll::Ready(()),
            }
        }
        while let Poll::Ready(Some(done)) = tasks.poll_join_next(cx) {
            let (id, answered) = match done {
                Ok((id, answered)) => (Some(id), Some(answered)),
                Err(error) => (number(&waiting, &error), None),
            };
            // Others have been cancelled.
            if let Some(id) = id.filter(|id| waiting.remove(id).is_some()) {
                put(&mut framed.out, id, answered, &mut held);
            }
        }
        match framed.poll_flush(cx) {
            Poll::Ready(Ok(())) => held.clear(),
            Poll::Ready(Err(_)) => return Poll::Ready(()),
            Poll::Pending => {}
        }
        if is_more && framed.out.len() <= MAX_UNREAD {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await;
}

/// Appends what becomes of a request; `None` if the code that was to answer has panicked.
fn put<T>(out: &mut BytesMut, id: u32, answered: Option<Answered<T>>, held: &mut Vec<T>) {
    let response = match answered {
        Some(Answered { response: None, .. }) => return frame::decline(out, id),
        Some(Answered { response: Some(response), held: token }) => {
            held.push(token);
            Some(response)
        }
        None => None,
    };
    if !response.is_some_and(|response| frame::answer(out, id, &response)) {
        let mut failed = Response::new(Bytes::new());
        *failed.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        frame::answer(out, id, &failed);
    }
}

/// The number of a request whose task has failed, unless it was cancelled.
fn number(waiting: &HashMap<u32, AbortHandle>, error: &JoinError) -> Option<u32> {
    waiting.iter().find(|(_, task)| task.id() == error.id()).map(|(&id, _)| id)
}
