//! An endpoint that is one of several nodes: whose session a request is for, and what the edge and the owner of a
//! forwarded one do.

use std::{net::SocketAddr, time::Duration};

use axum::{
    body::Body,
    extract::{ConnectInfo, OriginalUri, connect_info::MockConnectInfo},
    response::Response,
};
use bytes::Bytes;
use http::{
    HeaderValue, StatusCode, Uri,
    header::{CONTENT_ENCODING, CONTENT_LENGTH},
    request::Parts,
    uri::{PathAndQuery, Scheme},
};
use sockjs_core::{
    Frame, Transport,
    close::{INTERRUPTED, TRY_AGAIN_LATER},
};
use tower::BoxError;

use super::{
    dispatch::{Answer, Service, SharedHeaders},
    head::Head,
    hop::{Forwarder, Hop, WantsLink},
    open::peer_addr,
};
use crate::{
    cluster::{
        forward::{AnswerBody, ToForward},
        forwarded::{Context, FORWARDED, Forwarded},
        handle::Place,
        node_id::NodeId,
        owner::NoAnswer,
        relayed::Farewell,
        tag::{self, CHECK_PATH},
    },
    response::{rejection::Rejection, reply},
    transport::{
        receive,
        receiver::Release,
        route::{Action, Route},
    },
    util::body::discard_body,
};

/// What waits at the owner for an edge that shuts down ends after this long, so that the client comes back elsewhere. It
/// is a small part of the second that a server usually has left for the last bytes.
const LEAVING_WAIT: Duration = Duration::from_millis(150);

impl Service {
    /// Finds out how a request has come and where its session is, and takes over what an edge says of it. Returns the
    /// response if it is for the node itself.
    pub(super) fn locate(&self, head: &mut Head) -> Result<Option<Response>, Rejection> {
        let Some(cluster) = &self.options().cluster else { return Ok(None) };
        if head.is_route() {
            return Ok(None);
        }
        let header = head.parts.headers.remove(FORWARDED);
        let Some(below) = head.parts.uri.path().get(head.mount()..) else { return Ok(None) };
        let from = match &header {
            None => None,
            Some(header) => {
                let context =
                    Context { method: &head.parts.method, path: below, query: head.parts.uri.query() };
                let read = cluster.read_forwarded(header, &context);
                Some(read.ok_or_else(|| {
                    self.endpoint.cluster_log.forged(peer_addr(&head.parts));
                    Rejection::NotFound
                })?)
            }
        };
        if below == CHECK_PATH {
            let (Some((edge, forwarded)), Some(header)) = (from, header) else {
                return Err(Rejection::NotFound);
            };
            if forwarded.leaving {
                edge.leave();
            }
            let link = WantsLink::of(&mut head.parts, &edge).filter(|_| self.takes_links());
            return self.check(&header, link).map(Some);
        }
        let place = self.place(head)?;
        let (forwarder, forwarded) = from
            .map(|(edge, forwarded)| {
                (Forwarder { edge, is_leaving: forwarded.leaving, is_link: false }, forwarded)
            })
            .unzip();
        head.hop = self.hop(place, forwarder);
        if let Some(forwarded) = forwarded {
            cluster.count_answered();
            restore(&mut head.parts, forwarded);
        }
        Ok(None)
    }

    /// Where a request goes whose session is at `place`.
    pub(super) fn hop(&self, place: Option<Place>, from: Option<Forwarder>) -> Hop {
        match (place, from) {
            (Some(Place::Lost), _) => Hop::Lost,
            (Some(Place::Elsewhere(node)), Some(Forwarder { edge, .. })) => {
                // A second hop could become a circle.
                if let Some(cluster) = &self.options().cluster {
                    self.endpoint.cluster_log.misdirected(node.address, edge.node.address, cluster.address());
                }
                Hop::Lost
            }
            (Some(Place::Elsewhere(node)), None) => Hop::To(node),
            (Some(Place::Here) | None, Some(forwarder)) => Hop::From(forwarder),
            (Some(Place::Here) | None, None) => Hop::Direct,
        }
    }

    /// Where the session of a path with a tag is, of which the tag is taken off. `None` without a tag.
    pub(super) fn place(&self, head: &mut Head) -> Result<Option<Place>, Rejection> {
        let Some(cluster) = &self.options().cluster else { return Ok(None) };
        let below = head.parts.uri.path().get(head.mount()..).unwrap_or_default();
        let Some(tag) = tag::of_path(below) else { return Ok(None) };
        let place = cluster.place(tag).ok_or(Rejection::NotFound)?;
        head.set_tag(tag::segment(tag));
        Ok(Some(place))
    }

    /// The answer to a node that asks whether this is one: its tag, which has its address, and a proof; or the link that
    /// it wants.
    fn check(&self, header: &HeaderValue, link: Option<WantsLink>) -> Result<Response, Rejection> {
        let cluster = self.options().cluster.as_ref().ok_or(Rejection::NotFound)?;
        let proof = cluster.prove(header).ok_or(Rejection::NotFound)?;
        if let Some(link) = link {
            return Ok(self.link(link, proof));
        }
        let mut response = reply::body(StatusCode::OK, reply::TEXT, cluster.tag().to_owned());
        response.headers_mut().insert(FORWARDED, proof);
        Ok(response)
    }

    /// Forwards a request for a session to the node that has it. `headers` are those of the answer if that fails.
    pub(super) async fn forward<B>(
        &self,
        node: NodeId,
        route: &Route,
        head: Box<Head>,
        body: B,
        headers: SharedHeaders,
    ) -> Answer
    where
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let Some(cluster) = &self.options().cluster else { return Err(Rejection::NotFound).into() };
        let (registry, action) = (self.endpoint.registry(), route.action);
        // A shutdown waits until the answer has left; but not for requests that a balancer still sends meanwhile, of which
        // there may be no end.
        let in_flight = (!registry.is_shutting_down()).then(|| registry.request());
        let mount = head.mount();
        let Head { parts, .. } = *head;
        let (target, prefix) = target(&parts, mount);
        let (prefix, below) = target.path().split_at(prefix);
        let forwarded = Forwarded {
            client: peer_addr(&parts),
            scheme: parts.uri.scheme().cloned(),
            authority: parts.uri.authority().cloned(),
            // It is asked once the request is counted.
            leaving: false,
        };
        let body = if body.is_end_stream() { Body::empty() } else { Body::new(body) };
        let is_short = route.is_short();
        let request = ToForward { parts, body, forwarded, target: target.clone(), prefix, below, is_short };
        match cluster.forward(&node, request, || registry.is_shutting_down()).await {
            Ok((parts, AnswerBody::Whole(bytes))) => {
                Ok(Response::from_parts(parts, Body::from(bytes))).into()
            }
            Ok((parts, AnswerBody::Stream(mut stream))) => {
                // Nothing can be appended to what a layer has compressed, or to a body of a known length.
                let is_plain =
                    ![CONTENT_ENCODING, CONTENT_LENGTH].iter().any(|name| parts.headers.contains_key(name));
                if parts.status == StatusCode::OK && is_plain {
                    if let Some(farewell) = farewell(action, target.query()) {
                        stream.set_farewell(farewell);
                    }
                }
                stream.hold(in_flight);
                Ok(Response::from_parts(parts, Body::new(stream))).into()
            }
            Err((why, unsent)) => {
                if let Some(body) = unsent {
                    discard_body(body).await;
                }
                let rejection = match why {
                    NoAnswer::Full => Rejection::ForwardsFull,
                    NoAnswer::Unreachable | NoAnswer::Broken => Rejection::OwnerLost,
                };
                Answer { result: lost(action, target.query(), rejection), headers }
            }
        }
    }
}

/// Whether only the node that has the session can serve an action: a WebSocket is a session of its own.
pub(super) fn needs_owner(action: Action) -> bool {
    match action {
        Action::Receive(_) | Action::Send(_) => true,
        #[cfg(feature = "websocket")]
        Action::WebSocket => false,
    }
}

/// The whole path and query of a request, and the length of the endpoint's prefix in it: what the owner's router is to
/// get, as this node's has got it.
fn target(parts: &Parts, mount: usize) -> (PathAndQuery, usize) {
    let below = parts.uri.path().get(mount..).unwrap_or_default();
    let original = parts.extensions.get::<OriginalUri>().map(|OriginalUri(original)| original);
    let whole = original.filter(|original| original.path().ends_with(below)).unwrap_or(&parts.uri);
    let target = whole.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    let prefix = target.path().len().saturating_sub(below.len());
    (target, prefix)
}

/// The answer where the owner of a session is lost: to a receiver, a close frame, which ends every client at once. (A
/// status other than 200 has some clients try again without end, among them EventSource under Node, and an iframe of
/// HtmlFile.)
pub(super) fn lost(action: Action, query: Option<&str>, rejection: Rejection) -> Result<Response, Rejection> {
    let Action::Receive(read_query) = action else { return Err(rejection) };
    let receiver = read_query(query).map_err(|invalid| Rejection::Malformed(invalid.text()))?;
    let frame = if rejection.is_overload() { TRY_AGAIN_LATER } else { INTERRUPTED };
    Err(receive::refuse(receiver, rejection.cause(), frame))
}

/// What a stream ends with if the owner is lost meanwhile.
fn farewell(action: Action, query: Option<&str>) -> Option<Farewell> {
    let Action::Receive(read_query) = action else { return None };
    let receiver = read_query(query).ok()?;
    let terminator: &[u8] = match receiver.transport {
        Transport::EventSource => b"\r\n\r\n",
        Transport::HtmlFile => b"</script>\r\n",
        _ => b"\n",
    };
    let frame = receiver.framing.wrap(&Frame::Close(INTERRUPTED));
    let prelude = receiver.prelude.map_or(0, |prelude| prelude.len() as u64);
    Some(Farewell { frame, prelude, terminator })
}

/// When a receiver that another node has forwarded has to end, without a loss.
pub(super) fn release(hop: &Hop) -> Option<Release> {
    match hop {
        Hop::From(Forwarder { edge, is_leaving, .. }) => match edge.leaves() {
            Some(leaves) if !is_leaving => Some(Box::pin(leaves)),
            _ => Some(Box::pin(tokio::time::sleep(LEAVING_WAIT))),
        },
        Hop::Direct | Hop::To(_) | Hop::Lost => None,
    }
}

/// Restores what the owner would know of a request if the client had come to it.
pub(super) fn restore(parts: &mut Parts, forwarded: Forwarded) {
    let Forwarded { client, scheme, authority, leaving: _ } = forwarded;
    match client {
        Some(client) => _ = parts.extensions.insert(ConnectInfo(client)),
        // The edge's own address would be wrong.
        None => {
            parts.extensions.remove::<ConnectInfo<SocketAddr>>();
            parts.extensions.remove::<MockConnectInfo<SocketAddr>>();
        }
    }
    if authority.is_none() {
        return;
    }
    let absolute = |uri: &Uri| {
        let mut uri = uri.clone().into_parts();
        uri.scheme = Some(scheme.clone().unwrap_or(Scheme::HTTP));
        uri.authority.clone_from(&authority);
        Uri::from_parts(uri).ok()
    };
    if let Some(uri) = absolute(&parts.uri) {
        parts.uri = uri;
    }
    if let Some(OriginalUri(uri)) = parts.extensions.get_mut::<OriginalUri>() {
        if let Some(whole) = absolute(uri) {
            *uri = whole;
        }
    }
}
