//! Streams: messages that are kept for a while, each with a position.
//!
//! Imports: subject.

use std::{error::Error, fmt, num::ParseIntError, pin::Pin, str::FromStr, sync::Arc, time::Duration};

use bytes::Bytes;

use crate::subject::Subject;

/// A future whose type is not named.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One life of a stream. A stream that lost its entries, as with an engine that starts empty, has another id.
///
/// NATS: a random number in the subjects of the JetStream stream. Redis: one that is stored beside the stream. Both are
/// lost together with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StreamId(pub u64);

/// A place in a stream: at an entry, or at the beginning.
///
/// As a text it is two numbers with a dash between them, for a browser that keeps it.
///
/// ```
/// use sockjs_bus::{Position, StreamId};
///
/// let position = Position { stream: StreamId(7), number: 42 };
/// assert_eq!(position.to_string(), "7-42");
/// assert_eq!("7-42".parse(), Ok(position));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    /// The life of the stream that it belongs to.
    pub stream: StreamId,
    /// Its number, which grows from one entry to the next, not always by one.
    pub number: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.stream.0, self.number)
    }
}

impl FromStr for Position {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (stream, number) = text.split_once('-').unwrap_or((text, ""));
        Ok(Self { stream: StreamId(stream.parse()?), number: number.parse()? })
    }
}

/// One message of a stream. Its age does not count for equality: it is another one each time that the entry is read.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Where it stands.
    pub position: Position,
    /// What was appended.
    pub payload: Bytes,
    /// How long ago it was appended when it was read. A driver compares the engine's clock with this machine's, and gives zero
    /// for what has come as it was appended.
    pub age: Duration,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.position, &self.payload) == (other.position, &other.payload)
    }
}

impl Eq for Entry {}

/// Entries that were read at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The entries, the oldest first.
    pub entries: Vec<Entry>,
    /// The stream's newest position at that moment. Behind it there is nothing yet.
    pub end: Position,
}

/// How long entries are kept.
///
/// Nodes should agree: what the one that appends says counts for the whole stream.
///
/// # How exact an engine is
///
/// An engine may keep more than it is told, and longer, but within some bound: it may drop in steps, round times up to
/// the next of a few, and count bytes of its own or as entries of a typical length. It drops nothing earlier, the oldest
/// entries first, and of an idle stream all at once. The newest entry stays until it is too old, or the stream is idle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// How many entries are kept; 0 counts as 1.
    pub max_entries: usize,
    /// How many bytes of payload are kept, but for the newest entry, which may be larger alone. So much is what
    /// [`last`](Streams::last) reads at once.
    pub max_bytes: usize,
    /// The time after which an entry is dropped; `None` keeps it until there are too many.
    pub max_age: Option<Duration>,
    /// The time after which a stream goes with all of its entries, if nobody has appended to it or followed it meanwhile;
    /// `None` keeps it. A driver of an engine that does not see who follows counts from the last entry (NATS: an age;
    /// Redis: `PEXPIRE` with each entry), and may renew it for those who follow over it.
    pub idle: Option<Duration>,
}

impl Retention {
    /// Keeps this many entries, however large and old they are.
    #[must_use]
    pub const fn entries(max_entries: usize) -> Self {
        Self { max_entries, max_bytes: usize::MAX, max_age: None, idle: None }
    }
}

/// Streams of an engine: each node appends to them, and each reads the same entries in the same order.
///
/// A stream begins to exist with its first entry; before, it is an empty one. Clocks are the engine's, but for the
/// [age](Entry::age) of an entry.
///
/// # What a driver guarantees
///
/// - All readers see the entries of a stream in one order, with growing numbers. What one node appends by one call after
///   the other stands in that order.
/// - [`read`](Self::read) and [`follow`](Self::follow) give every entry behind a position, or
///   [`Gone`](StreamError::Gone): never a hole.
/// - A position is gone if an entry behind it has been dropped, or the stream has another id. An engine that cannot tell
///   may say so of each position whose own entry has been dropped, but for the [end](Batch::end) that it has just given.
pub trait Streams: Send + Sync {
    /// Appends an entry. The call itself puts it into a bounded queue, so that the order of calls is the order of entries,
    /// also if the future is dropped; the future completes when the engine has the entry.
    ///
    /// # Errors
    ///
    /// After [`Disconnected`](StreamError::Disconnected) the engine may have the entry or not, after all others it has
    /// not.
    fn append(
        &self,
        stream: &Subject,
        payload: Bytes,
        retention: Retention,
    ) -> BoxFuture<'static, Result<Position, StreamError>>;

    /// Reads the entries behind a position: `max` at the most.
    fn read(
        &self,
        stream: &Subject,
        after: Position,
        max: usize,
    ) -> BoxFuture<'static, Result<Batch, StreamError>>;

    /// Reads the last entries: `max` at the most, and with 0 only where the stream ends.
    fn last(&self, stream: &Subject, max: usize) -> BoxFuture<'static, Result<Batch, StreamError>>;

    /// Follows a stream: the entries behind a position, and those that are appended later.
    fn follow(&self, stream: &Subject, after: Position) -> Box<dyn Follow>;
}

/// The entries of a stream, one after the other, without a hole.
pub trait Follow: Send {
    /// The next entry, once there is one. While the engine cannot be reached, it waits.
    ///
    /// # Errors
    ///
    /// [`Gone`](StreamError::Gone) if the next entries have been dropped before they were read, or the stream has
    /// another id; then it is followed anew from its end. Whatever is asked after an error gives the same one.
    ///
    /// # Cancel safety
    ///
    /// The future can be dropped: no entry is lost by it.
    fn next(&mut self) -> BoxFuture<'_, Result<Entry, StreamError>>;
}

/// The reason why a stream did not do what it was asked for.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum StreamError {
    /// What stands behind the position is not all there any more.
    Gone,
    /// The engine cannot be reached.
    Disconnected,
    /// Too many entries wait to be appended.
    Full,
    /// The entry is larger than the engine takes.
    TooLarge {
        /// The most bytes that it may have.
        max: usize,
    },
    /// The engine has refused it.
    Refused(Arc<dyn Error + Send + Sync>),
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("entries behind the position are gone"),
            Self::Disconnected => f.write_str("the bus is disconnected"),
            Self::Full => f.write_str("too many entries wait for the bus"),
            Self::TooLarge { max } => write!(f, "an entry larger than the {max} bytes that the bus takes"),
            Self::Refused(_) => f.write_str("the bus refuses it"),
        }
    }
}

impl Error for StreamError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Refused(error) => Some(&**error),
            Self::Gone | Self::Disconnected | Self::Full | Self::TooLarge { .. } => None,
        }
    }
}
