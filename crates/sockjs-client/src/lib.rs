//! A [SockJS](https://github.com/sockjs/sockjs-protocol) client on tokio and hyper.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod client;
mod close_event;
mod connector;
mod driver;
mod endpoint_url;
mod error;
mod http;
mod info;
mod queue;
mod reconnect;
mod send_error;
mod session;
#[cfg(feature = "test")]
#[cfg_attr(docsrs, doc(cfg(feature = "test")))]
pub mod test;
mod transport;

pub use sockjs_core::{CloseFrame, Frame, InvalidUtf8, LoneSurrogates, Message, Transport};

pub use self::{
    client::Client,
    close_event::CloseEvent,
    driver::Unsent,
    error::{ConnectError, Error, InvalidUrl},
    reconnect::Reconnect,
    send_error::{FlushError, SendError, SinkError},
    session::{InvalidClose, Sender, Session},
};
