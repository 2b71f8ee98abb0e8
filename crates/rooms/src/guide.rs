//! Guides: users, presence, history and recovery, several nodes, tests.
//!
//! | guide | topics |
//! |---|---|
//! | [`users`] | whose tab a session is, messages to a user, log-outs, events |
//! | [`presence`] | who is there, with data, and how members and the application are told of changes |
//! | [`history`] | the last messages, clients that come back, positions, slow clients, limits |
//! | [`nodes`] | rooms over several nodes: setting up, what is guaranteed, what is lost when |
//! | [`testing`] | tests of handlers and of a whole router, without a socket |

pub mod users {
    #![doc = include_str!("docs/users.md")]
    #[allow(unused_imports, reason = "for the links")]
    use crate::*;
}

pub mod presence {
    #![doc = include_str!("docs/presence.md")]
    #[allow(unused_imports, reason = "for the links")]
    use crate::*;
}

pub mod history {
    #![doc = include_str!("docs/history.md")]
    #[allow(unused_imports, reason = "for the links")]
    use crate::*;
}

pub mod nodes {
    #![doc = include_str!("docs/nodes.md")]
    #[allow(unused_imports, reason = "for the links")]
    use crate::*;
}

pub mod testing {
    #![doc = include_str!("docs/testing.md")]
    #[allow(unused_imports, reason = "for the links")]
    use crate::*;
}
