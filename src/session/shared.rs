//! The one place where a session is locked: the state machine, and whom to wake.
//!
//! A std mutex, because no holder ever waits: under it run only [`Core`]'s methods, never user code, an
//! await or a wake-up. Wakers are collected under the lock and woken after it.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Instant,
};

use uuid::Uuid;

use super::{
    CloseReason, Message,
    core::{AttachError, Core, Events, MESSAGE_OVERHEAD, Next, ReceiverId, Refused, Settings},
    registry::LiveCount,
};
use crate::{Transport, protocol::frame::Frame};

/// What is fixed when a session opens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Connection {
    pub(crate) id: Uuid,
    pub(crate) transport: Transport,
    pub(crate) peer: Option<SocketAddr>,
    /// Whether it carries binary messages.
    pub(crate) binary: bool,
}

/// One session, as its receivers, senders, driver and application share it.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) connection: Connection,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    core: Core,
    live: Option<LiveCount>,
    /// Each of these waits for the [`Events`] of the same name; one task each.
    frame: Option<Waker>,
    message: Option<Waker>,
    driver: Option<Waker>,
    /// Any number of tasks may wait for these.
    writable: Vec<Waker>,
    room: Vec<Waker>,
    detached: Vec<Waker>,
    ended: Vec<Waker>,
    caught_up: Vec<Waker>,
}

/// The clock: tokio's, so that tests can pause it.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl Shared {
    /// A new session and the id of its first receiver.
    pub(crate) fn new(
        connection: Connection,
        settings: Settings,
        live: LiveCount,
    ) -> (Arc<Self>, ReceiverId) {
        let (core, receiver) = Core::new(settings, now());
        let state = State {
            core,
            live: Some(live),
            frame: None,
            message: None,
            driver: None,
            writable: Vec::new(),
            room: Vec::new(),
            detached: Vec::new(),
            ended: Vec::new(),
            caught_up: Vec::new(),
        };
        (Arc::new(Self { connection, state: Mutex::new(state) }), receiver)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under the lock; if it did, one session must not take others down.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs one transition and wakes whom it concerns.
    fn update<R>(&self, transition: impl FnOnce(&mut State) -> R) -> R {
        let mut wakes = Wakes::default();
        let mut live = None;
        let result = {
            let mut state = self.lock();
            let result = transition(&mut state);
            let events = state.core.take_events();
            if !events.is_empty() {
                state.collect(events, &mut wakes);
                if events.contains(Events::ENDED) {
                    live = state.live.take();
                }
            }
            result
        };
        drop(live);
        wakes.wake();
        result
    }

    // The receiver's side; `Attachment` is its only caller.

    pub(super) fn attach(&self) -> Result<ReceiverId, AttachError> {
        self.update(|state| state.core.attach(now()))
    }

    /// Completes when no receiver is attached.
    pub(super) fn poll_detached(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.update(|state| match state.core.attached() {
            false => Poll::Ready(()),
            true => wait_with_others(&mut state.detached, cx),
        })
    }

    pub(super) fn poll_frame(
        &self,
        id: ReceiverId,
        max_bytes: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Frame>> {
        self.update(|state| match state.core.next_frame(id, max_bytes, now()) {
            Next::Frame(frame) => Poll::Ready(Some(frame)),
            Next::End => Poll::Ready(None),
            Next::Wait => wait_alone(&mut state.frame, cx),
        })
    }

    pub(super) fn release(&self, id: ReceiverId) {
        self.update(|state| state.core.release(id, now()));
    }

    pub(super) fn interrupt(&self, id: ReceiverId) {
        self.update(|state| state.core.interrupt(id, now()));
    }

    // The sending requests' side.

    /// Takes the batch when there is room for it; drains `batch` if it is taken.
    ///
    /// # Cancel safety
    /// Until it is ready, nothing is taken.
    pub(crate) fn poll_accept(
        &self,
        batch: &mut Vec<Message>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Closed>> {
        self.update(|state| match state.core.accept(batch) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(Refused::Closed) => Poll::Ready(Err(Closed)),
            Err(Refused::Full) => wait_with_others(&mut state.room, cx),
        })
    }

    /// Completes when the application has taken all messages and waits for more.
    pub(crate) fn poll_caught_up(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.update(|state| match state.core.caught_up() {
            true => Poll::Ready(()),
            false => wait_with_others(&mut state.caught_up, cx),
        })
    }

    /// Ends the session and says whether that was news: the first reason stays.
    pub(crate) fn end(&self, reason: CloseReason) -> bool {
        self.update(|state| state.core.end(reason, now()))
    }

    // The application's side.

    pub(super) fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.update(|state| match state.core.receive() {
            Ok(Some(message)) => Poll::Ready(Some(message)),
            Err(_) => Poll::Ready(None),
            Ok(None) => wait_alone(&mut state.message, cx),
        })
    }

    pub(super) fn try_receive(&self) -> Option<Message> {
        self.update(|state| state.core.receive().ok().flatten())
    }

    pub(super) fn try_send(&self, message: &Message) -> Result<(), Refused> {
        self.prepare(message);
        self.update(|state| state.core.send(message))
    }

    pub(super) fn poll_send(&self, message: &Message, cx: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        self.prepare(message);
        self.update(|state| match state.core.send(message) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(Refused::Closed) => Poll::Ready(Err(Closed)),
            Err(Refused::Full) => wait_with_others(&mut state.writable, cx),
        })
    }

    /// Queues a message whether or not there is room: what `poll_writable` has promised to a `Sink`.
    pub(super) fn push(&self, message: &Message) -> Result<(), Closed> {
        self.prepare(message);
        self.update(|state| state.core.push(message.clone())).map_err(|_| Closed)
    }

    pub(super) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        self.update(|state| match state.core.writable(MESSAGE_OVERHEAD) {
            Ok(true) => Poll::Ready(Ok(())),
            Err(_) => Poll::Ready(Err(Closed)),
            Ok(false) => wait_with_others(&mut state.writable, cx),
        })
    }

    /// Completes when a receiver has taken all that was sent.
    pub(super) fn poll_flushed(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.update(|state| match state.core.flushed() {
            true => Poll::Ready(()),
            false => wait_with_others(&mut state.writable, cx),
        })
    }

    pub(super) fn poll_ended(&self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        self.update(|state| match state.core.close_reason() {
            Some(reason) => Poll::Ready(reason.clone()),
            None => wait_with_others(&mut state.ended, cx),
        })
    }

    pub(crate) fn close_reason(&self) -> Option<CloseReason> {
        self.lock().core.close_reason().cloned()
    }

    /// Quotes the message before the lock is taken, once for all sessions it goes to.
    fn prepare(&self, message: &Message) {
        if self.connection.transport.is_framed() {
            message.quoted();
        }
    }

    // The driver's side.

    /// Lets the deadline act if it has come, and says how things stand.
    pub(super) fn drive(&self, cx: &mut Context<'_>) -> Status {
        self.update(|state| {
            state.core.on_deadline(now());
            let _: Poll<()> = wait_alone(&mut state.driver, cx);
            Status {
                begun: state.core.begun(),
                ended: state.core.close_reason().is_some(),
                gone: state.core.is_gone(),
                deadline: state.core.arm(),
            }
        })
    }

    /// Forgets the session; no receiver can attach any more.
    pub(crate) fn go(&self) {
        self.update(|state| state.core.go());
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.lock().core.is_gone()
    }
}

/// What the driver has to know.
#[derive(Debug, Clone, Copy)]
pub(super) struct Status {
    pub(super) begun: bool,
    pub(super) ended: bool,
    pub(super) gone: bool,
    pub(super) deadline: Option<Instant>,
}

/// The session has ended; nothing was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closed;

fn wait_alone<T>(place: &mut Option<Waker>, cx: &mut Context<'_>) -> Poll<T> {
    match place {
        Some(waker) => waker.clone_from(cx.waker()), // compares with `will_wake` first
        None => *place = Some(cx.waker().clone()),
    }
    Poll::Pending
}

fn wait_with_others<T>(place: &mut Vec<Waker>, cx: &mut Context<'_>) -> Poll<T> {
    if !place.iter().any(|waker| waker.will_wake(cx.waker())) {
        place.push(cx.waker().clone());
    }
    Poll::Pending
}

impl State {
    fn collect(&mut self, events: Events, wakes: &mut Wakes) {
        if events.contains(Events::FRAME) {
            wakes.frame = self.frame.take();
        }
        if events.contains(Events::MESSAGE) {
            wakes.message = self.message.take();
        }
        if events.contains(Events::DRIVER) {
            wakes.driver = self.driver.take();
        }
        for (event, place) in [
            (Events::WRITABLE, &mut self.writable),
            (Events::ROOM, &mut self.room),
            (Events::DETACHED, &mut self.detached),
            (Events::ENDED, &mut self.ended),
            (Events::CAUGHT_UP, &mut self.caught_up),
        ] {
            if events.contains(event) {
                wakes.others.append(place);
            }
        }
    }
}

/// The wakers to wake once the lock is free.
#[derive(Default)]
struct Wakes {
    frame: Option<Waker>,
    message: Option<Waker>,
    driver: Option<Waker>,
    others: Vec<Waker>,
}

impl Wakes {
    fn wake(self) {
        for waker in self.frame.into_iter().chain(self.message).chain(self.driver).chain(self.others) {
            waker.wake();
        }
    }
}
