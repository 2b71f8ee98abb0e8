//! A pump over a real socket, from the dial on.

use std::net::Ipv4Addr;

use axum_sockjs::CloseFrame;
use tokio::{io::AsyncWriteExt as _, net::TcpListener};

use super::*;
use crate::{
    backend::tests::{accept, connector, head, opening, parts, upstream, websocket},
    pump::ended::By,
};

#[tokio::test]
async fn what_a_backend_sends_with_its_answer_is_the_beginning() {
    const LARGE: usize = 40_000;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let upstream = upstream(&format!("ws://{}", listener.local_addr().unwrap()));
    let serves = tokio::spawn(async move {
        let mut io = listener.accept().await.unwrap().0;
        let head = head(&mut io).await;
        let mut answer = accept(&head, "").into_bytes();
        // The beginning of a long message comes with it, so the library's buffer grows at once.
        answer.extend([0x81, 1, b'a', 0x82, 126]);
        answer.extend((LARGE as u16).to_be_bytes());
        io.write_all(&answer).await.unwrap();
        tokio::task::yield_now().await;
        io.write_all(&[7; LARGE]).await.unwrap();
        let mut socket = WebSocketStream::from_raw_socket(io, Role::Server, None).await;
        while let Some(Ok(message)) = socket.next().await {
            if !message.is_close() {
                socket.send(message).await.unwrap();
            }
        }
    });
    let socket = connector(&upstream).dial(&opening(&parts(websocket()), &[])).await.unwrap();
    let (session, mut client) = Pair::new().open();
    let pump = tokio::spawn(pump(session, socket, Settings::from(&upstream), |_, _| {}));
    assert_eq!(client.recv().await.unwrap(), "a");
    assert_eq!(client.recv().await.unwrap().as_bytes(), [7; LARGE]);
    for length in [1, LARGE, 3, 2 * LARGE, 0] {
        client.send("x".repeat(length)).await.unwrap();
        assert_eq!(client.recv().await.unwrap(), "x".repeat(length));
    }
    client.close(4000, "bye");
    let ended = pump.await.unwrap();
    assert_eq!((ended.by, ended.frame), (By::Client, CloseFrame::new(4000, "bye")));
    assert_eq!((ended.to_backend.messages, ended.to_client.messages), (5, 7));
    serves.await.unwrap();
}
