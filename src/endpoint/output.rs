//! What a handler may return.

use std::future::Future;

use super::seal::Seal;
use crate::session::{fallible, handler_error::HandlerError, opened::HandlerFuture, session::Session};

/// What a [`Handler`](crate::Handler) may return: `()`, or `Result<(), E>` with an error that is a
/// [`HandlerError`].
///
/// The trait is sealed: only this crate implements it.
#[diagnostic::on_unimplemented(
    message = "a SockJS handler cannot return `{Self}`",
    label = "not `()` or `Result<(), E>`",
    note = "a handler returns `()` or `Result<(), E>` where `E: axum_sockjs::HandlerError`, `axum::BoxError` for instance"
)]
pub trait HandlerOutput: Sized {
    /// Runs a handler on its session.
    #[doc(hidden)]
    fn run<F>(call: impl FnOnce(Session) -> F + Send + 'static, session: Session, _: Seal) -> HandlerFuture
    where
        F: Future<Output = Self> + Send + 'static;
}

impl HandlerOutput for () {
    fn run<F>(call: impl FnOnce(Session) -> F + Send + 'static, session: Session, _: Seal) -> HandlerFuture
    where
        F: Future<Output = Self> + Send + 'static,
    {
        Box::pin(call(session))
    }
}

impl<E: HandlerError + 'static> HandlerOutput for Result<(), E> {
    fn run<F>(call: impl FnOnce(Session) -> F + Send + 'static, session: Session, _: Seal) -> HandlerFuture
    where
        F: Future<Output = Self> + Send + 'static,
    {
        Box::pin(fallible::run(call, session))
    }
}

/// Gives a name to the type `!`, which has none in stable Rust.
#[doc(hidden)]
pub trait Returns {
    type Output;
}

impl<T> Returns for fn() -> T {
    type Output = T;
}

/// Of a handler that never returns, such as an `async` block that ends with a loop.
impl HandlerOutput for <fn() -> ! as Returns>::Output {
    fn run<F>(call: impl FnOnce(Session) -> F + Send + 'static, session: Session, _: Seal) -> HandlerFuture
    where
        F: Future<Output = Self> + Send + 'static,
    {
        Box::pin(async move { call(session).await })
    }
}
