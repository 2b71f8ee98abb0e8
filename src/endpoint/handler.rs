//! The application's handler: an `async fn` of extractors and a session.

use std::{future::Future, marker::PhantomData};

use axum::{extract::FromRequestParts, response::IntoResponse as _};
use http::request::Parts;

use crate::{
    service::erased::{ErasedHandler, OpenFuture},
    session::{opened::Opened, session::Session},
};

/// An `async fn` that serves one session.
///
/// Its arguments are up to eight extractors that implement [`FromRequestParts`], as in an axum handler, and last the
/// [`Session`]. It returns nothing. The extractors see the request that opens the session. If one rejects it, the
/// rejection is the response, and no session opens.
///
/// The trait is implemented for all such functions; do not implement it yourself.
///
/// ```
/// use axum::{extract::State, http::HeaderMap};
/// use axum_sockjs::{Session, SockJs};
///
/// async fn greet(State(greeting): State<String>, headers: HeaderMap, session: Session) {
///     session.send(greeting).await.ok();
/// }
///
/// let endpoint = SockJs::new(greet).with_state("welcome".to_owned());
/// ```
///
/// The compiler rejects other functions with a hint:
///
/// ```compile_fail
/// use axum_sockjs::{Session, SockJs};
///
/// async fn session_is_not_last(session: Session, uri: axum::http::Uri) {}
///
/// let endpoint: SockJs = SockJs::new(session_is_not_last);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot handle SockJS sessions",
    label = "not an `async fn` of extractors and a `Session`",
    note = "a handler is an `async fn` whose last argument is `axum_sockjs::Session` and which returns `()`",
    note = "the arguments before it, at most eight, must implement `axum::extract::FromRequestParts<S>`; \
            extractors that read the body, such as `Json` or `String`, cannot be used",
    note = "the function and its future must be `Send + 'static`, and the function `Clone + Sync`"
)]
pub trait Handler<T, S>: Clone + Send + Sync + Sized + 'static {
    /// Runs the extractors on the opening request.
    #[doc(hidden)]
    fn open(self, parts: Parts, state: S) -> OpenFuture;
}

macro_rules! impl_handler {
    ($($extractor:ident),*) => {
        #[allow(non_snake_case, unused_mut, unused_variables, reason = "the macro serves zero extractors too")]
        impl<F, Fut, S, $($extractor,)*> Handler<($($extractor,)* Session,), S> for F
        where
            F: FnOnce($($extractor,)* Session) -> Fut + Clone + Send + Sync + 'static,
            Fut: Future<Output = ()> + Send + 'static,
            S: Send + Sync + 'static,
            $($extractor: FromRequestParts<S> + Send + 'static,)*
        {
            fn open(self, mut parts: Parts, state: S) -> OpenFuture {
                Box::pin(async move {
                    $(
                        let $extractor = match $extractor::from_request_parts(&mut parts, &state).await {
                            Ok(value) => value,
                            Err(rejection) => return Err(rejection.into_response()),
                        };
                    )*
                    // Called inside the future, so that a panic of the function itself also ends the session.
                    Ok(Opened(Box::new(move |session| Box::pin(async move { self($($extractor,)* session).await }))))
                })
            }
        }
    };
}

impl_handler!();
impl_handler!(T1);
impl_handler!(T1, T2);
impl_handler!(T1, T2, T3);
impl_handler!(T1, T2, T3, T4);
impl_handler!(T1, T2, T3, T4, T5);
impl_handler!(T1, T2, T3, T4, T5, T6);
impl_handler!(T1, T2, T3, T4, T5, T6, T7);
impl_handler!(T1, T2, T3, T4, T5, T6, T7, T8);

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
        self.handler.clone().open(parts, state)
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
