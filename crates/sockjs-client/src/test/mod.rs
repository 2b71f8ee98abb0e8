//! The client of a service in process, for tests.

mod client;
mod pipe;
mod session;

pub use self::{
    client::{Refusal, TestClient},
    session::TestSession,
};
