//! The rates of a session: whether its client may send more, and when.
//!
//! Each [`Rate`] has a *balance*, of messages or of bytes. It grows with time up to the burst, and each batch takes its
//! size from it. A batch is accepted while there is at least one message and one byte, and takes its whole size: the
//! balance may become a debt, in which the next batch waits. So a batch of any size passes, and in any period a client
//! sends no more than the burst, the rate times the period, and one batch.
//!
//! The balance is kept as a time: the one at which it will be the whole burst again.

use std::time::{Duration, Instant};

use super::{
    queue::{MESSAGE_OVERHEAD, Room},
    rate::{Rate, RateOverflow, Rates},
};

/// The rates of a session that has any.
#[cfg_attr(test, derive(Clone))]
#[derive(Debug)]
pub(super) struct Throttle {
    messages: Option<Balance>,
    bytes: Option<Balance>,
    overflow: RateOverflow,
    /// Whether a batch waits until the rates allow it.
    is_awaited: bool,
}

impl Throttle {
    pub(super) fn new(rates: &Rates, now: Instant) -> Option<Box<Self>> {
        let Rates { messages, bytes, overflow } = *rates;
        if messages.is_none() && bytes.is_none() {
            return None;
        }
        let balance = |rate: Option<Rate>| rate.map(|rate| Balance::new(rate, now));
        let (messages, bytes) = (balance(messages), balance(bytes));
        Some(Box::new(Self { messages, bytes, overflow, is_awaited: false }))
    }

    /// Takes the size of a batch from the balances, if the rates allow it now. Otherwise returns the policy for it.
    pub(super) fn admit(&mut self, batch: Room, now: Instant) -> Result<(), RateOverflow> {
        if self.next_at().is_some_and(|next| now < next) {
            self.is_awaited = self.overflow == RateOverflow::Wait;
            return Err(self.overflow);
        }
        self.is_awaited = false;
        let bytes = batch.bytes - batch.messages * MESSAGE_OVERHEAD;
        let take = |balance: &mut Option<Balance>, count: usize| {
            if let Some(balance) = balance {
                balance.take(count as u64, now);
            }
        };
        take(&mut self.messages, batch.messages);
        take(&mut self.bytes, bytes);
        Ok(())
    }

    /// Whether a batch that waits may be promised its room. With the policy to wait, this takes the size of the batch
    /// from the balances.
    pub(super) fn may_be_promised(&mut self, batch: Room, now: Instant) -> bool {
        self.overflow != RateOverflow::Wait || self.admit(batch, now).is_ok()
    }

    /// Like [`admit`](Self::admit), for a batch that has been promised its room.
    pub(super) fn admit_promised(&mut self, batch: Room, now: Instant) -> Result<(), RateOverflow> {
        match self.overflow {
            RateOverflow::Wait => Ok(()),
            RateOverflow::Close => self.admit(batch, now),
        }
    }

    /// The time at which the batch that waits is allowed.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next_at().filter(|_| self.is_awaited)
    }

    /// Records that no batch waits any more, or that its task has been woken.
    pub(super) fn forget_waiting(&mut self) {
        self.is_awaited = false;
    }

    /// The time from which the next batch is allowed.
    fn next_at(&self) -> Option<Instant> {
        let next_at = |balance: &Option<Balance>| balance.as_ref().and_then(Balance::next_at);
        next_at(&self.messages).max(next_at(&self.bytes))
    }
}

#[cfg_attr(test, derive(Clone))]
#[derive(Debug)]
struct Balance {
    rate: Rate,
    /// The time that the rate needs for all but one of the burst.
    slack: Duration,
    /// The time at which the balance is, or was, the whole burst.
    full_at: Instant,
}

impl Balance {
    fn new(rate: Rate, now: Instant) -> Self {
        Self { rate, slack: rate.slack(), full_at: now }
    }

    /// The time from which the balance is at least one; `None` is long ago.
    fn next_at(&self) -> Option<Instant> {
        self.full_at.checked_sub(self.slack)
    }

    fn take(&mut self, count: u64, now: Instant) {
        let since = self.full_at.max(now);
        self.full_at = since.checked_add(self.rate.time_of(count)).unwrap_or(since);
    }
}

#[cfg(test)]
pub(super) mod tests;
