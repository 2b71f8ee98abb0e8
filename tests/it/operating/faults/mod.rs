//! Connections that break, stall and drip, and handlers that misbehave, on real sockets.
//!
//! After each fault there are three questions: what the client saw, what the application was told, and what
//! is left of it on the server, which has to be nothing. docs/faults.md has the answers in a table.

mod advised;
mod cuts;
mod handlers;
mod stalls;
