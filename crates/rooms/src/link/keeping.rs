//! What is put into the history of a room.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll, Waker},
};

use axum_sockjs::Message;
use sockjs_bus::{PublishError, StreamError};

use super::{
    envelope,
    link::{KEY_TOO_LONG, Link},
};
use crate::{
    history::History,
    key::{Data, Key},
    node::{delivery::How, elsewhere::Confirm},
    position::Position,
};

impl<K: Key, U: Key, D: Data> Link<K, U, D> {
    /// Appends a message to a room's history. `confirm` learns what has become of it.
    pub(super) fn keep(
        &self,
        key: &K,
        message: &Message,
        how: &How,
        confirm: Option<Confirm>,
    ) -> Result<(), PublishError> {
        let stream = self.subject("room", key).ok_or(KEY_TOO_LONG)?;
        let node = self.node.upgrade().ok_or(PublishError::Disconnected)?;
        let streams = self.port.streams().ok_or(PublishError::Disconnected)?;
        let retention = node.history_of(key).unwrap_or(History::last(0)).retention();
        let payload = [&envelope::head(message, how)[..], &envelope::body(message)].concat();
        let mut appending = streams.append(&stream, payload.into(), retention);
        // Most of what is refused is refused at once.
        let waker = Waker::noop();
        let confirm = |appended: Result<sockjs_bus::Position, StreamError>| {
            let position = appended.map(|at| Position::new(at.stream.0, at.number));
            // Whoever waited may have gone.
            confirm.map(|confirm| confirm.send(position).ok());
        };
        let error = match appending.as_mut().poll(&mut Context::from_waker(waker)) {
            Poll::Ready(Ok(at)) => {
                confirm(Ok(at));
                return Ok(());
            }
            Poll::Ready(Err(error)) => error,
            Poll::Pending => {
                let not_kept = Arc::clone(&self.not_kept);
                self.runtime.spawn(async move {
                    let appended = appending.await;
                    if appended.is_err() {
                        not_kept.fetch_add(1, Relaxed);
                    }
                    confirm(appended);
                });
                return Ok(());
            }
        };
        self.not_kept.fetch_add(1, Relaxed);
        Err(match error {
            StreamError::Full => PublishError::Full,
            StreamError::TooLarge { max } => PublishError::TooLarge { max },
            _ => PublishError::Disconnected,
        })
    }
}
