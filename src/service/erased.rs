//! The application's functions with type-erased arguments.

use std::{any::TypeId, future::Future, pin::Pin};

use axum::response::Response;
use http::request::Parts;

use crate::session::{opened::Opened, owner::Owner};

pub(crate) type OpenFuture = Pin<Box<dyn Future<Output = Result<Opened, Response>> + Send>>;

pub(crate) type IdentifyFuture = Pin<Box<dyn Future<Output = Result<Owner, Response>> + Send>>;

/// A [`Handler`](crate::Handler) with type-erased arguments.
pub(crate) trait ErasedHandler<S>: Send + Sync {
    fn open(&self, parts: Parts, state: S) -> OpenFuture;
}

/// An [`Identify`](crate::Identify) with type-erased arguments.
pub(crate) trait ErasedIdentify<S>: Send + Sync {
    /// The type of the identities.
    fn identity_type(&self) -> TypeId;

    fn identify(&self, parts: Parts, state: S) -> IdentifyFuture;
}
