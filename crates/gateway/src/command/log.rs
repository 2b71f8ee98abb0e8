//! The log.

use std::io::{self, IsTerminal};

use tracing_subscriber::{
    EnvFilter, Layer, Registry, fmt, layer::SubscriberExt, reload, util::SubscriberInitExt,
};

use crate::config::config::{Log, LogFormat};

/// Changes the filter of a log that is written.
pub(super) struct Filter(reload::Handle<EnvFilter, Registry>);

impl Filter {
    pub(super) fn set(&self, log: &Log) {
        if let Err(error) = self.0.reload(filter(log)) {
            tracing::error!(%error, "the filter of the log stays as it was");
        }
    }
}

/// Writes the log of the process to the standard error.
pub(super) fn start(log: &Log) -> Filter {
    let (filter, handle) = reload::Layer::new(filter(log));
    // An error in writing a line would be written to the same place, by what panics there.
    let lines = fmt::layer().with_writer(io::stderr).log_internal_errors(false);
    let lines = match log.format {
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(filter).with(lines).init();
    Filter(handle)
}

/// It was judged where it was read.
fn filter(log: &Log) -> EnvFilter {
    EnvFilter::new(&log.filter)
}
