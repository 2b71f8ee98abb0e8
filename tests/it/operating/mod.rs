//! What an operator sees and does.

#[cfg(feature = "cluster")]
mod cluster;
#[cfg(feature = "websocket")]
mod example_layers;
mod faults;
mod layers;
#[cfg(feature = "metrics")]
mod metrics;
mod mounting;
mod options;
mod shutdown;
mod soak;
mod stats;
