//! The SockJS protocol as pure functions over bytes: no IO, no clock, no runtime.

pub(crate) mod decode;
pub(crate) mod frame;
pub(crate) mod path;
pub(crate) mod quote;
mod scan;
