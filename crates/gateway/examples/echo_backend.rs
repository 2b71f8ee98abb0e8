//! The backend that the official protocol suite asks for: a WebSocket server that knows nothing of SockJS.
//!
//! `cargo run -p sockjs-gateway --example echo_backend [IP:PORT]` prints its address. Below `/echo` each message comes
//! back; below `/close` each connection is closed with 3000 "Go away!".

use std::{env, io, net::SocketAddr};

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Error, Message,
        handshake::server::{Request, Response},
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

type Socket = WebSocketStream<TcpStream>;

#[tokio::main]
async fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9000".to_owned());
    let address: SocketAddr = address.parse().map_err(io::Error::other)?;
    let listener = TcpListener::bind(address).await?;
    println!("listening on ws://{}", listener.local_addr()?);
    loop {
        // An error is that of a connection that is gone already.
        let Ok((tcp, _)) = listener.accept().await else { continue };
        tokio::spawn(async move {
            if let Err(error) = serve(tcp).await {
                eprintln!("{error}");
            }
        });
    }
}

async fn serve(tcp: TcpStream) -> Result<(), Error> {
    tcp.set_nodelay(true)?;
    let mut path = String::new();
    #[allow(clippy::result_large_err, reason = "the library wants it so")]
    let note_path = |request: &Request, response: Response| {
        request.uri().path().clone_into(&mut path);
        Ok(response)
    };
    let socket = accept_hdr_async(tcp, note_path).await?;
    let served = if path == "/close" { close(socket).await } else { echo(socket).await };
    match served {
        // A client that has gone is none.
        Err(Error::ConnectionClosed | Error::Io(_) | Error::Protocol(_)) => Ok(()),
        served => served,
    }
}

async fn echo(mut socket: Socket) -> Result<(), Error> {
    while let Some(message) = socket.next().await {
        let message = message?;
        if message.is_text() || message.is_binary() {
            socket.send(message).await?;
        }
    }
    Ok(())
}

async fn close(mut socket: Socket) -> Result<(), Error> {
    let frame = CloseFrame { code: CloseCode::Library(3000), reason: "Go away!".into() };
    socket.send(Message::Close(Some(frame))).await?;
    // Until the other side has answered it.
    while let Some(message) = socket.next().await {
        message?;
    }
    Ok(())
}
