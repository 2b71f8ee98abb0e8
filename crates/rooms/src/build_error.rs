//! Why rooms cannot be over a bus.
//!
//! Imports: nothing.

use std::{error::Error, fmt};

use sockjs_bus::InvalidSubject;

/// The reason why rooms cannot be over a bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// Rooms keep a history, and the bus has no streams: numbers that each node gave by itself would be wrong.
    NoStreams,
    /// There is no tokio runtime to run on.
    NoRuntime,
    /// The namespace is none.
    Namespace(InvalidSubject),
    /// Other rooms of this process are over the same bus, the very `Arc`, with the same
    /// [namespace](crate::Builder::bus_namespace): they would be mixed. It is free again when those have [left the
    /// bus](crate::Rooms::leave_bus), or nothing is left of them.
    NamespaceInUse,
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoStreams => "rooms keep a history, and the bus has no streams for it",
            Self::NoRuntime => "rooms over a bus are built within a tokio runtime",
            Self::Namespace(_) => "the namespace cannot be one on the bus",
            Self::NamespaceInUse => "other rooms are over the same bus with the same namespace",
        })
    }
}

impl Error for BuildError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Namespace(error) => Some(error),
            Self::NoStreams | Self::NoRuntime | Self::NamespaceInUse => None,
        }
    }
}
