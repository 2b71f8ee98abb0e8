//! The application's handler: an `async fn` of extractors and a session.

use std::{future::Future, marker::PhantomData};

use axum::{extract::FromRequestParts, response::IntoResponse as _};
use http::request::Parts;

use super::{
    extractors::all_extractors,
    function::{Function, LastArgument},
    output::HandlerOutput,
    seal::{SEAL, Seal},
};
use crate::{
    service::erased::{ErasedHandler, OpenFuture},
    session::opened::Opened,
};

/// An `async fn` that serves one session.
///
/// Its arguments are up to sixteen extractors that implement [`FromRequestParts`], as in an axum handler, and last the
/// [`Session`](crate::Session). The extractors see the request that opens the session. If one rejects it, the rejection
/// is the response, and no session opens.
///
/// It returns `()`, or `Result<(), E>` with an `E` that is a [`HandlerError`](crate::HandlerError), such as
/// [`axum::BoxError`]: then `?` works, and an error is logged and ends the session. The close waits for what was sent
/// before. A session that was moved to another task is closed too.
///
/// ```
/// use axum::{BoxError, extract::State, http::HeaderMap};
/// use axum_sockjs::{Session, SockJs};
///
/// async fn greet(State(greeting): State<String>, headers: HeaderMap, session: Session) -> Result<(), BoxError> {
///     if let Some(agent) = headers.get("user-agent") {
///         session.send(format!("{greeting}, {}", agent.to_str()?)).await?;
///     }
///     Ok(())
/// }
///
/// let endpoint = SockJs::new(greet).with_state("welcome".to_owned());
/// ```
///
/// A handler that returns a `Result` closes a session that it drops at its next `await` or at its end, since its result
/// decides on the close; any other handler closes it at once. A closure has to name its error type at least once:
/// `Ok::<(), BoxError>(())`.
///
/// `?` leaves the handler at once: the code behind it does not run. So what a handler holds for its session, such as a
/// place in a map, is given up in a `Drop`. And `?` on a `send` to another session ends this one when the other has
/// ended: ignore that error. The example `chat` does both.
///
/// The trait is implemented for all such functions. It is sealed: nothing else can implement or call it.
///
/// # Compile errors
///
/// The compiler names the argument, the error type or the value in the future that a function must not have:
///
/// ```compile_fail,E0277
/// use axum_sockjs::{Session, SockJs};
///
/// async fn session_is_not_last(session: Session, uri: axum::http::Uri) {}
///
/// // error: the last argument of a SockJS handler is not `Uri`, but `axum_sockjs::Session`
/// let endpoint: SockJs = SockJs::new(session_is_not_last);
/// ```
///
/// [`debug_handler!`](crate::debug_handler) lets it also point at the argument; axum's `#[debug_handler]` does not know
/// a `Session`. An error that speaks of `FromRequestParts<()>` or `FromRef<()>`, or of `SockJs<()>` where `SockJs<App>`
/// was found, means that the state has been forgotten: [`SockJs::with_state`](crate::SockJs::with_state) or
/// [`SockJs::into_router`](crate::SockJs::into_router) provides it, and in `debug_handler!` the line `state = App;`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot handle SockJS sessions",
    label = "not an `async fn` of extractors and a `Session`",
    note = "a handler is an `async fn` whose last argument is `axum_sockjs::Session` and which returns `()` or \
            `Result<(), E>`",
    note = "the arguments before it, at most sixteen, must implement `axum::extract::FromRequestParts<S>`; \
            extractors that read the body, such as `Json` or `String`, cannot be used",
    note = "the function and its future must be `Send + 'static`, and the function `Clone + Sync`"
)]
pub trait Handler<T, S>: Function<T> + Clone + Send + Sync + Sized + 'static {
    /// Runs the extractors on the opening request.
    #[doc(hidden)]
    fn open(self, parts: Parts, state: S, _: Seal) -> OpenFuture;
}

macro_rules! impl_handler {
    ($($extractor:ident),*) => {
        #[allow(non_snake_case, unused_mut, unused_variables, reason = "the macro serves zero extractors too")]
        impl<F, Fut, S, $($extractor,)* Last> Handler<($($extractor,)* Last,), S> for F
        where
            F: FnOnce($($extractor,)* Last) -> Fut + Clone + Send + Sync + 'static,
            Fut: Future<Output: HandlerOutput> + Send + 'static,
            S: Send + Sync + 'static,
            // First, since rustc explains bounds in this order.
            Last: LastArgument,
            $($extractor: FromRequestParts<S> + Send + 'static,)*
        {
            fn open(self, mut parts: Parts, state: S, seal: Seal) -> OpenFuture {
                Box::pin(async move {
                    $(
                        let $extractor = match $extractor::from_request_parts(&mut parts, &state).await {
                            Ok(value) => value,
                            Err(rejection) => return Err(rejection.into_response()),
                        };
                    )*
                    let call = move |session| self($($extractor,)* Last::of(session, seal));
                    Ok(Opened(Box::new(move |session| HandlerOutput::run(call, session, seal))))
                })
            }
        }
    };
}

impl_handler!();
all_extractors!(impl_handler);

pub(crate) struct Erased<H, T> {
    handler: H,
    arguments: PhantomData<fn() -> T>,
}

impl<H, T> Erased<H, T> {
    pub(crate) fn new(handler: H) -> Self {
        Self { handler, arguments: PhantomData }
    }
}

impl<H: Handler<T, S>, T: 'static, S> ErasedHandler<S> for Erased<H, T> {
    fn open(&self, parts: Parts, state: S) -> OpenFuture {
        self.handler.clone().open(parts, state, SEAL)
    }
}

/// An erased handler together with the state that its extractors need.
pub(crate) struct WithState<S> {
    pub(crate) handler: std::sync::Arc<dyn ErasedHandler<S>>,
    pub(crate) state: S,
}

impl<S: Clone + Send + Sync + 'static> ErasedHandler<()> for WithState<S> {
    fn open(&self, parts: Parts, (): ()) -> OpenFuture {
        self.handler.open(parts, self.state.clone())
    }
}
