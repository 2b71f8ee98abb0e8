//! What is different from one engine to the next.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use sockjs_bus::{BoxFuture, Bus, ConnectError};

use crate::certificates::Certificates;

/// How a node connects; as the driver's defaults say, but for what is set here.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Times are short: 300 ms between signs of life, 500 ms for an attempt, pauses of 200 ms at the most.
    pub is_quick: bool,
    /// The bus is there before its server.
    pub is_early: bool,
    /// Messages and bytes that may wait.
    pub queue: Option<(usize, usize)>,
    /// Messages that may wait for one receiver.
    pub subscription_queue: Option<usize>,
    /// A user and a password.
    pub user: Option<(&'static str, &'static str)>,
    /// Certificates that are trusted.
    pub root: Option<PathBuf>,
    /// The certificate of the client, and its key.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
}

impl Settings {
    /// With short times.
    #[must_use]
    pub fn quick() -> Self {
        Self { is_quick: true, ..Self::default() }
    }
}

/// A user and a password, which an address has to encode.
pub const USER: (&str, &str) = ("chat", "s@cret");

/// An engine and its driver.
pub trait Engine: Sync {
    /// Starts a server on this port of 127.0.0.1, which stores what it has to in this directory.
    fn server(&self, port: u16, directory: &Path) -> Command;

    /// The arguments with which the server lets in none but this user, who may use messages of `chat.` alone.
    fn restricted(&self, directory: &Path, user: (&str, &str)) -> Vec<String>;

    /// The arguments with which the server speaks nothing but TLS at this port, and asks clients for a certificate.
    fn secured(&self, port: u16, certificates: &Certificates, asks_clients: bool) -> Vec<String>;

    /// The scheme of an address, without TLS and with it.
    fn scheme(&self, is_secured: bool) -> &'static str;

    /// Connects a node.
    fn connect(
        &self,
        address: &str,
        settings: &Settings,
    ) -> BoxFuture<'_, Result<Arc<dyn Bus>, ConnectError>>;

    /// Takes all streams from the server at this address, while nodes are connected.
    fn erase(&self, address: &str) -> BoxFuture<'_, ()>;
}
