//! The SockJS protocol: its types, and pure functions over bytes. No IO, no clock, no runtime.
//!
//! Imports: nothing.

pub(crate) mod close;
pub(crate) mod decode;
pub(crate) mod frame;
mod json;
pub(crate) mod message;
pub(crate) mod path;
pub(crate) mod quote;
mod scan;
pub(crate) mod transport;
mod wtf8;
