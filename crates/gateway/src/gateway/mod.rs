//! Routes and their endpoints, put together from a configuration, and exchanged while sessions go on.
//!
//! Imports: admin, backend, config, pool, pump.

mod app;
mod client;
pub(crate) mod gateway;
mod generation;
pub(crate) mod handle;
mod handler;
mod not_found;
mod opening;
pub(crate) mod reload;
mod route;
pub(crate) mod route_error;
mod shared;
pub(crate) mod start_error;
mod state;
mod table;
