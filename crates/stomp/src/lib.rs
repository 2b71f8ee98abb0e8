//! A [STOMP](https://stomp.github.io) server for [axum](https://docs.rs/axum), over SockJS, WebSocket and TCP.
//!
//! STOMP is a protocol of text frames: a client subscribes to destinations such as `/topic/chat`, and sends messages to
//! others. Pages speak it by libraries such as [stompjs](https://github.com/stomp-js/stompjs), over a WebSocket or
//! [SockJS](https://docs.rs/axum-sockjs). This crate serves STOMP 1.0, 1.1 and 1.2. Handlers are `async fn`s of
//! extractors, as in axum; a broker delivers messages to those who have subscribed.
//!
//! ```no_run
//! use axum::{Json, Router};
//! use axum_stomp::{Path, SendTo, Stomp};
//!
//! /// A `SEND` to `/app/chat/rust` goes to all who have subscribed to `/topic/chat/rust`.
//! async fn chat(Path(room): Path<String>, Json(line): Json<String>) -> SendTo<Json<String>> {
//!     SendTo::new(format!("/topic/chat/{room}"), Json(line))
//! }
//!
//! #[tokio::main]
//! async fn main() -> std::io::Result<()> {
//!     let server = Stomp::new().message("/chat/{room}", chat).build();
//!     let app: Router = Router::new().merge(server.sockjs().into_router("/stomp"));
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//!     axum::serve(listener, app).await
//! }
//! ```
//!
//! A page connects with `new SockJS("/stomp")`, or with a WebSocket to `/stomp/websocket`.
//! [`guide::first_page`] has the page, and goes on from there.
//!
//! # What is where
//!
//! | for | see |
//! |---|---|
//! | setting up a server | [`Stomp`], and [`StompOptions`] with every setting and limit |
//! | mounting it | [`StompServer::sockjs`] for SockJS and WebSocket, [`StompServer::tcp`] for TCP |
//! | handlers and their paths | [`Routes`]; [`FromMessage`] for arguments, [`IntoReplies`] and [`IntoAnswer`] for what is returned |
//! | errors of handlers | [`HandlerError`], [`OnError`], [`Rejection`] |
//! | who a client is | [`Stomp::on_connect`], [`Login`], [`Credentials`], [`Identity`] |
//! | what a client may do | [`ClientSend`], [`Stomp::authorize`], [`Decision`] |
//! | sending from anywhere | [`Messenger`], [`Payload`] |
//! | who is there | [`Registry`], [`Session`], [`Event`] |
//! | topics, queues and users | [`broker`], [`MemoryBroker`](broker::memory::MemoryBroker) |
//! | several nodes | [`MemoryBrokerBuilder::bus`](broker::memory::MemoryBrokerBuilder::bus), [`guide::nodes`] |
//! | clients that read slowly | [`Overflow`](outbox::Overflow) |
//! | numbers | [`StompServer::stats`], [`StompServer::record_metrics`] |
//!
//! # Guides
//!
//! The module [`guide`] goes [from the first page to a production set-up](guide::first_page), describes
//! [topics, queues and users' destinations](guide::brokers) and [several nodes](guide::nodes), lists [what a client gets](guide::answers) for each wrong
//! or denied frame, has [Spring's configuration and annotations beside those of this crate](guide::spring), and shows
//! how to [test](guide::testing) handlers and servers.
//!
//! # Other crates
//!
//! What appears in this API, or is needed with it, of the crates below can be named by way of this one: their most used
//! types stand beside those of this crate, such as [`Origins`] and [`Frame`], and the crates as a whole are
//! [`axum_sockjs`], [`sockjs_bus`] and [`stomp_codec`], for instance for [`axum_sockjs::Options`]. An application needs none of them
//! among its own dependencies.
//!
//! # Features
//!
//! | feature | default | effect |
//! |---|---|---|
//! | `metrics` | no | [`StompServer::record_metrics`], for exporters of the [`metrics`](https://docs.rs/metrics) facade |
//! | `test` | no | `test::TestClient`, a client of a router in process, for tests |
//! | `tcp` | no | STOMP over TCP, and over any other stream of bytes: [`StompServer::tcp`], [`StompServer::serve_stream`] |

/// The README's programs, which are compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod app;
pub mod broker;
mod driver;
mod events;
#[cfg(any(doc, doctest))]
pub mod guide;
mod handler;
mod link;
mod message;
mod messenger;
#[cfg(feature = "metrics")]
mod metrics;
mod opening;
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
#[cfg(feature = "test")]
pub mod test;

pub use axum_sockjs::{self, CloseReason, Origins, SockJs};
pub use bytes::Bytes;
pub use sockjs_bus;
pub use stomp_codec::{self, ByteString, Command, DecodeError, Decoder, Frame, Headers, Limits, Version};

pub use self::events::Event;
pub use self::handler::{
    Access, Body, Context, Credentials, Decision, Destination, ErrorKind, Failed, FromMessage, Function,
    Handler, HandlerError, Identity, IntoAnswer, IntoDecision, IntoLogin, IntoReplies, Login, OnError,
    OptionalFromMessage, Path, Rejection, Replies, Reply, ReplyTarget, Routes, SendTo, SendToUser, User,
    ViaFrame, ViaRequest,
};
pub use self::options::{ClientSend, Denial, StompOptions};
pub use self::payload::{Encoded, Payload, WithHeaders};
pub use self::subscription::{AckMode, InvalidMessageId, MessageId, Subscription, UnknownAckMode};
pub use self::{
    message::Message,
    messenger::{Messenger, SendError},
    outbox::SessionId,
    outcome::Outcome,
    registry::Registry,
    session::{DisconnectReason, Session},
    stats::{HandlerStats, StompStats},
    stomp::{Stomp, StompServer},
};

#[cfg(feature = "tcp")]
pub use self::tcp::TcpServer;
