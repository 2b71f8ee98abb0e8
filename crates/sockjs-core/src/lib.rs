#![doc = include_str!("../README.md")]

pub mod body;
pub mod close;
pub mod decode;
mod frame;
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
