//! A chat with state: what one session says goes to all, through a channel. The README shows it, and a test starts it.

use axum::{BoxError, Router, extract::State};
use axum_sockjs::{CloseFrame, Message, Session, SockJs};
use tokio::sync::broadcast;

#[derive(Clone)]
struct App {
    lines: broadcast::Sender<Message>,
}

async fn chat(State(app): State<App>, mut session: Session) -> Result<(), BoxError> {
    let mut lines = app.lines.subscribe();
    loop {
        tokio::select! {
            message = session.recv() => {
                let Some(message) = message else { return Ok(()) };
                let text = message.as_str().ok_or(CloseFrame::new(1003, "Text only"))?;
                app.lines.send(format!("{}: {text}", session.transport()).into())?;
            }
            line = lines.recv() => {
                // An error: the client is so slow that lines are lost.
                let line = line.map_err(|_| CloseFrame::new(4000, "too slow"))?;
                session.send(line).await?;
            }
        }
    }
}

pub(crate) fn app() -> Router {
    let app = App { lines: broadcast::Sender::new(256) };
    Router::new().merge(SockJs::new(chat).into_router("/chat")).with_state(app)
}
