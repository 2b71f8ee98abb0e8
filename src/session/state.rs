//! The data under a session's lock: the state machine, and the wakers of the tasks that wait.

use std::{
    task::{Poll, Waker},
    time::Instant,
};

use sockjs_core::Message;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::{
    core::{
        Core,
        events::{Events, Line},
        inbox::Accepted,
        queue::{Refused, Room},
        settings::Overflow,
    },
    limits::LiveSession,
    waiters::{Ticket, Turn, Waiters},
};
#[derive(Debug)]
pub(super) struct State {
    pub(super) core: Core,
    pub(super) live: Option<LiveSession>,
    /// Present while a shutdown waits for this session.
    pub(super) leaving: Option<TaskTrackerToken>,
    /// This waker and the next two belong to the tasks that wait for the [`Events`] of the same names, one task each.
    pub(super) frame: Option<Waker>,
    pub(super) message: Option<Waker>,
    pub(super) driver: Option<Waker>,
    /// The tasks that wait for the other events, any number.
    pub(super) waiters: Waiters,
    /// A waker that has been replaced, to be dropped after the lock is released.
    pub(super) replaced: Option<Waker>,
}

/// The clock: tokio's, so that tests can pause it.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl State {
    pub(super) fn new(core: Core, live: LiveSession) -> Self {
        Self {
            core,
            live: Some(live),
            leaving: None,
            frame: None,
            message: None,
            driver: None,
            waiters: Waiters::default(),
            replaced: None,
        }
    }

    /// Whether a task waits for one of these events, or they end what a shutdown or a limit counts.
    #[inline]
    pub(super) fn concerns_others(&self, events: Events) -> bool {
        let wakes = |event, waker: &Option<Waker>| events.contains(event) && waker.is_some();
        wakes(Events::FRAME, &self.frame)
            || wakes(Events::MESSAGE, &self.message)
            || wakes(Events::DRIVER, &self.driver)
            || events.is_for_many() && !self.waiters.is_empty()
            || events.contains(Events::ENDED)
            || events.contains(Events::DRIVER) && self.leaving.is_some()
    }

    pub(super) fn collect(&mut self, events: Events) -> Wakes {
        let mut wakes = Wakes::default();
        if events.contains(Events::FRAME) {
            wakes.frame = self.frame.take();
        }
        if events.contains(Events::MESSAGE) {
            wakes.message = self.message.take();
        }
        if events.contains(Events::DRIVER) {
            wakes.driver = self.driver.take();
        }
        if events.is_for_many() {
            wakes.others = self.waiters.collect(events, &mut self.core, now);
            // A batch may find room before its rate allows it, and the driver does not know that time yet.
            if !self.waiters.is_empty() && self.core.take_events().contains(Events::DRIVER) {
                wakes.driver = wakes.driver.or_else(|| self.driver.take());
            }
        }
        wakes
    }

    /// Adds a wait for an event, unless `ready` returns a value. In that case the wait of an earlier call is removed.
    pub(super) fn wait_for<T>(
        &mut self,
        event: Events,
        ticket: &mut Ticket,
        waker: &Waker,
        ready: impl FnOnce(&mut Core) -> Poll<T>,
    ) -> Poll<T> {
        let result = ready(&mut self.core);
        if result.is_pending() {
            self.replaced = self.waiters.wait_for(event, ticket, waker);
        } else if *ticket != Ticket::default() {
            self.forget(std::mem::take(ticket));
        }
        result
    }

    pub(super) fn forget(&mut self, ticket: Ticket) {
        // Dropping a waker may drop its task, which must not happen under the lock.
        self.replaced = self.waiters.remove(ticket, &mut self.core);
    }

    /// Accepts a batch from the client, in the order of the line.
    pub(super) fn accept(
        &mut self,
        batch: &mut Vec<Message>,
        ticket: &mut Ticket,
        waker: &Waker,
    ) -> Poll<Result<(), Closed>> {
        let accepted = match self.waiters.turn(Line::In, ticket) {
            Turn::Behind => Err(Refused::Full),
            Turn::Free => self.core.accept(batch, now),
            Turn::Granted(room) => self.core.accept_promised(batch, room, now),
        };
        self.unless_full(accepted, Line::In, |_| Room::of_batch(batch), ticket, waker)
    }

    /// Queues a message to the client, in the order of the line if the policy is to wait.
    pub(super) fn try_send(
        &mut self,
        message: &Message,
        overflow: Overflow,
        ticket: &mut Ticket,
    ) -> Result<(), Refused> {
        match self.turn_out(overflow, ticket) {
            Turn::Behind => Err(Refused::Full),
            Turn::Free => {
                let others_wait = self.waiters.has_line(Line::Out);
                self.core.send(message, overflow, others_wait, now)
            }
            Turn::Granted(room) => {
                self.core.withdraw(Line::Out, room);
                // A `Sink` may have used more room than was left, so the message is pushed.
                self.core.push(message, overflow, false, now)
            }
        }
    }

    /// Queues a message of a `Sink`, which was promised room, by the endpoint's policy.
    pub(super) fn push(&mut self, message: &Message) -> Result<(), Refused> {
        let (overflow, others_wait) = (self.core.overflow(), self.waiters.has_line(Line::Out));
        self.core.push(message, overflow, others_wait, now)
    }

    /// Returns the position of a task in the line for the queue to the client. With another policy than to wait there
    /// is no line.
    fn turn_out(&mut self, overflow: Overflow, ticket: &mut Ticket) -> Turn {
        match overflow {
            Overflow::Wait => self.waiters.turn(Line::Out, ticket),
            Overflow::Close | Overflow::DropOldest => Turn::Free,
        }
    }

    /// Whether the queue to the client has this much room and no other task comes first; or the endpoint's policy is
    /// not to wait.
    pub(super) fn writable(&mut self, room: Room, ticket: &mut Ticket) -> Result<(), Refused> {
        match self.turn_out(self.core.overflow(), ticket) {
            Turn::Behind => Err(Refused::Full),
            Turn::Free => match self.core.writable(room.bytes)? {
                true => Ok(()),
                false => Err(Refused::Full),
            },
            Turn::Granted(room) => {
                self.core.withdraw(Line::Out, room);
                Ok(())
            }
        }
    }

    /// Joins the line if the queue is full.
    pub(super) fn unless_full<T>(
        &mut self,
        result: Result<T, Refused>,
        line: Line,
        room: impl FnOnce(&Core) -> Room,
        ticket: &mut Ticket,
        waker: &Waker,
    ) -> Poll<Result<T, Closed>> {
        match result {
            Ok(done) => Poll::Ready(Ok(done)),
            Err(Refused::Closed) => Poll::Ready(Err(Closed)),
            Err(Refused::Full) => {
                self.replaced = self.waiters.line_up(line, room(&self.core), ticket, waker);
                Poll::Pending
            }
        }
    }
}

/// The wakers to wake after the lock is released.
#[derive(Default)]
pub(super) struct Wakes {
    pub(super) frame: Option<Waker>,
    pub(super) message: Option<Waker>,
    pub(super) driver: Option<Waker>,
    pub(super) others: Vec<Waker>,
}

impl Wakes {
    pub(super) fn wake(self) {
        let Self { frame, message, driver, others } = self;
        let wake = |waker: Option<Waker>| {
            if let Some(waker) = waker {
                waker.wake();
            }
        };
        wake(frame);
        wake(message);
        wake(driver);
        others.into_iter().for_each(Waker::wake);
    }
}

/// The status of a session for its driver.
#[derive(Debug, Clone, Copy)]
pub(super) struct Status {
    /// The open frame was taken before the end: the handler has to run.
    pub(super) handler_due: bool,
    pub(super) ended: bool,
    pub(super) gone: bool,
    pub(super) deadline: Option<Instant>,
    /// The number of accepted batches whose senders wait, or have waited, for the application to be polled.
    pub(super) accepted: Accepted,
}

/// The error of a session that has ended. Nothing was accepted or queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closed;

/// Sets the waker of an event that one task waits for. Returns the replaced waker, unless both wake the same task.
pub(super) fn set_waker(slot: &mut Option<Waker>, waker: &Waker) -> Option<Waker> {
    match slot {
        Some(set) if set.will_wake(waker) => None,
        _ => slot.replace(waker.clone()),
    }
}
