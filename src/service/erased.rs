//! The application's functions, with their arguments' types forgotten.

use std::{future::Future, pin::Pin};

use axum::response::Response;
use http::request::Parts;

use crate::session::{opened::Opened, owner::Owner};

pub(crate) type OpenFuture = Pin<Box<dyn Future<Output = Result<Opened, Response>> + Send>>;

pub(crate) type IdentifyFuture = Pin<Box<dyn Future<Output = Result<Owner, Response>> + Send>>;

/// A [`Handler`](crate::Handler) whose arguments' types are forgotten.
pub(crate) trait ErasedHandler<S>: Send + Sync {
    fn open(&self, parts: Parts, state: S) -> OpenFuture;
}

/// An [`Identify`](crate::Identify) whose arguments' types are forgotten.
pub(crate) trait ErasedIdentify<S>: Send + Sync {
    fn identify(&self, parts: Parts, state: S) -> IdentifyFuture;
}
