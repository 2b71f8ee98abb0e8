//! A proxy that treats connections badly, in front of a SockJS endpoint.
//!
//! `/broken/{mode}/…` leads to the endpoint, and the mode says what goes wrong on the way: `clean` for
//! nothing, or any of these, joined by hyphens, as in `no-websocket-buffered`:
//!
//! | in the mode | what the proxy does |
//! |---|---|
//! | `no-websocket` | answers 403 to every request for an upgrade |
//! | `cut-3s` | cuts each WebSocket after three seconds |
//! | `buffered` | holds each answer back until it is complete |
//!
//! `/broken/{mode}~{visitor}/…` names whose connections these are, for `POST /cut/{visitor}` to cut all.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    BoxError, Router,
    body::{Body, Bytes},
    extract::{Path, Request, State},
    http::{
        HeaderMap, StatusCode, Uri,
        header::{CONNECTION, TRANSFER_ENCODING, UPGRADE},
    },
    response::{IntoResponse, Response},
    routing::{any, post},
};
use futures_util::{FutureExt, Stream, StreamExt, future::BoxFuture, stream::try_unfold};
use http_body_util::BodyExt;
use hyper::{client::conn::http1, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use tokio::{
    io::copy_bidirectional,
    net::TcpStream,
    select,
    sync::broadcast::{self, error::RecvError},
    time::sleep,
};

/// What goes wrong.
#[derive(Clone, Copy, Default)]
struct Faults {
    no_websocket: bool,
    cut_after: Option<Duration>,
    buffered: bool,
}

impl Faults {
    fn parse(mode: &str) -> Option<Self> {
        let mut faults = Self::default();
        if mode == "clean" {
            return Some(faults);
        }
        let mut rest = mode;
        loop {
            rest = if let Some(rest) = rest.strip_prefix("no-websocket") {
                faults.no_websocket = true;
                rest
            } else if let Some(rest) = rest.strip_prefix("buffered") {
                faults.buffered = true;
                rest
            } else {
                let (seconds, rest) = rest.strip_prefix("cut-")?.split_once('s')?;
                faults.cut_after = Some(Duration::from_secs(seconds.parse::<u8>().ok()?.into()));
                rest
            };
            if rest.is_empty() {
                return Some(faults);
            }
            rest = rest.strip_prefix('-')?;
        }
    }
}

/// What a path below `/broken/` says: the faults, whose connection it is, and where it leads.
struct Line {
    faults: Faults,
    visitor: String,
    target: Uri,
}

impl Line {
    fn parse(uri: &Uri) -> Option<Self> {
        let path = uri.path().strip_prefix("/broken/")?;
        let (line, rest) = path.split_once('/').unwrap_or((path, ""));
        let (mode, visitor) = line.split_once('~').unwrap_or((line, ""));
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        let slash = if path.len() > line.len() { "/" } else { "" };
        Some(Self {
            faults: Faults::parse(mode)?,
            visitor: visitor.to_owned(),
            target: format!("/ping{slash}{rest}{query}").parse().ok()?,
        })
    }
}

#[derive(Clone)]
struct Network {
    /// Where `/ping` is.
    upstream: SocketAddr,
    /// The names of visitors whose connections are to be cut.
    cuts: broadcast::Sender<Arc<str>>,
}

/// Becomes ready when the connection it belongs to is to be cut.
type Cut = BoxFuture<'static, ()>;

impl Network {
    fn cut_of(&self, visitor: String) -> Cut {
        let mut cuts = self.cuts.subscribe();
        async move {
            loop {
                match cuts.recv().await {
                    Ok(whose) if *whose == *visitor => return,
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                }
            }
        }
        .boxed()
    }
}

/// The routes `/broken/…` and `/cut/…`, in front of the endpoint `/ping` at an address.
pub(crate) fn router(upstream: SocketAddr) -> Router {
    let network = Network { upstream, cuts: broadcast::channel(64).0 };
    Router::new().route("/broken/{*line}", any(carry)).route("/cut/{visitor}", post(cut)).with_state(network)
}

async fn cut(State(network): State<Network>, Path(visitor): Path<String>) -> StatusCode {
    // It fails if there is no connection at all, and then there is nothing to cut.
    network.cuts.send(visitor.into()).ok();
    StatusCode::NO_CONTENT
}

/// Carries a request to the endpoint and its answer back, as badly as the path asks for.
async fn carry(State(network): State<Network>, mut request: Request) -> Response {
    let Some(Line { faults, visitor, target }) = Line::parse(request.uri()) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    if faults.no_websocket && request.headers().contains_key(UPGRADE) {
        return (StatusCode::FORBIDDEN, "This proxy lets no WebSocket through.").into_response();
    }
    *request.uri_mut() = target;
    let mut cut = network.cut_of(visitor);
    let answer = select! {
        answer = forward(network.upstream, request, faults) => answer,
        () = &mut cut => return cut_off(),
    };
    match answer {
        Ok(Answer::Plain(answer)) => answer.map(|body| Body::from_stream(cuttable(body, cut))),
        Ok(Answer::Upgrade { answer, client, server }) => {
            let deadline = faults.cut_after;
            tokio::spawn(tunnel(client, server, async move {
                match deadline {
                    Some(after) => select! { () = cut => {}, () = sleep(after) => {} },
                    None => cut.await,
                }
            }));
            answer
        }
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

/// For a request that is cut before its answer has begun.
fn cut_off() -> Response {
    (StatusCode::BAD_GATEWAY, [(CONNECTION, "close")], "Cut off.").into_response()
}

enum Answer {
    Plain(Response),
    Upgrade { answer: Response, client: OnUpgrade, server: OnUpgrade },
}

async fn forward(upstream: SocketAddr, mut request: Request, faults: Faults) -> Result<Answer, BoxError> {
    let stream = TcpStream::connect(upstream).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // What goes wrong on the connection comes out of the request or of the answer's body.
    tokio::spawn(async move { connection.with_upgrades().await.ok() });

    let client = request.headers().contains_key(UPGRADE).then(|| hyper::upgrade::on(&mut request));
    if client.is_none() {
        remove_hop_by_hop(request.headers_mut());
    }
    let mut answer = sender.send_request(request).await?;
    if let (Some(client), StatusCode::SWITCHING_PROTOCOLS) = (client, answer.status()) {
        let server = hyper::upgrade::on(&mut answer);
        return Ok(Answer::Upgrade { answer: answer.map(|_| Body::empty()), client, server });
    }
    remove_hop_by_hop(answer.headers_mut());
    let (parts, body) = answer.into_parts();
    let body = if faults.buffered { Body::from(body.collect().await?.to_bytes()) } else { Body::new(body) };
    Ok(Answer::Plain(Response::from_parts(parts, body)))
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    for name in [CONNECTION, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
}

/// A body that fails when it is cut, which makes the server close the connection in the middle.
fn cuttable(body: Body, cut: Cut) -> impl Stream<Item = Result<Bytes, BoxError>> {
    try_unfold((body.into_data_stream(), cut), |(mut body, mut cut)| async move {
        select! {
            () = &mut cut => Err(io::Error::other("cut").into()),
            next = body.next() => Ok(next.transpose()?.map(|data| (data, (body, cut)))),
        }
    })
}

/// Passes bytes on both ways until one side ends, or until the cut. Both connections are closed with it.
async fn tunnel(client: OnUpgrade, server: OnUpgrade, cut: impl Future<Output = ()>) {
    let (Ok(client), Ok(server)) = tokio::join!(client, server) else { return };
    let (mut client, mut server) = (TokioIo::new(client), TokioIo::new(server));
    select! {
        // However it ends, there is nobody to tell.
        _ = copy_bidirectional(&mut client, &mut server) => {}
        () = cut => {}
    }
}
