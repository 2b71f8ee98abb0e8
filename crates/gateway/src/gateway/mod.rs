//! Routes and their endpoints, put together from a configuration, and exchanged while sessions go on.
//!
//! Imports: backend, config, pool, pump.

mod app;
mod client;
mod generation;
mod handle;
pub(crate) mod gateway;
mod opening;
mod reload;
mod route;
mod shared;
mod table;
