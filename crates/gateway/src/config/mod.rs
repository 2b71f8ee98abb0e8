//! The settings of a gateway: as data, and how they are read.
//!
//! Imports: nothing.

pub(crate) mod backend;
pub(crate) mod backend_url;
pub(crate) mod config;
#[cfg(test)]
mod documented;
pub(crate) mod endpoint;
pub(crate) mod headers;
pub(crate) mod identity;
pub(crate) mod options;
pub(crate) mod problem;
pub(crate) mod read;
pub(crate) mod read_endpoint;
pub(crate) mod read_route;
mod read_upstream;
pub(crate) mod route;
pub(crate) mod suggest;
mod table;
#[cfg(test)]
mod tests;
pub(crate) mod value;
