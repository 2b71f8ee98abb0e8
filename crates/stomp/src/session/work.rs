//! What a session does for each frame.

use std::sync::Arc;

use bytestring::ByteString;
use http::request::Parts;
use stomp_codec::{Command, Frame, Headers};
use tokio::sync::Semaphore;

use super::{
    core::{Action, Core, Request, Send, Subscribe},
    handle::Session,
    refusal::Refusal,
    slot::Slot,
};
use crate::{
    app::App,
    broker::Target,
    events::Event,
    handler::{Context, Decision, Failed, Inbound, OnError, Reply},
    message::Message,
    options::{Denial, StompOptions},
    outbox::Subscriber,
    subscription::Subscription,
};

/// What a session does for each frame.
pub(super) struct Work<'a, S> {
    app: Arc<App<S>>,
    state: S,
    session: &'a Session,
    slot: &'a Slot,
    /// The request that opened the connection, for the extractors of one handler after the other.
    opening: Parts,
    core: Core,
    /// For handlers that run beside others.
    parallel: Arc<Semaphore>,
}

/// Whether a frame has been processed when its turn is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Done {
    Now,
    /// It gets no receipt, or gets it later.
    Otherwise,
}

impl<'a, S> Work<'a, S>
where
    S: Clone + Send + Sync + 'static,
{
    pub(super) fn new(app: Arc<App<S>>, state: S, session: &'a Session, slot: &'a Slot, opening: Parts) -> Self {
        let core = Core::new(session.version(), app.options.clone(), app.broker.clone());
        let parallel = Arc::new(Semaphore::new(app.options.max_parallel_handlers.get()));
        Self { app, state, session, slot, opening, core, parallel }
    }

    pub(super) fn options(&self) -> &StompOptions {
        &self.app.options
    }

    /// Processes a frame, and sends its receipt.
    pub(super) async fn take(&mut self, mut frame: Frame) -> Result<(), Refusal> {
        let receipt = frame.headers.remove("receipt");
        match self.process(frame, &receipt).await {
            Ok(Done::Now) => {
                self.session.receipt(receipt);
                Ok(())
            }
            Ok(Done::Disconnected) => {
                self.session.receipt(receipt);
                self.session.end(DisconnectReason::Client, None);
                Ok(())
            }
            Ok(Done::Otherwise) => Ok(()),
            Err(refusal) => Err(refusal.receipt(receipt)),
        }
    }

    async fn process(&mut self, frame: Frame, receipt: &Option<ByteString>) -> Result<Done, Refusal> {
        match self.core.read(frame)? {
            Request::Send(send) => {
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
                self.ask(|broker| broker.publish(target, message)).await?;
            }
            Action::Settle(id, settlement) => {
                self.ask(|broker| broker.settle(id, settlement)).await?;
            }
            Action::Subscribe(source, subscription) => {
                let begun = self.ask(|broker| broker.subscribe(source, subscription.clone())).await?;
                if begun.is_some() {
                    self.session.lock_subscriptions().insert(subscription.serial(), subscription.clone());
                    self.app.listeners.tell(&Event::Subscribed(self.session.clone(), subscription));
                }
            }
            Action::Unsubscribe(serial) => {
                self.ask(|broker| broker.unsubscribe(serial)).await?;
                let ended = self.session.lock_subscriptions().remove(&serial);
                if let Some(subscription) = ended {
                    self.app.listeners.tell(&Event::Unsubscribed(self.session.clone(), subscription));
                }
            }
            Action::Handle { path, destination, frame } => todo!(),
            Action::Answer { path, frame, subscription } => todo!(),
        }
        Ok(Done::Now)
    }

    /// Asks the broker; `None` if the session has ended meanwhile.
    async fn ask<T: Unpin>(
        &self,
        ask: impl FnOnce(&dyn Connection) -> Outcome<Result<T, BrokerError>>,
    ) -> Result<Option<T>, Refusal> {
        let Some(outcome) = self.slot.with(ask) else { return Ok(None) };
        let answer = outcome.await?;
        Ok(self.slot.with(|_| answer))
    }
}
