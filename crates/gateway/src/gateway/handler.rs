//! The handler of each session.

use std::sync::Arc;

use axum_sockjs::Session;

use super::opening::Dialled;
use crate::pump::{closing::lost_backend, ended::Traffic, pump::pump};

pub(super) async fn serve(Dialled { socket, lease, pump: settings }: Dialled, session: Session) {
    let traffic = Arc::clone(lease.traffic());
    let count = move |to_backend: Traffic, to_client: Traffic| {
        traffic.to_backend.count(to_backend.messages, to_backend.bytes);
        traffic.from_backend.count(to_client.messages, to_client.bytes);
    };
    let ended = pump(session, socket, settings, count).await;
    tracing::debug!(backend = lease.backend(), ?ended, "the session has ended");
    if let Some(error) = lost_backend(&ended) {
        lease.lost(error.to_owned());
    }
    lease.end(&ended);
}
