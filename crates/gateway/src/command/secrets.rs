//! Where secrets are, beside files.

/// The variables of secrets, which are no arguments: those can be seen by every user of the machine.
pub(super) const SECRET: &str = "SOCKJS_GATEWAY_CLUSTER_SECRET";
pub(super) const OTHER_SECRET: &str = "SOCKJS_GATEWAY_CLUSTER_OTHER_SECRET";
