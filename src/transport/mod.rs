//! The transports: one file each for its framing and quirks, one row each in [`ROUTES`](route::ROUTES).
//!
//! Imports: options, origin, response, session, util.

pub(crate) mod callback;
pub(crate) mod eventsource;
pub(crate) mod form;
mod htmlfile;
mod jsonp;
mod payload;
pub(crate) mod receive;
pub(crate) mod receiver;
pub(crate) mod route;
pub(crate) mod send;
mod stream;
#[cfg(feature = "websocket")]
pub(crate) mod websocket;
mod xhr;
