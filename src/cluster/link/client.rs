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
    framed::{Framed, Share, Turn},
};

/// What waits for the task at most, but for one request, in bytes; the task itself may have taken as much. Beyond it
/// requests go the ordinary way, which the other node can hold up one by one.
const MAX_QUEUED: usize = 1 << 20;

/// As many times an owner is looked at in vain before it is given up: after a stop of this process the first time comes
/// before what has arrived meanwhile is read.
const MIN_LOOKS: u32 = 2;

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
    /// Whether the owner has answered anything.
    is_used: bool,
    /// Whether it broke before that.
    broke_unused: bool,
    /// The task, while it has nothing to write.
    task: Option<Waker>,
    /// The task, while it waits for room. New requests do not wake it, but the end of the link does.
    blocked: Option<Waker>,
    asked: Option<Asked>,
}

/// What the owner has been asked for a sign of life, and has not answered.
#[derive(Debug)]
struct Asked {
    since: Instant,
    looks: u32,
}

impl State {
    /// Ends the link. What is returned is dropped, or woken, after the lock.
    fn end(&mut self) -> Ended {
        self.is_over = true;
        Ended {
            _out: std::mem::take(&mut self.out),
            _waiting: std::mem::take(&mut self.waiting),
            tasks: [self.task.take(), self.blocked.take()],
        }
    }
}

struct Ended {
    _out: BytesMut,
    _waiting: HashMap<u32, oneshot::Sender<Outcome>>,
    tasks: [Option<Waker>; 2],
}

impl Ended {
    fn wake(self) {
        self.tasks.into_iter().for_each(wake);
    }
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
            is_used: false,
            broke_unused: false,
            task: None,
            blocked: None,
            asked: None,
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

    /// Whether it broke before the owner answered anything.
    pub(crate) fn broke_unused(&self) -> bool {
        self.state().broke_unused
    }

    /// Ends the link; what waits gets no answer.
    pub(crate) fn close(&self) {
        let ended = self.state().end();
        ended.wake();
    }

    /// Ends the link if nothing has used it for so long.
    pub(crate) fn close_if_idle(&self, limit: Duration) {
        let ended = {
            let mut state = self.state();
            if !state.waiting.is_empty() || state.idle_since.elapsed() < limit {
                return;
            }
            state.end()
        };
        ended.wake();
    }

    /// Whether nothing has come over the link for `limit` though the owner was asked for a sign of life; if nothing is
    /// known of it, it is asked. To be called about once a second.
    ///
    /// The connection may lead nowhere while the owner lives, and the system repeats lost packets for a quarter of an
    /// hour.
    pub(crate) fn is_lost(&self, limit: Duration) -> bool {
        let task = {
            let mut state = self.state();
            if state.is_over {
                return false;
            }
            if let Some(Asked { since, looks }) = &mut state.asked {
                *looks += 1;
                return *looks >= MIN_LOOKS && since.elapsed() >= limit;
            }
            state.asked = Some(Asked { since: Instant::now(), looks: 0 });
            frame::ping(&mut state.out);
            state.task.take()
        };
        wake(task);
        false
    }

    /// Carries requests and answers until the link is over. `heard` is called for each answer.
    pub(crate) async fn run<I>(&self, mut framed: Framed<I>, heard: impl Fn())
    where
        I: AsyncRead + AsyncWrite + Unpin,
    {
        let mut turn = Turn::default();
        poll_fn(|cx| {
            if !turn.has_come(cx) {
                return Poll::Pending;
            }
            let carried = self.poll_carry(&mut framed, &heard, cx);
            if framed.has_shown_life() {
                self.state().asked = None;
            }
            carried
        })
        .await;
        {
            let mut state = self.state();
            state.broke_unused = !state.is_over && !state.is_used;
        }
        self.close();
    }

    fn poll_carry<I>(&self, framed: &mut Framed<I>, heard: &impl Fn(), cx: &mut Context<'_>) -> Poll<()>
    where
        I: AsyncRead + AsyncWrite + Unpin,
    {
        let mut share = Share::default();
        loop {
            if share.is_used_up() {
                cx.waker().wake_by_ref();
                break;
            }
            let Poll::Ready(frame) = framed.poll_next(cx) else { break };
            let Ok(frame) = frame else { return Poll::Ready(()) };
            share.add(&frame);
            match FromOwner::decode(frame) {
                Ok(FromOwner::Answer(id, response)) => {
                    heard();
                    self.arrived(id, Outcome::Answered(response));
                }
                Ok(FromOwner::Decline(id)) => {
                    heard();
                    self.arrived(id, Outcome::Declined);
                }
                Ok(FromOwner::Pong) => self.state().is_used = true,
                Ok(FromOwner::Welcome) | Err(_) => return Poll::Ready(()),
            }
        }
        loop {
            match framed.poll_flush(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                // The connection wakes the task when there is room.
                Poll::Pending if self.waits_for_room(cx) => return Poll::Pending,
                Poll::Pending => return Poll::Ready(()),
            }
            match self.take(&mut framed.out, cx) {
                Some(true) => {}
                Some(false) => return Poll::Pending,
                None => return Poll::Ready(()),
            }
        }
    }

    fn arrived(&self, id: u32, outcome: Outcome) {
        let sender = {
            let mut state = self.state();
            state.is_used = true;
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
            register(&mut state.task, cx);
            return Some(false);
        }
        std::mem::swap(&mut state.out, out);
        Some(true)
    }

    /// Lets the end of the link wake the task. `false` if it is over.
    fn waits_for_room(&self, cx: &Context<'_>) -> bool {
        let mut state = self.state();
        register(&mut state.blocked, cx);
        !state.is_over
    }
}

/// Says to the owner that this is a node, which `proof` proves, and waits until it takes the link. `input` has come
/// already.
pub(crate) async fn greet<I>(io: I, input: BytesMut, proof: &HeaderValue) -> Option<Framed<I>>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let mut framed = Framed::new(io, input, MAX_ANSWER);
    frame::hello(&mut framed.out, proof);
    let first = poll_fn(|cx| match framed.poll_flush(cx) {
        Poll::Ready(Err(over)) => Poll::Ready(Err(over)),
        Poll::Ready(Ok(())) | Poll::Pending => framed.poll_next(cx),
    });
    let first = first.await.ok()?;
    matches!(FromOwner::decode(first), Ok(FromOwner::Welcome)).then_some(framed)
}

fn register(slot: &mut Option<Waker>, cx: &Context<'_>) {
    if !slot.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
        *slot = Some(cx.waker().clone());
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
