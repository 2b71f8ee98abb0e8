//! The set of enabled transports.

use std::fmt;

use sockjs_core::Transport;

/// The enabled transports: a flag for each.
///
/// No library: `enumset` would derive its traits on [`Transport`], in the public API, and `bitflags` would have a second
/// list of the transports in place of three shifts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct TransportSet(u8);

impl TransportSet {
    pub(crate) const ALL: Self = Self(0x7f);

    pub(crate) fn insert(&mut self, transport: Transport) {
        self.0 |= 1 << transport as u8;
    }

    pub(crate) fn remove(&mut self, transport: Transport) {
        self.0 &= !(1 << transport as u8);
    }

    pub(crate) fn contains(self, transport: Transport) -> bool {
        // Without the feature, no socket can be enabled.
        self.0 & 1 << transport as u8 != 0 && (cfg!(feature = "websocket") || !transport.is_socket())
    }

    /// The value for `websocket` in `/info`.
    pub(crate) fn has_websocket(self) -> bool {
        self.contains(Transport::WebSocket)
    }
}

impl fmt::Debug for TransportSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(Transport::ALL.iter().filter(|&&transport| self.contains(transport))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transports_switch_one_by_one() {
        let mut set = TransportSet::ALL;
        for &transport in Transport::ALL {
            let has = cfg!(feature = "websocket") || !transport.is_socket();
            assert_eq!(set.contains(transport), has);
            set.remove(transport);
            assert!(!set.contains(transport));
        }
        assert_eq!(set, TransportSet(0));
        set.insert(Transport::HtmlFile);
        assert_eq!(format!("{set:?}"), "[HtmlFile]");
    }
}
