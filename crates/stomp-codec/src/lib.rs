//! The frames of [STOMP](https://stomp.github.io/) 1.0, 1.1 and 1.2, read and written without IO, for servers and
//! clients.
//!
//! [`Decoder`] reads frames out of pieces of any size, within [`Limits`]; [`Frame::encode`] writes one. The versions
//! differ in what is escaped and how, so both are told the [`Version`] that was agreed.
//!
//! What a frame means, such as which headers a command needs, is for whoever has a session.
//!
//! ```
//! use stomp_codec::{Command, Decoder, Frame, Limits, Version};
//!
//! # fn main() -> Result<(), stomp_codec::DecodeError> {
//! let send = Frame::new(Command::Send).header("destination", "/queue/a").body("hello");
//! let mut decoder = Decoder::of_client(Limits::new());
//! decoder.set_version(Version::V1_2);
//!
//! let read = decoder.decode(&mut send.encode(Version::V1_2))?.expect("a whole frame");
//! assert_eq!(read.headers.get("destination"), Some("/queue/a"));
//! assert_eq!(read.body, "hello");
//! # Ok(())
//! # }
//! ```

mod command;
mod decode;
mod error;
mod escape;
mod frame;
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
