//! Guides: mounting an endpoint, allowed origins, responses, slow clients, operation, and tests.
//!
//! | guide | topics |
//! |---|---|
//! | [`mounting`] | routes, layers and servers around an endpoint; URLs in logs; content security |
//! | [`origins`] | allowed origins, CORS, and session ownership |
//! | [`answers`] | the response to each request |
//! | [`slow`] | slow and dead clients, and those that send too fast: queues, timeouts, heartbeats, rates |
//! | [`operating`] | shutdown, metrics, many busy or idle sessions, logs |
//! | [`cluster`] | several nodes behind a balancer: sessions on any of them |
//! | [`testing`] | tests of a handler without an endpoint, and of an endpoint without a socket |

pub mod mounting {
    #![doc = include_str!("docs/mounting.md")]
    #[allow(unused_imports, reason = "for the links")]
    use crate::*;
}

pub mod origins {
    #![doc = include_str!("docs/origins.md")]
    #[allow(unused_imports, reason = "for the links")]
    use crate::*;
}

pub mod answers {
    #![doc = include_str!("docs/answers.md")]
    #[allow(unused_imports, reason = "for the links")]
    use crate::*;
}

pub mod slow {
    #![doc = include_str!("docs/slow.md")]
    #[allow(unused_imports, reason = "for the links")]
    use crate::*;
}

pub mod operating {
    #![doc = include_str!("docs/operating.md")]
    #[allow(unused_imports, reason = "for the links")]
    use crate::*;
}

pub mod testing {
    #![doc = include_str!("docs/testing.md")]
    #[allow(unused_imports, reason = "for the links")]
    use crate::*;
}

pub mod cluster {
    #![cfg_attr(feature = "cluster", doc = include_str!("docs/cluster.md"))]
    #![cfg_attr(not(feature = "cluster"), doc = "For the feature `cluster`, which is off.")]
    #[allow(unused_imports, reason = "for the links")]
    use crate::*;
}
