//! Functions without their types.

use std::{marker::PhantomData, panic::AssertUnwindSafe, sync::Arc};

use axum::BoxError;
use futures_util::{FutureExt as _, future::BoxFuture};

use super::{context::Context, error::HandlerError, function::Handler, seal::SEAL};

/// A function that serves frames, and what becomes of what it returns: an `R`.
///
/// The future does not panic: a panic of the function is an error.
pub(crate) trait ErasedHandler<S, R>: Send + Sync {
    fn call<'a>(&'a self, context: Context<'a>, state: &'a S) -> BoxFuture<'a, Result<R, HandlerError>>;
}

impl<S, R> std::fmt::Debug for dyn ErasedHandler<S, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ErasedHandler")
    }
}

struct Erased<H, T, C> {
    handler: H,
    convert: C,
    arguments: PhantomData<fn() -> T>,
}

/// Takes the type of a function away. `convert` makes of its output what all functions of its sort return.
pub(crate) fn erase<H, T, S, R>(
    handler: H,
    convert: impl Fn(H::Output) -> Result<R, BoxError> + Send + Sync + 'static,
) -> Arc<dyn ErasedHandler<S, R>>
where
    H: Handler<T, S>,
    T: 'static,
    S: Send + Sync + 'static,
{
    Arc::new(Erased { handler, convert, arguments: PhantomData })
}

impl<H, T, S, R, C> ErasedHandler<S, R> for Erased<H, T, C>
where
    H: Handler<T, S>,
    T: 'static,
    S: Send + Sync + 'static,
    C: Fn(H::Output) -> Result<R, BoxError> + Send + Sync + 'static,
{
    fn call<'a>(&'a self, context: Context<'a>, state: &'a S) -> BoxFuture<'a, Result<R, HandlerError>> {
        let call = async move {
            let output = self.handler.clone().call(context, state, SEAL).await?;
            (self.convert)(output).map_err(HandlerError::handler)
        };
        // What the function shares with others is its own business, as in axum, which lets other requests go on.
        let call = AssertUnwindSafe(call).catch_unwind();
        Box::pin(async move { call.await.unwrap_or_else(|thrown| Err(HandlerError::panic(&*thrown))) })
    }
}
