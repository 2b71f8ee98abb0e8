//! Functions and their arguments.

use std::future::Future;

use super::{extractors::all_extractors, seal::Seal};
use crate::session::session::Session;

/// An asynchronous function, with its arguments as a tuple.
///
/// The compiler infers `T` from this bound, whatever the arguments are. Of the bounds on the arguments it then names
/// the one that does not hold.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an `async fn` of at most seventeen arguments",
    label = "not an `async fn`, or too many arguments"
)]
pub trait Function<T> {}

impl<F, Fut> Function<()> for F
where
    F: FnOnce() -> Fut,
    Fut: Future,
{
}

macro_rules! impl_function {
    ($($argument:ident),*) => {
        impl<F, Fut, $($argument,)* Last> Function<($($argument,)* Last,)> for F
        where
            F: FnOnce($($argument,)* Last) -> Fut,
            Fut: Future,
        {
        }
    };
}

impl_function!();
all_extractors!(impl_function);

/// The last argument of a handler: its only implementation is that of [`Session`].
#[diagnostic::on_unimplemented(
    message = "the last argument of a SockJS handler is not `{Self}`, but `axum_sockjs::Session`",
    label = "the last argument is not the `Session`",
    note = "`session.json::<In, Out>()` makes a `Session` one of JSON values"
)]
pub trait LastArgument: Send + 'static {
    #[doc(hidden)]
    fn of(session: Session, _: Seal) -> Self;
}

impl LastArgument for Session {
    fn of(session: Session, _: Seal) -> Self {
        session
    }
}
