//! What an operator sees and does.

mod faults;
mod layers;
#[cfg(feature = "metrics")]
mod metrics;
mod mounting;
mod options;
mod readme;
mod shutdown;
mod soak;
mod stats;
