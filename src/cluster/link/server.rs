//! The owner's end of a link.

use std::{
    collections::HashMap,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Response, StatusCode};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep},
};

use super::{
    frame::{self, FromEdge, Linked, MAX_REQUEST},
    framed::{Framed, Share, Turn},
};
use crate::util::timeout::timeout;

/// How long an edge may take to prove that it knows the secret.
const HELLO: Duration = Duration::from_secs(5);

/// As many requests of one link wait here; further ones go the ordinary way.
const MAX_WAITING: usize = 32 << 10;

/// While more than this waits for the edge to read it, in bytes, no further request is read.
const MAX_UNREAD: usize = 4 << 20;

/// As many answers that have not left at most: then, too, none is added.
const MAX_HELD: usize = 32 << 10;

/// As many tasks that have ended are looked at in one turn; the answers leave between the turns.
const MAX_JOINS: usize = 64;

/// The link ends if an edge shows no sign of life for this long. It asks for ours each second.
const SILENCE: Duration = Duration::from_secs(30);

/// What becomes of a request.
pub(crate) struct Answered<T> {
    /// `None` if the request is to come the ordinary way, and nothing was done.
    pub(crate) response: Option<Response<Bytes>>,
    /// What is held until the answer has left.
    pub(crate) held: T,
}

/// A task's result: the number of its request, and what becomes of it; `None` if the code that was to answer has
/// panicked.
type Done<T> = (u32, Option<Answered<T>>);

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
    frame::welcome(&mut framed.out);
    // Dropped, it ends its tasks.
    let mut tasks: JoinSet<Done<T>> = JoinSet::new();
    let mut waiting: HashMap<u32, AbortHandle> = HashMap::new();
    let mut held: Vec<T> = Vec::new();
    let mut turn = Turn::default();
    let mut heard = Instant::now();
    let mut silence = pin!(sleep(SILENCE));
    poll_fn(|cx| {
        if !turn.has_come(cx) {
            return Poll::Pending;
        }
        let mut is_more = false;
        let mut share = Share::default();
        loop {
            // If the edge does not read, nothing is read from it either.
            if share.is_used_up() || is_full(&framed.out, &held) {
                is_more = true;
                break;
            }
            let Poll::Ready(frame) = framed.poll_next(cx) else { break };
            let Ok(frame) = frame else { return Poll::Ready(()) };
            share.add(&frame);
            match FromEdge::decode(frame) {
                Ok(FromEdge::Request(id, _)) if tasks.len() >= MAX_WAITING => {
                    frame::decline(&mut framed.out, id);
                }
                Ok(FromEdge::Request(id, linked)) => {
                    let mut answer = Box::pin(answer(*linked));
                    // Many do not wait, and need no task.
                    match poll_caught(answer.as_mut(), cx) {
                        Poll::Ready(answered) => put(&mut framed.out, id, answered, &mut held),
                        Poll::Pending => {
                            let answered = poll_fn(move |cx| poll_caught(answer.as_mut(), cx));
                            waiting.insert(id, tasks.spawn(async move { (id, answered.await) }));
                        }
                    }
                }
                Ok(FromEdge::Cancel(id)) => {
                    if let Some(task) = waiting.remove(&id) {
                        task.abort();
                    }
                }
                Ok(FromEdge::Ping) => frame::pong(&mut framed.out),
                Ok(FromEdge::Hello(_)) | Err(_) => return Poll::Ready(()),
            }
        }
        let mut joins = 0;
        loop {
            // Until then the tasks keep their answers.
            if joins == MAX_JOINS || is_full(&framed.out, &held) {
                is_more = true;
                break;
            }
            let Poll::Ready(Some(done)) = tasks.poll_join_next(cx) else { break };
            joins += 1;
            match done {
                // Others have been cancelled.
                Ok((id, answered)) if waiting.remove(&id).is_some() => {
                    put(&mut framed.out, id, answered, &mut held);
                }
                Ok(_) => {}
                Err(error) if error.is_cancelled() => {}
                // Which request is lost is not known.
                Err(_) => return Poll::Ready(()),
            }
        }
        match framed.poll_flush(cx) {
            Poll::Ready(Ok(())) => held.clear(),
            Poll::Ready(Err(_)) => return Poll::Ready(()),
            // The connection wakes the task when there is room.
            Poll::Pending => {}
        }
        if framed.has_shown_life() {
            heard = Instant::now();
        }
        while silence.as_mut().poll(cx).is_ready() {
            if heard.elapsed() >= SILENCE {
                return Poll::Ready(());
            }
            silence.as_mut().reset(heard + SILENCE);
        }
        if is_more && !is_full(&framed.out, &held) {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await;
}

/// Whether so much waits for the edge that nothing may be added.
fn is_full<T>(out: &BytesMut, held: &[T]) -> bool {
    out.len() > MAX_UNREAD || held.len() >= MAX_HELD
}

/// Polls what answers one request. A panic ends this request only: `None`.
fn poll_caught<A: Future>(answer: Pin<&mut A>, cx: &mut Context<'_>) -> Poll<Option<A::Output>> {
    let polled = catch_unwind(AssertUnwindSafe(|| answer.poll(cx)));
    polled.map_or(Poll::Ready(None), |polled| polled.map(Some))
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
