//! SockJS.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod error;
mod handle;
mod handler;
mod layer;
mod options;
mod protocol;
mod request;
mod response;
mod session;
mod sockjs;
mod transport;

pub use self::{
    error::SendError,
    handle::SockJsHandle,
    handler::{Handler, Opened},
    layer::{SockJsLayer, SockJsMiddleware},
    options::{Cookie, Cors, Options},
    protocol::frame::CloseFrame,
    session::{CloseReason, Message, Sender, Session},
    sockjs::{ResponseFuture, SockJs},
    transport::Transport,
};
