//! Whether the engine has a subscription.

use tokio::sync::watch;

use crate::bus::SubscribeError;

/// Whether the engine has a subscription, or the reason why not; `None` while there is no connection.
pub type Outcome = Option<Result<(), SubscribeError>>;

/// Waits until the engine has a subscription.
///
/// # Errors
///
/// If it refuses, or the bus is closed.
///
/// # Cancel safety
///
/// The future can be dropped.
pub async fn ready(outcome: &mut watch::Receiver<Outcome>) -> Result<(), SubscribeError> {
    match outcome.wait_for(Option::is_some).await {
        Ok(outcome) => outcome.clone().unwrap_or(Err(SubscribeError::Closed)),
        Err(_) => Err(SubscribeError::Closed),
    }
}
