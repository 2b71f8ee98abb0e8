//! Peers that send without a pause.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use axum::{Router, body::Body};
use axum_sockjs::{Options, Session, SockJs};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tower::ServiceExt as _;

use crate::support::{
    NEVER, apps,
    client::{on_each, sockets},
    http::Request,
    ws::{self, CONTINUATION, FIN, PING, PONG, TEXT, frame, target},
};

/// A peer that always has more, up to a bound, and takes whatever it is sent.
struct Endless {
    before: Vec<u8>,
    then: Vec<u8>,
    at: usize,
    end: usize,
    read: Arc<AtomicUsize>,
}

impl AsyncRead for Endless {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.at >= this.end {
            // For ever.
            return Poll::Pending;
        }
        while buffer.remaining() > 0 {
            let part = match this.before.get(this.at..) {
                Some(rest @ [_, ..]) => rest,
                _ => &this.then[(this.at - this.before.len()) % this.then.len()..],
            };
            let part = &part[..part.len().min(buffer.remaining())];
            buffer.put_slice(part);
            this.at += part.len();
        }
        this.read.store(this.at, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Endless {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Serves a flood, and gives what counts the bytes that are read of it.
fn flood(endpoint: &SockJs, before: Vec<u8>, then: Vec<u8>, end: usize) -> Arc<AtomicUsize> {
    let read = Arc::new(AtomicUsize::new(0));
    let peer = Endless { before, then, at: 0, end, read: read.clone() };
    let app = Router::new().nest_service("/app", endpoint.clone());
    let service =
        service_fn(move |request: hyper::Request<Incoming>| app.clone().oneshot(request.map(Body::new)));
    tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(peer), service).with_upgrades());
    read
}

fn hixie76(target: &str) -> Vec<u8> {
    let head = Request::get(target)
        .header("Upgrade", "WebSocket")
        .header("Connection", "Upgrade")
        .header("Sec-WebSocket-Key1", "18x 6]8vM;54 *(5:  {   U1]8  z [  8")
        .header("Sec-WebSocket-Key2", "1_ tx7X d  <  nw  334J702) 7]o}` 0");
    [&head.to_bytes()[..], b"Tm[K T2u"].concat()
}

fn endpoint(closes: bool) -> SockJs {
    let handler = move |mut session: Session| async move {
        if closes {
            session.close(3000, "Go away!");
        }
        while session.recv().await.is_some() {}
    };
    let options = Options::new().hixie76(true).disconnect_delay(NEVER);
    SockJs::new(handler).options(apps::open_to_all(options))
}

/// Lets each other task of this thread have one turn.
async fn turn() {
    let mut waited = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Whatever a peer floods its socket with, other tasks have their turns in between.
#[tokio::test]
async fn a_flood_takes_no_more_than_its_turn() {
    const END: usize = 8 << 20;
    let fragment = || frame(TEXT, b"");
    let cases: &[(&str, bool, Vec<u8>, Vec<u8>)] = &[
        ("empty fragments", false, fragment(), frame(CONTINUATION, b"")),
        ("fragments of a byte", false, fragment(), frame(CONTINUATION, b"x")),
        (
            "empty fragments and pongs",
            false,
            fragment(),
            [frame(CONTINUATION, b""), frame(FIN | PONG, b"")].concat(),
        ),
        ("pings", false, Vec::new(), frame(FIN | PING, b"")),
        ("whole messages", false, Vec::new(), frame(FIN | TEXT, b"")),
        ("large messages", false, Vec::new(), frame(FIN | TEXT, &b"[]".repeat(500))),
        ("pongs after the close", true, Vec::new(), frame(FIN | PONG, b"")),
        ("pings after the close", true, Vec::new(), frame(FIN | PING, b"")),
        ("messages after the close", true, Vec::new(), frame(FIN | TEXT, b"")),
        ("fragments after the close", true, fragment(), frame(CONTINUATION, b"")),
        ("anything behind an error", false, vec![0xff; 100], vec![0xff; 1000]),
        ("anything behind an error after the close", true, vec![0xff; 100], vec![0xff; 1000]),
    ];
    let old: &[(&str, bool, Vec<u8>, Vec<u8>)] = &[
        ("empty frames", false, Vec::new(), b"\x00\xff".to_vec()),
        ("an endless frame", false, b"\x00".to_vec(), b"x".to_vec()),
        ("empty frames after the close", true, Vec::new(), b"\x00\xff".to_vec()),
        ("anything behind an error", false, vec![0x80], vec![0x80; 1000]),
    ];
    on_each(sockets(), async |way| {
        let rfc6455 = cases.iter().map(|case| (case, ws::handshake(target(way)).to_bytes()));
        let hixie76 = old.iter().map(|case| (case, hixie76(&target(way))));
        for ((name, closes, before, then), handshake) in rfc6455.chain(hixie76) {
            let endpoint = endpoint(*closes);
            let read = flood(&endpoint, [&handshake, &before[..]].concat(), then.clone(), END);
            let turns = tokio::spawn(async move {
                let mut turns = vec![0];
                for _ in 0..100 {
                    turn().await;
                    turns.push(read.load(Ordering::Relaxed));
                }
                turns
            });
            let turns = turns.await.expect("it is not cut off");
            let longest = turns.windows(2).map(|pair| pair[1] - pair[0]).max();
            assert!(longest <= Some(192 << 10), "{longest:?} bytes in a turn: {name}");
            let all = turns.last().copied().unwrap_or_default();
            assert!(all > handshake.len() + before.len(), "{name}");
            let frames = all / then.len();
            let small = (2..10).contains(&then.len());
            assert!(!small || frames < 100 * 500, "{frames} frames in 100 turns: {name}");
        }
    })
    .await;
}

/// However little there is in it.
#[tokio::test(start_paused = true)]
async fn what_is_read_for_nothing_after_the_close_is_bounded() {
    let empty_pong = [&[FIN | PONG, 0xff][..], &[0; 12]].concat();
    on_each(sockets(), async |way| {
        let endpoint = endpoint(true);
        let read = flood(&endpoint, ws::handshake(target(way)).to_bytes(), empty_pong.clone(), 64 << 20);
        // The connection is dropped, and its peer with it.
        while Arc::strong_count(&read) > 1 && read.load(Ordering::Relaxed) < 64 << 20 {
            tokio::task::yield_now().await;
        }
        let read = read.load(Ordering::Relaxed);
        assert!((32 << 20..33 << 20).contains(&read), "{read} bytes");
    })
    .await;
}
