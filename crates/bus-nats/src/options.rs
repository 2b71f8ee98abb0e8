//! How to connect.
//!
//! Imports: nothing.

use std::{fmt, path::PathBuf, time::Duration};

use async_nats::{ConnectOptions, ServerAddr};
use sockjs_bus::ConnectError;

/// What a connection needs, with a method for each option.
///
/// ```no_run
/// use std::time::Duration;
/// use sockjs_bus_nats::Options;
///
/// # async fn connect() -> Result<(), sockjs_bus_nats::ConnectError> {
/// let bus = Options::new("tls://nats.example.com:4222")
///     .credentials_file("/etc/chat/nats.creds")
///     .ping_interval(Duration::from_secs(2))
///     .connect()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Options {
    pub(crate) servers: String,
    pub(crate) credentials: Credentials,
    pub(crate) roots: Vec<PathBuf>,
    pub(crate) client_certificate: Option<(PathBuf, PathBuf)>,
    pub(crate) require_tls: bool,
    pub(crate) name: Option<String>,
    pub(crate) wait_for_server: bool,
    pub(crate) connect_timeout: Duration,
    pub(crate) ping_interval: Duration,
    pub(crate) max_reconnect_delay: Duration,
    pub(crate) queue_messages: usize,
    pub(crate) queue_bytes: usize,
    pub(crate) subscription_messages: usize,
    pub(crate) streams: bool,
    pub(crate) stream_name: String,
    pub(crate) stream_replicas: usize,
    pub(crate) stream_max_entries: usize,
    pub(crate) stream_max_bytes: usize,
    pub(crate) stream_max_age: Duration,
}

#[derive(Clone)]
pub(crate) enum Credentials {
    OfAddress,
    UserPassword(String, String),
    Token(String),
    Nkey(String),
    File(PathBuf),
}

impl Options {
    /// The options for a server, as `nats://host:4222`, or for several ones with commas between them. With `tls://` the
    /// connection is encrypted. `nats://user:password@host` and `nats://token@host` have credentials.
    #[must_use]
    pub fn new(servers: impl Into<String>) -> Self {
        Self {
            servers: servers.into(),
            credentials: Credentials::OfAddress,
            roots: Vec::new(),
            client_certificate: None,
            require_tls: false,
            name: None,
            wait_for_server: true,
            connect_timeout: Duration::from_secs(5),
            ping_interval: Duration::from_secs(5),
            max_reconnect_delay: Duration::from_secs(4),
            queue_messages: 8192,
            queue_bytes: 64 << 20,
            subscription_messages: 8192,
            streams: true,
            stream_name: "SOCKJS".to_owned(),
            stream_replicas: 1,
            stream_max_entries: 65_536,
            stream_max_bytes: 1 << 30,
            stream_max_age: Duration::from_secs(7 * 24 * 60 * 60),
        }
    }

    /// A user and a password, in place of those of the address.
    #[must_use]
    pub fn user_and_password(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.credentials = Credentials::UserPassword(user.into(), password.into());
        self
    }

    /// A token, in place of that of the address.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.credentials = Credentials::Token(token.into());
        self
    }

    /// The seed of an NKey.
    #[must_use]
    pub fn nkey(mut self, seed: impl Into<String>) -> Self {
        self.credentials = Credentials::Nkey(seed.into());
        self
    }

    /// A file with a JWT and the seed that belongs to it. It is read at each connection.
    #[must_use]
    pub fn credentials_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.credentials = Credentials::File(path.into());
        self
    }

    /// A file of PEM certificates that are trusted, beside those of the system.
    #[must_use]
    pub fn root_certificates(mut self, path: impl Into<PathBuf>) -> Self {
        self.roots.push(path.into());
        self
    }

    /// Files with the certificate and the key, as PEM, by which the server knows this client.
    #[must_use]
    pub fn client_certificate(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.client_certificate = Some((certificate.into(), key.into()));
        self
    }

    /// Whether a connection without TLS is refused, whatever the address says. Default: no.
    #[must_use]
    pub const fn require_tls(mut self, required: bool) -> Self {
        self.require_tls = required;
        self
    }

    /// The name by which the server's monitoring shows the connection. Default: none.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Whether [`connect`](Self::connect) fails if no server is there (`true`, the default). With `false` it gives a bus
    /// at once, which is [reconnecting](sockjs_bus::Status::Reconnecting) until one is.
    #[must_use]
    pub const fn wait_for_server(mut self, wait: bool) -> Self {
        self.wait_for_server = wait;
        self
    }

    /// How long one attempt to connect may take. Default: 5 s.
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

    /// How many messages and bytes may wait to be sent, before publishing is refused as
    /// [`Full`](sockjs_bus::PublishError::Full). Defaults: 8192 and 64 MiB.
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

    /// Whether the bus has streams, for which the server has to have JetStream. Default: yes. Nothing is made there before
    /// a stream is used.
    #[must_use]
    pub const fn streams(mut self, streams: bool) -> Self {
        self.streams = streams;
        self
    }

    /// The name of the JetStream stream that holds all streams, of letters, digits, `-` and `_`: all nodes of an application
    /// have the same one, others another one. Default: `SOCKJS`.
    #[must_use]
    pub fn stream_name(mut self, name: impl Into<String>) -> Self {
        self.stream_name = name.into();
        self
    }

    /// How many servers of a cluster keep the streams: counts when the JetStream stream is made. Default: 1.
    #[must_use]
    pub const fn stream_replicas(mut self, replicas: usize) -> Self {
        self.stream_replicas = replicas;
        self
    }

    /// The limits beyond which no entry is kept, whatever its retention says: entries of one stream, bytes of all streams,
    /// and the age. They count when the JetStream stream is made. Defaults: 65,536, 1 GiB and 7 days.
    #[must_use]
    pub const fn stream_limits(mut self, max_entries: usize, max_bytes: usize, max_age: Duration) -> Self {
        self.stream_max_entries = max_entries;
        self.stream_max_bytes = max_bytes;
        self.stream_max_age = max_age;
        self
    }

    pub(crate) fn validate(&self) -> Result<(), ConnectError> {
        let invalid = |what: &str| Err(ConnectError::Invalid(what.into()));
        self.addresses()?;
        if self.queue_messages == 0 || self.subscription_messages == 0 {
            return invalid("a queue of no messages");
        }
        let limit = tokio::sync::Semaphore::MAX_PERMITS;
        if self.queue_messages > limit || self.subscription_messages > limit {
            return invalid("a queue that is too long");
        }
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if self.stream_name.is_empty() || !self.stream_name.bytes().all(is_name) {
            return invalid("a name of the JetStream stream with other characters");
        }
        if [self.stream_max_entries, self.stream_max_bytes, self.stream_replicas].contains(&0) {
            return invalid("streams without room");
        }
        if self.ping_interval.is_zero() || self.connect_timeout.is_zero() {
            return invalid("a time of zero");
        }
        Ok(())
    }

    pub(crate) fn addresses(&self) -> Result<Vec<ServerAddr>, ConnectError> {
        // The words of the library may repeat the address, with a password in it.
        let parse = |text: &str| {
            text.trim().parse().map_err(|_| ConnectError::Invalid("no address of a NATS server".into()))
        };
        self.servers.split(',').map(parse).collect()
    }

    /// What the library is told.
    pub(crate) async fn library(&self) -> Result<ConnectOptions, ConnectError> {
        // The library panics where the process has none and several ones are compiled.
        if async_nats::rustls::crypto::CryptoProvider::get_default().is_none() {
            // Another thread may have been quicker.
            _ = async_nats::rustls::crypto::ring::default_provider().install_default();
        }
        // Connecting again is this crate's: see `connection`.
        let mut options = ConnectOptions::new()
            .max_reconnects(1)
            .connection_timeout(self.connect_timeout)
            .request_timeout(Some(self.connect_timeout))
            .require_tls(self.require_tls)
            .ignore_discovered_servers()
            .client_capacity(256)
            .subscription_capacity(self.subscription_messages);
        if let Some(name) = &self.name {
            options = options.name(name);
        }
        for path in &self.roots {
            options = options.add_root_certificates(path.clone());
        }
        if let Some((certificate, key)) = &self.client_certificate {
            options = options.add_client_certificate(certificate.clone(), key.clone());
        }
        Ok(match &self.credentials {
            Credentials::OfAddress => {
                let addresses = self.addresses()?;
                let user =
                    addresses.iter().find_map(|address| Some((address.username()?, address.password())));
                match user {
                    Some((user, Some(password))) => {
                        options.user_and_password(decoded(user)?, decoded(password)?)
                    }
                    Some((token, None)) => options.token(decoded(token)?),
                    None => options,
                }
            }
            Credentials::UserPassword(user, password) => {
                options.user_and_password(user.clone(), password.clone())
            }
            Credentials::Token(token) => options.token(token.clone()),
            Credentials::Nkey(seed) => options.nkey(seed.clone()),
            Credentials::File(path) => options.credentials_file(path).await.map_err(|error| {
                ConnectError::Invalid(format!("the file {} cannot be used: {error}", path.display()).into())
            })?,
        })
    }
}

/// A part of an address, in which `%` and two hexadecimal digits are a byte.
fn decoded(text: &str) -> Result<String, ConnectError> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    while let Some((&first, behind)) = rest.split_first() {
        rest = behind;
        if let (b'%', [high, low, behind @ ..]) = (first, behind)
            && let (Some(high), Some(low)) = (digit(*high), digit(*low))
        {
            bytes.push((high * 16 + low) as u8);
            rest = behind;
            continue;
        }
        bytes.push(first);
    }
    String::from_utf8(bytes).map_err(|_| ConnectError::Invalid("credentials that are no UTF-8".into()))
}

/// Without what is secret.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("name", &self.name)
            .field("require_tls", &self.require_tls)
            .field("connect_timeout", &self.connect_timeout)
            .field("ping_interval", &self.ping_interval)
            .field("max_reconnect_delay", &self.max_reconnect_delay)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_of_an_address_are_decoded() {
        for (text, expected) in
            [("abc", "abc"), ("a%40b%3a", "a@b:"), ("100%", "100%"), ("%zz%4", "%zz%4"), ("%C3%BC", "ü")]
        {
            assert_eq!(decoded(text).unwrap(), expected);
        }
        assert!(decoded("%ff").is_err());
    }

    #[test]
    fn nothing_secret_is_shown() {
        let options = Options::new("nats://a:hush@host").token("hush").nkey("hush");
        assert!(!format!("{options:?}").contains("hush"));
    }
}
