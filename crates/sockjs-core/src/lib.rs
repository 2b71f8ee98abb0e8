#![doc = include_str!("../README.md")]

pub mod body;
pub mod close;
pub mod decode;
mod frame;
#[cfg(fuzzing)]
#[doc(hidden)]
#[allow(missing_docs, reason = "for the targets of fuzz/ only")]
pub mod fuzzing;
#[cfg(all(test, not(fuzzing)))]
#[allow(unreachable_pub, reason = "it is public for the targets of fuzz/")]
mod fuzzing;
mod json;
mod message;
pub mod path;
pub mod quote;
mod scan;
mod transport;
mod uri;
mod wtf8;

pub use self::{
    close::CloseFrame,
    decode::LoneSurrogates,
    frame::Frame,
    message::{InvalidUtf8, Message},
    transport::{Transport, UnknownTransport},
};
