//! Tests from outside: one binary, in folders by what they show.
//!
//! - `session`: the rules of a session, in process, mostly under a paused clock;
//! - `wire`: the same on real sockets, where bytes, framing and HTTP matter;
//! - `policy`: origins, identities, limits, cookies, and what has gone wrong in other servers;
//! - `operating`: shutdown, statistics, logs, layers, faults;
//! - `examples`: the examples, each with its own tests;
//! - `docs`: texts of the documentation that name what is here.

mod docs;
#[cfg(feature = "websocket")]
mod examples;
mod operating;
mod policy;
mod session;
mod support;
mod wire;
