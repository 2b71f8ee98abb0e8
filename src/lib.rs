//! A [SockJS](https://github.com/sockjs/sockjs-protocol) server for [axum](https://docs.rs/axum).
//!
//! SockJS gives a browser a WebSocket-like object that also works where WebSocket does not: in old browsers, behind
//! proxies that drop `Upgrade`, on networks that cut idle connections. The unmodified
//! [sockjs-client](https://github.com/sockjs/sockjs-client) tries WebSocket, then HTTP streaming, then long polling.
//! This crate serves all of them and presents one [`Session`] to the application.
//!
//! ```no_run
//! use axum::{Router, serve::ListenerExt};
//! use axum_sockjs::{Session, SockJs};
//!
//! async fn echo(mut session: Session) {
//!     while let Some(message) = session.recv().await {
//!         session.send(message).await.ok();
//!     }
//! }
//!
//! #[tokio::main]
//! async fn main() -> std::io::Result<()> {
//!     let app = Router::new().nest_service("/echo", SockJs::new(echo));
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:8081").await?;
//!     axum::serve(listener.tap_io(|tcp| _ = tcp.set_nodelay(true)), app).await
//! }
//! ```
//!
//! # The application's side
//!
//! - A [`Handler`] is an `async fn` of any extractors and a [`Session`]. The extractors can reject the opening
//!   request, and extract any part of it: use `http::request::Parts` for the whole head. Only the part of the URL
//!   with the protocol's session id is hidden. It may return a `Result`: a [`HandlerError`] ends the session.
//! - [`Session::recv`] and [`Session::send`] keep the order and lose nothing while the connection holds. Queues are
//!   bounded in both directions: `send` waits for a slow client, and a client waits for a slow handler.
//! - A session ends once, with a typed [`CloseReason`].
//! - [`Sender`]s send from other tasks. A [`Message`] to many sessions is quoted only once.
//! - [`Session::json`] makes it a session of values that are JSON, with serde.
//! - [`Options`] has every setting; [`SockJsHandle`] counts the sessions of an endpoint and shuts it down.
//! - A [`Pair`] is a session and its client in process: for [tests](guide::testing) of handlers.
//!
//! ```
//! use axum::{Router, extract::{FromRequestParts, State}, http::{StatusCode, request::Parts}};
//! use axum_sockjs::{Options, Session, SockJs, Transport};
//!
//! #[derive(Clone)]
//! struct App { token: &'static str }
//!
//! struct User(String);
//!
//! impl FromRequestParts<App> for User {
//!     type Rejection = (StatusCode, &'static str);
//!
//!     async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Self::Rejection> {
//!         match parts.uri.query() {
//!             Some(query) if query.contains(app.token) => Ok(User("somebody".to_owned())),
//!             _ => Err((StatusCode::UNAUTHORIZED, "log in")),
//!         }
//!     }
//! }
//!
//! async fn greet(State(_app): State<App>, User(name): User, session: Session) {
//!     session.send(format!("hello {name}")).await.ok();
//!     let reason = session.closed().await;
//!     println!("{name} has left: {reason}");
//! }
//!
//! let sockjs = SockJs::new(greet)
//!     .options(Options::new().disable(Transport::JsonpPolling))
//!     .with_state(App { token: "secret" });
//! let handle = sockjs.handle();
//! let app: Router = Router::new().nest_service("/greet", sockjs);
//! assert!(handle.is_empty());
//! ```
//!
//! # Guides
//!
//! The module [`guide`] describes how to [mount](guide::mounting) an endpoint beside routes and layers, the [allowed
//! origins](guide::origins) and the owners of sessions, the [responses](guide::answers) to each request, [slow and
//! dead clients](guide::slow), how to [operate](guide::operating) an endpoint: shutdown, metrics, logs, and how to
//! [test](guide::testing) it. [`Options`] has every setting with its default.
//!
//! # Cancel safety
//!
//! Every `async fn` here can be dropped at any await: a message is received or queued only when its future completes.
//! If a receiving request is dropped, its connection counts as lost and the session ends. A sending request that is
//! dropped has been accepted completely or not at all; if it is [large](Options::max_body_bytes), in complete
//! batches.
//!
//! # Taking turns
//!
//! [`Session::recv`] and [`Session::send`], also as a `Stream` and a `Sink`, take part in tokio's [cooperative
//! scheduling](tokio::task::coop): even if they need not wait, they let other tasks run after about 128 calls. A
//! handler that sends endlessly starves neither its own client nor another. `try_recv` and `try_send` always return
//! at once: a loop of them should await something.
//!
//! # Features
//!
//! | feature | default | effect |
//! |---|---|---|
//! | `cluster` | no | [sessions on any of several nodes](guide::cluster), without affinity of the balancer |
//! | `http2` | no | WebSocket over HTTP/2 (RFC 8441), where the server enables extended CONNECT |
//! | `metrics` | no | [`SockJsHandle::record_metrics`](SockJsHandle#method.record_metrics) and, with `cluster`, `Cluster::record_metrics`, for exporters of the [`metrics`](https://docs.rs/metrics) facade |
//! | `websocket` | yes | the WebSocket transports; without it, `/info` tells clients not to try them |
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "cluster")]
mod cluster;
mod endpoint;
#[cfg(fuzzing)]
#[doc(hidden)]
#[allow(missing_docs, reason = "for the targets of fuzz/ only")]
pub mod fuzzing;
#[cfg(all(test, not(fuzzing)))]
#[allow(unreachable_pub, reason = "it is public for the targets of fuzz/")]
mod fuzzing;
#[cfg(any(doc, doctest))]
pub mod guide;
mod options;
mod origin;
mod response;
mod service;
mod session;
mod transport;
mod util;

#[doc(inline)]
pub use sockjs_core::{CloseFrame, InvalidUtf8, LoneSurrogates, Message, Transport, UnknownTransport};

#[cfg(feature = "cluster")]
pub use self::cluster::{
    check::CheckError,
    handle::Cluster,
    options::{ClusterOptions, InvalidCluster},
    stats::ClusterStats,
};
#[doc(hidden)]
pub use self::endpoint::debug_handler::check as __private;
#[cfg(feature = "websocket")]
pub use self::endpoint::raw_websocket::RawWebSocket;
pub use self::{
    endpoint::{
        handle::SockJsHandle,
        handler::Handler,
        identity::Identify,
        layer::{MiddlewareFuture, SockJsLayer, SockJsMiddleware},
        output::HandlerOutput,
        pair::Pair,
        sockjs::{ResponseFuture, SockJs},
        stats::Stats,
    },
    options::{
        affinity_cookie::{AffinityCookie, SameSite},
        builder::Options,
        cookie::Cookie,
        cors::Cors,
        validate::InvalidOptions,
    },
    origin::{pattern::InvalidOrigin, policy::Origins},
    response::{cause::RejectionCause, client::ClientScript},
    session::{
        close_kind::CloseKind,
        close_reason::CloseReason,
        connection_id::{ConnectionId, InvalidConnectionId},
        core::{
            rate::{Rate, RateOverflow},
            settings::Overflow,
        },
        drain::ShutdownReport,
        handler_error::HandlerError,
        json_error::JsonError,
        json_sender::JsonSender,
        json_session::JsonSession,
        peer::Peer,
        send_error::SendError,
        sender::{Sender, WeakSender},
        session::Session,
        traffic::TransportStats,
    },
};

/// Compiles the examples of the README and the guides.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[doc = include_str!("../docs/migrating.md")]
#[doc = include_str!("../SECURITY.md")]
struct Guides;
