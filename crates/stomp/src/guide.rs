//! Guides: from the first page to a production set-up, destinations, answers, migration from Spring, and tests.
//!
//! | guide | topics |
//! |---|---|
//! | [`first_page`] | a server and a page, step by step: users, topics, errors, state; then origins, logins, rules, limits, metrics, shutdown, slow clients, heart-beats |
//! | [`brokers`] | topics, patterns, queues, users' destinations, temporary queues, transactions, receipts, brokers of your own |
//! | [`nodes`] | several nodes: what reaches all of them, what is guaranteed, what it costs, queues |
//! | [`answers`] | what a client gets for each wrong or denied frame |
//! | [`spring`] | Spring's configuration and annotations beside those of this crate |
//! | [`testing`] | tests of handlers and of a whole server, without a socket |

pub mod first_page {
    #![doc = include_str!("docs/first_page.md")]
    #[allow(unused_imports, reason = "for the links")]
    use crate::*;
}

pub mod brokers {
    #![doc = include_str!("docs/brokers.md")]
    #[allow(unused_imports, reason = "for the links")]
    use crate::{
        broker::{memory::*, *},
        *,
    };
}

pub mod nodes {
    #![doc = include_str!("docs/nodes.md")]
    #[allow(unused_imports, reason = "for the links")]
    use crate::{
        broker::{memory::*, *},
        *,
    };
}

pub mod answers {
    #![doc = include_str!("docs/answers.md")]
    #[allow(unused_imports, reason = "for the links")]
    use crate::*;
}

pub mod spring {
    #![doc = include_str!("docs/spring.md")]
    #[allow(unused_imports, reason = "for the links")]
    use crate::*;
}

pub mod testing {
    #![cfg_attr(feature = "test", doc = include_str!("docs/testing.md"))]
    #![cfg_attr(not(feature = "test"), doc = "It is there with the feature `test`.")]
    #[allow(unused_imports, reason = "for the links")]
    use crate::*;
}

/// Compares the guide's answers with a server's.
#[cfg(doctest)]
#[doc = include_str!("docs/answers_test.md")]
mod answers_are_real {}
