//! A gateway to be shown.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};

use axum_sockjs::{Cluster, ClusterOptions, Session, SockJs};

use super::shown::{Reloads, Shown};
use crate::pool::{
    pool::Pool,
    testing::{Answer, Scripted, members, upstream},
};

/// A route with a backend that is down, and one with two sessions.
pub(super) struct Gateway {
    pub(super) chat: Pool<Scripted>,
    /// Another route, if the test has one.
    pub(super) other: Mutex<Option<Pool<Scripted>>>,
    pub(super) backends: [Scripted; 2],
    pub(super) is_stopping: AtomicBool,
    endpoint: SockJs,
    cluster: Cluster,
    _leases: Vec<crate::pool::lease::Lease<Scripted>>,
}

pub(super) const DOWN: &str = "ws://down:9000/ws";
pub(super) const WELL: &str = "ws://well:9000/ws";

impl Gateway {
    pub(super) async fn new() -> Self {
        let backends = [Scripted::new(), Scripted::new()];
        let upstream = upstream(&[&format!("{DOWN}?token=secret"), WELL]);
        let chat = Pool::new("/chat", members(&upstream, &[&backends[0], &backends[1]]));
        backends[0].answer_dials(Answer::Fail);
        let mut leases = Vec::new();
        for _ in 0..3 {
            leases.push(chat.open(&()).await.expect("one is well").1);
        }
        leases.pop();
        let secret = "a secret of thirty-two bytes, or more";
        let options = ClusterOptions::new(secret, "127.0.0.1:80".parse().expect("an address"));
        Self {
            chat,
            other: Mutex::new(None),
            backends,
            is_stopping: AtomicBool::new(false),
            endpoint: SockJs::new(async |_: Session| {}),
            cluster: Cluster::new(options).expect("the secret is long enough"),
            _leases: leases,
        }
    }

    pub(super) fn shown(&self) -> Shown {
        let other = self.other.lock().expect("no test panics under it").as_ref().map(Pool::snapshot);
        Shown {
            is_stopping: self.is_stopping.load(Ordering::Relaxed),
            pools: [self.chat.snapshot()].into_iter().chain(other).collect(),
            endpoints: vec![("/chat".to_owned(), self.endpoint.handle().stats())],
            cluster: Some(("gateway".to_owned(), self.cluster.clone())),
            reloads: Reloads { succeeded: 2, failed: 1 },
        }
    }
}
