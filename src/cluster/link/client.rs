//! The edge's end of a link.

use std::{
    collections::HashMap,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Response};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::oneshot,
    time::Instant,
};

use super::{
    frame::{self, FromOwner, MAX_ANSWER, Outgoing},
    framed::{Framed, MAX_TURN, Turn},
};

/// What waits to leave at most, but for one request, in bytes. Beyond it requests go the ordinary way, which the other
/// node can hold up one by one.
const MAX_QUEUED: usize = 1 << 20;

/// A link to another node, while its task runs.
#[derive(Debug)]
pub(crate) struct Link(Mutex<State>);

#[derive(Debug)]
struct State {
    /// What the task is to write.
    out: BytesMut,
    /// The requests without an answer.
    waiting: HashMap<u32, oneshot::Sender<Outcome>>,
    next: u32,
    idle_since: Instant,
    is_over: bool,
    /// The task, while it has nothing to do.
    task: Option<Waker>,
}

/// What an owner does with a request.
#[derive(Debug)]
pub(crate) enum Outcome {
    Answered(Response<Bytes>),
    /// It has done nothing, and wants the request the ordinary way.
    Declined,
}

impl Link {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            out: BytesMut::new(),
            waiting: HashMap::new(),
            next: 0,
            idle_since: Instant::now(),
            is_over: false,
            task: None,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a request. `None` if it has to go the ordinary way.
    pub(crate) fn send(self: &Arc<Self>, request: &Outgoing<'_>) -> Option<Exchange> {
        let (sender, outcome) = oneshot::channel();
        let (id, task) = {
            let mut state = self.state();
            let id = state.next;
            if state.is_over || state.out.len() > MAX_QUEUED || state.waiting.contains_key(&id) {
                return None;
            }
            if !frame::request(&mut state.out, id, request) {
                return None;
            }
            state.next = id.wrapping_add(1);
            state.waiting.insert(id, sender);
            (id, state.task.take())
        };
        wake(task);
        Some(Exchange { link: Arc::clone(self), id, outcome })
    }

    pub(crate) fn is_over(&self) -> bool {
        self.state().is_over
    }

    /// Ends the link; what waits gets no answer.
    pub(crate) fn close(&self) {
        let (task, waiting) = {
            let mut state = self.state();
            state.is_over = true;
            (state.task.take(), std::mem::take(&mut state.waiting))
        };
        drop(waiting);
        wake(task);
    }

    /// Ends the link if nothing has used it for so long.
    pub(crate) fn close_if_idle(&self, limit: Duration) {
        let task = {
            let mut state = self.state();
            if !state.waiting.is_empty() || state.idle_since.elapsed() < limit {
                return;
            }
            state.is_over = true;
            state.task.take()
        };
        wake(task);
    }

    /// Carries requests and answers until the link is over. `proof` proves to the owner that this is a node; `input` has
    /// come already; `heard` is called for each answer.
    pub(crate) async fn run<I>(&self, io: I, input: BytesMut, proof: &HeaderValue, heard: impl Fn())
    where
        I: AsyncRead + AsyncWrite + Unpin,
    {
        let mut framed = Framed::new(io, input, MAX_ANSWER);
        frame::hello(&mut framed.out, proof);
        let mut turn = Turn::default();
        poll_fn(|cx| {
            if !turn.has_come(cx) {
                return Poll::Pending;
            }
            for read in 0.. {
                if read == MAX_TURN {
                    cx.waker().wake_by_ref();
                    break;
                }
                let Poll::Ready(frame) = framed.poll_next(cx) else { break };
                let Some(frame) = frame.ok().and_then(|frame| FromOwner::decode(frame).ok()) else {
                    return Poll::Ready(());
                };
                heard();
                self.arrived(frame);
            }
            loop {
                match framed.poll_flush(cx) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    // The connection wakes the task when there is room.
                    Poll::Pending => return Poll::Pending,
                }
                match self.take(&mut framed.out, cx) {
                    Some(true) => {}
                    Some(false) => return Poll::Pending,
                    None => return Poll::Ready(()),
                }
            }
        })
        .await;
        self.close();
    }

    fn arrived(&self, frame: FromOwner) {
        let (id, outcome) = match frame {
            FromOwner::Answer(id, response) => (id, Outcome::Answered(response)),
            FromOwner::Decline(id) => (id, Outcome::Declined),
        };
        let sender = {
            let mut state = self.state();
            let sender = state.waiting.remove(&id);
            if state.waiting.is_empty() {
                state.idle_since = Instant::now();
            }
            sender
        };
        // It may just have been cancelled.
        if let Some(sender) = sender {
            sender.send(outcome).ok();
        }
    }

    /// Takes what is to be written, and says whether that is anything. `None` if the link is over.
    fn take(&self, out: &mut BytesMut, cx: &Context<'_>) -> Option<bool> {
        let mut state = self.state();
        if state.is_over {
            return None;
        }
        if state.out.is_empty() {
            if !state.task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
                state.task = Some(cx.waker().clone());
            }
            return Some(false);
        }
        std::mem::swap(&mut state.out, out);
        Some(true)
    }
}

fn wake(task: Option<Waker>) {
    if let Some(task) = task {
        task.wake();
    }
}

/// A request that has gone over a link. Dropped without an outcome, it is cancelled, as if a connection broke.
#[derive(Debug)]
pub(crate) struct Exchange {
    link: Arc<Link>,
    id: u32,
    outcome: oneshot::Receiver<Outcome>,
}

impl Exchange {
    /// What the owner does with the request. `None` if the link is over: it may have arrived.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub(crate) async fn outcome(&mut self) -> Option<Outcome> {
        (&mut self.outcome).await.ok()
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let (sender, task) = {
            let mut state = self.link.state();
            let Some(sender) = state.waiting.remove(&self.id) else { return };
            if state.waiting.is_empty() {
                state.idle_since = Instant::now();
            }
            frame::cancel(&mut state.out, self.id);
            (sender, state.task.take())
        };
        drop(sender);
        wake(task);
    }
}
