//! The table of `docs/closing.md`, row by row.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use axum_sockjs::CloseFrame;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};

use super::*;
use crate::pump::ended::By;

#[tokio::test(start_paused = true)]
async fn the_client_is_told_what_the_backend_says() {
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 3000, 4000, 4999] {
        for transport in [Transport::RawWebSocket, Transport::XhrPolling] {
            let mut scene = Plan { transport, ..Plan::default() }.start().await;
            scene.send(frame(code, "because")).await;
            assert_eq!(scene.client_told().await, (code, "because".to_owned()));
            assert_eq!(scene.farewell().await, Some((code, "because".to_owned())), "the reply");
            drop(scene.backend);
            let ended = scene.pump.await.unwrap();
            assert_eq!((ended.by, ended.frame), (By::Backend, CloseFrame::new(code, "because")));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_without_a_code_is_a_normal_one() {
    let mut scene = Plan::default().start().await;
    scene.send(WsMessage::Close(None)).await;
    assert_eq!(scene.client_told().await, (1000, String::new()));
}

#[tokio::test(start_paused = true)]
async fn a_code_that_must_not_be_sent_is_a_violation() {
    for code in [1_u16, 999, 1004, 1005, 1006, 1014, 1015, 2000, 5000] {
        let (client, mut far, pump) = Plan::default().raw().await;
        let [high, low] = code.to_be_bytes();
        far.write_all(&[0x88, 2, high, low]).await.unwrap();
        let mut backend = WebSocketStream::from_raw_socket(far, Role::Server, None).await;
        let got = backend.next().await.unwrap().unwrap();
        assert_eq!(got, frame(1002, "Protocol violation"), "{code}");
        let mut scene = Scene { client, backend, pump };
        assert_eq!(scene.client_told().await, (1002, "Protocol violation".to_owned()), "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_backend_is_an_internal_error() {
    let mut scene = Plan::default().start().await;
    scene.send("last").await;
    drop(scene.backend);
    assert_eq!(scene.client.recv().await.unwrap(), "last");
    assert_eq!(scene.client.recv().await, None);
    assert_eq!(scene.client.close_frame(), Some(&CloseFrame::new(1011, "Backend connection lost")));
    assert_eq!(scene.pump.await.unwrap().by, By::Backend);
}

#[tokio::test(start_paused = true)]
async fn the_backend_is_told_what_the_client_says() {
    for (code, reason, told) in
        [(1000, "bye", 1000), (1001, "", 1001), (3000, "a", 3000), (4999, "b", 4999), (1005, "", 1000)]
    {
        let mut scene = Plan::default().start().await;
        scene.client.close(code, reason);
        let reason = if told == code { reason } else { "" };
        assert_eq!(scene.farewell().await, Some((told, reason.to_owned())));
        drop(scene.backend);
        assert_eq!(scene.pump.await.unwrap().by, By::Client);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_client_has_gone_away() {
    let mut scene = Plan::default().start().await;
    scene.client.send("last").await.unwrap();
    drop(std::mem::replace(&mut scene.client, Pair::new().open().1));
    assert_eq!(scene.receive().await, WsMessage::text("last"));
    assert_eq!(scene.farewell().await, Some((1001, "Client connection lost".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn binary_data_for_a_text_client_closes_both() {
    let mut scene = Plan { transport: Transport::WebSocket, ..Plan::default() }.start().await;
    scene.send("before").await;
    scene.send(WsMessage::binary(vec![1])).await;
    let told = Some((1003, "Binary messages are not supported".to_owned()));
    assert_eq!(scene.farewell().await, told);
    assert_eq!(scene.client.recv().await.unwrap(), "before");
    assert_eq!(Some(scene.client_told().await), told);
    drop(scene.backend);
    assert_eq!(scene.pump.await.unwrap().by, By::Gateway);
}

#[tokio::test(start_paused = true)]
async fn violations_of_the_backend_close_both() {
    let too_long = {
        let mut header = vec![0x82, 127];
        header.extend((MAX_MESSAGE as u64 + 1).to_be_bytes());
        header
    };
    for (bytes, code, text, client) in [
        (too_long, 1009, "Message too long", "Backend message too long"),
        (vec![0x81, 1, 0xff], 1007, "Not UTF-8", "Backend protocol error"),
        (vec![0xc1, 0], 1002, "Protocol error", "Backend protocol error"),
        (vec![0x80, 0], 1002, "Protocol error", "Backend protocol error"),
        (vec![0x81, 0x81, 0, 0, 0, 0, b'a'], 1002, "Protocol error", "Backend protocol error"),
        (vec![0x88, 1, 3], 1002, "Protocol error", "Backend protocol error"),
    ] {
        let (client_end, mut far, pump) = Plan::default().raw().await;
        far.write_all(&[0x81, 1, b'a']).await.unwrap();
        far.write_all(&bytes).await.unwrap();
        let backend = WebSocketStream::from_raw_socket(far, Role::Server, None).await;
        let mut scene = Scene { client: client_end, backend, pump };
        assert_eq!(scene.client.recv().await.unwrap(), "a");
        assert_eq!(scene.client_told().await, (1011, client.to_owned()), "{bytes:?}");
        assert_eq!(scene.farewell().await, Some((code, text.to_owned())), "{bytes:?}");
        drop(scene.backend);
        assert_eq!(scene.pump.await.unwrap().by, By::Gateway);
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_backend_is_asked_and_then_lost() {
    let start = tokio::time::Instant::now();
    let (mut client, mut far, pump) = Plan::default().raw().await;
    let mut ping = [0; 6];
    far.read_exact(&mut ping).await.unwrap();
    assert_eq!((ping[0], start.elapsed().as_secs()), (0x89, 25));
    assert_eq!(client.recv().await, None);
    assert_eq!(start.elapsed().as_secs(), 35);
    assert_eq!(client.close_frame(), Some(&CloseFrame::new(1011, "No answer to a ping")));
    // It is told, and the connection does not wait for its answer for long.
    let mut close = [0; 6];
    far.read_exact(&mut close).await.unwrap();
    assert_eq!(close[0], 0x88);
    assert_eq!(pump.await.unwrap().by, By::Gateway);
    assert_eq!(start.elapsed().as_secs(), 40);
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_answers_stays() {
    let mut scene = Plan::default().start().await;
    // The library answers a ping when it is asked for the next message.
    let mut pings = 0;
    while pings < 10 {
        match scene.backend.next().await {
            Some(Ok(WsMessage::Ping(_))) => pings += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(!scene.pump.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_does_not_close_is_dropped() {
    let start = tokio::time::Instant::now();
    let (client, mut far, pump) = Plan::default().raw().await;
    client.close(4000, "");
    assert_eq!(pump.await.unwrap().frame.code(), 4000);
    assert_eq!(start.elapsed(), 5 * SECOND);
    let mut rest = Vec::new();
    far.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest.len(), 2 + 4 + 2, "one close frame");
}

/// A connection whose other end reads no more.
struct Unwritable(DuplexStream);

impl Readable for Unwritable {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_readable(cx)
    }
}

impl AsyncRead for Unwritable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Unwritable {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_backend_has_said_counts_though_it_takes_nothing_more() {
    for close in [Some(frame(4000, "done")), None] {
        let start = tokio::time::Instant::now();
        let (near, far) = duplex(1 << 16);
        let (session, mut client) = Pair::new().open();
        let pump = tokio::spawn(pump(
            session,
            BackendSocket::over(Unwritable(near), MAX_MESSAGE),
            SETTINGS,
            |_, _| {},
        ));
        client.send("nobody takes this").await.unwrap();
        tokio::time::sleep(SECOND).await;
        let mut backend: Server = WebSocketStream::from_raw_socket(far, Role::Server, None).await;
        backend.send("last".into()).await.unwrap();
        let (code, after) = if close.is_some() { (4000, SECOND) } else { (1011, 5 * SECOND) };
        if let Some(close) = close {
            backend.send(close).await.unwrap();
        }
        assert_eq!(client.recv().await.unwrap(), "last");
        assert_eq!(client.recv().await, None);
        assert_eq!((client.close_frame().unwrap().code(), start.elapsed()), (code, after));
        assert_eq!(pump.await.unwrap().by, By::Backend);
    }
}
