//! The owner of requests that come over a link.
//!
//! They do not pass the application's layers again: the edge's have judged them, and a session that exists needs nothing
//! that a layer adds. So what opens a session comes the ordinary way, and where sessions have an identity, all does.

use std::sync::Arc;

use axum::response::Response;
use http::{
    HeaderValue, StatusCode,
    header::{CONNECTION, UPGRADE},
};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::{
    dispatch::Service,
    forward::restore,
    head::{Head, Mount},
    hop::{Forwarder, WantsLink},
};
use crate::{
    cluster::{
        edges::Edge,
        forwarded::{Context, FORWARDED},
        link::{
            frame::{Linked, PROTOCOL},
            server::{Answered, serve},
        },
    },
    response::{rejection::Rejection, reply},
};

impl Service {
    /// Whether the requests of open sessions need nothing of the application.
    pub(super) fn takes_links(&self) -> bool {
        self.identity.is_none()
    }

    /// Agrees to a link. `proof` proves to the edge that this is a node.
    pub(super) fn link(&self, WantsLink { edge, on_upgrade }: WantsLink, proof: HeaderValue) -> Response {
        let mut response = reply::empty(StatusCode::SWITCHING_PROTOCOLS);
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static(PROTOCOL));
        headers.insert(FORWARDED, proof.clone());
        let service = self.clone();
        tokio::spawn(async move {
            let Ok(upgraded) = on_upgrade.await else { return };
            let node = edge.node;
            let is_node = |hello: &HeaderValue| {
                let context = Context::proof(&proof);
                let cluster = service.options().cluster.as_ref();
                let read = cluster
                    .zip(context)
                    .and_then(|(cluster, context)| cluster.read_forwarded(hello, &context));
                read.is_some_and(|(edge, _)| edge.node == node)
            };
            let answer = |linked| {
                let (service, edge) = (service.clone(), Arc::clone(&edge));
                async move { service.linked(edge, linked).await }
            };
            serve(TokioIo::new(upgraded), is_node, answer).await;
        });
        response
    }

    /// Answers one request of a link.
    async fn linked(&self, edge: Arc<Edge>, linked: Linked) -> Answered<TaskTrackerToken> {
        // A shutdown waits until the answer has left.
        let held = self.endpoint.registry().request();
        let Linked { forwarded, request } = linked;
        let (parts, body) = request.into_parts();
        let mut head = Box::new(Head::new(parts, Mount::Nested));
        let response = match self.place(&mut head) {
            Err(rejection) => self.finish(Err(rejection).into()),
            Ok(place) => {
                let forwarder = Forwarder { edge, is_leaving: forwarded.leaving, is_link: true };
                head.hop = self.hop(place, Some(forwarder));
                restore(&mut head.parts, forwarded);
                let answer = self.answer(head, Full::new(body)).await;
                if matches!(answer.result, Err(Rejection::NotOpen)) {
                    return Answered { response: None, held };
                }
                self.finish(answer)
            }
        };
        // One that is declined comes again.
        if let Some(cluster) = &self.options().cluster {
            cluster.count_answered();
        }
        let (parts, body) = response.into_parts();
        // It is short, and whole already.
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        Answered { response: Some(Response::from_parts(parts, body)), held }
    }
}
