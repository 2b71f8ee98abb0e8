//! How many extractors a function may have.

/// Calls a macro with each list of one to sixteen type parameters, as many as axum's handlers may have.
macro_rules! all_extractors {
    ($name:ident) => {
        all_extractors!($name: T1 T2 T3 T4 T5 T6 T7 T8 T9 T10 T11 T12 T13 T14 T15 T16);
    };
    ($name:ident:) => {};
    ($name:ident: $first:ident $($rest:ident)*) => {
        all_extractors!($name: [$first] $($rest)*);
    };
    ($name:ident: [$($extractor:ident)*]) => {
        $name!($($extractor),*);
    };
    ($name:ident: [$($extractor:ident)*] $next:ident $($rest:ident)*) => {
        $name!($($extractor),*);
        all_extractors!($name: [$($extractor)* $next] $($rest)*);
    };
}

pub(super) use all_extractors;
