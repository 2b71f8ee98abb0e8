//! How to connect.
//!
//! Imports: error.

use std::{fmt, path::PathBuf, time::Duration};

use redis::{ConnectionInfo, IntoConnectionInfo, ProtocolVersion};
use sockjs_bus::ConnectError;

use crate::error::connect_error;

/// What a connection needs, with a method for each option.
///
/// ```no_run
/// use std::time::Duration;
/// use sockjs_bus_redis::Options;
///
/// # async fn connect() -> Result<(), sockjs_bus_redis::ConnectError> {
/// let bus = Options::new("redis://redis.example.com/0")
///     .user_and_password("chat", "secret")
///     .ping_interval(Duration::from_secs(2))
///     .connect()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Options {
    address: String,
    credentials: Option<(Option<String>, String)>,
    roots: Option<PathBuf>,
    client_certificate: Option<(PathBuf, PathBuf)>,
    pub(crate) prefix: String,
    pub(crate) wait_for_server: bool,
    pub(crate) connect_timeout: Duration,
    pub(crate) ping_interval: Duration,
    pub(crate) max_reconnect_delay: Duration,
    pub(crate) max_payload: usize,
    pub(crate) queue_messages: usize,
    pub(crate) queue_bytes: usize,
    pub(crate) subscription_messages: usize,
    pub(crate) idle_expiry: Duration,
}

impl Options {
    /// The options for a server, as `redis://host:6379/0`, where the number is that of the database. With `rediss://` the
    /// connection is encrypted, for which the feature `tls` is needed. `redis://user:password@host` has credentials.
    #[must_use]
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            credentials: None,
            roots: None,
            client_certificate: None,
            prefix: "sockjs:".to_owned(),
            wait_for_server: true,
            connect_timeout: Duration::from_secs(5),
            ping_interval: Duration::from_secs(5),
            max_reconnect_delay: Duration::from_secs(4),
            max_payload: 1 << 20,
            queue_messages: 8192,
            queue_bytes: 64 << 20,
            subscription_messages: 8192,
            idle_expiry: Duration::from_secs(24 * 60 * 60),
        }
    }

    /// A user and a password, in place of those of the address.
    #[must_use]
    pub fn user_and_password(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.credentials = Some((Some(user.into()), password.into()));
        self
    }

    /// The password of the default user, in place of that of the address.
    #[must_use]
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.credentials = Some((None, password.into()));
        self
    }

    /// A file of PEM certificates that are trusted, in place of those of the system.
    #[cfg(feature = "tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    #[must_use]
    pub fn root_certificates(mut self, path: impl Into<PathBuf>) -> Self {
        self.roots = Some(path.into());
        self
    }

    /// Files with the certificate and the key, as PEM, by which the server knows this client.
    #[cfg(feature = "tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    #[must_use]
    pub fn client_certificate(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.client_certificate = Some((certificate.into(), key.into()));
        self
    }

    /// What the names of channels and keys begin with. All nodes have the same. Default: `sockjs:`.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Whether [`connect`](Self::connect) fails if no server is there (`true`, the default). With `false` it gives a bus
    /// at once, which is [reconnecting](sockjs_bus::Status::Reconnecting) until one is.
    #[must_use]
    pub const fn wait_for_server(mut self, wait: bool) -> Self {
        self.wait_for_server = wait;
        self
    }

    /// How long one attempt to connect, and one command, may take. Default: 5 s.
    #[must_use]
    pub const fn connect_timeout(mut self, time: Duration) -> Self {
        self.connect_timeout = time;
        self
    }

    /// How often the server is asked for a sign of life, and how long it may take to answer: after twice this time
    /// without an answer the connection is lost. Default: 5 s.
    #[must_use]
    pub const fn ping_interval(mut self, interval: Duration) -> Self {
        self.ping_interval = interval;
        self
    }

    /// The longest pause between two attempts to connect again. The first one follows within 50 ms, and each further pause
    /// is up to twice as long, a random part of it; they begin anew after a connection that lasted longer than this time.
    /// Default: 4 s.
    #[must_use]
    pub const fn max_reconnect_delay(mut self, delay: Duration) -> Self {
        self.max_reconnect_delay = delay;
        self
    }

    /// The most bytes that a message or entry may have. Redis itself takes 512 MiB. Default: 1 MiB.
    #[must_use]
    pub const fn max_payload(mut self, bytes: usize) -> Self {
        self.max_payload = bytes;
        self
    }

    /// How many messages and bytes may wait to be sent, before publishing is refused as
    /// [`Full`](sockjs_bus::PublishError::Full); entries that wait to be appended are counted apart. Defaults: 8192 and
    /// 64 MiB.
    #[must_use]
    pub const fn queue(mut self, messages: usize, bytes: usize) -> Self {
        self.queue_messages = messages;
        self.queue_bytes = bytes;
        self
    }

    /// How many messages may wait for the receiver of one subscription, before further ones are lost and counted.
    /// Default: 8192.
    #[must_use]
    pub const fn subscription_queue(mut self, messages: usize) -> Self {
        self.subscription_messages = messages;
        self
    }

    /// How long a stream whose entries have an age is kept at least after it was last used, by whoever follows it or reads
    /// or appends, unless [`Retention::idle`](sockjs_bus::Retention::idle) says it. Then its key is gone, and the next entry
    /// begins another life of it. Default: one day.
    #[must_use]
    pub const fn idle_expiry(mut self, time: Duration) -> Self {
        self.idle_expiry = time;
        self
    }

    pub(crate) fn validate(&self) -> Result<(), ConnectError> {
        let invalid = |what: &str| Err(ConnectError::Invalid(what.into()));
        let limit = tokio::sync::Semaphore::MAX_PERMITS;
        if [self.queue_messages, self.subscription_messages]
            .iter()
            .any(|&length| length == 0 || length > limit)
        {
            return invalid("a queue of no messages, or of too many");
        }
        if self.max_payload > 512 << 20 {
            return invalid("messages of more than 512 MiB");
        }
        if [self.ping_interval, self.connect_timeout, self.idle_expiry].iter().any(Duration::is_zero) {
            return invalid("a time of zero");
        }
        if self.prefix.contains(['{', '}']) {
            return invalid("a prefix with braces, which have a meaning in a cluster");
        }
        self.client().map(drop)
    }

    /// The library's client.
    pub(crate) fn client(&self) -> Result<redis::Client, ConnectError> {
        // The words of the library may repeat the address, with a password in it.
        let invalid = |_| ConnectError::Invalid("no address of a Redis server".into());
        let info: ConnectionInfo = self.address.as_str().into_connection_info().map_err(invalid)?;
        let mut settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        if let Some((user, password)) = &self.credentials {
            if let Some(user) = user {
                settings = settings.set_username(user);
            }
            settings = settings.set_password(password);
        }
        let info = info.set_redis_settings(settings);
        self.secured(info)
    }

    #[cfg(feature = "tls")]
    fn secured(&self, info: ConnectionInfo) -> Result<redis::Client, ConnectError> {
        let read = |path: &PathBuf| {
            std::fs::read(path).map_err(|error| {
                ConnectError::Invalid(format!("the file {} cannot be read: {error}", path.display()).into())
            })
        };
        // The library panics where the process has none and several ones are compiled.
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // Another thread may have been quicker.
            _ = rustls::crypto::ring::default_provider().install_default();
        }
        if self.roots.is_none() && self.client_certificate.is_none() {
            return redis::Client::open(info).map_err(connect_error);
        }
        let client_tls = match &self.client_certificate {
            Some((certificate, key)) => {
                Some(redis::ClientTlsConfig { client_cert: read(certificate)?, client_key: read(key)? })
            }
            None => None,
        };
        let root_cert = self.roots.as_ref().map(read).transpose()?;
        redis::Client::build_with_tls(info, redis::TlsCertificates { client_tls, root_cert })
            .map_err(connect_error)
    }

    #[cfg(not(feature = "tls"))]
    #[allow(clippy::unused_self, reason = "it is used with TLS")]
    fn secured(&self, info: ConnectionInfo) -> Result<redis::Client, ConnectError> {
        redis::Client::open(info).map_err(connect_error)
    }
}

/// Without what is secret.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("prefix", &self.prefix)
            .field("connect_timeout", &self.connect_timeout)
            .field("ping_interval", &self.ping_interval)
            .field("max_reconnect_delay", &self.max_reconnect_delay)
            .field("roots", &self.roots)
            .field("client_certificate", &self.client_certificate)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_is_shown() {
        let options = Options::new("redis://a:hush@host").password("hush");
        assert!(!format!("{options:?}").contains("hush"));
        let error = Options::new("redis://a:hush@host:port").client().unwrap_err();
        assert!(!format!("{error:?} {error}").contains("hush"));
    }
}
