//! Tests from outside: one binary, one file per topic.

mod api;
mod faults;
mod guides;
#[cfg(feature = "websocket")]
mod hixie76;
mod hostile;
#[cfg(feature = "http2")]
mod http2;
mod identity;
mod layers;
mod limits;
#[cfg(feature = "metrics")]
mod metrics;
mod model;
mod origin;
mod protocol;
mod security;
mod sending;
mod service;
mod sessions;
mod shutdown;
mod slow;
mod soak;
mod stats;
mod support;
