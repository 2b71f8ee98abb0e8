//! The driver of a session: it runs the application's future and the session's timer.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use sockjs_core::{
    CloseFrame,
    close::{INTERNAL_ERROR, NORMAL},
};
use tokio::time::{Instant, Sleep};
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::{Level, Span};

#[cfg(feature = "websocket")]
use super::handler_waker::HandlerWaker;
use super::{
    close_reason::CloseReason,
    connection::Connection,
    connection_id::ConnectionId,
    core::inbox::Accepted,
    limits::SessionPermit,
    opened::{HandlerFuture, Opened},
    registry::Registered,
    session::Session,
};

/// The timer is reset only if the deadline has moved later by more than this, or has moved earlier.
const REARM_THRESHOLD: Duration = Duration::from_secs(1);

/// Runs one session until it is over and the application's handler has returned.
///
/// On the HTTP transports a driver has its own task; a WebSocket's task polls it beside the socket.
pub(crate) struct Driver {
    /// The id of the connection, for logs.
    id: ConnectionId,
    /// The span around the handler, for its logs.
    span: Span,
    registered: Option<Registered>,
    handler: Handler,
    /// Of a handler that shares its task with a socket.
    #[cfg(feature = "websocket")]
    waker: Option<HandlerWaker>,
    /// The number of accepted batches that the handler has been polled with.
    attended: Accepted,
    sleep: Pin<Box<Sleep>>,
    /// Dropped last: a session counts against the limits while its handler runs.
    _permit: Option<SessionPermit>,
}

enum Handler {
    /// The open frame has not been taken.
    Waiting {
        opened: Opened,
        session: Session,
        count: TaskTrackerToken,
    },
    Running {
        future: HandlerFuture,
        _count: TaskTrackerToken,
    },
    Done,
}

impl Driver {
    pub(crate) fn new(
        registered: Registered,
        permit: Option<SessionPermit>,
        opened: Opened,
        span_level: Level,
    ) -> Self {
        let session = Session::new(registered.shared.clone());
        let sleep = Box::pin(tokio::time::sleep_until(Instant::now()));
        let Connection { id, .. } = registered.shared.connection;
        let span = span(&registered.shared.connection, span_level);
        let handler = Handler::Waiting { opened, session, count: registered.count_handler() };
        Self {
            id,
            span,
            registered: Some(registered),
            handler,
            #[cfg(feature = "websocket")]
            waker: None,
            attended: Accepted::default(),
            sleep,
            _permit: permit,
        }
    }

    /// From now on, [`poll`](Self::poll) is called only between [`begin_turn`](Self::begin_turn) and
    /// [`end_turn`](Self::end_turn), and polls the handler only when it was woken.
    #[cfg(feature = "websocket")]
    pub(crate) fn in_turns(mut self) -> Self {
        self.waker = Some(HandlerWaker::new());
        self
    }

    #[cfg(feature = "websocket")]
    pub(crate) fn begin_turn(&mut self, cx: &Context<'_>) {
        if let Some(waker) = &mut self.waker {
            waker.begin_turn(cx);
        }
    }

    /// Wakes the task if the handler has to be polled again.
    #[cfg(feature = "websocket")]
    pub(crate) fn end_turn(&self) {
        if let Some(waker) = &self.waker {
            waker.end_turn();
        }
    }

    /// Whether the session is over for its client: nothing will be sent or received any more.
    #[cfg(feature = "websocket")]
    pub(crate) fn is_gone(&self) -> bool {
        self.registered.is_none()
    }

    /// Does what is due by the clock, then polls the handler.
    ///
    /// The handler starts once the open frame has been taken and `may_start` is true.
    ///
    /// # Cancel safety
    /// Dropping a driver ends its session and drops the application's future.
    pub(crate) fn poll(&mut self, may_start: bool, cx: &mut Context<'_>) -> Poll<()> {
        let mut accepted = self.attended;
        if let Some(registered) = &self.registered {
            let status = loop {
                let status = registered.shared.drive(cx);
                let Some(deadline) = status.deadline else { break status };
                let deadline = Instant::from_std(deadline);
                // Each frame moves the heartbeat's deadline a little. A timer that fires in vain at the old time costs
                // less than one that is reset for every message.
                let set = self.sleep.deadline();
                if deadline < set || deadline > set + REARM_THRESHOLD || self.sleep.is_elapsed() {
                    self.sleep.as_mut().reset(deadline);
                }
                if self.sleep.as_mut().poll(cx).is_pending() {
                    break status;
                }
            };
            accepted = status.accepted;
            if status.ended && !status.handler_due && matches!(self.handler, Handler::Waiting { .. }) {
                // The session ended before its client got the open frame.
                self.handler = Handler::Done;
            }
            if status.gone {
                self.leave();
            }
            if status.handler_due && may_start {
                self.start();
            }
        }
        self.poll_handler(cx);
        if accepted != self.attended {
            self.attended = accepted;
            if let Some(registered) = &self.registered {
                registered.shared.attend(accepted);
            }
        }
        if self.registered.is_none() && matches!(self.handler, Handler::Done) {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// Drops the session's entry in the registry, which logs the reason of its end.
    fn leave(&mut self) {
        let _entered = self.span.enter();
        self.registered = None;
    }

    fn start(&mut self) {
        let handler = std::mem::replace(&mut self.handler, Handler::Done);
        let Handler::Waiting { opened, session, count } = handler else {
            self.handler = handler;
            return;
        };
        let _entered = self.span.enter();
        // A handler need not be an async function: a call of it may panic, too.
        match catch_unwind(AssertUnwindSafe(|| opened.run(session))) {
            Ok(future) => {
                self.handler = Handler::Running { future, _count: count };
                #[cfg(feature = "websocket")]
                if let Some(waker) = &self.waker {
                    waker.set_due();
                }
            }
            Err(panic) => {
                self.log_panic(panic.as_ref());
                self.end(INTERNAL_ERROR);
            }
        }
    }

    fn poll_handler(&mut self, cx: &Context<'_>) {
        let Handler::Running { future: handler, .. } = &mut self.handler else { return };
        let waker = cx.waker();
        #[cfg(feature = "websocket")]
        let waker = match &self.waker {
            Some(own) if own.take_due() => own.waker(),
            Some(_) => return,
            None => waker,
        };
        let mut cx = Context::from_waker(waker);
        let _entered = self.span.enter();
        // The panic is caught here, and the future is dropped without another poll, so no code sees a broken invariant.
        let end = match catch_unwind(AssertUnwindSafe(|| handler.as_mut().poll(&mut cx))) {
            Ok(Poll::Pending) => return,
            Ok(Poll::Ready(())) => NORMAL,
            Err(panic) => {
                self.log_panic(panic.as_ref());
                INTERNAL_ERROR
            }
        };
        // Dropping the future may run user code too. After a panic the session ends before that, since a dropped
        // `Session` closes with 1000.
        let finished = std::mem::replace(&mut self.handler, Handler::Done);
        #[cfg(feature = "websocket")]
        {
            // The end wakes whatever the handler has waited for, and nobody would ask whether it is due.
            self.waker = None;
        }
        if end == INTERNAL_ERROR {
            self.end(end);
        }
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(finished))) {
            self.log_panic(panic.as_ref());
            self.end(INTERNAL_ERROR);
        }
    }

    fn end(&self, frame: CloseFrame) {
        if let Some(registered) = &self.registered {
            registered.shared.end(CloseReason::Server(frame));
        }
    }

    fn log_panic(&self, panic: &(dyn Any + Send)) {
        let text = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("a panic without text");
        tracing::error!(connection = %self.id, panic = text, "the session's handler panicked");
    }
}

impl Drop for Driver {
    /// Ends the session first, then drops the handler inside its span, since the handler's destructors may log too.
    fn drop(&mut self) {
        self.leave();
        let _entered = self.span.enter();
        self.handler = Handler::Done;
    }
}

/// Creates the span around a handler.
///
/// The span has no parent. Otherwise the span of the opening request would stay open as long as the session, and its
/// fields, which usually include the URL, would precede every line of the handler.
fn span(connection: &Connection, level: Level) -> Span {
    let Connection { id, transport, .. } = connection;
    // The macro needs a constant level.
    macro_rules! at {
        ($level:ident) => {
            tracing::span!(parent: None, Level::$level, "session", connection = %id, %transport)
        };
    }
    let span = match level {
        Level::ERROR => at!(ERROR),
        Level::WARN => at!(WARN),
        Level::INFO => at!(INFO),
        Level::DEBUG => at!(DEBUG),
        Level::TRACE => at!(TRACE),
    };
    span.follows_from(Span::current());
    span
}
