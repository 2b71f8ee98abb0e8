//! The lock around a session: its state machine, and the tasks that wait for it.
//!
//! The lock is a std mutex, since its holders never wait: only methods of [`Core`] run under it, never user code, an
//! await or a wake-up. Wakers are collected under the lock and woken after it, and discarded messages are dropped after
//! it.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

#[cfg(all(test, sockjs_loom))]
use loom::sync::{Mutex, MutexGuard};
#[cfg(not(all(test, sockjs_loom)))]
use std::sync::{Mutex, MutexGuard};

use sockjs_core::{CloseFrame, Frame, Message};
use tokio::task::coop;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::{
    close_reason::CloseReason,
    connection::Connection,
    core::{
        AttachError, Core,
        close_delivery::Farewell,
        events::{Events, Line},
        inbox::Accepted,
        queue::{MESSAGE_OVERHEAD, Refused, Room},
        receiver::{Next, ReceiverId},
        settings::{Overflow, Settings},
    },
    limits::{LiveSession, PendingSends},
    state::{Closed, State, Status, now, set_waker},
    traffic::{Sample, Traffic},
    waiters::Ticket,
};
use crate::util::cooperate::cooperate;

/// One session, shared by its receivers, senders, driver and application.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) connection: Connection,
    /// The sending requests that are in flight.
    pub(super) pending_sends: PendingSends,
    state: Mutex<State>,
}

impl Shared {
    /// Creates a session, and returns it with the id of its first receiver.
    pub(crate) fn new(
        connection: Connection,
        settings: Settings,
        live: LiveSession,
    ) -> (Arc<Self>, ReceiverId) {
        let (core, receiver) = Core::new(&settings, now());
        let state = State::new(core, live);
        let pending_sends = PendingSends::default();
        (Arc::new(Self { connection, pending_sends, state: Mutex::new(state) }), receiver)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under the lock. If some did, one session must not take others down.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs one transition, then wakes the tasks that wait for its events.
    fn update<R>(&self, transition: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.lock();
        let result = transition(&mut state);
        let events = state.core.take_events();
        Self::finish(state, events);
        result
    }

    /// [`update`](Self::update) for a transition that brings no earlier deadline: it spares the look at the deadlines,
    /// 88 instructions each time.
    fn update_untimed<R>(&self, transition: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.lock();
        let before = if cfg!(debug_assertions) { state.core.deadline() } else { None };
        let result = transition(&mut state);
        debug_assert!(!state.core.has_earlier_deadline(before), "the driver would sleep too long");
        let events = state.core.take_events_untimed();
        Self::finish(state, events);
        result
    }

    /// Releases the lock after a transition. Messages that it has discarded are dropped last.
    #[inline(always)]
    fn finish(state: MutexGuard<'_, State>, events: Events) {
        if state.core.has_discarded() {
            Self::wake_and_drop(state, events);
        } else {
            Self::wake(state, events);
        }
    }

    /// Releases the lock, and then does what its holder has left to do.
    #[inline(always)]
    fn wake(mut state: MutexGuard<'_, State>, events: Events) {
        // This waker is dropped after the lock is released: it may hold the last reference to its task, and the task
        // may hold this session.
        let replaced = state.replaced.take();
        if !state.concerns_others(events) {
            drop(state);
        } else {
            let wakes = state.collect(events);
            let live = if events.contains(Events::ENDED) { state.live.take() } else { None };
            let left = events.contains(Events::DRIVER) && !state.core.is_leaving();
            let leaving = if left { state.leaving.take() } else { None };
            drop(state);
            drop((live, leaving));
            wakes.wake();
        }
        drop(replaced);
    }

    /// Also drops messages, after the wake-ups: that may be the application's code, which may take its time or panic.
    ///
    /// Apart, since nearly all transitions have none.
    #[cold]
    fn wake_and_drop(mut state: MutexGuard<'_, State>, events: Events) {
        let discarded = state.core.take_discarded();
        Self::wake(state, events);
        drop(discarded);
    }

    /// Waits until `ready` returns a value. It is called at once, and again after each `event`.
    fn wait<T>(
        &self,
        event: Events,
        mut ready: impl FnMut(&mut Core) -> Poll<T>,
    ) -> Wait<'_, impl FnMut(&mut State, &mut Ticket, &Waker) -> Poll<T>> {
        self.waiting(move |state, ticket, waker| state.wait_for(event, ticket, waker, &mut ready))
    }

    fn waiting<T, F>(&self, attempt: F) -> Wait<'_, F>
    where
        F: FnMut(&mut State, &mut Ticket, &Waker) -> Poll<T>,
    {
        Wait { shared: self, ticket: Ticket::default(), attempt }
    }

    /// Removes a wait that has not completed, so that its waker does not keep the task alive.
    pub(super) fn forget(&self, ticket: Ticket) {
        if ticket != Ticket::default() {
            self.update(|state| state.forget(ticket));
        }
    }

    // The receiver's side; `Attachment` is its only caller.

    pub(super) fn attach(&self) -> Result<ReceiverId, AttachError> {
        self.update(|state| state.core.attach(now()))
    }

    /// Completes when no receiver is attached.
    pub(super) fn detached(&self) -> impl Future<Output = ()> + Unpin {
        self.wait(Events::DETACHED, |core| ready_if(!core.attached()))
    }

    pub(super) fn poll_frame(
        &self,
        id: ReceiverId,
        max_bytes: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Frame>> {
        self.update(|state| match state.core.next_frame(id, max_bytes, now) {
            Next::Frame(frame) => Poll::Ready(Some(frame)),
            Next::End => Poll::Ready(None),
            Next::Wait => {
                state.replaced = set_waker(&mut state.frame, cx.waker());
                Poll::Pending
            }
        })
    }

    /// Clears the waker for frames of the caller's own task, so that the task's own events do not wake it again. The task
    /// is about to poll for frames, which sets the waker again if there are none.
    #[cfg(feature = "websocket")]
    pub(super) fn disarm(&self, waker: &Waker) {
        let _dropped_after_the_lock = self.lock().frame.take_if(|set| set.will_wake(waker));
    }

    pub(super) fn progress(&self, id: ReceiverId) {
        self.update(|state| state.core.progress(id, now()));
    }

    #[cfg(feature = "websocket")]
    pub(super) fn set_blocked(&self, id: ReceiverId, blocked: bool) {
        self.update(|state| state.core.set_blocked(id, blocked, now()));
    }

    #[cfg(feature = "websocket")]
    pub(super) fn heard(&self) {
        self.update(|state| state.core.heard());
    }

    /// Reports the number of the message whose rest the socket reads, or `None` if the message is complete or the
    /// socket is not read.
    #[cfg(feature = "websocket")]
    pub(super) fn set_unfinished(&self, message: Option<u64>) {
        self.update(|state| state.core.set_unfinished(message, now()));
    }

    #[cfg(feature = "websocket")]
    pub(super) fn has_heartbeats(&self) -> bool {
        self.lock().core.has_heartbeats()
    }

    #[cfg(feature = "websocket")]
    pub(super) fn close_written(&self) {
        self.update(|state| state.core.close_written(now()));
    }

    pub(super) fn release(&self, id: ReceiverId) {
        self.update(|state| state.core.release(id, now()));
    }

    pub(super) fn interrupt(&self, id: ReceiverId) {
        self.update(|state| state.core.interrupt(id, now()));
    }

    // The sending requests' side.

    /// [`accept`](Self::accept) for a socket, which keeps its ticket.
    #[cfg(feature = "websocket")]
    pub(super) fn poll_accept(
        &self,
        batch: &mut Vec<Message>,
        ticket: &mut Ticket,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Closed>> {
        self.update(|state| state.accept(batch, ticket, cx.waker()))
    }

    /// Accepts a batch once the queue has room for it; `batch` is then empty. `number` becomes the number of batches
    /// accepted so far, or `None` if a receiver is attached, which gets the application's reply.
    ///
    /// # Cancel safety
    /// Nothing is accepted until the future completes.
    pub(super) fn accept<'a>(
        &'a self,
        batch: &'a mut Vec<Message>,
        number: &'a mut Option<Accepted>,
    ) -> impl Future<Output = Result<(), Closed>> + Unpin {
        self.waiting(|state, ticket, waker| {
            let accepted = state.accept(batch, ticket, waker);
            accepted.map_ok(|()| *number = (!state.core.attached()).then(|| state.core.accepted()))
        })
    }

    /// Completes when the application has been polled with this many batches, or at once if a receiver is attached,
    /// which gets the application's reply.
    pub(super) fn attended(&self, accepted: Accepted) -> impl Future<Output = ()> + Unpin {
        self.wait(Events::ATTENDED, move |core| ready_if(core.attached() || core.has_attended(accepted)))
    }

    /// Whether messages from the client are discarded, since this side has closed the session.
    pub(crate) fn is_discarding(&self) -> bool {
        self.lock().core.is_discarding()
    }

    /// Ends the session. Returns `false` if it had ended before: the first reason stays.
    pub(crate) fn end(&self, reason: CloseReason) -> bool {
        self.update(|state| state.core.end(reason, now()))
    }

    // The application's side.

    pub(super) fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        cooperate(cx, |cx| {
            self.update_untimed(|state| match state.core.receive() {
                Ok(Some(message)) => Poll::Ready(Some(message)),
                Err(_) => Poll::Ready(None),
                Ok(None) => {
                    state.replaced = set_waker(&mut state.message, cx.waker());
                    Poll::Pending
                }
            })
        })
    }

    pub(super) fn stop_receiving(&self) {
        self.update(|state| state.core.stop_receiving());
    }

    pub(super) fn try_receive(&self) -> Option<Message> {
        self.update_untimed(|state| state.core.receive().ok().flatten())
    }

    /// `overflow` is the policy of this call. `None` is the endpoint's policy, here and below.
    pub(super) fn try_send(&self, message: &Message, overflow: Option<Overflow>) -> Result<(), Refused> {
        self.prepare(message);
        self.update(|state| {
            let overflow = overflow.unwrap_or(state.core.overflow());
            state.try_send(message, overflow, &mut Ticket::default())
        })
    }

    pub(super) async fn send(&self, message: &Message, overflow: Option<Overflow>) -> Result<(), Closed> {
        self.prepare(message);
        coop::cooperative(self.waiting(|state, ticket, waker| {
            let overflow = overflow.unwrap_or(state.core.overflow());
            let sent = state.try_send(message, overflow, ticket);
            state.unless_full(sent, Line::Out, |core| core.room_for(message), ticket, waker)
        }))
        .await
    }

    /// Queues a message whether or not there is room: `poll_writable` has promised room to a `Sink`.
    pub(super) fn push(&self, message: &Message) -> Result<(), Closed> {
        self.prepare(message);
        self.update(|state| state.push(message)).map_err(|_| Closed)
    }

    pub(super) fn poll_writable(
        &self,
        ticket: &mut Ticket,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Closed>> {
        const ROOM: Room = Room { bytes: MESSAGE_OVERHEAD, messages: 1 };
        cooperate(cx, |cx| {
            self.update(|state| {
                let writable = state.writable(ROOM, ticket);
                state.unless_full(writable, Line::Out, |_| ROOM, ticket, cx.waker())
            })
        })
    }

    /// Completes when receivers have taken all messages, or the rest is lost.
    pub(super) fn poll_flushed(&self, ticket: &mut Ticket, cx: &mut Context<'_>) -> Poll<()> {
        self.update(|state| {
            state.wait_for(Events::FLUSHED, ticket, cx.waker(), |core| ready_if(core.flushed()))
        })
    }

    pub(crate) fn ended(&self) -> impl Future<Output = CloseReason> + Unpin {
        self.wait(Events::ENDED, |core| match core.close_reason() {
            Some(reason) => Poll::Ready(reason.clone()),
            None => Poll::Pending,
        })
    }

    pub(super) fn set_heartbeat(&self, heartbeat: Option<Duration>) {
        self.update(|state| state.core.set_heartbeat(heartbeat));
    }

    pub(super) fn dropped_messages(&self) -> u64 {
        self.lock().core.dropped_messages()
    }

    pub(crate) fn close_reason(&self) -> Option<CloseReason> {
        self.lock().core.close_reason().cloned()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.lock().core.close_reason().is_some()
    }

    /// Quotes a message before the lock is taken. The message keeps the result, for all sessions that it is sent to.
    fn prepare(&self, message: &Message) {
        if self.connection.transport.is_framed() {
            message.quoted();
        }
    }

    // The driver's side.

    /// Does what is due by the clock, and returns the status for the driver.
    pub(super) fn drive(&self, cx: &mut Context<'_>) -> Status {
        // The driver arms itself with the deadline.
        self.update_untimed(|state| {
            let now = now();
            state.core.on_deadline(now);
            state.replaced = set_waker(&mut state.driver, cx.waker());
            Status {
                handler_due: state.core.handler_due(),
                ended: state.core.close_reason().is_some(),
                gone: state.core.is_gone(),
                deadline: state.core.arm(now),
                accepted: state.core.accepted(),
            }
        })
    }

    /// Records that the application has been polled since this many batches were accepted.
    pub(super) fn attend(&self, accepted: Accepted) {
        self.update_untimed(|state| state.core.attend(accepted));
    }

    // The endpoint's side.

    /// Ends the session because the endpoint shuts down. The shutdown waits until `count` is dropped.
    pub(super) fn leave(&self, frame: &CloseFrame, count: TaskTrackerToken) {
        // The token is not dropped under the lock, here or below: dropping the last one wakes the task that waits for
        // the shutdown.
        let mut count = Some(count);
        self.update(|state| {
            state.core.leave(frame, now());
            if state.core.is_leaving() && state.leaving.is_none() {
                state.leaving = count.take();
            }
        });
    }

    /// Whether a shutdown still waits for this session.
    pub(super) fn is_leaving(&self) -> bool {
        self.lock().core.is_leaving()
    }

    /// Returns the outcome of the close frame that a shutdown had for the client, and the number of messages lost
    /// before it.
    pub(super) fn farewell(&self) -> Option<(Farewell, u64)> {
        let state = self.lock();
        // Messages dropped for newer ones, before or since, do not count as lost in the shutdown.
        state.core.farewell().map(|farewell| (farewell, state.core.traffic().abandoned))
    }

    /// Calls `look` with the session's current state, under the lock.
    pub(super) fn sample<R>(&self, look: impl FnOnce(Sample<'_>) -> R) -> R {
        let state = self.lock();
        look(Sample {
            transport: self.connection.transport,
            state: state.core.state(),
            end: state.core.close_reason(),
            traffic: state.core.traffic(),
        })
    }

    pub(super) fn traffic(&self) -> Traffic {
        *self.lock().core.traffic()
    }

    /// Forgets the session: no receiver can attach any more. A session that has not ended ends first.
    pub(crate) fn discard(&self) {
        self.update(|state| state.core.discard(now()));
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.lock().core.is_gone()
    }

    /// Whether the application has got the session, or is about to.
    pub(crate) fn handler_due(&self) -> bool {
        self.lock().core.handler_due()
    }
}

fn ready_if(done: bool) -> Poll<()> {
    if done { Poll::Ready(()) } else { Poll::Pending }
}

/// A future that completes when `attempt` returns a value.
///
/// # Cancel safety
/// Dropping it removes its wait from the session.
#[must_use = "futures do nothing unless polled"]
struct Wait<'a, F> {
    shared: &'a Shared,
    ticket: Ticket,
    attempt: F,
}

// No field is ever pinned.
impl<F> Unpin for Wait<'_, F> {}

impl<T, F: FnMut(&mut State, &mut Ticket, &Waker) -> Poll<T>> Future for Wait<'_, F> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let Self { shared, ticket, attempt } = &mut *self;
        shared.update(|state| attempt(state, ticket, cx.waker()))
    }
}

impl<F> Drop for Wait<'_, F> {
    fn drop(&mut self) {
        self.shared.forget(self.ticket);
    }
}

#[cfg(all(test, not(sockjs_loom)))]
mod drops;
#[cfg(all(test, sockjs_loom))]
mod orders;
