//! A macro that shows which part of a handler is wrong.

/// Lets the compiler point at the part of a [`Handler`](crate::Handler) that is wrong: an argument, the return type or
/// what is not `Send`.
///
/// The error of `SockJs::new(handler)` names the wrong type, but points at the call. axum's `#[debug_handler]` cannot
/// check a handler of sessions, since [`Session`](crate::Session) is no extractor. Put the handler into this macro as
/// long as there is an error, and take it out afterwards: formatters leave out what is in a macro. The macro checks an
/// `async fn` without generics, and changes nothing else. The state of the extractors is `()` unless it is given before
/// the function:
///
/// ```
/// use axum::{extract::{Path, State}, http::HeaderMap};
/// use axum_sockjs::Session;
///
/// #[derive(Clone)]
/// struct App;
///
/// axum_sockjs::debug_handler! {
///     state = App;
///
///     /// Serves one client of a room.
///     pub async fn join(State(_app): State<App>, Path(room): Path<String>, _: HeaderMap, session: Session) {
///         session.send(room).await.ok();
///     }
/// }
/// ```
///
/// ```compile_fail,E0277
/// axum_sockjs::debug_handler! {
///     async fn wrong(body: axum::body::Bytes, session: axum_sockjs::Session) {}
///     //                   ^^^^^^^^^^^^^^^^^ the error is here
/// }
/// ```
#[macro_export]
macro_rules! debug_handler {
    // The arguments, up to the type of each: an extractor, or the last.
    (@arguments $settings:tt $extractors:tt) => {
        ::core::compile_error!("the last argument of a SockJS handler is `axum_sockjs::Session`");
    };
    (@arguments $settings:tt $extractors:tt : $last:ty $(,)?) => {
        $crate::debug_handler!(@check $settings $extractors $last);
    };
    (@arguments $settings:tt [$($extractor:ty,)*] : $next:ty, $($rest:tt)+) => {
        $crate::debug_handler!(@arguments $settings [$($extractor,)* $next,] $($rest)+);
    };
    (@arguments $settings:tt $extractors:tt $pattern:tt $($rest:tt)*) => {
        $crate::debug_handler!(@arguments $settings $extractors $($rest)*);
    };
    (@check [$name:ident, $state:ty $(, $output:ty)?] [$($extractor:ty,)*] $last:ty) => {
        // A function would have a name, which the handler may have too.
        #[allow(clippy::all, clippy::pedantic)]
        const _: fn() = || {
            $crate::__private::last_argument::<$last>();
            $($crate::__private::extractor::<$extractor, $state>();)*
            $($crate::__private::output::<$output>();)?
            $crate::__private::future($name(
                $($crate::__private::value::<$extractor>(),)*
                $crate::__private::value::<$last>(),
            ));
        };
    };
    (
        state = $state:ty;
        $(#[$attribute:meta])*
        $visibility:vis async fn $name:ident($($arguments:tt)*) $(-> $output:ty)? $body:block
    ) => {
        $(#[$attribute])*
        $visibility async fn $name($($arguments)*) $(-> $output)? $body

        $crate::debug_handler!(@arguments [$name, $state $(, $output)?] [] $($arguments)*);
    };
    (state = $($other:tt)*) => {
        ::core::compile_error!("`debug_handler!` takes `state = Type;`, if need be, and an `async fn` without generics");
    };
    ($($function:tt)*) => {
        $crate::debug_handler!(state = (); $($function)*);
    };
}

/// What the macro calls.
pub mod check {
    #![allow(missing_docs, reason = "for the macro only")]

    use std::future::Future;

    use axum::extract::FromRequestParts;

    use super::super::{function::LastArgument, output::HandlerOutput};

    pub fn extractor<E: FromRequestParts<S> + Send + 'static, S>() {}

    pub fn last_argument<L: LastArgument>() {}

    pub fn output<O: HandlerOutput>() {}

    pub fn future(_: impl Future + Send + 'static) {}

    /// Is never called.
    pub fn value<T>() -> T {
        unreachable!("a handler is checked, and not run")
    }
}
