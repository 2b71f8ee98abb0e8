//! The owner of a session: an identity that the application derives from each request and that is compared.

use std::{any::TypeId, future::Future, hash::Hash, marker::PhantomData, sync::Arc};

use axum::{extract::FromRequestParts, response::IntoResponse as _};
use http::request::Parts;

use super::{
    extractors::all_extractors,
    function::Function,
    seal::{SEAL, Seal},
};
use crate::{
    service::erased::{ErasedIdentify, IdentifyFuture},
    session::owner::Owner,
};

/// An `async fn` that returns the identity behind a request: see [`SockJs::identity`](crate::SockJs::identity).
///
/// Its arguments are one to sixteen extractors that implement [`FromRequestParts`], as in a
/// [`Handler`](crate::Handler). Its result is compared by [`Eq`] and [`Hash`]: a user's id, a cookie's value, or an
/// `Option` of it if login is optional.
///
/// The trait is implemented for all such functions. It is sealed: nothing else can implement or call it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot tell whose a SockJS session is",
    label = "not an `async fn` of extractors that returns something comparable",
    note = "its arguments, one to sixteen, must implement `axum::extract::FromRequestParts<S>`",
    note = "what it returns must be `Eq + Hash + Send + Sync + 'static`",
    note = "the function and its future must be `Send + 'static`, and the function `Clone + Sync`"
)]
pub trait Identify<T, S>: Function<T> + Clone + Send + Sync + Sized + 'static {
    #[doc(hidden)]
    type Identity: 'static;

    /// Runs the extractors on a request, then the function on them.
    #[doc(hidden)]
    fn identify(self, parts: Parts, state: S, _: Seal) -> IdentifyFuture;
}

macro_rules! impl_identify {
    ($($extractor:ident),*) => {
        #[allow(non_snake_case, reason = "the macro names values after their types")]
        impl<F, Fut, S, $($extractor,)*> Identify<($($extractor,)*), S> for F
        where
            F: FnOnce($($extractor,)*) -> Fut + Clone + Send + Sync + 'static,
            Fut: Future<Output: Eq + Hash + Send + Sync + 'static> + Send + 'static,
            S: Send + Sync + 'static,
            $($extractor: FromRequestParts<S> + Send + 'static,)*
        {
            type Identity = Fut::Output;

            fn identify(self, mut parts: Parts, state: S, _: Seal) -> IdentifyFuture {
                Box::pin(async move {
                    $(
                        let $extractor = match $extractor::from_request_parts(&mut parts, &state).await {
                            Ok(value) => value,
                            Err(rejection) => return Err(rejection.into_response()),
                        };
                    )*
                    Ok(Owner::new(self($($extractor,)*).await))
                })
            }
        }
    };
}

all_extractors!(impl_identify);

pub(crate) struct Erased<F, T> {
    identify: F,
    arguments: PhantomData<fn() -> T>,
}

impl<F, T> Erased<F, T> {
    pub(crate) fn new(identify: F) -> Self {
        Self { identify, arguments: PhantomData }
    }
}

impl<F: Identify<T, S>, T: 'static, S> ErasedIdentify<S> for Erased<F, T> {
    fn identity_type(&self) -> TypeId {
        TypeId::of::<F::Identity>()
    }

    fn identify(&self, parts: Parts, state: S) -> IdentifyFuture {
        self.identify.clone().identify(parts, state, SEAL)
    }
}

/// An erased function together with the state that its extractors need.
pub(crate) struct WithState<S> {
    pub(crate) identify: Arc<dyn ErasedIdentify<S>>,
    pub(crate) state: S,
}

impl<S: Clone + Send + Sync + 'static> ErasedIdentify<()> for WithState<S> {
    fn identity_type(&self) -> TypeId {
        self.identify.identity_type()
    }

    fn identify(&self, parts: Parts, (): ()) -> IdentifyFuture {
        self.identify.identify(parts, self.state.clone())
    }
}
