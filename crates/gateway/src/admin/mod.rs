//! What the operator sees of a gateway, at a port of its own: `/healthz`, `/readyz`, `/metrics` and `/backends`.
//!
//! Imports: pool.

pub(crate) mod admin;
mod backends;
mod histogram;
mod metrics;
mod process;
mod ready;
pub(crate) mod shown;
#[cfg(test)]
mod testing;
