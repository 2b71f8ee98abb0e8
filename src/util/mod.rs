//! Helpers that are independent of SockJS.
//!
//! Imports: nothing.

pub(crate) mod body;
pub(crate) mod cooperate;
pub(crate) mod headers;
pub(crate) mod random;
pub(crate) mod timeout;
