//! Rooms over real sockets, with clients of each transport.

use std::time::Duration;

use axum::{
    Router,
    extract::{Query, State},
};
use axum_sockjs::{Message, Options, Session, SockJs, Transport};
use axum_sockjs_rooms::{History, JoinError, Outcome, Position, Rooms};
use serde::Deserialize;
use sockjs_client::Client;

#[derive(Deserialize)]
struct Visit {
    since: Option<Position>,
}

async fn chat(
    Query(visit): Query<Visit>,
    State(rooms): State<Rooms>,
    mut session: Session,
) -> Result<(), JoinError> {
    let room = rooms.join(&session, "lobby").since(visit.since).greet(|recovery| {
        let is_gone = recovery.outcome == Outcome::Gone;
        Message::json(&(recovery.position, is_gone)).ok()
    });
    let room = room.await?;
    while let Some(line) = session.recv().await {
        room.send(line);
    }
    Ok(())
}

fn parse(message: &Message) -> (Position, serde_json::Value) {
    message.parse_json().unwrap()
}

const TRANSPORTS: [Transport; 4] =
    [Transport::WebSocket, Transport::XhrStreaming, Transport::EventSource, Transport::XhrPolling];

#[tokio::test]
async fn clients_of_each_transport_come_back_to_what_they_have_missed() {
    let rooms: Rooms = Rooms::builder()
        .history(History::last(100))
        .encode(|position, message| Message::json(&(position, message.as_str())).unwrap())
        .build();
    let sockjs = SockJs::new(chat).options(Options::new().disconnect_delay(Duration::from_secs(1)));
    let app = Router::new().merge(sockjs.into_router("/chat")).with_state(rooms.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/chat", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });

    for transport in TRANSPORTS {
        let open = async |since: Option<Position>| {
            let query = since.map_or(String::new(), |since| format!("?since={since}"));
            let mut client = Client::new(&format!("{url}{query}")).unwrap().open(transport).await.unwrap();
            let (position, is_gone) = parse(&client.recv().await.unwrap());
            assert_eq!(is_gone, false, "{transport}");
            (client, position)
        };
        let (mut client, _) = open(None).await;
        client.send("one").await.unwrap();
        let (position, line) = parse(&client.recv().await.unwrap());
        assert_eq!(line, "one");
        drop(client);
        rooms.send("lobby", "two");
        rooms.send("lobby", "three");
        let (mut client, start) = open(Some(position)).await;
        assert_eq!(start, position, "{transport}");
        client.send("four").await.unwrap();
        for (number, expected) in ["two", "three", "four"].into_iter().enumerate() {
            let (at, line) = parse(&client.recv().await.unwrap());
            assert_eq!((at.number(), line), (position.number() + 1 + number as u64, expected.into()));
        }
    }
}
