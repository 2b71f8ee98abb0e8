//! A server, and clients that send text and read frames.

mod client;
mod scene;

use std::{future::Future, time::Duration};

use tokio::time::timeout;

pub(crate) use self::{
    client::{Client, Way},
    scene::Scene,
};

/// Waits for what comes without anyone's help; on a paused clock a day is over at once.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match timeout(Duration::from_secs(86_400), future).await {
        Ok(value) => value,
        Err(_) => panic!("it never comes: {what}"),
    }
}

/// Lets every task run until it waits for something; no time passes.
pub(crate) async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}
