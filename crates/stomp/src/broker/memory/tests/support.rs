//! Clients for tests.

use std::{
    fmt::Display,
    future::Future,
    num::NonZero,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytestring::ByteString;
use futures_util::{FutureExt as _, task::noop_waker};
use stomp_codec::{Headers, Version};

use crate::broker::memory::MemoryBroker;
use crate::{
    AckMode, Message, MessageId, Subscription,
    broker::{Broker, BrokerError, Connection, Published, Settlement, Source, Target},
    link::{Link, test::TestLink},
    message::Carriage,
    outbox::{Outbox, OutboxLimits, Overflow, Overflows, SessionId, Subscriber},
};

pub(super) const ALWAYS: usize = 1 << 30;

/// A client whose session is run by hand.
pub(super) struct Client {
    pub(super) id: SessionId,
    pub(super) link: TestLink,
    pub(super) outbox: Arc<Outbox>,
    pub(super) connection: Arc<dyn Connection>,
    pump: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    next_serial: u32,
}

impl Client {
    /// A client whose connection takes `room` pieces, and whose outbox `bytes` bytes.
    pub(super) fn new(broker: &MemoryBroker, user: Option<&str>, room: usize, bytes: usize) -> Self {
        let (id, link) = (SessionId::random(), TestLink::new(room));
        let overflow = Overflows::new(Overflow::DropNewest);
        let limits = OutboxLimits { bytes, overflow, send_timeout: None };
        let user = user.map(ByteString::from);
        let below = Link::Test(link.clone());
        let outbox = Arc::new(Outbox::new(id, user, Version::V1_2, Carriage::Text, limits, below));
        let connection = broker.connect(Subscriber::new(outbox.clone())).now_or_never().unwrap().unwrap();
        Self { id, link, outbox, connection: connection.into(), pump: None, next_serial: 0 }
    }

    /// A client that is always fast enough.
    pub(super) fn fast(broker: &MemoryBroker) -> Self {
        Self::new(broker, None, ALWAYS, ALWAYS)
    }

    /// Subscribes, and returns the serial number. The client's own name is `s` and this number.
    pub(super) fn try_subscribe(
        &mut self,
        source: Source,
        ack: AckMode,
        prefetch: usize,
    ) -> Result<u32, BrokerError> {
        let serial = self.next_serial();
        let (Source::Destination(destination) | Source::User(destination) | Source::Temporary(destination)) =
            source.clone();
        let headers = Headers::from_iter([("id", format!("s{serial}"))]);
        let prefetch = NonZero::new(prefetch).unwrap();
        let subscription = Subscription::new(serial, Version::V1_2, destination, headers, ack, prefetch);
        let subscribed = self.connection.subscribe(source, Arc::new(subscription));
        subscribed.now_or_never().unwrap().map(|()| serial)
    }

    /// Of a subscription that is about to be.
    pub(super) fn next_serial(&mut self) -> u32 {
        self.next_serial += 1;
        self.next_serial - 1
    }

    pub(super) fn subscribe(&mut self, destination: &str, ack: AckMode, prefetch: usize) -> u32 {
        self.try_subscribe(Source::Destination(destination.into()), ack, prefetch).unwrap()
    }

    pub(super) fn unsubscribe(&self, serial: u32) {
        self.connection.unsubscribe(serial).now_or_never().unwrap().unwrap();
    }

    pub(super) fn settle(&self, subscription: u32, number: u64, settlement: Settlement) {
        let id = MessageId { subscription, number };
        self.connection.settle(id, settlement).now_or_never().unwrap().unwrap();
    }

    pub(super) fn accept(&self, subscription: u32, number: u64) {
        self.settle(subscription, number, Settlement::Accepted);
    }

    pub(super) fn reject(&self, subscription: u32, number: u64, requeue: bool) {
        self.settle(subscription, number, Settlement::Rejected { requeue });
    }

    /// Does what the session's task does: writes what there is room for, and says so.
    pub(super) fn run(&mut self) {
        let pump = self.pump.get_or_insert_with(|| {
            let (outbox, connection) = (self.outbox.clone(), self.connection.clone());
            Box::pin(async move {
                // The model is told that there is room afterwards.
                outbox.pump(|id| connection.written(id), || {}).await;
                std::future::pending::<()>().await;
            })
        });
        let polled: Poll<()> = pump.as_mut().poll(&mut Context::from_waker(&noop_waker()));
        assert!(polled.is_pending());
        self.connection.has_room();
    }

    /// The frames that have arrived since the last call.
    pub(super) fn frames(&self) -> Vec<String> {
        self.link.taken()
    }

    /// The bodies of the frames that have arrived since the last call.
    pub(super) fn bodies(&self) -> Vec<String> {
        self.frames().iter().map(|frame| body(frame).to_owned()).collect()
    }

    /// Ends the session: the client's connection to the broker is dropped.
    pub(super) fn end(self) -> TestLink {
        let Self { pump, connection, link, .. } = self;
        drop(pump);
        assert_eq!(Arc::strong_count(&connection), 1, "the connection is still used");
        link
    }
}

pub(super) fn body(frame: &str) -> &str {
    frame.split_once("\n\n").unwrap().1.trim_end_matches('\0')
}

pub(super) fn header<'a>(frame: &'a str, name: &str) -> Option<&'a str> {
    frame.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}

pub(super) fn message(destination: &str, body: impl Display) -> Arc<Message> {
    Arc::new(Message::new(ByteString::from(destination), &Headers::new(), body.to_string()))
}

pub(super) fn publish(
    broker: &MemoryBroker,
    destination: &str,
    body: impl Display,
) -> Result<Published, BrokerError> {
    let target = Target::Destination(destination.into());
    broker.publish(target, message(destination, body)).now_or_never().unwrap()
}
