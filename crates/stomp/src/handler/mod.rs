//! Functions of the application's: extractors in, replies out.

mod context;

pub use self::context::Context;
