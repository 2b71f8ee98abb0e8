//! Guides: how an endpoint is mounted, who may use it, what its clients are answered, and how it is operated.
//!
//! | guide | what it is about |
//! |---|---|
//! | [`mounting`] | routes, layers and servers around an endpoint; URLs in logs; content security |
//! | [`origins`] | whose pages may connect, CORS, and whose session it is |
//! | [`answers`] | what a client is answered, request by request |
//! | [`slow`] | slow and dead clients: queues, timeouts, heartbeats |
//! | [`operating`] | stopping, numbers, many busy and many idle sessions, logs |

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
