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

#[cfg(test)]
mod tests {
    use super::{
        super::{error::ErrorKind, rejection::Rejection, testing::World},
        *,
    };

    async fn call<H, T>(body: &'static str, handler: H) -> Result<u32, (ErrorKind, String)>
    where
        H: Handler<T, (), Output = Result<u32, BoxError>>,
        T: 'static,
    {
        let erased = erase(handler, |output| output);
        let result = erased.call(World::send(body).context(), &()).await;
        result.map_err(|error| (error.kind(), error.to_string()))
    }

    #[tokio::test]
    async fn whatever_fails_is_an_error() {
        assert_eq!(call("", async || Ok(1)).await, Ok(1));
        assert_eq!(call("", async || Err("no".into())).await, Err((ErrorKind::Handler, "no".to_owned())));
        let no = |text: Result<axum::Json<u32>, Rejection>| async move { Ok(text?.0) };
        assert_eq!(call("x", no).await.unwrap_err().0, ErrorKind::Handler);
        let read = async |json: axum::Json<u32>| Ok(json.0);
        assert_eq!(call("x", read).await.unwrap_err().0, ErrorKind::Rejection);
    }

    #[tokio::test]
    async fn a_panic_is_an_error() {
        let panicked = |text: &str| Err((ErrorKind::Panic, format!("panicked: {text}")));
        let later = async || {
            tokio::task::yield_now().await;
            panic!("later")
        };
        assert_eq!(call("", later).await, panicked("later"));
        let at_once = |body: String| {
            assert!(body.is_empty(), "at once");
            async { Ok(1) }
        };
        assert_eq!(call("x", at_once).await, panicked("at once"));
        let erased = erase::<_, _, (), u32>(async || (), |()| panic!("{}", "converting"));
        let error = erased.call(World::send("").context(), &()).await.unwrap_err();
        assert_eq!(error.to_string(), "panicked: converting");
    }
}
