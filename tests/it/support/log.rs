//! What the crate writes to the log.

use std::{
    io,
    sync::{Arc, Mutex},
};

use tracing::{
    Dispatch,
    subscriber::{DefaultGuard, NoSubscriber},
};
use tracing_subscriber::fmt::format::FmtSpan;

/// Keeps what is logged on this thread, from `level` upward, for as long as it lives.
pub(crate) struct Log {
    text: Arc<Mutex<Vec<u8>>>,
    /// While there is but one subscriber in the process, tracing asks none of the other threads' when one of
    /// those is the first to come to a line that logs, and then remembers that line as switched off.
    _second: Dispatch,
    _guard: DefaultGuard,
}

impl Log {
    pub(crate) fn start(level: tracing::Level) -> Self {
        Self::start_with(level, FmtSpan::NONE)
    }

    /// With a line for each span at its end: `close`.
    pub(crate) fn start_with_ends_of_spans(level: tracing::Level) -> Self {
        Self::start_with(level, FmtSpan::CLOSE)
    }

    fn start_with(level: tracing::Level, span_events: FmtSpan) -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let writer = Writer(Arc::clone(&text));
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(false)
            .with_span_events(span_events)
            .with_writer(move || writer.clone())
            .finish();
        Self {
            text,
            _second: Dispatch::new(NoSubscriber::new()),
            _guard: tracing::subscriber::set_default(subscriber),
        }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().expect("no writer panics")).into_owned()
    }
}

#[derive(Clone)]
struct Writer(Arc<Mutex<Vec<u8>>>);

impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no writer panics").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
