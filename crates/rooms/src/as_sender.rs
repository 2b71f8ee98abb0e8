//! What a session is known by.
//!
//! Imports: nothing.

use axum_sockjs::{JsonSession, Sender, Session};

/// A session, or something that sends to one: a [`Session`], a [`JsonSession`] or a [`Sender`].
///
/// The trait is sealed: nothing else can implement it.
pub trait AsSender: sealed::Sealed {
    #[doc(hidden)]
    fn as_sender(&self) -> Sender;
}

mod sealed {
    pub trait Sealed {}
}

impl sealed::Sealed for Session {}

impl AsSender for Session {
    fn as_sender(&self) -> Sender {
        self.sender()
    }
}

impl sealed::Sealed for Sender {}

impl AsSender for Sender {
    fn as_sender(&self) -> Sender {
        self.clone()
    }
}

impl<In, Out> sealed::Sealed for JsonSession<In, Out> {}

impl<In, Out> AsSender for JsonSession<In, Out> {
    fn as_sender(&self) -> Sender {
        self.get_ref().sender()
    }
}
