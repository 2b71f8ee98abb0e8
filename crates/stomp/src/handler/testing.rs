//! What tests call functions with.

use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;
use http::{Extensions, Request, request::Parts};
use stomp_codec::{Command, Headers, Version};

use super::{
    context::{Context, Inbound},
    error::HandlerError,
    function::{Function, Handler},
    seal::SEAL,
};
use crate::{
    link::{Link, test::TestLink},
    message::Carriage,
    messenger::{Messenger, test::FakeBroker},
    outbox::{Outbox, OutboxLimits, Overflow, Overflows, SessionId},
    session::Session,
};

/// A frame and where it came from.
pub(super) struct World {
    pub(super) frame: Inbound,
    pub(super) session: Option<Session>,
    pub(super) messenger: Messenger,
    pub(super) broker: Arc<FakeBroker>,
    pub(super) opening: Parts,
    link: Link,
}

impl World {
    pub(super) fn new(
        command: Command,
        headers: &[(&'static str, &'static str)],
        body: &'static [u8],
    ) -> Self {
        let broker = Arc::new(FakeBroker::default());
        let request = Request::builder().header("user-agent", "test").uri("/stomp").body(());
        Self {
            frame: Inbound {
                command,
                destination: "/app/chat/7".into(),
                route: "/chat/{room}".into(),
                params: vec![("room".into(), "7".into())],
                headers: headers.iter().copied().collect::<Headers>(),
                body: Bytes::from_static(body),
            },
            session: Some(session(Some("anna"))),
            messenger: Messenger::new(broker.clone(), "/user".into()),
            broker,
            opening: request.unwrap().into_parts().0,
            link: Link::Test(TestLink::new(0)),
        }
    }

    /// A `SEND` of this body.
    pub(super) fn send(body: &'static str) -> Self {
        Self::new(Command::Send, &[], body.as_bytes())
    }

    /// A `CONNECT`, before there is a session.
    pub(super) fn connect(headers: &[(&'static str, &'static str)]) -> Self {
        let mut world = Self::new(Command::Connect, headers, b"");
        world.session = None;
        world.frame.destination = ByteString::new();
        world.frame.route = "".into();
        world.frame.params.clear();
        world
    }

    pub(super) fn params(mut self, params: &[(&'static str, &'static str)]) -> Self {
        let params = params.iter().map(|&(name, value)| (name.into(), value.into()));
        self.frame.params = params.collect();
        self
    }

    pub(super) fn context(&mut self) -> Context<'_> {
        Context {
            frame: &self.frame,
            session: self.session.as_ref(),
            messenger: &self.messenger,
            link: &self.link,
            opening: &mut self.opening,
        }
    }

    /// Calls a function without a state.
    pub(super) async fn call<H, T>(&mut self, function: H) -> Result<H::Output, HandlerError>
    where
        H: Function<T> + Handler<T, ()>,
    {
        self.call_with(&(), function).await
    }

    pub(super) async fn call_with<S, H, T>(
        &mut self,
        state: &S,
        function: H,
    ) -> Result<H::Output, HandlerError>
    where
        H: Function<T> + Handler<T, S>,
    {
        function.call(self.context(), state, SEAL).await
    }
}

pub(super) fn session(user: Option<&'static str>) -> Session {
    let limits = OutboxLimits { bytes: 1024, overflow: Overflows::new(Overflow::Close), send_timeout: None };
    let (id, link) = (SessionId::random(), Link::Test(TestLink::new(0)));
    let user = user.map(ByteString::from_static);
    let outbox = Outbox::new(id, user, Version::V1_2, Carriage::Text, limits, link);
    Session::new(Arc::new(outbox), None, Extensions::new())
}
