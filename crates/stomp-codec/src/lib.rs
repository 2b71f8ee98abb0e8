#![doc = include_str!("../README.md")]

mod command;
mod decode;
mod error;
mod escape;
mod frame;
#[cfg(fuzzing)]
#[doc(hidden)]
#[allow(missing_docs, reason = "for the targets of fuzz/ only")]
pub mod fuzzing;
#[cfg(all(test, not(fuzzing)))]
#[allow(unreachable_pub, reason = "it is public for the targets of fuzz/")]
mod fuzzing;
mod headers;
mod limits;
mod version;

pub use bytestring::ByteString;

pub use self::{
    command::Command,
    decode::Decoder,
    error::{DecodeError, DecodeErrorKind},
    escape::{is_plain, write_header},
    frame::Frame,
    headers::Headers,
    limits::{Limit, Limits},
    version::Version,
};
