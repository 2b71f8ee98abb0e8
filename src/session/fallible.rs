//! Handlers that return a `Result`: an error ends the session.
//!
//! A handler owns its [`Session`] and drops it before its result is known. [`Turn`] delays the close until then.

use std::{
    future::{Future, poll_fn},
    pin::pin,
};

use tower::BoxError;
use tracing::Level;

use super::{
    close_reason::CloseReason,
    connection_id::ConnectionId,
    handler_error::{HandlerError, Report, sources},
    send_error::ENDED,
    sender::Sender,
    session::Session,
    turn::Turn,
};

/// Runs a handler that may fail.
pub(crate) async fn run<F, E>(call: impl FnOnce(Session) -> F, session: Session)
where
    F: Future<Output = Result<(), E>>,
    E: HandlerError,
{
    let sender = session.sender();
    let mut handler = pin!(async move { call(session).await });
    poll_fn(|cx| {
        let _turn = Turn::begin(sender.shared());
        handler.as_mut().poll(cx).map(|result| {
            if let Err(error) = result {
                fail(&sender, error);
            }
        })
    })
    .await;
}

fn fail(sender: &Sender, error: impl HandlerError) {
    let was_open = sender.shared().end(CloseReason::Server(error.close_frame()));
    let is_fault = error.is_fault();
    log(sender.id(), &error.into(), is_fault, was_open);
}

fn log(connection: ConnectionId, error: &BoxError, is_fault: bool, was_open: bool) {
    // The macro needs a constant level.
    macro_rules! at {
        ($level:ident) => {
            tracing::event!(
                Level::$level,
                %connection,
                error = %Report(&**error),
                "the session's handler returned an error",
            )
        };
    }
    // Errors are compared by their text: `anyhow` and other types around an error hide its type.
    let is_late = || !was_open && sources(&**error).any(|error| error.to_string() == ENDED);
    if is_fault && !is_late() {
        at!(ERROR);
    } else {
        at!(DEBUG);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        panic::{AssertUnwindSafe, catch_unwind},
        pin::Pin,
        sync::Arc,
        task::{Context, Poll, Waker},
    };

    use tokio::sync::oneshot;

    use super::{
        super::{shared::Shared, tests::open_session},
        *,
    };
    use sockjs_core::{
        CloseFrame,
        close::{INTERNAL_ERROR, NORMAL},
    };

    type Outcome = Result<(), BoxError>;
    type Running = Pin<Box<dyn Future<Output = ()>>>;

    fn start<F>(call: impl FnOnce(Session) -> F + 'static) -> (Arc<Shared>, Running)
    where
        F: Future<Output = Outcome> + 'static,
    {
        let (shared, _) = open_session();
        let session = Session::new(Arc::clone(&shared));
        (shared, Box::pin(run(call, session)))
    }

    fn poll(running: &mut Running) -> Poll<()> {
        running.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    fn frame(shared: &Shared) -> Option<CloseFrame> {
        shared.close_reason().map(|reason| match reason {
            CloseReason::Server(frame) => frame,
            other => panic!("{other}"),
        })
    }

    fn log_in_again() -> CloseFrame {
        CloseFrame::new(4001, "log in again")
    }

    #[test]
    fn the_outcome_decides_how_a_dropped_session_closes() {
        let outcomes: [(Outcome, CloseFrame); 3] = [
            (Ok(()), NORMAL),
            (Err("a fault".into()), INTERNAL_ERROR),
            (Err(log_in_again().into()), log_in_again()),
        ];
        for (outcome, expected) in outcomes {
            let (shared, mut running) = start(async move |session| {
                drop(session);
                outcome
            });
            assert!(poll(&mut running).is_ready());
            assert_eq!(frame(&shared), Some(expected));
            // The session no longer receives messages.
            assert!(shared.is_discarding());
        }
    }

    #[test]
    fn a_session_that_was_dropped_earlier_closes_with_that_poll() {
        let (go, gone) = oneshot::channel::<()>();
        let (shared, mut running) = start(async move |session: Session| {
            let sender = session.sender();
            drop(session);
            assert_eq!(sender.close_reason(), None, "the poll decides");
            gone.await.ok();
            Err("too late".into())
        });
        assert!(poll(&mut running).is_pending());
        assert_eq!(frame(&shared), Some(NORMAL));
        drop(go);
        assert!(poll(&mut running).is_ready());
        assert_eq!(frame(&shared), Some(NORMAL));
    }

    #[test]
    fn a_session_elsewhere_is_closed_by_the_error_or_by_who_has_it() {
        for other_first in [false, true] {
            let (sender, mut receiver) = oneshot::channel();
            let (go, gone) = oneshot::channel::<()>();
            let (shared, mut running) = start(async move |session| {
                sender.send(session).ok();
                gone.await.ok();
                Err(log_in_again().into())
            });
            assert!(poll(&mut running).is_pending());
            let session = receiver.try_recv().unwrap();
            assert_eq!(frame(&shared), None);
            let expected = if other_first { NORMAL } else { log_in_again() };
            let mut session = Some(session);
            if other_first {
                session = None;
                assert_eq!(frame(&shared), Some(NORMAL));
            }
            drop(go);
            assert!(poll(&mut running).is_ready());
            assert_eq!(frame(&shared), Some(expected));
            drop(session);
        }
    }

    #[test]
    fn a_session_that_another_thread_drops_closes_at_once() {
        let (shared, mut running) = start(async move |session: Session| {
            let sender = session.sender();
            std::thread::spawn(move || drop(session)).join().unwrap();
            assert!(sender.close_reason().is_some());
            Err("a fault".into())
        });
        assert!(poll(&mut running).is_ready());
        assert_eq!(frame(&shared), Some(NORMAL));
    }

    #[test]
    fn other_sessions_that_a_handler_drops_close_at_once() {
        let (other, _) = open_session();
        let session_of_other = Session::new(Arc::clone(&other));
        let seen = Arc::clone(&other);
        let (inner, mut running_inside) = start(async move |_| Err("inner".into()));
        let inside = Arc::clone(&inner);
        let (shared, mut running) = start(async move |session: Session| {
            drop(session_of_other);
            assert_eq!(frame(&seen), Some(NORMAL));
            // Even a handler that runs within this poll has an end of its own.
            drop(session);
            assert!(poll(&mut running_inside).is_ready());
            assert_eq!(frame(&inside), Some(INTERNAL_ERROR));
            Err(log_in_again().into())
        });
        assert!(poll(&mut running).is_ready());
        assert_eq!(frame(&shared), Some(log_in_again()));
    }

    #[test]
    fn panics_close_with_an_internal_error() {
        for drop_first in [false, true] {
            let (shared, mut running) = start(async move |session: Session| {
                let session = (!drop_first).then_some(session);
                assert!(session.is_none(), "a handler's own bug");
                panic!("another one");
            });
            catch_unwind(AssertUnwindSafe(|| poll(&mut running))).unwrap_err();
            assert_eq!(frame(&shared), Some(INTERNAL_ERROR));
        }
        let (shared, mut running) = start(async move |session: Session| {
            let caught = catch_unwind(AssertUnwindSafe(move || {
                let _session = session;
                panic!("caught by the handler");
            }));
            caught.unwrap_err();
            Ok(())
        });
        assert!(poll(&mut running).is_ready());
        assert_eq!(frame(&shared), Some(INTERNAL_ERROR));
    }

    #[test]
    fn the_first_close_counts() {
        let (shared, mut running) = start(async move |session: Session| {
            session.close(3000, "go away");
            Err(log_in_again().into())
        });
        assert!(poll(&mut running).is_ready());
        assert_eq!(frame(&shared), Some(CloseFrame::new(3000, "go away")));
    }

    #[test]
    fn a_handler_that_is_dropped_closes_its_session() {
        let (shared, mut running) = start(async move |session: Session| {
            session.closed().await;
            Ok(())
        });
        assert!(poll(&mut running).is_pending());
        drop(running);
        assert_eq!(frame(&shared), Some(NORMAL));
    }
}
