//! A session of a test.

use std::{collections::VecDeque, fmt, future::Future, panic::Location, time::Duration};

use serde::Serialize;
use sockjs_core::{Frame, Message, Transport};
use tokio::{sync::mpsc, time::timeout};

use super::pipe::{Control, Mode};
use crate::{close_event::CloseEvent, session::Session};

/// How long a test waits for a heartbeat at the least: longer than the interval of most servers, 25 seconds.
const HEARTBEAT_PATIENCE: Duration = Duration::from_secs(60);

/// How long frames may come without a pause, in real time, while a paused clock stands still.
const LONGEST_FLOOD: Duration = Duration::from_secs(5);

/// A session of a [`TestClient`](super::TestClient). What does not come is a panic with a sentence.
///
/// Dropping it cuts its connections, as [`abort`](Self::abort) does.
#[derive(Debug)]
#[must_use = "dropping it cuts its connections: bind it to a variable with a name"]
pub struct TestSession {
    session: Session,
    /// What has come while the end was waited for.
    before_end: VecDeque<Message>,
    frames: mpsc::UnboundedReceiver<Frame>,
    last_frame: Option<Frame>,
    control: Control,
    patience: Duration,
}

impl TestSession {
    pub(super) fn new(
        session: Session,
        frames: mpsc::UnboundedReceiver<Frame>,
        control: Control,
        patience: Duration,
    ) -> Self {
        Self { session, before_end: VecDeque::new(), frames, last_frame: None, control, patience }
    }

    /// Returns the transport.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.session.transport()
    }

    /// Returns the session underneath, for what this type does not offer: [`try_send`](Session::try_send), the
    /// sub-protocol, or a [`recv`](Session::recv) that says `None` at the end. That does not know the messages that came
    /// while [`closed`](Self::closed) waited.
    pub fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// Sends a message and waits until the server has it: an answer to its request, or room in a WebSocket's connection.
    /// Its handler may not have received it by then, above all over a WebSocket.
    ///
    /// # Panics
    /// The session ends before, or the server does not take the message in time.
    #[track_caller]
    pub fn send(&mut self, message: impl Into<Message>) -> impl Future<Output = ()> + Send {
        let caller = Location::caller();
        let message = message.into();
        let patience = self.patience;
        let sender = self.session.sender();
        let session = &self.session;
        async move {
            let clock = Clock::now();
            let sent = timeout(patience, async {
                sender.send(message).await.map_err(|error| error.to_string())?;
                sender.flush().await.map_err(|error| error.to_string())
            });
            match sent.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    // The reason may be still on its way.
                    timeout(patience, session.closed()).await.ok();
                    failed(caller, &format!("cannot send: {error}{}", how(session)));
                }
                Err(_) => failed(
                    caller,
                    &format!(
                        "the server has not taken the message within {patience:?}: does its handler receive?{clock}"
                    ),
                ),
            }
        }
    }

    /// Receives the next message.
    ///
    /// # Panics
    /// None comes in time, or the session ends.
    #[track_caller]
    pub fn recv(&mut self) -> impl Future<Output = Message> + Send {
        let caller = Location::caller();
        async move {
            let (patience, clock) = (self.patience, Clock::now());
            match timeout(patience, self.next()).await {
                Ok(Some(message)) => message,
                Ok(None) => {
                    failed(caller, &format!("no message: the session has ended{}", how(&self.session)));
                }
                Err(_) => {
                    let last = match self.last_frame() {
                        Some(frame) => {
                            format!(" and its last frame was {}", String::from_utf8_lossy(&frame.text()))
                        }
                        None => String::new(),
                    };
                    failed(
                        caller,
                        &format!("no message within {patience:?}: the session is open{last}{clock}"),
                    );
                }
            }
        }
    }

    /// Sends a value as JSON: see [`send`](Self::send).
    ///
    /// # Panics
    /// It cannot be JSON, or as [`send`](Self::send).
    #[track_caller]
    pub fn send_json<T: Serialize + ?Sized>(
        &mut self,
        value: &T,
    ) -> impl Future<Output = ()> + Send + use<'_, T> {
        match Message::json(value) {
            Ok(message) => self.send(message),
            Err(error) => failed(Location::caller(), &format!("the value is no JSON: {error}")),
        }
    }

    /// Receives the next message, which is JSON: compare it with that of `serde_json::json!`.
    ///
    /// # Panics
    /// It is not, or as [`recv`](Self::recv).
    #[track_caller]
    pub fn recv_json(&mut self) -> impl Future<Output = serde_json::Value> + Send {
        let caller = Location::caller();
        let received = self.recv();
        async move {
            let message = received.await;
            match message.parse_json() {
                Ok(value) => value,
                Err(error) => failed(caller, &format!("{message:?} is no JSON: {error}")),
            }
        }
    }

    /// Waits for this long, in which no message is to arrive and the session is not to end. Heartbeats may come:
    /// [`expect_silence`](Self::expect_silence) is without them.
    ///
    /// # Panics
    /// A message arrives, or the session ends.
    #[track_caller]
    pub fn expect_nothing(&mut self, time: Duration) -> impl Future<Output = ()> + Send {
        let caller = Location::caller();
        async move {
            match timeout(time, self.next()).await {
                Err(_) => {}
                Ok(Some(message)) => failed(caller, &format!("{message:?} came, and nothing was to come")),
                Ok(None) => failed(
                    caller,
                    &format!("the session was to stay open, and has ended{}", how(&self.session)),
                ),
            }
        }
    }

    /// Waits for this long, in which no frame is to arrive: neither a message nor a heartbeat.
    ///
    /// # Panics
    /// A frame arrives, or the session ends.
    #[track_caller]
    pub fn expect_silence(&mut self, time: Duration) -> impl Future<Output = ()> + Send {
        let caller = Location::caller();
        // What has come before is not meant.
        let _ = self.last_frame();
        async move {
            match timeout(time, self.frames.recv()).await {
                Err(_) => {}
                Ok(Some(frame)) => failed(caller, &format!("{frame:?} came, and nothing was to come")),
                Ok(None) => failed(
                    caller,
                    &format!("the session was to stay open, and has ended{}", how(&self.session)),
                ),
            }
        }
    }

    /// Waits for a heartbeat. One that has come since the last call of this counts, unless
    /// [`last_frame`](Self::last_frame) or [`expect_silence`](Self::expect_silence) was called behind it. With a paused
    /// clock it takes exactly the server's interval, and no time.
    ///
    /// # Panics
    /// None comes within a minute, or [`patience`](super::TestClient::patience) if that is longer; or the session ends; or
    /// it is a raw WebSocket, which has no heartbeats.
    #[track_caller]
    pub fn heartbeat(&mut self) -> impl Future<Output = ()> + Send {
        let caller = Location::caller();
        let patience = self.patience.max(HEARTBEAT_PATIENCE);
        if !self.transport().is_framed() {
            failed(caller, "a raw WebSocket has no heartbeats");
        }
        async move {
            let clock = Clock::now();
            let found = timeout(patience, async {
                while let Some(frame) = self.frames.recv().await {
                    clock.must_go(caller);
                    let is_heartbeat = frame == Frame::Heartbeat;
                    self.last_frame = Some(frame);
                    if is_heartbeat {
                        return true;
                    }
                }
                false
            });
            match found.await {
                Ok(true) => {}
                Ok(false) => {
                    failed(caller, &format!("no heartbeat: the session has ended{}", how(&self.session)));
                }
                Err(_) => failed(caller, &format!("no heartbeat within {patience:?}{clock}")),
            }
        }
    }

    /// Returns the last frame that has arrived, received or not; on a raw WebSocket, its messages as frames.
    #[must_use]
    pub fn last_frame(&mut self) -> Option<&Frame> {
        while let Ok(frame) = self.frames.try_recv() {
            self.last_frame = Some(frame);
        }
        self.last_frame.as_ref()
    }

    /// Stops reading: what the server writes fills the connection, which holds 64 KiB, then the server's queue, until a
    /// sending handler has to wait. Requests that send go on, but their answers are not read either.
    ///
    /// A server ends a WebSocket that is not read after a time-out for writing. Over HTTP the end of a response may be in
    /// the connection, unread: then no other request comes, and the server takes the session for abandoned.
    pub fn stop_reading(&self) {
        self.control.set(Mode::Paused);
    }

    /// Reads again.
    pub fn resume_reading(&self) {
        self.control.set(Mode::Open);
    }

    /// Cuts all connections of the session, as a client that vanishes.
    ///
    /// Over polling, the server sees a lost connection if a poll waits, which is so behind any `await` that lets time pass.
    /// Between two polls it sees that none comes, and ends the session after its disconnect delay.
    pub fn abort(self) {
        self.control.set(Mode::Cut);
    }

    /// Closes the session: see [`Session::close`]. Returns how it has ended, which is with this code unless the server has
    /// closed it before.
    ///
    /// # Panics
    /// The code is none that a client may close with, or the reason is too long.
    #[track_caller]
    pub fn close(
        self,
        code: u16,
        reason: impl Into<std::borrow::Cow<'static, str>>,
    ) -> impl Future<Output = CloseEvent> + Send {
        let caller = Location::caller();
        let reason = reason.into();
        async move {
            match self.session.close(code, reason).await {
                Ok(event) => event,
                Err(error) => failed(caller, &format!("cannot close: {error}")),
            }
        }
    }

    /// Waits for the server to end the session, and returns how. Messages that come before, however many, can still be
    /// received with [`recv`](Self::recv).
    ///
    /// # Panics
    /// The session does not end in time.
    #[track_caller]
    pub fn closed(&mut self) -> impl Future<Output = CloseEvent> + Send {
        let caller = Location::caller();
        async move {
            let (patience, clock) = (self.patience, Clock::now());
            let ended = timeout(patience, async {
                // The end cannot be seen behind messages for which there is no room.
                while let Some(message) = self.session.recv().await {
                    self.before_end.push_back(message);
                    clock.must_go(caller);
                }
                self.session.closed().await
            });
            match ended.await {
                Ok(event) => event,
                Err(_) => failed(caller, &format!("the session has not ended within {patience:?}{clock}")),
            }
        }
    }
}

impl TestSession {
    async fn next(&mut self) -> Option<Message> {
        match self.before_end.pop_front() {
            Some(message) => Some(message),
            None => self.session.recv().await,
        }
    }
}

/// When a wait began, by both clocks.
pub(super) struct Clock {
    real: std::time::Instant,
    tokio: tokio::time::Instant,
}

impl Clock {
    pub(super) fn now() -> Self {
        Self { real: std::time::Instant::now(), tokio: tokio::time::Instant::now() }
    }

    /// Fails a test whose paused clock stands still, since there is always something to be done: no time-out would come.
    fn must_go(&self, caller: &Location<'_>) {
        let real = self.real.elapsed();
        if real >= LONGEST_FLOOD && self.tokio.elapsed() < real / 2 {
            failed(
                caller,
                &format!(
                    "frames have come without a pause for {LONGEST_FLOOD:?}, and the paused clock stands still"
                ),
            );
        }
    }
}

/// A hint, if the test has really waited.
impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.real.elapsed() < self.tokio.elapsed() / 2 {
            return Ok(());
        }
        f.write_str(" (the clock runs; `#[tokio::test(start_paused = true)]` would not wait)")
    }
}

/// How a session has ended, for a sentence.
fn how(session: &Session) -> String {
    session.close_event().map(|event| format!(": {event}")).unwrap_or_default()
}

/// Fails a test, with the line that has asked for what did not come.
pub(super) fn failed(caller: &Location<'_>, what: &str) -> ! {
    panic!("{caller}: {what}")
}
