//! What a session's lock holds: the state machine, and whom to wake.

use std::{
    task::{Poll, Waker},
    time::Instant,
};

use tokio_util::task::task_tracker::TaskTrackerToken;

use super::{
    core::{
        Core,
        events::{Events, Line},
        queue::{Refused, Room},
        settings::Overflow,
    },
    limits::LiveSession,
    waiters::{Ticket, Turn, Waiters},
};
use crate::protocol::message::Message;

#[derive(Debug)]
pub(super) struct State {
    pub(super) core: Core,
    pub(super) live: Option<LiveSession>,
    /// While a shutdown waits for this session.
    pub(super) leaving: Option<TaskTrackerToken>,
    /// Each of these waits for the [`Events`] of the same name; one task each.
    pub(super) frame: Option<Waker>,
    pub(super) message: Option<Waker>,
    pub(super) driver: Option<Waker>,
    /// Any number of tasks may wait for the other events.
    pub(super) waiters: Waiters,
    /// A waker that another has taken the place of, to be dropped without the lock.
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
            // There may be room before the time of a batch, of which the driver does not know.
            if !self.waiters.is_empty() && self.core.take_events().contains(Events::DRIVER) {
                wakes.driver = wakes.driver.or_else(|| self.driver.take());
            }
        }
        wakes
    }

    /// Waits for an event unless `ready` is so already. A ticket that is done with is taken back.
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

    /// Takes a batch from the client, in its turn.
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

    /// Queues a message to the client: in its turn, if the policy is to wait for that.
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
                // A `Sink` may have taken more than was left.
                self.core.push(message, overflow, false, now)
            }
        }
    }

    /// Queues a message that a `Sink` has promised to take, by the endpoint's policy.
    pub(super) fn push(&mut self, message: &Message) -> Result<(), Refused> {
        let (overflow, others_wait) = (self.core.overflow(), self.waiters.has_line(Line::Out));
        self.core.push(message, overflow, others_wait, now)
    }

    /// How a task stands in the line for the queue to the client. With a policy other than to wait it stands in none.
    fn turn_out(&mut self, overflow: Overflow, ticket: &mut Ticket) -> Turn {
        match overflow {
            Overflow::Wait => self.waiters.turn(Line::Out, ticket),
            Overflow::Close | Overflow::DropOldest => Turn::Free,
        }
    }

    /// Whether there is so much room in the queue to the client, and its turn has come; or the endpoint's policy is not
    /// to wait for them.
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

    /// Joins a line if a queue is full.
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

/// The wakers to wake once the lock is free.
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

/// The session has ended; nothing was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closed;

/// Sets the waker of an event for which one task waits, and gives back the one that it replaces, unless that is the same.
pub(super) fn set_waker(slot: &mut Option<Waker>, waker: &Waker) -> Option<Waker> {
    match slot {
        Some(set) if set.will_wake(waker) => None,
        _ => slot.replace(waker.clone()),
    }
}
