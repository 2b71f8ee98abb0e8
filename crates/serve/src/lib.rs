#![doc = include_str!("../README.md")]

mod accept;
#[cfg(feature = "rustls")]
mod certificate;
mod connection;
#[cfg(feature = "http2")]
mod http2;
mod listener;
#[cfg(feature = "http2")]
mod preface;
mod report;
mod scheme;
mod server;
mod signal;
#[cfg(feature = "rustls")]
mod tls;
#[cfg(feature = "rustls")]
mod tls_error;

pub use self::{listener::Listener, report::Report, server::Server, signal::terminated};
#[cfg(feature = "rustls")]
pub use self::{tls::Tls, tls_error::TlsError};
