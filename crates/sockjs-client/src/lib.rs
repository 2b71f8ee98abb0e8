#![doc = include_str!("../README.md")]
//!
//! # Differences from the browser's client
//!
//! - Nothing waits 25 ms after each sending request: the next one leaves when there are messages.
//! - A poll that brings nothing is followed by the next one after a delay, of 10 ms at first and 5 s at last, so that a server
//!   that answers at once is not asked in a loop.
//! - An answer to `/info` that is a page of HTML is an error. The browser's client takes any body.
//! - A redirect is an error, also where a browser would follow it.
//! - [`Session::close`] sends what is queued before.
//! - Frames have a maximum length, and a server that is silent is lost: browsers know neither.
//! - An event stream is asked for with the endpoint's own origin as `Origin`, where a browser has other ways to say it.
//! - When a sending request fails, the receiving half has a second to say why: a close frame that is on its way is what the
//!   application sees, and not the refusal of its messages.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod client;
mod close_event;
mod connector;
mod driver;
mod endpoint_url;
mod error;
mod http;
mod info;
#[cfg(test)]
mod memory;
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
