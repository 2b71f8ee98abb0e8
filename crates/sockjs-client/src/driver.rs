//! The task of a session: what comes from the server goes into one queue, and what comes out of the other goes to the
//! server.

use std::{fmt, future::pending, mem, pin::pin, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use sockjs_core::{CloseFrame, Frame, Message};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval_at, sleep, timeout},
};

use crate::{
    close_event::CloseEvent,
    error::Error,
    queue,
    transport::{Halves, Receiver, Sender},
};

/// How long the receiving half may take to say why the session has ended, after the sending half has failed: a server
/// that has closed a session refuses its messages.
const LINGER: Duration = Duration::from_secs(1);

/// What a driver works with, besides its transport.
#[derive(Debug)]
pub(crate) struct Driver {
    /// The first field: it has to be dropped before the application sees the end of its messages.
    pub(crate) ended: EndSender,
    pub(crate) incoming: queue::Sender,
    pub(crate) outgoing: queue::Receiver,
    /// The close frame of this side, once it closes the session.
    pub(crate) closing: watch::Receiver<Option<CloseFrame>>,
    pub(crate) settings: Settings,
}

/// Tells how the session has ended, even if its task is stopped or panics.
#[derive(Debug)]
pub(crate) struct EndSender(watch::Sender<Option<Ended>>);

impl EndSender {
    pub(crate) fn new() -> (Self, watch::Receiver<Option<Ended>>) {
        let (sender, receiver) = watch::channel(None);
        (Self(sender), receiver)
    }

    /// Only the first end counts.
    fn send(&self, event: CloseEvent, unsent: Unsent) {
        self.0.send_if_modified(|ended| {
            let is_first = ended.is_none();
            ended.get_or_insert(Ended { event, unsent });
            is_first
        });
    }
}

impl Drop for EndSender {
    fn drop(&mut self) {
        let event = CloseEvent::failed(Error::Lost("the session's task was stopped".into()));
        self.send(event, Unsent::default());
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) observer: Observer,
    pub(crate) max_batch_messages: usize,
    pub(crate) max_batch_bytes: usize,
    pub(crate) close_timeout: Duration,
    pub(crate) is_framed: bool,
}

/// A function that sees all frames of the server.
#[derive(Clone, Default)]
pub(crate) struct Observer(Option<Arc<Observe>>);

type Observe = dyn Fn(&Frame) + Send + Sync;

impl Observer {
    pub(crate) fn new(observe: impl Fn(&Frame) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(observe)))
    }

    pub(crate) fn see(&self, frame: &Frame) {
        if let Some(observer) = &self.0 {
            observer(frame);
        }
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Observer" } else { "no observer" })
    }
}

/// What is left of a session.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    pub(crate) event: CloseEvent,
    pub(crate) unsent: Unsent,
}

/// Messages of a session that has ended, of which the server has none for certain.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Unsent {
    /// Messages that never left, in their order.
    pub queued: Vec<Message>,
    /// Messages that left, and of which nobody knows whether they arrived: those of a request that the server did not
    /// answer, or that were being written to a WebSocket.
    ///
    /// A WebSocket has no answers, so messages that were written before, and not yet read by the server, are not here.
    pub uncertain: Vec<Message>,
}

/// Why one of the halves has ended.
enum End {
    /// By a SockJS frame of the server's.
    Server(CloseFrame),
    /// By this side.
    Local(CloseFrame),
    /// By this side, which has waited for as long as closing may take.
    TimedOut,
    Failed(Error),
}

impl Driver {
    /// Runs an open session to its end.
    pub(crate) async fn run(self, halves: Halves) {
        let Self { incoming, mut outgoing, closing, settings, ended } = self;
        let Halves { mut receiver, mut sender, .. } = halves;
        let mut in_flight = queue::Batch::default();
        let end = {
            let receiving = receive(&mut receiver, &incoming, closing.clone(), &settings.observer);
            let mut sending = Sending {
                sender: &mut sender,
                outgoing: &mut outgoing,
                in_flight: &mut in_flight,
                settings: &settings,
            };
            let sending = async {
                // Whatever the sending half waits for: a server that does not answer, or does not read.
                let mut deadline = pin!(deadline(closing.clone(), settings.close_timeout));
                let end = tokio::select! {
                    biased;
                    end = sending.run(closing.clone()) => end,
                    _ = &mut deadline => End::TimedOut,
                };
                if let End::Failed(_) = end {
                    _ = timeout(LINGER, deadline).await;
                }
                end
            };
            // In turn, one half is polled first: each of them can use up what tokio allows a task until it yields, again and
            // again, and what is polled behind it then makes no progress.
            tokio::select! {
                end = receiving => end,
                end = sending => end,
            }
        };
        // A WebSocket's close frame, or the answer to the server's: the library only sends it when it is asked to. If the
        // connection does not take it now, the end has to say it.
        _ = sender.end().now_or_never();
        let unsent = Unsent { queued: outgoing.rest().await, uncertain: mem::take(&mut in_flight.messages) };
        let all_sent = unsent.queued.is_empty() && unsent.uncertain.is_empty();
        let local = closing.borrow().clone().filter(|_| all_sent);
        let event = match (end, local) {
            (End::Server(frame) | End::Local(frame), _) => CloseEvent::clean(frame),
            // The answer to this side's close frame, or the end of a connection that was to end.
            (End::Failed(Error::Closed(_) | Error::Lost(_)) | End::TimedOut, Some(frame)) => {
                CloseEvent::clean(frame)
            }
            (End::TimedOut, None) => {
                CloseEvent::failed(Error::Sending(Box::new(Error::TimedOut(settings.close_timeout))))
            }
            (End::Failed(Error::Closed(frame)), None) if !settings.is_framed => CloseEvent::clean(frame),
            (End::Failed(error), _) => CloseEvent::failed(error),
        };
        tracing::debug!(%event, unsent = unsent.queued.len(), "the session has ended");
        ended.send(event, unsent);
        // Only now does the application see the end of its messages, and of what it wanted to have left: it can ask for the
        // reason then.
        drop((incoming, outgoing));
    }
}

async fn receive(
    receiver: &mut Receiver,
    incoming: &queue::Sender,
    mut closing: watch::Receiver<Option<CloseFrame>>,
    observer: &Observer,
) -> End {
    loop {
        let frame = match receiver.next().await {
            Ok(frame) => frame,
            Err(error) => return End::Failed(error),
        };
        observer.see(&frame);
        match frame {
            Frame::Open => return End::Failed(Error::SessionLost),
            Frame::Heartbeat => {}
            Frame::Close(frame) => return End::Server(frame),
            Frame::Messages(messages) => {
                for message in messages {
                    // A session that this side closes needs no more messages, and they must not hold up the answer to
                    // its close frame.
                    tokio::select! {
                        biased;
                        _ = incoming.send(message) => {}
                        _ = requested(&mut closing) => {}
                    }
                }
            }
        }
    }
}

/// Waits until this side closes the session.
async fn requested(closing: &mut watch::Receiver<Option<CloseFrame>>) -> CloseFrame {
    let frame = closing.wait_for(Option::is_some).await.ok().and_then(|frame| frame.clone());
    frame.unwrap_or(sockjs_core::close::NORMAL)
}

/// Waits until this side closes the session, and then as long as that may take.
async fn deadline(mut closing: watch::Receiver<Option<CloseFrame>>, time: Duration) {
    requested(&mut closing).await;
    sleep(time).await;
}

struct Sending<'a> {
    sender: &'a mut Sender,
    outgoing: &'a mut queue::Receiver,
    in_flight: &'a mut queue::Batch,
    settings: &'a Settings,
}

impl Sending<'_> {
    async fn run(&mut self, mut closing: watch::Receiver<Option<CloseFrame>>) -> End {
        let mut pings = self.sender.ping_interval().map(|period| {
            let mut pings = interval_at(Instant::now() + period, period);
            pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
            pings
        });
        loop {
            let ping = async {
                match &mut pings {
                    Some(pings) => pings.tick().await,
                    None => pending().await,
                }
            };
            let sent = tokio::select! {
                biased;
                frame = requested(&mut closing) => return self.finish(frame).await,
                _ = ping => self.sender.ping().await,
                batch = self.outgoing.batch(self.settings.max_batch_messages, self.settings.max_batch_bytes) => {
                    match batch {
                        Some(batch) => self.send(batch).await,
                        // The session is gone, and this task will be, too.
                        None => pending().await,
                    }
                }
            };
            if let Err(error) = sent {
                return End::Failed(error);
            }
        }
    }

    async fn send(&mut self, batch: queue::Batch) -> Result<(), Error> {
        let messages = batch.messages.len();
        *self.in_flight = batch;
        self.sender.send(&mut self.in_flight.messages).await?;
        // Its room is free.
        mem::take(self.in_flight);
        self.outgoing.have_left(messages);
        Ok(())
    }

    /// Sends what is queued, and then the close frame.
    async fn finish(&mut self, frame: CloseFrame) -> End {
        self.outgoing.close();
        let rest = async {
            let (messages, bytes) = (self.settings.max_batch_messages, self.settings.max_batch_bytes);
            while let Some(batch) = self.outgoing.batch(messages, bytes).await {
                self.send(batch).await?;
            }
            self.sender.close(&frame).await?;
            if self.sender.has_close_frame() {
                // The receiving half gets the answer.
                pending::<()>().await;
            }
            Ok(())
        };
        match rest.await {
            Ok(()) => End::Local(frame),
            Err(error) => End::Failed(error),
        }
    }
}
