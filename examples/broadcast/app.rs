//! A chat: what one session says goes to all who are in the room. The README shows it, and a test starts it.

use axum::{BoxError, Router, extract::State};
use axum_sockjs::{CloseFrame, Overflow, Session, SockJs};
use axum_sockjs_rooms::Rooms;

async fn chat(State(rooms): State<Rooms>, mut session: Session) -> Result<(), BoxError> {
    let room = rooms.join(&session, "lobby").await?;
    while let Some(message) = session.recv().await {
        let text = message.as_str().ok_or(CloseFrame::new(1003, "Text only"))?;
        room.send(format!("{}: {text}", session.transport()));
    }
    Ok(())
}

pub(crate) fn app() -> Router {
    // A client that reads so slowly that it would miss a line has to come back.
    let rooms: Rooms = Rooms::builder().overflow(Overflow::Close).build();
    Router::new().merge(SockJs::new(chat).into_router("/chat")).with_state(rooms)
}
