//! Functions and their arguments.

use std::future::Future;

use super::{context::Context, error::HandlerError, extract::FromMessage, seal::Seal};

/// An asynchronous function, with its arguments as a tuple of pairs: what marks an argument, and its type.
///
/// The compiler infers `T` from this bound, whatever the arguments are. Of the bounds on the arguments it then names
/// the one that does not hold.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an `async fn` of at most sixteen arguments",
    label = "not an `async fn`, or too many arguments"
)]
pub trait Function<T> {}

/// An `async fn` of the application's: of up to sixteen arguments that are [`FromMessage`], in any order.
///
/// What it returns depends on what it is for:
///
/// | function | returns |
/// |---|---|
/// | [`Routes::message`](crate::Routes::message) | [`IntoReplies`](crate::IntoReplies) |
/// | [`Routes::subscribe`](crate::Routes::subscribe) | [`IntoAnswer`](crate::IntoAnswer) |
/// | `on_connect` | [`IntoLogin`](crate::IntoLogin) |
/// | `authorize` | [`IntoDecision`](crate::IntoDecision) |
///
/// Arguments are made one after the other, and the first one that cannot be made ends the call. A closure that returns
/// a future is a function too. All have to be `Send + Sync + Clone + 'static`, and their futures `Send + 'static`.
///
/// The trait is implemented for all such functions. It is sealed: nothing else can implement or call it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot handle STOMP frames",
    label = "not an `async fn` of extractors",
    note = "a handler is an `async fn` with at most sixteen arguments, each of which is `axum_stomp::FromMessage<{S}, _>` or \
            axum's `FromRequestParts<{S}>`",
    note = "the function and its future must be `Send + 'static`, and the function `Clone + Sync`"
)]
pub trait Handler<T, S>: Function<T> + Clone + Send + Sync + Sized + 'static {
    /// What the function returns, in the end.
    type Output;

    /// Makes the arguments and calls the function.
    #[doc(hidden)]
    fn call(
        self,
        context: Context<'_>,
        state: &S,
        _: Seal,
    ) -> impl Future<Output = Result<Self::Output, HandlerError>> + Send;
}

macro_rules! impl_function {
    ($($marker:ident $argument:ident),*) => {
        impl<F, Fut, $($marker, $argument),*> Function<($(($marker, $argument),)*)> for F
        where
            F: FnOnce($($argument),*) -> Fut,
            Fut: Future,
        {
        }

        #[allow(non_snake_case, unused_mut, unused_variables, reason = "the macro serves no arguments too")]
        impl<F, Fut, S, $($marker, $argument),*> Handler<($(($marker, $argument),)*), S> for F
        where
            F: FnOnce($($argument),*) -> Fut + Clone + Send + Sync + 'static,
            Fut: Future + Send + 'static,
            S: Send + Sync,
            $($argument: FromMessage<S, $marker> + Send,)*
        {
            type Output = Fut::Output;

            async fn call(
                self,
                mut context: Context<'_>,
                state: &S,
                _: Seal,
            ) -> Result<Fut::Output, HandlerError> {
                $(
                    let $argument =
                        $argument::from_message(&mut context, state).await.map_err(HandlerError::rejection)?;
                )*
                Ok(self($($argument),*).await)
            }
        }
    };
}

/// Calls a macro with each list of none to sixteen pairs of type parameters, as many as axum's handlers may have.
macro_rules! all_arguments {
    ([$($pairs:tt)*]) => {
        impl_function!($($pairs)*);
    };
    ([] $marker:ident $argument:ident $($rest:ident)*) => {
        impl_function!();
        all_arguments!([$marker $argument] $($rest)*);
    };
    ([$($pairs:tt)+] $marker:ident $argument:ident $($rest:ident)*) => {
        impl_function!($($pairs)+);
        all_arguments!([$($pairs)+, $marker $argument] $($rest)*);
    };
}

all_arguments!([] M1 T1 M2 T2 M3 T3 M4 T4 M5 T5 M6 T6 M7 T7 M8 T8 M9 T9 M10 T10 M11 T11 M12 T12 M13 T13 M14 T14 M15 T15
    M16 T16);
