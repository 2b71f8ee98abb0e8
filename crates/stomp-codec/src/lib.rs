//! The frames of STOMP 1.0, 1.1 and 1.2, read and written without IO, for servers and clients.

mod command;
mod frame;
mod headers;
mod version;

pub use bytestring::ByteString;

pub use self::{command::Command, frame::Frame, headers::Headers, version::Version};
