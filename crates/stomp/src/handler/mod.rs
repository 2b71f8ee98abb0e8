//! Functions of the application's: extractors in, replies out.
//!
//! A function is called with a [`Context`], from which each of its arguments is made
//! ([`FromMessage`](extract::FromMessage)); what it returns is turned into what the session does. [`routes`] finds the
//! function for a destination, and erases its type.
//!
//! Imports: broker, link, message, messenger, outbox, outcome, payload, session, stats.

mod access;
mod body;
mod connect;
mod context;
mod erased;
mod error;
mod extract;
mod extractors;
mod function;
mod on_error;
mod path;
mod rejection;
mod reply;
mod routes;
mod seal;
#[cfg(test)]
mod testing;

pub(crate) use self::{
    access::Rule,
    connect::Connector,
    context::Inbound,
    routes::{Matched, Table},
};
pub use self::{
    access::{Access, Decision, IntoDecision},
    body::Body,
    connect::{Credentials, IntoLogin, Login},
    context::Context,
    error::{ErrorKind, HandlerError},
    extract::{FromMessage, OptionalFromMessage, ViaFrame, ViaRequest},
    extractors::{Destination, Identity, User},
    function::{Function, Handler},
    on_error::{Failed, OnError},
    path::Path,
    rejection::Rejection,
    reply::{IntoAnswer, IntoReplies, Replies, Reply, ReplyTarget, SendTo, SendToUser},
    routes::Routes,
};
