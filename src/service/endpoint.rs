//! The state that all clones of an endpoint share.

use std::{
    any::TypeId,
    sync::{
        Arc, Mutex, Once, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    options::builder::Options,
    origin::log::RefusalLog,
    response::{cause::RejectionCause, iframe::IframePage, info::InfoPage},
    session::registry::Registry,
};

pub(crate) struct Endpoint {
    pub(crate) options: Options,
    pub(super) iframe: IframePage,
    pub(super) info: InfoPage,
    pub(crate) sessions: Arc<Sessions>,
    pub(super) refusal_log: RefusalLog,
    /// Whether the log has reported a session that could not be counted for its peer.
    pub(super) unknown_peer_warning: Once,
}

/// The sessions of an endpoint, and the number of rejected requests.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    pub(crate) registry: Arc<Registry>,
    /// The type of the identities, if sessions have one.
    identity_type: Mutex<Option<TypeId>>,
    rejections: [AtomicU64; RejectionCause::ALL.len()],
}

impl Endpoint {
    pub(crate) fn new(options: Options, sessions: Arc<Sessions>) -> Self {
        let iframe = IframePage::new(options.iframe_client_url());
        let Options { transports, cookie, base_url, .. } = &options;
        let info = InfoPage::new(transports.has_websocket(), cookie.is_on(), base_url.as_deref());
        let (refusal_log, unknown_peer_warning) = (RefusalLog::default(), Once::new());
        Self { options, iframe, info, sessions, refusal_log, unknown_peer_warning }
    }

    pub(super) fn registry(&self) -> &Arc<Registry> {
        &self.sessions.registry
    }
}

impl Sessions {
    pub(crate) fn set_identity_type(&self, identity: TypeId) {
        *self.identity_type.lock().unwrap_or_else(PoisonError::into_inner) = Some(identity);
    }

    pub(crate) fn identity_type(&self) -> Option<TypeId> {
        *self.identity_type.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn count_rejection(&self, cause: RejectionCause) {
        self.rejections[cause as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// The number of rejected requests by their cause.
    pub(crate) fn rejections(&self) -> impl Iterator<Item = (RejectionCause, u64)> {
        let counts = self.rejections.iter().map(|count| count.load(Ordering::Relaxed));
        RejectionCause::ALL.iter().copied().zip(counts)
    }
}
