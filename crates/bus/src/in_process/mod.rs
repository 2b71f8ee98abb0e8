//! The bus within one process: for tests, and for several parts of a program that are each a node.
//!
//! [`InProcess`](hub::InProcess) is what all nodes share, and each has a [`Connection`](connection::Connection) to it. It
//! has [streams](crate::Streams), which are lost with it. With the feature `test` it has faults: see the module
//! `faults`.
//!
//! Imports: bus, driver, random, status, streams, subject.

pub mod connection;
mod exchange;
#[cfg(any(test, feature = "test"))]
#[cfg_attr(docsrs, doc(cfg(feature = "test")))]
pub mod faults;
#[cfg(not(any(test, feature = "test")))]
pub(crate) mod faults;
pub mod hub;
mod log;
mod queue;
#[cfg(test)]
mod tests;
