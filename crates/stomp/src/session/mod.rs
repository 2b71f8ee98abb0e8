//! A client's session.

mod handle;

pub use self::handle::Session;
