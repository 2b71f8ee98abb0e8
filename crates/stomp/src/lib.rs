//! STOMP for axum.

mod app;
pub mod broker;
mod events;
mod handler;
mod link;
mod message;
mod messenger;
#[cfg(feature = "metrics")]
mod metrics;
mod options;
pub mod outbox;
mod outcome;
mod payload;
mod registry;
mod session;
mod stats;
mod stomp;
#[cfg(feature = "tcp")]
mod stream;
mod subscription;
#[cfg(feature = "tcp")]
mod tcp;

pub use bytes::Bytes;
pub use stomp_codec::{ByteString, Command, Frame, Headers, Version};

pub use self::events::{DisconnectReason, Event};
pub use self::handler::{
    Access, Body, Context, Credentials, Decision, Destination, ErrorKind, Failed, FromMessage, Function,
    Handler, HandlerError, IntoAnswer, IntoDecision, IntoLogin, IntoReplies, Login, OnError,
    OptionalFromMessage, Path, Rejection, Replies, Routes, SendTo, SendToUser, User, ViaFrame, ViaRequest,
};
pub use self::options::{ClientSend, Denial, StompOptions};
pub use self::payload::{Encoded, Payload, WithHeaders};
pub use self::subscription::{AckMode, InvalidMessageId, MessageId, Subscription, UnknownAckMode};
pub use self::{
    message::Message,
    messenger::{Messenger, SendError},
    outcome::Outcome,
    registry::Registry,
    session::Session,
    stats::{HandlerStats, StompStats},
    stomp::{Stomp, StompServer},
};

#[cfg(feature = "tcp")]
pub use self::tcp::TcpServer;
