//! What a pool asks of a backend. Tests have one whose answers they say.

use std::{error::Error, future::Future, time::Duration};

use super::snapshot::DialOutcome;
use crate::{
    backend::{connector::Connector, dial_error::DialError, opening::Opening, socket::BackendSocket},
    config::backend::Check,
};

/// What can be dialled for a session that is described by an `Opening`.
pub(crate) trait Dial<Opening>: Probe {
    type Socket: Send;

    fn dial(&self, opening: &Opening) -> impl Future<Output = Result<Self::Socket, Self::Error>> + Send;
}

pub(crate) trait Probe: Send + Sync + 'static {
    type Error: DialFailure;

    fn probe(
        &self,
        check: &Check,
        patience: Duration,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

pub(crate) trait DialFailure: Error + Send {
    fn outcome(&self) -> DialOutcome;
}

impl Dial<Opening<'_>> for Connector {
    type Socket = BackendSocket;

    async fn dial(&self, opening: &Opening<'_>) -> Result<BackendSocket, DialError> {
        Self::dial(self, opening).await
    }
}

impl Probe for Connector {
    type Error = DialError;

    async fn probe(&self, check: &Check, patience: Duration) -> Result<(), DialError> {
        Self::probe(self, check, patience).await
    }
}

impl DialFailure for DialError {
    fn outcome(&self) -> DialOutcome {
        match self {
            Self::TimedOut => DialOutcome::TimedOut,
            error if error.is_out_of_files() => DialOutcome::OutOfFiles,
            error if error.is_refusal() => DialOutcome::Refused,
            error if error.is_answer() => DialOutcome::Unavailable,
            _ => DialOutcome::Failed,
        }
    }
}
