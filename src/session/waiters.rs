//! The tasks that wait for a session, in the order in which they came.
//!
//! Most tasks wait for an event and are woken by it. Tasks that wait for room in a queue form a *line*: a later task is
//! not served before an earlier one, however little room it needs. When there is room for the first task, the room is
//! reserved for it, and the task is woken once. The next task in line may then use the rest. If the session has a rate,
//! the first batch also waits until the rate allows it. tokio's `Semaphore` serves its waiters in the same way. It
//! cannot be used here: the room depends on the session's state, under the session's lock.

use std::{task::Waker, time::Instant};

use super::core::{
    Core,
    events::{Events, Line},
    queue::Room,
};

/// Identifies one wait of a session, so that the wait can be removed. The default stands for no wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Ticket(u64);

/// The position of a task in a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// No task waits before it.
    Free,
    /// Other tasks came before it, or it waits itself.
    Behind,
    /// It has waited, and this room is reserved for it.
    Granted(Room),
}

#[derive(Debug, Default)]
pub(super) struct Waiters {
    /// Sorted by ticket.
    list: Vec<Waiter>,
    last_ticket: u64,
    /// The number of tasks in each [`Line`] that have no room yet.
    in_line: [usize; 2],
}

#[derive(Debug)]
struct Waiter {
    ticket: Ticket,
    waits_for: WaitsFor,
    waker: Waker,
}

#[derive(Debug, Clone, Copy)]
enum WaitsFor {
    Event(Events),
    Room(Line, Room),
    /// The room is reserved, and its task has not used it yet.
    Nothing(Line, Room),
}

impl Waiters {
    /// Returns the position of the task with this ticket in a line. Room that it has been granted is its own from then
    /// on, and the ticket is cleared.
    pub(super) fn turn(&mut self, line: Line, ticket: &mut Ticket) -> Turn {
        if let Some(at) = self.find(*ticket) {
            match self.list[at].waits_for {
                WaitsFor::Nothing(granted, room) if granted == line => {
                    self.list.remove(at);
                    *ticket = Ticket::default();
                    return Turn::Granted(room);
                }
                _ => return Turn::Behind,
            }
        }
        if self.has_line(line) { Turn::Behind } else { Turn::Free }
    }

    /// Whether any task waits in a line and has no room yet.
    pub(super) fn has_line(&self, line: Line) -> bool {
        self.in_line[line as usize] > 0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Adds a task that waits for an event.
    pub(super) fn wait_for(&mut self, event: Events, ticket: &mut Ticket, waker: &Waker) -> Option<Waker> {
        self.enqueue(WaitsFor::Event(event), ticket, waker)
    }

    /// Adds a task that waits for room, behind those that wait already.
    pub(super) fn line_up(
        &mut self,
        line: Line,
        room: Room,
        ticket: &mut Ticket,
        waker: &Waker,
    ) -> Option<Waker> {
        self.enqueue(WaitsFor::Room(line, room), ticket, waker)
    }

    /// Returns the waker that has been replaced. It has to be dropped after the session's lock is released.
    fn enqueue(&mut self, waits_for: WaitsFor, ticket: &mut Ticket, waker: &Waker) -> Option<Waker> {
        if let Some(at) = self.find(*ticket) {
            let waiter = &mut self.list[at];
            debug_assert_eq!(std::mem::discriminant(&waiter.waits_for), std::mem::discriminant(&waits_for));
            let replaced = !waiter.waker.will_wake(waker);
            return replaced.then(|| std::mem::replace(&mut waiter.waker, waker.clone()));
        }
        if let WaitsFor::Room(line, _) = waits_for {
            self.in_line[line as usize] += 1;
        }
        self.last_ticket += 1;
        *ticket = Ticket(self.last_ticket);
        self.list.push(Waiter { ticket: *ticket, waits_for, waker: waker.clone() });
        None
    }

    /// Removes a wait, and gives the room that was reserved for it to others. The returned waker has to be dropped
    /// after the session's lock is released.
    pub(super) fn remove(&mut self, ticket: Ticket, core: &mut Core) -> Option<Waker> {
        let at = self.find(ticket)?;
        let Waiter { waits_for, waker, .. } = self.list.remove(at);
        match waits_for {
            WaitsFor::Event(_) => {}
            WaitsFor::Room(line, _) => {
                self.in_line[line as usize] -= 1;
                if self.has_line(line) {
                    // The tasks behind it may need less room.
                    core.room_changed(line);
                } else {
                    core.nobody_waits(line);
                }
            }
            WaitsFor::Nothing(line, room) => core.withdraw(line, room),
        }
        Some(waker)
    }

    /// Takes the wakers of the tasks that wait for these events.
    pub(super) fn collect(
        &mut self,
        events: Events,
        core: &mut Core,
        now: impl Fn() -> Instant,
    ) -> Vec<Waker> {
        let mut wakers = Vec::new();
        if self.list.is_empty() {
            return wakers;
        }
        if events.contains(Events::ENDED) {
            // No task waits for room any more.
            self.in_line = [0; 2];
        }
        let mut open = [Line::In, Line::Out].map(|line| events.contains(line.event()));
        self.list.retain_mut(|waiter| {
            let take = |waker: &mut Waker| std::mem::replace(waker, Waker::noop().clone());
            match waiter.waits_for {
                WaitsFor::Event(event) if events.contains(event) => {
                    wakers.push(take(&mut waiter.waker));
                    false
                }
                WaitsFor::Room(..) | WaitsFor::Nothing(..) if events.contains(Events::ENDED) => {
                    wakers.push(take(&mut waiter.waker));
                    false
                }
                WaitsFor::Room(line, room) if open[line as usize] => {
                    if core.promise(line, room, &now) {
                        waiter.waits_for = WaitsFor::Nothing(line, room);
                        self.in_line[line as usize] -= 1;
                        wakers.push(take(&mut waiter.waker));
                    } else {
                        // The tasks behind it wait, too.
                        open[line as usize] = false;
                    }
                    true
                }
                _ => true,
            }
        });
        wakers
    }

    fn find(&self, ticket: Ticket) -> Option<usize> {
        self.list.binary_search_by_key(&ticket, |waiter| waiter.ticket).ok()
    }
}

#[cfg(test)]
mod tests;
