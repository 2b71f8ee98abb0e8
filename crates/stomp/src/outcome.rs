//! A result that is there, or comes later.
//!
//! Imports: nothing.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::future::BoxFuture;

/// A result that is there, or comes later.
///
/// A broker in memory knows its answers at once, and one behind a network does not: awaiting the former costs no
/// allocation and no turn of the executor.
pub struct Outcome<T>(State<T>);

enum State<T> {
    Ready(Option<T>),
    Later(BoxFuture<'static, T>),
}

impl<T> Outcome<T> {
    /// A result that is there.
    pub const fn ready(value: T) -> Self {
        Self(State::Ready(Some(value)))
    }

    /// A result that comes later.
    ///
    /// What it is of has been begun when this is called, and not when it is awaited: whoever does not want to know the
    /// result may drop it.
    pub fn later(future: impl Future<Output = T> + Send + 'static) -> Self {
        Self(State::Later(Box::pin(future)))
    }

    /// The result if it is there, and otherwise what it can be awaited by.
    ///
    /// # Errors
    /// If the result comes later.
    pub fn now(self) -> Result<T, Self> {
        match self.0 {
            State::Ready(Some(value)) => Ok(value),
            other => Err(Self(other)),
        }
    }
}

impl<T: Send + 'static> Outcome<T> {
    pub(crate) fn map<U>(self, map: impl FnOnce(T) -> U + Send + 'static) -> Outcome<U> {
        Outcome(match self.0 {
            State::Ready(value) => State::Ready(value.map(map)),
            State::Later(future) => State::Later(Box::pin(async { map(future.await) })),
        })
    }
}

impl<T: Unpin> Future for Outcome<T> {
    type Output = T;

    /// # Panics
    /// If it is polled after its end.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        match &mut self.0 {
            State::Ready(value) => Poll::Ready(value.take().expect("polled after its end")),
            State::Later(future) => future.as_mut().poll(cx),
        }
    }
}

impl<T> fmt::Debug for Outcome<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outcome").finish_non_exhaustive()
    }
}
