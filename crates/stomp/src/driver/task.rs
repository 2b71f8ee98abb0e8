//! The task of a session: it reads frames, writes what waits and watches the clock.

use std::{
    borrow::Cow,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use http::request::Parts;
use stomp_codec::Decoder;
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until, timeout},
};
use tracing::Instrument as _;

use super::{
    connect::{Connected, Failure, connect},
    connection::Connection,
    heart_beat::HeartBeats,
    pulse::Pulse,
    rate::Rate,
    slot::Slot,
    work::Work,
};
use crate::{
    app::App,
    events::Event,
    outbox::{CLOSED_BY_BROKER, End, Outbox},
    session::DisconnectReason,
    session::{Refusal, Session, text},
};

/// Close codes of RFC 6455, section 7.4.1.
mod code {
    pub(super) const NORMAL: u16 = 1000;
    pub(super) const PROTOCOL_ERROR: u16 = 1002;
    pub(super) const POLICY_VIOLATION: u16 = 1008;
}

/// How long the frames that a client has sent before its connection was lost may take, until its subscriptions end.
const LOST_GRACE: Duration = Duration::from_secs(10);

/// Serves a connection until its end.
pub(crate) async fn serve<S>(app: Arc<App<S>>, state: S, mut connection: Connection, mut opening: Box<Parts>)
where
    S: Clone + Send + Sync + 'static,
{
    let mut decoder = Decoder::of_client(app.options.limits()).lenient_escapes(app.options.lenient_escapes);
    let mut piece = Bytes::new();
    // Its memory is free when it is done.
    let connecting = connect(&app, &state, &mut connection, &mut opening, &mut decoder, &mut piece);
    match Box::pin(connecting).await {
        Ok(connected) => {
            // A connection on which nobody has said CONNECT needs no memory for this.
            let running = run(app, state, connected, &mut connection, opening, &mut decoder, &mut piece);
            Box::pin(running).await;
        }
        Err(Failure::Lost) => {}
        Err(Failure::Refused(refusal)) => {
            app.counters.refused(refusal.kind());
            tracing::debug!(message = &*refusal.message, details = &*refusal.details, "a client is refused");
            let link = connection.link();
            let sending = link.send(text(refusal.encode(None)));
            // Whether it arrives or not, the connection is closed.
            let _ = timeout(app.options.connect_timeout, sending).await;
            link.close(code::PROTOCOL_ERROR, "STOMP error");
        }
    }
    connection.finish().await;
}

/// Runs a session until its end.
async fn run<S>(
    app: Arc<App<S>>,
    state: S,
    connected: Connected,
    connection: &mut Connection,
    opening: Box<Parts>,
    decoder: &mut Decoder,
    piece: &mut Bytes,
) where
    S: Clone + Send + Sync + 'static,
{
    let Connected { session, slot, heart_beats, expires_at } = connected;
    let guard = Guard { app: app.clone(), session, slot };
    let mut work = Work::new(app, state, &guard.session, &guard.slot, opening);
    let pulse = Pulse::new(heart_beats.read_timeout.is_some());
    let clock = Clock { pulse, heart_beats, expires_at };
    let span = tracing::info_span!(
        "stomp",
        session = %guard.session.id(),
        user = guard.session.user().map(|user| &**user),
        version = %guard.session.version(),
    );
    let all_read = Notify::new();
    // They are pinned here: what a future captures takes its room once more when it is moved on.
    let reading = pin!(async {
        read(&mut work, &guard.session, &clock.pulse, connection, decoder, piece).await;
        all_read.notify_one();
    });
    let writing = pin!(write(&guard, &all_read));
    let watching = pin!(clock.watch(&guard.session));
    let tasks = pin!(async { tokio::join!(reading, writing, watching) });
    noticing_loss(tasks, guard.session.outbox(), &clock.pulse).instrument(span).await;
}

/// Reads frames, one after the other, until the end.
///
/// What is only borrowed is not moved into its future, and so does not take its room twice.
async fn read<S>(
    work: &mut Work<'_, S>,
    session: &Session,
    pulse: &Pulse,
    connection: &mut Connection,
    decoder: &mut Decoder,
    piece: &mut Bytes,
) where
    S: Clone + Send + Sync + 'static,
{
    let outbox = session.outbox();
    let mut rate = work.options().frame_rate.map(Rate::new);
    loop {
        loop {
            let frame = match decoder.decode(piece) {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(error) => return work.refuse(error.into()),
            };
            pulse.busy();
            if let Some(rate) = &mut rate {
                rate.take().await;
            }
            if !outbox.room().await {
                return;
            }
            if let Err(refusal) = work.take(frame).await {
                return work.refuse(refusal);
            }
            if session.is_reading_ended() {
                return;
            }
            // A piece may hold thousands of frames.
            tokio::task::consume_budget().await;
        }
        match receive(session, pulse, connection).await {
            Some(Ok(received)) => *piece = received,
            None => return,
            Some(Err(DisconnectReason::Server)) => return session.close("the server is shutting down"),
            // One that has closed its half of the connection only still gets what waits.
            Some(Err(reason)) => return session.end(reason, None),
        }
    }
}

/// Runs the tasks of a session. That the connection is gone is seen by whoever reads; while a handler runs nobody does, and
/// this sees it.
async fn noticing_loss(
    mut tasks: Pin<&mut impl Future<Output = ((), (), ())>>,
    outbox: &Outbox,
    pulse: &Pulse,
) {
    let mut closed = pin!(outbox.link_closed());
    let mut is_lost = false;
    poll_fn(|cx| {
        let done = tasks.as_mut().poll(cx).map(drop);
        if done.is_pending() && !is_lost && pulse.is_busy() && closed.as_mut().poll(cx).is_ready() {
            is_lost = true;
            outbox.lost();
        }
        done
    })
    .await;
}

/// Receives a piece; `None` after an end after which nothing is read any more.
async fn receive(
    session: &Session,
    pulse: &Pulse,
    connection: &mut Connection,
) -> Option<Result<Bytes, DisconnectReason>> {
    let mut receiving = pin!(connection.receive());
    let mut is_waiting = false;
    poll_fn(|cx| {
        // There may be thousands of pieces without a frame: to receive one takes from the task's budget.
        let received = receiving.as_mut().poll(cx);
        if session.outbox().poll_reading_ended(cx).is_ready() {
            return Poll::Ready(None);
        }
        if received.is_pending() && !is_waiting {
            is_waiting = true;
            // All that has come is done.
            pulse.heard();
        }
        received.map(Some)
    })
    .await
}

/// Writes what waits until the end, and closes the connection. `all_read` says that nothing more is read.
async fn write(guard: &Guard<impl Sized>, all_read: &Notify) {
    let Guard { session, slot, .. } = guard;
    let outbox = session.outbox();
    let pumping = outbox.pump(
        |id| _ = slot.with(|connection| connection.written(id)),
        || _ = slot.with(|connection| connection.has_room()),
    );
    match pumping.await {
        End::Lost => {
            // What the client has sent before may have said goodbye, or acknowledged messages.
            let _ = timeout(LOST_GRACE, all_read.notified()).await;
            session.end(DisconnectReason::of_connection(outbox.link_close_reason()), None);
        }
        End::Overflow => {
            session.end(DisconnectReason::TooSlow, None);
            outbox.close_link(code::POLICY_VIOLATION, "Client too slow");
        }
        End::Closing if session.end_reason() == Some(&DisconnectReason::Client) => {
            outbox.close_link(code::NORMAL, "Normal closure");
        }
        End::Closing => {
            // If nobody here has ended it, the broker has.
            session.end(DisconnectReason::Error(Cow::Borrowed(CLOSED_BY_BROKER)), None);
            outbox.close_link(code::PROTOCOL_ERROR, "STOMP error");
        }
    }
    // A handler may still run, which nobody waits for.
    guard.end();
}

/// What a session has to do at its time.
struct Clock {
    pulse: Pulse,
    heart_beats: HeartBeats,
    expires_at: Option<Instant>,
}

impl Clock {
    /// Sends heart-beats and ends a session whose client is silent or whose login has expired, until the end.
    async fn watch(&self, session: &Session) {
        let Self { heart_beats, expires_at, .. } = self;
        if heart_beats.send.is_none() && heart_beats.read_timeout.is_none() && expires_at.is_none() {
            return;
        }
        tokio::select! {
            biased;
            () = session.outbox().ended() => {}
            (reason, refusal) = self.run(session) => session.end(reason, Some(refusal)),
        }
    }

    async fn run(&self, session: &Session) -> (DisconnectReason, Refusal) {
        let outbox = session.outbox();
        // Half the interval is left for the way.
        let half = self.heart_beats.send.map(|interval| interval / 2);
        let mut last_beat = Instant::now();
        loop {
            let now = Instant::now();
            let silent_at = self.heart_beats.read_timeout.map(|timeout| self.pulse.silent_since() + timeout);
            if silent_at.is_some_and(|at| at <= now) {
                let refusal = Refusal::new("no heart-beat").details("The client has promised heart-beats.");
                return (DisconnectReason::HeartBeatTimeout, refusal);
            }
            if self.expires_at.is_some_and(|at| at <= now) {
                return (DisconnectReason::Expired, Refusal::new("login expired"));
            }
            let beat_at = half.map(|half| outbox.last_progress().max(last_beat) + half);
            if beat_at.is_some_and(|at| at <= now) {
                // If something waits, the client reads slowly, and would read this no sooner.
                outbox.beat();
                last_beat = now;
                continue;
            }
            match [silent_at, self.expires_at, beat_at].into_iter().flatten().min() {
                Some(next) => sleep_until(next).await,
                None => return std::future::pending().await,
            }
        }
    }
}

/// Ends a session exactly once, also if its task is cancelled or panics.
struct Guard<S> {
    app: Arc<App<S>>,
    session: Session,
    slot: Slot,
}

impl<S> Guard<S> {
    /// Ends the subscriptions and tells the application. Nothing happens if this has been done.
    fn end(&self) {
        if !self.slot.end() {
            return;
        }
        self.session.end(DisconnectReason::Cancelled, None);
        let subscriptions = std::mem::take(&mut *self.session.lock_subscriptions());
        for subscription in subscriptions.into_values() {
            self.app.event(&Event::Unsubscribed(self.session.clone(), subscription));
        }
        let reason = self.session.end_reason().cloned().unwrap_or(DisconnectReason::Cancelled);
        let outbox = self.session.outbox();
        self.app.counters.disconnected(&reason, || outbox.count_traffic());
        // Between the two it is counted, if at all, as one of those that have ended.
        self.app.registry.remove(&self.session);
        tracing::debug!(session = %self.session.id(), %reason, "disconnected");
        self.app.event(&Event::Disconnected(self.session.clone(), reason));
    }
}

impl<S> Drop for Guard<S> {
    fn drop(&mut self) {
        self.end();
    }
}
