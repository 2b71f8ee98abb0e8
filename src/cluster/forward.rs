//! Forwards a request to the node that has its session.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, Uri,
    header::{CONNECTION, COOKIE, EXPECT, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE},
    request, response,
    uri::PathAndQuery,
};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use super::{
    connection::{Connection, Failed},
    forwarded::{self, FORWARDED, Forwarded},
    handle::Cluster,
    link::{
        client::Outcome,
        frame::{MAX_BODY, Outgoing},
    },
    node_id::NodeId,
    owner::{NoAnswer, Owner, Waiting},
    relayed::Relayed,
};

/// An answer of up to this many bytes is read whole before it leaves: its connection is free at once, and head and body
/// leave together.
const SMALL: u64 = 64 << 10;

/// The answer of another node.
pub(crate) enum AnswerBody {
    Whole(Bytes),
    Stream(Box<Relayed>),
}

/// A request that another node has to answer.
pub(crate) struct ToForward<'a> {
    pub(crate) parts: request::Parts,
    pub(crate) body: Body,
    pub(crate) forwarded: Forwarded,
    /// The whole path and query as this node got them.
    pub(crate) target: PathAndQuery,
    /// The beginning of `target` that is the endpoint's prefix.
    pub(crate) prefix: &'a str,
    /// The rest of the path.
    pub(crate) below: &'a str,
    /// Whether request and answer are short, so that they may go over a link.
    pub(crate) is_short: bool,
}

impl ToForward<'_> {
    /// Removes what is about the client's connection.
    fn clean(&mut self) {
        let headers = &mut self.parts.headers;
        remove_hop_by_hop(headers);
        headers.remove(EXPECT);
        join_cookies(headers);
    }
}

/// The body of a request, if all of it has come and it is short. What has come of another is its beginning again.
async fn take_whole(body: &mut Body) -> Option<Bytes> {
    if body.is_end_stream() {
        return Some(Bytes::new());
    }
    let mut whole = std::mem::take(body);
    let first = match poll_fn(|cx| Poll::Ready(Pin::new(&mut whole).poll_frame(cx))).await {
        // A body that has ended must not be polled again.
        Poll::Ready(None) => return Some(Bytes::new()),
        Poll::Ready(first) => first,
        Poll::Pending => None,
    };
    if let Some(Ok(data)) = &first {
        if let (Some(data), true) = (data.data_ref(), whole.is_end_stream()) {
            if data.len() <= MAX_BODY {
                return Some(data.clone());
            }
        }
    }
    *body = Body::new(Resumed { first, rest: whole });
    None
}

/// A body whose first frame has been taken.
struct Resumed {
    first: Option<Result<Frame<Bytes>, axum::Error>>,
    rest: Body,
}

impl http_body::Body for Resumed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(first)),
            None => Pin::new(&mut self.rest).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let first = match &self.first {
            Some(Ok(frame)) => frame.data_ref().map_or(0, |data| data.len() as u64),
            _ => 0,
        };
        let rest = self.rest.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + first);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + first);
        }
        hint
    }
}

impl Cluster {
    /// Forwards a request, and returns the head of the answer and its body, or why there is none and the request's body if
    /// nothing of it has left. `is_leaving` says whether this node shuts down.
    ///
    /// # Cancel safety
    /// If it is dropped, the connection to the node is closed, as the client's is.
    pub(crate) async fn forward(
        &self,
        node: &NodeId,
        mut request: ToForward<'_>,
        is_leaving: impl FnOnce() -> bool,
    ) -> Result<(response::Parts, AnswerBody), (NoAnswer, Option<Body>)> {
        let waiting = match self.owners().begin(node.address, request.prefix) {
            Ok(waiting) => waiting,
            Err(why) => return Err((why, Some(request.body))),
        };
        self.owners().totals.forwarded.add();
        // After it is counted: either this sees the shutdown, or the shutdown sees this.
        request.forwarded.leaving = is_leaving();
        request.clean();
        if request.is_short {
            match self.over_link(&waiting, &mut request).await {
                Ok(Some((parts, body))) => return Ok((parts, AnswerBody::Whole(body))),
                Ok(None) => {}
                Err(why) => return Err((why, None)),
            }
        }
        let prefix = request.prefix;
        let mut unsent = Some(self.outgoing(request));
        let answer = self.answer(waiting, prefix, &mut unsent).await;
        answer.map_err(|why| (why, unsent.map(Request::into_body)))
    }

    /// Forwards a request over a link. `None` if it has to go the ordinary way.
    async fn over_link(
        &self,
        waiting: &Waiting,
        request: &mut ToForward<'_>,
    ) -> Result<Option<(response::Parts, Bytes)>, NoAnswer> {
        let Some(link) = self.owners().link(&waiting.0, request.prefix) else { return Ok(None) };
        let Some(body) = take_whole(&mut request.body).await else { return Ok(None) };
        let outgoing = Outgoing {
            forwarded: &request.forwarded,
            method: &request.parts.method,
            target: &request.target.as_str()[request.prefix.len()..],
            headers: &request.parts.headers,
            body: &body,
        };
        if let Some(mut exchange) = link.send(&outgoing) {
            let outcome = or_lost(pin!(waiting.0.lost()), pin!(exchange.outcome())).await?;
            match outcome.ok_or(NoAnswer::Broken)? {
                Outcome::Answered(answer) => {
                    self.owners().totals.over_links.add();
                    return Ok(Some(answer.into_parts()));
                }
                Outcome::Declined => {}
            }
        }
        request.body = Body::from(body);
        Ok(None)
    }

    /// Takes the request when it leaves.
    async fn answer(
        &self,
        waiting: Waiting,
        prefix: &str,
        request: &mut Option<Request<Body>>,
    ) -> Result<(response::Parts, AnswerBody), NoAnswer> {
        let lost = waiting.0.lost();
        let mut lost = pin!(lost);
        let (mut connection, answer) = {
            let exchange = pin!(self.exchange(&waiting.0, prefix, request));
            or_lost(lost.as_mut(), exchange).await??
        };
        waiting.0.heard();
        let (mut parts, mut body) = answer.into_parts();
        remove_hop_by_hop(&mut parts.headers);
        match body.size_hint().exact() {
            Some(0) => {
                keep(&waiting.0, connection).await;
                Ok((parts, AnswerBody::Whole(Bytes::new())))
            }
            Some(length) if length <= SMALL => {
                let whole = {
                    let whole = pin!(read(&mut connection, &mut body));
                    or_lost(lost, whole).await??
                };
                keep(&waiting.0, connection).await;
                Ok((parts, AnswerBody::Whole(whole)))
            }
            _ => {
                let lost = waiting.0.lost();
                Ok((parts, AnswerBody::Stream(Box::new(Relayed::new(connection, body, waiting, lost)))))
            }
        }
    }

    fn outgoing(&self, request: ToForward<'_>) -> Request<Body> {
        let ToForward { parts, body, forwarded, target, below, .. } = request;
        let request::Parts { method, uri, mut headers, .. } = parts;
        let context = forwarded::Context { method: &method, path: below, query: uri.query() };
        headers.insert(FORWARDED, self.owners().writer.write(&forwarded, &context));
        if !headers.contains_key(HOST) {
            // HTTP/1.1 asks for one; the authority, which comes first, is in the other header.
            let host =
                forwarded.authority.as_ref().and_then(|name| HeaderValue::from_str(name.as_str()).ok());
            headers.insert(HOST, host.unwrap_or(HeaderValue::from_static("")));
        }
        let mut outgoing = Request::new(body);
        *outgoing.method_mut() = method;
        *outgoing.uri_mut() = Uri::from(target);
        *outgoing.headers_mut() = headers;
        outgoing
    }

    /// Sends a request on a kept connection, or a new one.
    async fn exchange(
        &self,
        owner: &Owner,
        prefix: &str,
        request: &mut Option<Request<Body>>,
    ) -> Result<(Box<Connection>, Response<Incoming>), NoAnswer> {
        loop {
            let (mut connection, was_kept) = self.owners().connection(owner, prefix).await?;
            let Some(leaving) = request.take() else { return Err(NoAnswer::Broken) };
            match connection.send(leaving).await {
                Ok(answer) => return Ok((connection, answer)),
                // It was closed at this moment. What has left is not sent again: it may have arrived.
                Err(Failed::Unsent(unsent)) => {
                    *request = Some(*unsent);
                    if !was_kept {
                        return Err(NoAnswer::Unreachable);
                    }
                }
                Err(Failed::Broken) => return Err(NoAnswer::Broken),
            }
        }
    }
}

/// The rest of a small answer.
async fn read(connection: &mut Connection, body: &mut Incoming) -> Result<Bytes, NoAnswer> {
    let mut first = Bytes::new();
    let mut more = BytesMut::new();
    while let Some(piece) = poll_fn(|cx| connection.poll_body(body, cx)).await {
        let Ok(data) = piece.map_err(|_| NoAnswer::Broken)?.into_data() else { continue };
        if first.is_empty() {
            first = data;
        } else {
            if more.is_empty() {
                more.extend_from_slice(&first);
            }
            more.extend_from_slice(&data);
        }
    }
    Ok(if more.is_empty() { first } else { more.freeze() })
}

async fn keep(owner: &Owner, connection: Box<Connection>) {
    let mut connection = Some(connection);
    poll_fn(|cx| {
        if let Some(connection) = connection.take() {
            owner.keep(connection, cx);
        }
        Poll::Ready(())
    })
    .await;
}

/// Waits for `future`, but not for a node that has been given up.
async fn or_lost<F: Future>(
    mut lost: Pin<&mut impl Future<Output = ()>>,
    mut future: Pin<&mut F>,
) -> Result<F::Output, NoAnswer> {
    poll_fn(|cx: &mut Context<'_>| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Ok(output));
        }
        lost.as_mut().poll(cx).map(|()| Err(NoAnswer::Unreachable))
    })
    .await
}

/// Joins the fields into which HTTP/2 may split the cookies ([RFC 9113, section
/// 8.2.3](https://www.rfc-editor.org/rfc/rfc9113#section-8.2.3)).
fn join_cookies(headers: &mut HeaderMap) {
    let fields: Vec<_> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if fields.len() > 1 {
        let mut joined = HeaderValue::from_bytes(&fields.join(&b"; "[..])).expect("it has fields and spaces");
        joined.set_sensitive(true);
        headers.insert(COOKIE, joined);
    }
}

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Removes the headers that are about one connection ([RFC 9110, section
/// 7.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1)).
fn remove_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(CONNECTION)
            .iter()
            .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
            .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
            .collect();
        named.iter().for_each(|name| _ = headers.remove(name));
        headers.remove(CONNECTION);
    }
    for name in [KEEP_ALIVE, PROXY_CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_cookies_are_one_field_again() {
        let mut headers = HeaderMap::new();
        join_cookies(&mut headers);
        assert!(headers.is_empty());
        for cookie in ["a=1", "b=2; c=3", "d=4"] {
            headers.append(COOKIE, HeaderValue::from_static(cookie));
        }
        join_cookies(&mut headers);
        let fields: Vec<_> = headers.get_all(COOKIE).iter().collect();
        assert_eq!(fields, ["a=1; b=2; c=3; d=4"]);
    }

    /// A body that ends without having said so before, and must not be polled then.
    struct Ended(bool);

    impl http_body::Body for Ended {
        type Data = Bytes;
        type Error = axum::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
            assert!(!std::mem::replace(&mut self.0, true), "it has ended");
            Poll::Ready(None)
        }
    }

    #[tokio::test]
    async fn a_body_that_has_ended_is_whole() {
        let mut body = Body::new(Ended(false));
        assert_eq!(take_whole(&mut body).await, Some(Bytes::new()));
        assert!(body.is_end_stream());
    }
}
