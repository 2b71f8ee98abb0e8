//! What nodes say over a link, as bytes.
//!
//! ```text
//!  length: u32 │ kind: u8 │ request's number: u32 │ what the kind has
//! ```

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};

use crate::cluster::forwarded::Forwarded;

/// The name and version of the protocol. An owner that does not know the version says so by an ordinary answer.
pub(crate) const PROTOCOL: &str = "sockjs-link-1";

/// The longest body of a request that goes over a link, in bytes.
pub(crate) const MAX_BODY: usize = 64 << 10;

/// The longest frame of an edge: a body, and as many headers.
pub(super) const MAX_REQUEST: usize = 2 * MAX_BODY;

/// The longest frame of an owner. Its answers are no longer than the queue of a session.
pub(super) const MAX_ANSWER: usize = 1 << 30;

const LENGTH: usize = 4;
const HEAD: usize = 1 + 4;

const HELLO: u8 = 0;
const REQUEST: u8 = 1;
const CANCEL: u8 = 2;
const ANSWER: u8 = 3;
const DECLINE: u8 = 4;
const WELCOME: u8 = 5;
const PING: u8 = 6;
const PONG: u8 = 7;

/// The methods of the requests that go over a link.
const METHODS: [Method; 2] = [Method::GET, Method::POST];

/// The other end does not keep to the protocol.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// A frame from an edge.
#[derive(Debug)]
pub(super) enum FromEdge {
    /// What proves that it knows the secret: the first frame.
    Hello(HeaderValue),
    Request(u32, Box<Linked>),
    /// The client has gone.
    Cancel(u32),
    /// It asks for a sign of life.
    Ping,
}

/// A request as it has come over a link.
#[derive(Debug)]
pub(crate) struct Linked {
    pub(crate) forwarded: Forwarded,
    /// Its URI is the path below the endpoint, and the query.
    pub(crate) request: Request<Bytes>,
}

/// A frame from an owner.
#[derive(Debug)]
pub(super) enum FromOwner {
    /// It takes the link: the first frame.
    Welcome,
    Answer(u32, Response<Bytes>),
    /// The owner has done nothing, and wants the request the ordinary way.
    Decline(u32),
    /// What [`FromEdge::Ping`] asks for.
    Pong,
}

/// What a request consists of.
#[derive(Debug)]
pub(crate) struct Outgoing<'a> {
    pub(crate) forwarded: &'a Forwarded,
    pub(crate) method: &'a Method,
    /// The path below the endpoint, and the query.
    pub(crate) target: &'a str,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
}

/// Takes the next frame off the beginning of what has come, if it is complete: its bytes behind the length.
pub(super) fn split(input: &mut BytesMut, max: usize) -> Result<Option<Bytes>, Malformed> {
    let Some(length) = input.first_chunk().map(|length| u32::from_be_bytes(*length) as usize) else {
        return Ok(None);
    };
    if !(HEAD..=max).contains(&length) {
        return Err(Malformed);
    }
    if input.len() < LENGTH + length {
        return Ok(None);
    }
    input.advance(LENGTH);
    Ok(Some(input.split_to(length).freeze()))
}

/// Appends a frame whose content `write` appends. Without an effect if it does not fit.
fn frame(
    out: &mut BytesMut,
    kind: u8,
    id: u32,
    max: usize,
    write: impl FnOnce(&mut BytesMut) -> Option<()>,
) -> bool {
    let start = out.len();
    out.put_u32(0);
    out.put_u8(kind);
    out.put_u32(id);
    let written = write(out);
    let length = out.len() - start - LENGTH;
    if written.is_none() || length > max {
        out.truncate(start);
        return false;
    }
    out[start..start + LENGTH].copy_from_slice(&(length as u32).to_be_bytes());
    true
}

pub(super) fn hello(out: &mut BytesMut, proof: &HeaderValue) {
    frame(out, HELLO, 0, MAX_REQUEST, |out| {
        out.put_slice(proof.as_bytes());
        Some(())
    });
}

/// Without an effect, and `false`, if it does not fit.
pub(super) fn request(out: &mut BytesMut, id: u32, outgoing: &Outgoing<'_>) -> bool {
    let Outgoing { forwarded, method, target, headers, body } = *outgoing;
    frame(out, REQUEST, id, MAX_REQUEST, |out| {
        out.put_u8(METHODS.iter().position(|known| known == method)? as u8);
        let mut of_edge = Vec::with_capacity(64);
        forwarded.encode(&mut of_edge);
        put(out, &of_edge)?;
        put(out, target.as_bytes())?;
        put_headers(out, headers)?;
        out.put_slice(body);
        Some(())
    })
}

pub(super) fn cancel(out: &mut BytesMut, id: u32) {
    frame(out, CANCEL, id, MAX_REQUEST, |_| Some(()));
}

/// Without an effect, and `false`, if it does not fit.
pub(super) fn answer(out: &mut BytesMut, id: u32, response: &Response<Bytes>) -> bool {
    frame(out, ANSWER, id, MAX_ANSWER, |out| {
        out.put_u16(response.status().as_u16());
        put_headers(out, response.headers())?;
        out.put_slice(response.body());
        Some(())
    })
}

pub(super) fn decline(out: &mut BytesMut, id: u32) {
    frame(out, DECLINE, id, MAX_ANSWER, |_| Some(()));
}

pub(super) fn welcome(out: &mut BytesMut) {
    frame(out, WELCOME, 0, MAX_ANSWER, |_| Some(()));
}

pub(super) fn ping(out: &mut BytesMut) {
    frame(out, PING, 0, MAX_REQUEST, |_| Some(()));
}

pub(super) fn pong(out: &mut BytesMut) {
    frame(out, PONG, 0, MAX_ANSWER, |_| Some(()));
}

/// Appends bytes behind their length.
fn put(out: &mut BytesMut, bytes: &[u8]) -> Option<()> {
    out.put_u16(u16::try_from(bytes.len()).ok()?);
    out.put_slice(bytes);
    Some(())
}

fn put_headers(out: &mut BytesMut, headers: &HeaderMap) -> Option<()> {
    out.put_u16(u16::try_from(headers.len()).ok()?);
    for (name, value) in headers {
        put(out, name.as_str().as_bytes())?;
        out.put_u8(value.is_sensitive().into());
        put(out, value.as_bytes())?;
    }
    Some(())
}

/// Takes bytes behind their length.
fn take(input: &mut Bytes) -> Option<Bytes> {
    let length = input.try_get_u16().ok()?.into();
    (length <= input.len()).then(|| input.split_to(length))
}

fn take_headers(input: &mut Bytes) -> Option<HeaderMap> {
    let count: usize = input.try_get_u16().ok()?.into();
    // Each takes five bytes at least.
    let mut headers = HeaderMap::try_with_capacity(count.min(input.len() / 5)).ok()?;
    for _ in 0..count {
        let name = HeaderName::from_bytes(&take(input)?).ok()?;
        let is_sensitive = input.try_get_u8().ok()? != 0;
        let mut value = HeaderValue::from_maybe_shared(take(input)?).ok()?;
        value.set_sensitive(is_sensitive);
        headers.try_append(name, value).ok()?;
    }
    Some(headers)
}

impl FromEdge {
    pub(super) fn decode(mut frame: Bytes) -> Result<Self, Malformed> {
        let (kind, id) = head(&mut frame).ok_or(Malformed)?;
        match kind {
            HELLO if id == 0 => HeaderValue::from_maybe_shared(frame).map(Self::Hello).map_err(|_| Malformed),
            REQUEST => {
                Linked::decode(frame).map(|linked| Self::Request(id, Box::new(linked))).ok_or(Malformed)
            }
            CANCEL if frame.is_empty() => Ok(Self::Cancel(id)),
            PING if id == 0 && frame.is_empty() => Ok(Self::Ping),
            _ => Err(Malformed),
        }
    }
}

impl Linked {
    fn decode(mut frame: Bytes) -> Option<Self> {
        let method = METHODS.get(usize::from(frame.try_get_u8().ok()?))?.clone();
        let forwarded = Forwarded::decode(&take(&mut frame)?)?;
        let uri = Uri::from_maybe_shared(take(&mut frame)?).ok()?;
        if uri.authority().is_some() || !uri.path().starts_with('/') {
            return None;
        }
        let headers = take_headers(&mut frame)?;
        let mut request = Request::new(frame);
        (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (method, uri, headers);
        Some(Self { forwarded, request })
    }
}

impl FromOwner {
    pub(super) fn decode(mut frame: Bytes) -> Result<Self, Malformed> {
        match head(&mut frame).ok_or(Malformed)? {
            (ANSWER, id) => {
                let status = frame.try_get_u16().map_err(|_| Malformed)?;
                let status = StatusCode::from_u16(status).map_err(|_| Malformed)?;
                let headers = take_headers(&mut frame).ok_or(Malformed)?;
                let mut response = Response::new(frame);
                (*response.status_mut(), *response.headers_mut()) = (status, headers);
                Ok(Self::Answer(id, response))
            }
            (DECLINE, id) if frame.is_empty() => Ok(Self::Decline(id)),
            (WELCOME, 0) if frame.is_empty() => Ok(Self::Welcome),
            (PONG, 0) if frame.is_empty() => Ok(Self::Pong),
            _ => Err(Malformed),
        }
    }
}

fn head(frame: &mut Bytes) -> Option<(u8, u32)> {
    Some((frame.try_get_u8().ok()?, frame.try_get_u32().ok()?))
}

/// What must hold of frames, whatever bytes come.
#[cfg(any(fuzzing, test))]
pub(crate) fn check(data: &[u8]) {
    let mut input = BytesMut::from(data);
    while let Ok(Some(bytes)) = split(&mut input, MAX_REQUEST) {
        let mut again = BytesMut::new();
        match FromEdge::decode(bytes.clone()) {
            Ok(FromEdge::Hello(proof)) => hello(&mut again, &proof),
            Ok(FromEdge::Cancel(id)) => cancel(&mut again, id),
            Ok(FromEdge::Ping) => ping(&mut again),
            Ok(FromEdge::Request(id, linked)) => {
                let (parts, body) = linked.request.into_parts();
                let outgoing = Outgoing {
                    forwarded: &linked.forwarded,
                    method: &parts.method,
                    target: parts.uri.path_and_query().expect("it has a path").as_str(),
                    headers: &parts.headers,
                    body: &body,
                };
                // What is not written in the shortest way may become longer.
                if request(&mut again, id, &outgoing) {
                    let bytes = split(&mut again, MAX_REQUEST).expect("it is a frame").expect("it is whole");
                    let Ok(FromEdge::Request(id_again, read)) = FromEdge::decode(bytes) else {
                        panic!("what was written is read")
                    };
                    assert_eq!(
                        (id, &parts.method, &parts.uri),
                        (id_again, read.request.method(), read.request.uri())
                    );
                    assert_eq!((&parts.headers, &body), (read.request.headers(), read.request.body()));
                }
                again.clear();
            }
            Err(Malformed) => {}
        }
        assert!(again.is_empty() || again[LENGTH..] == bytes, "a frame has one form");
        match FromOwner::decode(bytes) {
            Ok(FromOwner::Decline(id)) => decline(&mut again, id),
            Ok(FromOwner::Welcome) => welcome(&mut again),
            Ok(FromOwner::Pong) => pong(&mut again),
            Ok(FromOwner::Answer(id, response)) => assert!(answer(&mut again, id, &response)),
            Err(Malformed) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use http::header::{COOKIE, HOST};
    use proptest::prelude::*;

    use super::*;

    fn headers() -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("a.example"));
        headers.append("x-thing", HeaderValue::from_static("1"));
        headers.append("x-thing", HeaderValue::from_static("2"));
        let mut secret = HeaderValue::from_static("a=b");
        secret.set_sensitive(true);
        headers.insert(COOKIE, secret);
        headers
    }

    fn next(out: &mut BytesMut) -> Bytes {
        split(out, MAX_ANSWER).unwrap().expect("it is whole")
    }

    #[test]
    fn the_owner_reads_what_the_edge_writes() {
        let forwarded = Forwarded { client: "[::1]:5".parse().ok(), leaving: true, ..Forwarded::default() };
        let headers = headers();
        let outgoing = Outgoing {
            forwarded: &forwarded,
            method: &Method::POST,
            target: "/~tag/000/id/xhr_send?a=b",
            headers: &headers,
            body: b"[\"a\"]",
        };
        let mut out = BytesMut::new();
        hello(&mut out, &HeaderValue::from_static("proof"));
        assert!(request(&mut out, 7, &outgoing));
        cancel(&mut out, 7);
        ping(&mut out);
        assert!(matches!(FromEdge::decode(next(&mut out)), Ok(FromEdge::Hello(proof)) if proof == "proof"));
        let Ok(FromEdge::Request(7, linked)) = FromEdge::decode(next(&mut out)) else { panic!() };
        assert_eq!(linked.forwarded, forwarded);
        assert_eq!(linked.request.uri(), outgoing.target);
        assert_eq!(linked.request.method(), Method::POST);
        assert_eq!(linked.request.headers(), &headers);
        assert!(linked.request.headers()[COOKIE].is_sensitive());
        assert_eq!(linked.request.body(), outgoing.body);
        assert!(matches!(FromEdge::decode(next(&mut out)), Ok(FromEdge::Cancel(7))));
        assert!(matches!(FromEdge::decode(next(&mut out)), Ok(FromEdge::Ping)));
        assert!(out.is_empty());
    }

    #[test]
    fn the_edge_reads_what_the_owner_writes() {
        let mut response = Response::new(Bytes::from_static(b"o\n"));
        *response.status_mut() = StatusCode::CREATED;
        *response.headers_mut() = headers();
        let mut out = BytesMut::new();
        welcome(&mut out);
        assert!(answer(&mut out, 1, &response));
        decline(&mut out, 2);
        pong(&mut out);
        assert!(matches!(FromOwner::decode(next(&mut out)), Ok(FromOwner::Welcome)));
        let Ok(FromOwner::Answer(1, read)) = FromOwner::decode(next(&mut out)) else { panic!() };
        assert_eq!(
            (read.status(), read.headers(), read.body()),
            (response.status(), response.headers(), response.body())
        );
        assert!(matches!(FromOwner::decode(next(&mut out)), Ok(FromOwner::Decline(2))));
        assert!(matches!(FromOwner::decode(next(&mut out)), Ok(FromOwner::Pong)));
    }

    #[test]
    fn what_does_not_fit_leaves_nothing() {
        let forwarded = Forwarded::default();
        let headers = HeaderMap::new();
        let fits = |method: &Method, target: &str, body: &[u8]| {
            let mut out = BytesMut::from(&b"before"[..]);
            let outgoing = Outgoing { forwarded: &forwarded, method, target, headers: &headers, body };
            let fits = request(&mut out, 1, &outgoing);
            assert_eq!(out.len() == 6, !fits);
            fits
        };
        assert!(fits(&Method::GET, "/", &[b'x'; MAX_BODY]));
        assert!(!fits(&Method::GET, "/", &[b'x'; MAX_REQUEST]));
        assert!(!fits(&Method::GET, &"/".repeat(1 << 16), b""));
        assert!(!fits(&Method::PUT, "/", b""));
    }

    #[test]
    fn a_frame_waits_until_it_is_whole_and_may_not_be_too_long() {
        let mut out = BytesMut::new();
        cancel(&mut out, 5);
        for length in 0..out.len() {
            assert_eq!(split(&mut BytesMut::from(&out[..length]), MAX_REQUEST), Ok(None));
        }
        assert_eq!(split(&mut BytesMut::from(&[0, 0, 0, 4][..]), MAX_REQUEST), Err(Malformed));
        let long = (MAX_REQUEST as u32 + 1).to_be_bytes();
        assert_eq!(split(&mut BytesMut::from(&long[..]), MAX_REQUEST), Err(Malformed));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(data in prop::collection::vec(any::<u8>(), 0..64), kind in 0..9u8) {
            check(&data);
            let mut framed = (data.len() as u32 + 5).to_be_bytes().to_vec();
            framed.push(kind);
            framed.extend([0, 0, 0, 9]);
            framed.extend(data);
            check(&framed);
        }
    }
}
