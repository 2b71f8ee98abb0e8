//! The messages of a room with history, on their way to the members.
//!
//! Members get them in the order of their positions. So one call delivers at a time, and the others leave it their
//! messages. A message has the members of the moment at which it was numbered: whoever joins later has read it in the
//! log.

use std::{collections::VecDeque, sync::Arc, task::Waker};

use axum_sockjs::{Message, Overflow};
use tokio::time::Instant;

use super::{
    delivery::Except,
    log::{Encode, Entry, Log},
    members::Members,
};
use crate::{history::History, position::Position};

/// As many messages may wait for the call that delivers.
pub(crate) const MAX_OUTGOING: usize = 1024;

pub(crate) struct Stream<U, D> {
    pub(crate) log: Log,
    pub(crate) outgoing: VecDeque<Outgoing<U, D>>,
    /// Whether a call delivers what is outgoing.
    pub(crate) is_delivering: bool,
    /// Whoever follows a shared history waits until less is outgoing.
    pub(crate) waits: Option<Waker>,
    /// When a room that nobody needs is forgotten.
    pub(crate) idle_until: Option<Instant>,
}

impl<U, D> Stream<U, D> {
    pub(crate) fn new(settings: History, stream: u64) -> Self {
        let log = Log::new(settings, stream);
        Self { log, outgoing: VecDeque::new(), is_delivering: false, waits: None, idle_until: None }
    }

    /// Whether another message may wait for the call that delivers.
    pub(crate) fn has_room(&self) -> bool {
        self.outgoing.len() < MAX_OUTGOING
    }
}

pub(crate) struct Outgoing<U, D> {
    pub(crate) what: What,
    pub(crate) to: Arc<Members<U, D>>,
    pub(crate) except: Except,
    pub(crate) overflow: Overflow,
}

pub(crate) enum What {
    Kept(Arc<Entry>),
    Transient(Message),
}

impl What {
    /// Returns what is sent. Runs code of the application.
    pub(crate) fn wire(&self, encode: Option<&Encode>) -> &Message {
        match self {
            Self::Kept(entry) => entry.wire(encode),
            Self::Transient(message) => message,
        }
    }

    pub(crate) fn position(&self) -> Option<Position> {
        match self {
            Self::Kept(entry) => Some(entry.position),
            Self::Transient(_) => None,
        }
    }
}
