//! A session of a test.

use std::{collections::VecDeque, future::Future, panic::Location, time::Duration};

use bytes::Bytes;
use bytestring::ByteString;
use sockjs_client::{CloseEvent, Message, test::TestSession as SockJsSession};
use stomp_codec::{Command, Decoder, Frame, Limits, Version};
use tokio::time::timeout;

use super::{failure::failed, message::TestMessage};
use crate::payload::{Encoded, Payload};

/// How long the server's frames may be. It is the test's own.
const LIMITS: Limits = Limits::new()
    .max_headers(usize::MAX)
    .max_line_bytes(usize::MAX)
    .max_head_bytes(usize::MAX)
    .max_body_bytes(usize::MAX);

/// A session of a [`TestClient`](super::TestClient). What does not come is a panic with a sentence.
///
/// Frames are received in the order in which they have come. A method that waits for one of them, such as a receipt, keeps
/// those in front of it for the methods that are called later.
///
/// Dropping it cuts the connection, as [`abort`](Self::abort) does.
#[derive(Debug)]
#[must_use = "dropping it cuts its connection: bind it to a variable with a name"]
pub struct TestSession {
    sockjs: SockJsSession,
    decoder: Decoder,
    version: Version,
    /// What has been received and not decoded.
    piece: Bytes,
    /// What came while something else was waited for.
    waiting: VecDeque<Frame>,
    connected: Option<Frame>,
    subscriptions: u32,
    receipts: u32,
    patience: Duration,
}

impl TestSession {
    pub(super) fn new(sockjs: SockJsSession, version: Version, patience: Duration) -> Self {
        Self {
            sockjs,
            decoder: Decoder::of_server(LIMITS),
            version,
            piece: Bytes::new(),
            waiting: VecDeque::new(),
            connected: None,
            subscriptions: 0,
            receipts: 0,
            patience,
        }
    }

    /// Sends `CONNECT`, and waits for the answer.
    pub(super) async fn connect(
        &mut self,
        connect: Frame,
        caller: &'static Location<'static>,
    ) -> Result<(), Frame> {
        self.write(message(&connect, Version::V1_0), caller).await;
        let answer = self.frame(caller, "CONNECTED").await;
        match answer.command {
            Command::Connected => {}
            Command::Error => return Err(answer),
            _ => failed(caller, &format!("{answer:?} came, and CONNECTED was to come")),
        }
        if let Some(version) = answer.headers.get("version").and_then(Version::newest) {
            self.version = version;
        }
        self.decoder.set_version(self.version);
        self.connected = Some(answer);
        Ok(())
    }

    async fn write(&mut self, message: Message, caller: &Location<'_>) {
        let session = self.sockjs.session();
        let sent = timeout(self.patience, async {
            session.send(message).await.map_err(|error| error.to_string())?;
            session.flush().await.map_err(|error| error.to_string())
        });
        match sent.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => failed(caller, &format!("cannot send: {error}")),
            Err(_) => failed(caller, &format!("the server has read nothing within {:?}", self.patience)),
        }
    }

    /// The next frame, or why there is none.
    async fn next(&mut self) -> Result<Frame, String> {
        loop {
            match self.decoder.decode(&mut self.piece) {
                Ok(Some(frame)) => return Ok(frame),
                Ok(None) => {}
                Err(error) => return Err(format!("the server sends no frames: {error}")),
            }
            match self.sockjs.session().recv().await {
                Some(message) => self.piece = message.to_bytes(),
                None => {
                    return Err(format!("the session has ended: {}", self.sockjs.session().closed().await));
                }
            }
        }
    }

    /// The next frame that nobody has received.
    async fn frame(&mut self, caller: &Location<'_>, what: &str) -> Frame {
        match self.waiting.pop_front() {
            Some(frame) => frame,
            None => self.new_frame(caller, what).await,
        }
    }

    /// The next frame that comes from now on.
    async fn new_frame(&mut self, caller: &Location<'_>, what: &str) -> Frame {
        let patience = self.patience;
        match timeout(patience, self.next()).await {
            Ok(Ok(frame)) => frame,
            Ok(Err(why)) => failed(caller, &format!("no {what}: {why}")),
            Err(_) => {
                let waiting = match self.waiting.len() {
                    0 => String::new(),
                    frames => format!("; not received are {frames}, the first is {:?}", self.waiting[0]),
                };
                failed(caller, &format!("no {what} within {patience:?}: the session is open{waiting}"))
            }
        }
    }

    /// The `CONNECTED` that the client has got.
    ///
    /// # Panics
    /// The session was [opened](super::TestClient::open) only.
    #[must_use]
    #[track_caller]
    pub fn connected(&self) -> &Frame {
        match &self.connected {
            Some(connected) => connected,
            None => failed(Location::caller(), "the session has not been connected"),
        }
    }

    /// The name of its user, as `CONNECTED` says it.
    #[must_use]
    #[track_caller]
    pub fn user(&self) -> Option<&str> {
        self.connected().headers.get("user-name")
    }

    /// Sends a frame as it is, and waits until the connection has it. The server may have done nothing by then.
    ///
    /// # Panics
    /// The session has ended, or the server does not read.
    #[track_caller]
    pub fn send_frame(&mut self, frame: Frame) -> impl Future<Output = ()> + Send {
        let caller = Location::caller();
        async move { self.write(message(&frame, self.version), caller).await }
    }

    /// Sends a frame with a `receipt`, and waits for its `RECEIPT`: the server has processed the frame, and a handler has
    /// finished. Frames that come before are kept.
    ///
    /// # Panics
    /// No `RECEIPT` comes, since the frame is refused or its handler fails.
    #[track_caller]
    pub fn request(&mut self, frame: Frame) -> impl Future<Output = ()> + Send {
        let caller = Location::caller();
        self.receipts += 1;
        let receipt = format!("receipt-{}", self.receipts);
        let message = message(&frame.header("receipt", receipt.clone()), self.version);
        async move {
            self.write(message, caller).await;
            loop {
                let frame = self.new_frame(caller, "RECEIPT").await;
                match frame.command {
                    Command::Receipt if frame.headers.get("receipt-id") == Some(&receipt) => return,
                    Command::Error => failed(caller, &format!("{frame:?} came, and RECEIPT was to come")),
                    _ => self.waiting.push_back(frame),
                }
            }
        }
    }

    /// Sends a message, and does not wait until the server has processed it.
    ///
    /// # Panics
    /// The payload cannot be serialised, or as [`send_frame`](Self::send_frame).
    #[track_caller]
    pub fn send(
        &mut self,
        destination: impl Into<ByteString>,
        payload: impl Payload,
    ) -> impl Future<Output = ()> + Send {
        self.send_frame(of_payload(destination.into(), payload, Location::caller()))
    }

    /// Sends a message with a receipt, and waits for that: its handler has finished, and replies have been sent. A handler
    /// that fails ends the session then.
    ///
    /// # Panics
    /// The payload cannot be serialised, or as [`request`](Self::request).
    #[track_caller]
    pub fn send_and_wait(
        &mut self,
        destination: impl Into<ByteString>,
        payload: impl Payload,
    ) -> impl Future<Output = ()> + Send {
        self.request(of_payload(destination.into(), payload, Location::caller()))
    }

    /// Subscribes, and waits until the subscription has begun, or its handler has answered. Returns its id.
    ///
    /// # Panics
    /// As [`request`](Self::request): above all if the subscription is refused.
    #[track_caller]
    pub fn subscribe(&mut self, destination: impl Into<ByteString>) -> impl Future<Output = String> + Send {
        self.subscribe_with(Frame::new(Command::Subscribe).header("destination", destination))
    }

    /// As [`subscribe`](Self::subscribe), with a frame that may have more headers, such as `ack`. An `id` is added if it has
    /// none.
    ///
    /// # Panics
    /// As [`subscribe`](Self::subscribe).
    #[track_caller]
    pub fn subscribe_with(&mut self, subscribe: Frame) -> impl Future<Output = String> + Send {
        let (id, subscribe) = match subscribe.headers.get("id") {
            Some(id) => (id.to_owned(), subscribe),
            None => {
                self.subscriptions += 1;
                let id = format!("sub-{}", self.subscriptions);
                (id.clone(), subscribe.header("id", id))
            }
        };
        let subscribing = self.request(subscribe);
        async move {
            subscribing.await;
            id
        }
    }

    /// Ends a subscription, by its id, and waits until it has ended.
    ///
    /// # Panics
    /// As [`request`](Self::request).
    #[track_caller]
    pub fn unsubscribe(&mut self, id: impl Into<ByteString>) -> impl Future<Output = ()> + Send {
        self.request(Frame::new(Command::Unsubscribe).header("id", id))
    }

    /// Acknowledges a message, and waits until the server knows it.
    ///
    /// # Panics
    /// As [`request`](Self::request).
    #[track_caller]
    pub fn ack(&mut self, message: &TestMessage) -> impl Future<Output = ()> + Send {
        self.request(self.settling(Command::Ack, message))
    }

    /// Refuses a message, and waits until the server knows it.
    ///
    /// # Panics
    /// As [`request`](Self::request).
    #[track_caller]
    pub fn nack(&mut self, message: &TestMessage) -> impl Future<Output = ()> + Send {
        self.request(self.settling(Command::Nack, message))
    }

    fn settling(&self, command: Command, message: &TestMessage) -> Frame {
        let header = |name| message.header(name).to_owned();
        let frame = Frame::new(command);
        match self.version {
            Version::V1_0 => frame.header("message-id", header("message-id")),
            Version::V1_1 => frame
                .header("message-id", header("message-id"))
                .header("subscription", header("subscription")),
            Version::V1_2 => frame.header("id", header("ack")),
        }
    }

    /// Receives the next frame, whatever it is. Heart-beats are none.
    ///
    /// # Panics
    /// None comes in time, or the session has ended.
    #[track_caller]
    pub fn recv(&mut self) -> impl Future<Output = Frame> + Send {
        let caller = Location::caller();
        async move { self.frame(caller, "frame").await }
    }

    /// Receives the next frame, which is a `MESSAGE`.
    ///
    /// # Panics
    /// It is another frame, none comes in time, or the session has ended.
    #[track_caller]
    pub fn message(&mut self) -> impl Future<Output = TestMessage> + Send {
        let caller = Location::caller();
        async move {
            let frame = self.frame(caller, "MESSAGE").await;
            if frame.command != Command::Message {
                failed(caller, &format!("{frame:?} came, and MESSAGE was to come"));
            }
            TestMessage::new(frame)
        }
    }

    /// Receives the next `MESSAGE` of a subscription, by its id. Other frames are kept.
    ///
    /// # Panics
    /// None comes in time, the session has ended, or an `ERROR` comes.
    #[track_caller]
    pub fn message_of(&mut self, id: impl AsRef<str>) -> impl Future<Output = TestMessage> + Send {
        let caller = Location::caller();
        let id = id.as_ref().to_owned();
        async move {
            let is_it = |frame: &Frame| {
                frame.command == Command::Message && frame.headers.get("subscription") == Some(&id)
            };
            if let Some(frame) = self.waiting.iter().position(is_it).and_then(|at| self.waiting.remove(at)) {
                return TestMessage::new(frame);
            }
            loop {
                let frame = self.new_frame(caller, &format!("MESSAGE of {id}")).await;
                match frame.command {
                    _ if is_it(&frame) => return TestMessage::new(frame),
                    Command::Error => failed(caller, &format!("{frame:?} came, and MESSAGE was to come")),
                    _ => self.waiting.push_back(frame),
                }
            }
        }
    }

    /// Receives the next frame, which is an `ERROR`: its `message` header says why. The server closes the connection behind
    /// it.
    ///
    /// # Panics
    /// It is another frame, or none comes in time.
    #[track_caller]
    pub fn error(&mut self) -> impl Future<Output = Frame> + Send {
        let caller = Location::caller();
        async move {
            let frame = self.frame(caller, "ERROR").await;
            if frame.command != Command::Error {
                failed(caller, &format!("{frame:?} came, and ERROR was to come"));
            }
            frame
        }
    }

    /// Waits for this long, in which no frame is to come and the session is not to end. Heart-beats may come.
    ///
    /// # Panics
    /// A frame comes, or has come and was not received; or the session ends.
    #[track_caller]
    pub fn expect_nothing(&mut self, time: Duration) -> impl Future<Output = ()> + Send {
        let caller = Location::caller();
        async move {
            let frame = match self.waiting.pop_front() {
                Some(frame) => Ok(frame),
                None => match timeout(time, self.next()).await {
                    Err(_) => return,
                    Ok(next) => next,
                },
            };
            match frame {
                Ok(frame) => failed(caller, &format!("{frame:?} came, and nothing was to come")),
                Err(why) => failed(caller, &format!("the session was to stay open: {why}")),
            }
        }
    }

    /// Sends `DISCONNECT`, waits for its receipt, and then for the end.
    ///
    /// # Panics
    /// One of them does not come.
    #[track_caller]
    pub fn disconnect(mut self) -> impl Future<Output = CloseEvent> + Send {
        let caller = Location::caller();
        async move {
            self.request(Frame::new(Command::Disconnect)).await;
            self.end(caller).await
        }
    }

    /// Waits for the server to close the connection, and returns how. Frames that come before are kept.
    ///
    /// # Panics
    /// It does not in time.
    #[track_caller]
    pub fn closed(&mut self) -> impl Future<Output = CloseEvent> + Send {
        let caller = Location::caller();
        async move { self.end(caller).await }
    }

    async fn end(&mut self, caller: &Location<'_>) -> CloseEvent {
        let patience = self.patience;
        let ended = timeout(patience, async {
            while let Ok(frame) = self.next().await {
                self.waiting.push_back(frame);
            }
            self.sockjs.session().closed().await
        });
        match ended.await {
            Ok(event) => event,
            Err(_) => failed(caller, &format!("the session has not ended within {patience:?}")),
        }
    }

    /// Cuts the connection, as a client that vanishes.
    pub fn abort(self) {
        self.sockjs.abort();
    }

    /// The session of SockJS underneath, for instance to stop reading. Messages that are received there are missing here.
    pub fn sockjs(&mut self) -> &mut SockJsSession {
        &mut self.sockjs
    }
}

/// A text where it is one.
fn message(frame: &Frame, version: Version) -> Message {
    Message::from_utf8(frame.encode(version)).unwrap_or_else(|error| Message::binary(error.into_bytes()))
}

fn of_payload(destination: ByteString, payload: impl Payload, caller: &Location<'_>) -> Frame {
    match payload.encode() {
        Ok(Encoded { headers, body }) => {
            let mut frame = Frame::new(Command::Send).header("destination", destination).body(body);
            frame.headers.extend(headers.iter_shared().map(|(name, value)| (name.clone(), value.clone())));
            frame
        }
        Err(error) => failed(caller, &format!("the payload cannot be serialised: {error}")),
    }
}
