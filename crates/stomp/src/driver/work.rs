//! What a session does for each frame.

use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;
use http::request::Parts;
use stomp_codec::{Command, Frame, Headers};
use tokio::sync::Semaphore;
use tracing::Instrument as _;

use super::{
    core::{Action, Core, Request},
    slot::Slot,
};
use crate::{
    app::App,
    broker::{BrokerError, Connection, Published, Target},
    events::Event,
    handler::{Context, Decision, Failed, HandlerError, Inbound, Matched, OnError, Replies},
    message::Message,
    messenger::SendError,
    options::{Denial, StompOptions},
    outbox::Subscriber,
    outcome::Outcome,
    payload::{Encoded, Payload as _},
    session::DisconnectReason,
    session::{Refusal, Session},
    stats::Way,
    subscription::Subscription,
};

/// Where a session is told of errors that do not end it: without the user prefix.
const ERRORS: &str = "/queue/errors";

/// How many deliveries count as much as a frame does.
const DELIVERIES: usize = 64;

/// What a session does for each frame.
pub(super) struct Work<'a, S> {
    app: Arc<App<S>>,
    state: S,
    session: &'a Session,
    slot: &'a Slot,
    /// The request that opened the connection, for the extractors of one handler after the other.
    opening: Box<Parts>,
    core: Core,
    /// For handlers that run beside others.
    parallel: Arc<Semaphore>,
    /// How many of them.
    permits: u32,
}

/// More handlers of a session never run at the same time.
const MAX_PERMITS: usize = u32::MAX as usize;

/// Whether a frame has been processed when its turn is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Done {
    Now,
    /// It was the last one.
    Disconnected,
    /// It gets no receipt, or gets it later.
    Otherwise,
}

impl<'a, S> Work<'a, S>
where
    S: Clone + Send + Sync + 'static,
{
    pub(super) fn new(
        app: Arc<App<S>>,
        state: S,
        session: &'a Session,
        slot: &'a Slot,
        opening: Box<Parts>,
    ) -> Self {
        let core = Core::new(session.version(), app.options.clone(), app.broker.clone());
        let most = MAX_PERMITS.min(Semaphore::MAX_PERMITS);
        let permits = app.options.max_parallel_handlers.get().min(most);
        let parallel = Arc::new(Semaphore::new(permits));
        Self { app, state, session, slot, opening, core, parallel, permits: permits as u32 }
    }

    pub(super) fn options(&self) -> &StompOptions {
        &self.app.options
    }

    /// Ends the session by an `ERROR`.
    pub(super) fn refuse(&self, refusal: Refusal) {
        self.app.refuse(self.session, refusal);
    }

    /// Processes a frame, and sends its receipt.
    pub(super) async fn take(&mut self, mut frame: Frame) -> Result<(), Refusal> {
        self.app.counters.frame(frame.command);
        let receipt = frame.headers.remove("receipt");
        match self.process(frame, &receipt).await {
            Ok(Done::Now) => {
                self.session.receipt(receipt);
                Ok(())
            }
            Ok(Done::Disconnected) => {
                // The receipt says that all frames before have been processed.
                let _all = self.parallel.acquire_many(self.permits).await;
                self.session.receipt(receipt);
                self.session.end(DisconnectReason::Client, None);
                Ok(())
            }
            Ok(Done::Otherwise) => Ok(()),
            Err(refusal) => Err(refusal.receipt(receipt)),
        }
    }

    async fn process(&mut self, frame: Frame, receipt: &Option<ByteString>) -> Result<Done, Refusal> {
        // Apart from the match, which would keep what it is taken from as long as it waits.
        let request = self.core.read(frame)?;
        match request {
            Request::Send(mut send) => {
                // The settings come first: a rule is asked for what they allow.
                if let Some(denied) = send.denied.take() {
                    return self.deny(*denied, Decision::Deny).await;
                }
                if !self.is_allowed(Command::Send, &send.destination, &send.frame.headers).await? {
                    return Ok(Done::Otherwise);
                }
                let (before, action) = self.core.send(send)?;
                if let Some(before) = before {
                    self.act(before, receipt, false).await?;
                }
                self.act(action, receipt, true).await
            }
            Request::Subscribe(subscribe) => {
                let headers = &subscribe.frame.headers;
                if !self.is_allowed(Command::Subscribe, &subscribe.destination, headers).await? {
                    return Ok(Done::Otherwise);
                }
                let action = self.core.subscribe(subscribe)?;
                self.act(action, receipt, false).await
            }
            Request::Other(Action::Commit(actions)) => {
                for action in actions {
                    self.act(action, receipt, false).await?;
                    // There may be a thousand, with as many subscribers.
                    tokio::task::consume_budget().await;
                }
                Ok(Done::Now)
            }
            Request::Other(action) => self.act(action, receipt, false).await,
        }
    }

    async fn act(
        &mut self,
        action: Action,
        receipt: &Option<ByteString>,
        may_be_parallel: bool,
    ) -> Result<Done, Refusal> {
        match action {
            Action::Nothing | Action::Commit(_) => {}
            Action::Disconnect => return Ok(Done::Disconnected),
            Action::Publish(target, message) => {
                self.app.counters.published(match &target {
                    Target::Destination(_) => Way::Broker,
                    Target::User { .. } | Target::Session { .. } => Way::User,
                    Target::Temporary(_) => Way::Temporary,
                });
                let published = self.ask(|broker| broker.publish(target, message)).await?;
                pay(published.unwrap_or_default()).await;
            }
            Action::Settle(id, settlement) => {
                self.ask(|broker| broker.settle(id, settlement)).await?;
            }
            Action::Subscribe(source, subscription) => {
                let begun = self.ask(|broker| broker.subscribe(source, subscription.clone())).await?;
                if begun.is_some() {
                    self.session.lock_subscriptions().insert(subscription.serial(), subscription.clone());
                    self.app.event(&Event::Subscribed(self.session.clone(), subscription));
                }
            }
            Action::Unsubscribe(serial) => {
                self.ask(|broker| broker.unsubscribe(serial)).await?;
                let ended = self.session.lock_subscriptions().remove(&serial);
                if let Some(subscription) = ended {
                    self.app.event(&Event::Unsubscribed(self.session.clone(), subscription));
                }
            }
            Action::Handle { .. } | Action::Answer { .. } if self.has_ended() => return Ok(Done::Otherwise),
            Action::Handle { path, destination, frame } => {
                // A session that waits need not have room for this.
                let handled = self.handle(path, destination, frame, receipt, may_be_parallel);
                return Box::pin(handled).await;
            }
            Action::Answer { path, frame, subscription } => {
                return Box::pin(self.answer(path, frame, &subscription, receipt)).await;
            }
        }
        Ok(Done::Now)
    }

    /// Whether the application has been told of the end: from then on no handler is called.
    fn has_ended(&self) -> bool {
        self.slot.with(|_| ()).is_none()
    }

    /// Asks the broker; `None` if the session has ended meanwhile.
    async fn ask<T: Unpin>(
        &self,
        ask: impl FnOnce(&dyn Connection) -> Outcome<Result<T, BrokerError>>,
    ) -> Result<Option<T>, Refusal> {
        let Some(outcome) = self.slot.with(ask) else { return Ok(None) };
        match outcome.now() {
            Ok(answer) => answer.map(Some).map_err(Refusal::from),
            Err(later) => {
                let answer = later.await?;
                Ok(self.slot.with(|_| answer))
            }
        }
    }

    /// Whether the rule of the application allows a frame. If not, and the session goes on, the client has been told.
    async fn is_allowed(
        &mut self,
        command: Command,
        destination: &ByteString,
        headers: &Headers,
    ) -> Result<bool, Refusal> {
        let Some(rule) = self.app.rule.clone() else { return Ok(true) };
        let frame = Inbound {
            command,
            destination: destination.clone(),
            route: "".into(),
            params: Vec::new(),
            headers: headers.clone(),
            body: Bytes::new(),
        };
        let context = Context {
            frame: &frame,
            session: Some(self.session),
            messenger: &self.app.messenger,
            link: self.session.outbox().link(),
            opening: &mut self.opening,
        };
        match rule.decide(context, &self.state).await {
            Decision::Allow => Ok(true),
            decision => self.deny(Refusal::new("access denied"), decision).await.map(|_| false),
        }
    }

    /// Leaves a frame out that is denied: the session ends, or goes on with a notice to the client.
    async fn deny(&self, denied: Refusal, decision: Decision) -> Result<Done, Refusal> {
        let closes = match decision {
            Decision::Deny => self.app.options.denial == Denial::Close,
            Decision::Close => true,
            Decision::Allow | Decision::Refuse => false,
        };
        if closes {
            return Err(denied);
        }
        self.app.tell(self.session, &denied.message).await;
        Ok(Done::Otherwise)
    }

    /// Calls the handler of a message.
    async fn handle(
        &mut self,
        path: ByteString,
        destination: ByteString,
        frame: Frame,
        receipt: &Option<ByteString>,
        may_be_parallel: bool,
    ) -> Result<Done, Refusal> {
        let mut matched = self.app.handlers.at_message(&path).ok_or_else(no_handler)?;
        let inbound = Inbound {
            command: frame.command,
            destination,
            route: matched.pattern(),
            params: std::mem::take(&mut matched.params),
            headers: frame.headers,
            body: frame.body,
        };
        let call = Call { inbound, matched };
        if call.matched.is_parallel() && may_be_parallel {
            return Box::pin(self.spawn(call, receipt)).await;
        }
        call.run(&self.app, self.session, &self.state, &mut self.opening, receipt).await
    }

    /// Has a handler run beside what comes next.
    async fn spawn(&mut self, call: Call<S>, receipt: &Option<ByteString>) -> Result<Done, Refusal> {
        let permits = self.parallel.clone();
        // It is never closed.
        let permit = permits.acquire_owned().await;
        if self.has_ended() {
            return Ok(Done::Otherwise);
        }
        let (app, session, state) = (self.app.clone(), self.session.clone(), self.state.clone());
        let (mut opening, receipt) = (self.opening.clone(), receipt.clone());
        let task = async move {
            match call.run(&app, &session, &state, &mut opening, &receipt).await {
                Ok(Done::Now) => session.receipt(receipt),
                Ok(_) => {}
                Err(refusal) => app.refuse(&session, refusal.receipt(receipt)),
            }
            drop(permit);
        };
        tokio::spawn(task.in_current_span());
        Ok(Done::Otherwise)
    }

    /// Calls the handler of a subscription.
    async fn answer(
        &mut self,
        path: ByteString,
        frame: Frame,
        subscription: &Subscription,
        receipt: &Option<ByteString>,
    ) -> Result<Done, Refusal> {
        let mut matched = self.app.handlers.at_subscribe(&path).ok_or_else(no_handler)?;
        let inbound = Inbound {
            command: frame.command,
            destination: subscription.destination().into(),
            route: matched.pattern(),
            params: std::mem::take(&mut matched.params),
            headers: frame.headers,
            body: frame.body,
        };
        let context = Context {
            frame: &inbound,
            session: Some(self.session),
            messenger: &self.app.messenger,
            link: self.session.outbox().link(),
            opening: &mut self.opening,
        };
        match matched.call(context, &self.state).await {
            Ok(answer) => {
                if let Some(Encoded { headers, body }) = answer {
                    let message = Message::new(inbound.destination.clone(), &headers, body);
                    Subscriber::new(self.session.outbox().clone()).deliver(subscription, &message);
                }
                Ok(Done::Now)
            }
            Err(error) => {
                let failed = Failed { frame: &inbound, session: self.session };
                let decision = matched.on_error(&error, &failed);
                self.app.fail(self.session, &error, decision, receipt).await
            }
        }
    }
}

/// A handler and what it is called with.
struct Call<S> {
    inbound: Inbound,
    matched: Matched<S, Replies>,
}

impl<S> Call<S>
where
    S: Clone + Send + Sync + 'static,
{
    async fn run(
        &self,
        app: &App<S>,
        session: &Session,
        state: &S,
        opening: &mut Parts,
        receipt: &Option<ByteString>,
    ) -> Result<Done, Refusal> {
        let Self { inbound, matched } = self;
        let (messenger, link) = (&app.messenger, session.outbox().link());
        let context = Context { frame: inbound, session: Some(session), messenger, link, opening };
        let result = match matched.call(context, state).await {
            Ok(replies) => app.reply(session, replies).await.map_err(HandlerError::handler),
            Err(error) => Err(error),
        };
        let Err(error) = result else { return Ok(Done::Now) };
        let decision = matched.on_error(&error, &Failed { frame: inbound, session });
        // Most calls need no memory for this.
        Box::pin(app.fail(session, &error, decision, receipt)).await
    }
}

impl<S> App<S> {
    /// Ends a session by an `ERROR`.
    fn refuse(&self, session: &Session, refusal: Refusal) {
        tracing::debug!(
            session = %session.id(),
            message = &*refusal.message,
            details = &*refusal.details,
            "an ERROR ends a session"
        );
        session.refuse(refusal);
    }

    /// Sends what a handler has returned.
    async fn reply(&self, session: &Session, replies: Replies) -> Result<(), SendError> {
        for reply in replies.0 {
            pay(reply.send(&self.messenger, session).await?).await;
        }
        Ok(())
    }

    /// Tells a client what went wrong where the session goes on, if it has subscribed to that.
    async fn tell(&self, session: &Session, text: &str) {
        let payload = text.to_owned().with_header("message", text.to_owned());
        let told = self.messenger.send_to_session(session.id(), ERRORS, payload).await;
        if let Err(error) = told {
            tracing::debug!(session = %session.id(), %error, "a client cannot be told of an error");
        }
    }

    /// Does what has been decided about a failure.
    async fn fail(
        &self,
        session: &Session,
        error: &HandlerError,
        decision: OnError,
        receipt: &Option<ByteString>,
    ) -> Result<Done, Refusal> {
        let text = match decision {
            OnError::Default => ByteString::from(error.client_text()),
            OnError::Tell(text) => text,
            OnError::Close(text) => return Err(Refusal::new(String::from(text))),
            OnError::Ignore => return Ok(Done::Now),
            OnError::Reply(replies) => {
                if let Err(error) = self.reply(session, replies).await {
                    tracing::error!(session = %session.id(), %error, "a reply of on_error was not sent");
                }
                return Ok(Done::Now);
            }
        };
        // STOMP has no other negative answer.
        if receipt.is_some() {
            return Err(Refusal::new(String::from(text)));
        }
        self.tell(session, &text).await;
        Ok(Done::Otherwise)
    }
}

/// Lets others have their turn after some deliveries, however few frames have caused them.
async fn pay(published: Published) {
    for _ in 0..published.delivered / DELIVERIES {
        tokio::task::consume_budget().await;
    }
}

fn no_handler() -> Refusal {
    Refusal::new("unknown destination").details("No handler serves this destination.")
}
