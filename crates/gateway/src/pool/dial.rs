//! What a pool asks of a backend. Tests have one whose answers they say.

use std::{fmt, future::Future};

use super::snapshot::DialOutcome;
use crate::config::backend::Health;

pub(crate) trait Dial: Send + Sync + 'static {
    type Opening<'a>: Sync;
    type Socket: Send;
    type Error: DialFailure;

    fn dial(&self, opening: &Self::Opening<'_>) -> impl Future<Output = Result<Self::Socket, Self::Error>> + Send;

    /// The error says in words what is wrong.
    fn probe(&self, health: &Health) -> impl Future<Output = Result<(), String>> + Send;
}

pub(crate) trait DialFailure: fmt::Display + Send {
    fn outcome(&self) -> DialOutcome;
}
