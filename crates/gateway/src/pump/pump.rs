//! Carries messages between a session and its backend, until either ends.

use axum_sockjs::Session;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{ended::Ended, settings::Settings};
use crate::backend::socket::BackendSocket;

pub(crate) async fn pump<Io>(session: Session, backend: BackendSocket<Io>, settings: Settings) -> Ended
where
    Io: AsyncRead + AsyncWrite + Unpin + Send,
{
    let _ = (session, backend, settings);
    std::future::pending().await
}
