//! Socket.IO and SockJS in one axum app, with one chat for the clients of both.
//!
//! `cargo run --package example-socketio [IP:PORT]`, then open <http://127.0.0.1:8081/>: the page has a client of
//! each protocol. The two servers know nothing of each other; what is said goes through one channel.

mod room;

use axum::{Router, extract::State, response::Html, routing::get, serve::ListenerExt};
use axum_sockjs::{Session, SockJs};
use room::Room;
use socketioxide::{
    SocketIo,
    extract::{Data, SocketRef},
};
use tokio::{
    net::TcpListener,
    sync::broadcast::error::RecvError::{Closed, Lagged},
};

async fn sockjs_client(State(room): State<Room>, mut session: Session) {
    let mut lines = room.listen();
    loop {
        tokio::select! {
            message = session.recv() => match message {
                Some(message) => _ = message.as_str().map(|text| room.say("SockJS", text)),
                None => return,
            },
            line = lines.recv() => match line {
                // Waits while the client's queue is full; the channel keeps the lines meanwhile.
                Ok(line) => _ = session.send(line).await,
                Err(Lagged(_)) => session.close(4000, "too slow"),
                Err(Closed) => return,
            },
        }
    }
}

fn socketio_client(room: &Room, socket: &SocketRef) {
    let room = room.clone();
    socket.on("chat", async move |Data::<String>(text)| room.say("Socket.IO", &text));
}

/// Tells the clients of Socket.IO what is said.
async fn to_socketio(room: Room, io: SocketIo) {
    let mut lines = room.listen();
    loop {
        match lines.recv().await {
            // An error says that some client had no room for it.
            Ok(line) => _ = io.emit("chat", line.as_str().unwrap_or_default()).await,
            Err(Lagged(_)) => {}
            Err(Closed) => return,
        }
    }
}

fn app(room: Room) -> Router {
    let sockjs = SockJs::new(sockjs_client).with_state(room.clone());
    let (socketio, io) = SocketIo::new_layer();
    tokio::spawn(to_socketio(room.clone(), io.clone()));
    io.ns("/", async move |socket: SocketRef| socketio_client(&room, &socket));

    let page = Html(include_str!("index.html"));
    Router::new()
        .route("/", get(async move || page))
        .nest_service("/sockjs", sockjs)
        // Answers everything below `/socket.io`.
        .layer(socketio)
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8081".to_owned());
    let app = app(Room::default());
    let listener = TcpListener::bind(addr).await?;
    println!("listening on http://{}/", listener.local_addr()?);
    axum::serve(listener.tap_io(|tcp| _ = tcp.set_nodelay(true)), app).await
}

#[cfg(test)]
mod tests {
    use axum_sockjs::Transport;
    use sockjs_client::test::TestClient;

    use super::{Room, app};

    #[tokio::test(start_paused = true)]
    async fn what_a_client_of_either_protocol_says_comes_to_those_of_sockjs() {
        let room = Room::default();
        let client = TestClient::new(app(room.clone()), "/sockjs");
        let mut ada = client.open(Transport::WebSocket).await.unwrap();
        let mut bob = client.open(Transport::XhrPolling).await.unwrap();
        ada.send("hello").await;
        room.say("Socket.IO", "hello too");
        for session in [&mut ada, &mut bob] {
            assert_eq!(session.recv().await, "SockJS: hello");
            assert_eq!(session.recv().await, "Socket.IO: hello too");
        }
    }
}
