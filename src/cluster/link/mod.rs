//! A link: one connection between two nodes over which many short requests go at once.
//!
//! A request of its own connection costs both nodes a write and a read each way. Over a link, those that are ready at the
//! same moment share them. It begins as an HTTP/1.1 upgrade of the request by which nodes ask each other, and both
//! ends prove there that they know the secret:
//!
//! ```text
//!  edge                                                    owner
//!    │  GET PREFIX/~, Upgrade: sockjs-link-1, header          │
//!    │ ─────────────────────────────────────────────────────▶ │
//!    │                            101, a proof for the header │
//!    │ ◀───────────────────────────────────────────────────── │
//!    │  Hello: a proof for the owner's proof                  │
//!    │ ─────────────────────────────────────────────────────▶ │
//!    │                                                Welcome │
//!    │ ◀───────────────────────────────────────────────────── │
//!    │  Request 1, Request 2, Cancel 1, Ping, …               │
//!    │ ─────────────────────────────────────────────────────▶ │
//!    │                           Answer 2, Decline 3, Pong, … │
//!    │ ◀───────────────────────────────────────────────────── │
//! ```
//!
//! What has read a request inside the network and repeats it cannot make the third of these. Requests and answers are
//! whole; whatever streams has a connection of its own. An owner that knows no such protocol answers 200, or never
//! Welcome, and all goes the ordinary way. While a link is open, the edge asks each second for a sign of life: each end
//! gives up a link whose other end gives none.

pub(crate) mod client;
pub(crate) mod frame;
pub(crate) mod framed;
pub(crate) mod links;
pub(crate) mod server;
#[cfg(test)]
mod tests;
