//! A whole connection: any bytes, in pieces, to hyper with an endpoint behind it.
//!
//! Nothing may panic, the client's end must end the connection within bounded time on a paused clock, and no
//! session may be left.

#![no_main]

use std::time::Duration;

use axum::Router;
use axum_sockjs::{Options, Origins, Session, SockJs};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use libfuzzer_sys::fuzz_target;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::{sleep, timeout},
};

async fn echo(mut session: Session) {
    while let Some(message) = session.recv().await {
        if message == "close" {
            session.close(3000, "\"</script>\r\n");
        }
        if session.send(message).await.is_err() {
            break;
        }
    }
}

async fn run(data: &[u8]) {
    // Small enough for an input to come to every bound.
    let options = Options::new()
        .origins(Origins::any())
        .hixie76(true)
        .max_message_bytes(256)
        .receive_queue_bytes(1024)
        .send_queue_bytes(1024)
        .response_limit(512);
    let endpoint = SockJs::new(echo).options(options);
    let handle = endpoint.handle();
    let app = Router::new().nest_service("/app", endpoint);
    let (client, server) = tokio::io::duplex(4096);
    let connection = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(server), TowerToHyperService::new(app))
        .with_upgrades();
    let connection = tokio::spawn(connection);
    let (mut read, mut write) = tokio::io::split(client);
    // The first byte says how the others are cut up, and whether the client reads what comes back.
    let (&size, data) = data.split_first().unwrap_or((&0, &[]));
    let reads = size % 2 == 1;
    let reading = tokio::spawn(async move {
        let mut sink = [0; 1024];
        if !reads {
            std::future::pending::<()>().await;
        }
        while matches!(read.read(&mut sink).await, Ok(count) if count > 0) {}
    });
    for piece in data.chunks(usize::from(size) * 4 + 1) {
        if timeout(Duration::from_secs(120), write.write_all(piece)).await.is_err()
            || connection.is_finished()
        {
            break;
        }
        // All that can happen happens, and a second goes by.
        sleep(Duration::from_secs(1)).await;
    }
    // The client finishes, and is gone a moment later: behind bytes that hyper has not parsed, only a write
    // finds that out.
    write.shutdown().await.ok();
    sleep(Duration::from_secs(1)).await;
    reading.abort();
    reading.await.ok();
    drop(write);
    let ended = timeout(Duration::from_secs(600), connection).await.expect("the connection ends");
    // An error is the answer to what is no HTTP; a panic is a bug.
    drop(ended.expect("the connection does not panic"));
    sleep(Duration::from_secs(600)).await;
    assert!(handle.is_empty(), "{} sessions are left", handle.len());
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
    assert_eq!(handle.stats().handlers, 0);
}

fuzz_target!(|data: &[u8]| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime can be built").block_on(run(data));
});
