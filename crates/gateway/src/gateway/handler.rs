//! The handler of each session.

use axum_sockjs::Session;

use super::opening::Dialled;
use crate::pump::pump::pump;

pub(super) async fn serve(Dialled { socket, lease, pump: settings }: Dialled, session: Session) {
    let ended = pump(session, socket, settings).await;
    tracing::debug!(backend = lease.backend(), ?ended, "the session has ended");
    lease.end(&ended);
}
