//! The rules of a session, in process.

mod bodies;
mod closing;
mod delays;
mod handlers;
mod logging;
mod model;
mod opening;
mod owned;
mod rates;
mod receivers;
mod receiving;
mod sending;
mod slow;
#[cfg(feature = "websocket")]
mod slow_sockets;
mod texts;
