//! Messages over each transport.

use axum_sockjs::Options;
use sockjs_client::{Message, SendError, Transport};

use crate::support::{FRAMED, Server, echo, soon};

#[tokio::test]
async fn each_transport_echoes() {
    let server = Server::new(echo, Options::new()).await;
    for transport in FRAMED.into_iter().chain([Transport::RawWebSocket]) {
        let mut session = soon("a session", server.client().open(transport)).await.unwrap();
        assert_eq!(session.transport(), transport);
        let texts = ["", "a", "é😀\"\\\u{2028}\0\r\n%41", &"x".repeat(65536)];
        for text in texts {
            session.send(text).await.unwrap();
        }
        for text in texts {
            assert_eq!(soon("a message", session.recv()).await.unwrap(), text, "{transport}");
        }
        soon("a flush", session.flush()).await.unwrap();
        let event = soon("the end", session.close(3000, "bye")).await.unwrap();
        assert!(
            event.was_clean() && event.code() == 3000 && event.reason() == "bye",
            "{transport}: {event:?}"
        );
        assert_eq!(session.recv().await, None);
        assert!(matches!(session.send("late").await, Err(SendError::Closed(message)) if message == "late"));
        assert!(session.unsent().queued.is_empty());
    }
}

#[tokio::test]
async fn a_thousand_messages_each_way_arrive_once_and_in_order() {
    let server = Server::new(echo, Options::new()).await;
    for transport in FRAMED.into_iter().chain([Transport::RawWebSocket]) {
        let mut session = soon("a session", server.client().open(transport)).await.unwrap();
        let sender = session.sender();
        let sending = tokio::spawn(async move {
            for number in 0..1000 {
                sender.send(number.to_string()).await.unwrap();
            }
        });
        for number in 0..1000 {
            let message = soon("a message", session.recv()).await;
            assert_eq!(message, Some(number.to_string().into()), "{transport}");
        }
        sending.await.unwrap();
        assert_eq!(session.try_recv(), None);
    }
}

#[tokio::test]
async fn binary_data_goes_over_the_raw_websocket_only() {
    let server = Server::new(echo, Options::new()).await;
    let data = Message::binary(vec![0, 255, 1]);
    let mut session = server.client().open(Transport::RawWebSocket).await.unwrap();
    session.send(data.clone()).await.unwrap();
    assert_eq!(soon("a message", session.recv()).await, Some(data.clone()));
    let session = server.client().open(Transport::XhrStreaming).await.unwrap();
    assert_eq!(session.send(data.clone()).await, Err(SendError::BinaryUnsupported(data)));
}
