//! What the text of a message may be: halves of characters, parts, JSON.

use axum::http::StatusCode;
use axum_sockjs::{HandlerError as _, JsonError, LoneSurrogates, Message, Options, SendError};
use futures_util::{SinkExt, StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};

use crate::support::{
    in_process::{Stage, done, http_transports, next, polling_with, transports},
    settle,
};

#[tokio::test(start_paused = true)]
async fn halves_of_a_character_are_kept_and_joined() {
    for transport in http_transports() {
        let mut stage = Stage::new(Options::new().lone_surrogates(LoneSurrogates::Keep));
        let (mut down, mut session) = stage.open_by_hand(transport).await;
        let cut = r#"["a\ud83d","\ude00b"]"#;
        assert_eq!(down.client.send(cut).await, StatusCode::NO_CONTENT);
        let parts = [next(&mut session).await.unwrap(), next(&mut session).await.unwrap()];
        assert!(parts.iter().all(|part| part.as_str().is_none() && !part.is_binary()));
        session.send(parts[0].clone()).await.unwrap();
        assert_eq!(down.frame().await, r#"a["a\ud83d"]"#, "{transport}");
        let whole = Message::concat(parts);
        assert_eq!(whole, "a😀b");
        session.send(whole).await.unwrap();
        assert_eq!(down.frame().await, r#"a["a😀b"]"#, "{transport}");
    }
}

#[tokio::test(start_paused = true)]
async fn half_a_character_can_be_refused_with_its_whole_batch() {
    let options = Options::new().lone_surrogates(LoneSurrogates::Refuse);
    let (_stage, client, mut session) = polling_with(options).await;
    for name in ["xhr_send", "jsonp_send"] {
        let refused = client.call("POST", name, r#"["a","\ud83d"]"#).await;
        assert_eq!(refused.status(), StatusCode::INTERNAL_SERVER_ERROR, "{name}");
    }
    assert_eq!(session.try_recv(), None);
    assert_eq!(client.send(r#"["\ud83d\ude00"]"#).await, StatusCode::NO_CONTENT);
    assert_eq!(next(&mut session).await.unwrap(), "😀");
}

#[tokio::test(start_paused = true)]
async fn one_body_goes_to_each_session_behind_a_head_of_its_own() {
    let mut stage = Stage::new(Options::new());
    let body = Message::from("\"body\"\n");
    for transport in transports() {
        let (mut client, session) = stage.open(transport).await;
        let head = format!("{transport}\n");
        session.send(Message::concat([head.into(), body.clone(), "\0".into()])).await.unwrap();
        assert_eq!(client.recv().await, *format!("{transport}\n\"body\"\n\0"));
    }
}

#[derive(Debug, PartialEq, Deserialize)]
struct Question {
    number: u32,
}

#[derive(Serialize)]
struct Answer {
    twice: u32,
}

#[tokio::test(start_paused = true)]
async fn values_are_received_and_sent() {
    let (mut stage, mut session) = (Stage::new(Options::new()), None);
    for transport in transports() {
        let (mut client, opened) = stage.open(transport).await;
        let mut opened = opened.json::<Question, Answer>();
        for text in [r#"{"number":7}"#, "nonsense", r#"{"number":-1}"#, r#"{"number":8}"#] {
            client.send(text).await;
        }
        assert_eq!(opened.recv().await.unwrap(), Some(Question { number: 7 }), "{transport}");
        for wrong in ["nonsense", r#"{"number":-1}"#] {
            let error = opened.recv().await.unwrap_err();
            assert_eq!((error.close_frame().code(), error.close_frame().reason()), (1007, "Invalid JSON"));
            assert_eq!(error.into_message().unwrap(), wrong);
        }
        // It goes on.
        settle().await;
        let Question { number } = opened.try_recv().unwrap().unwrap();
        opened.send(&Answer { twice: 2 * number }).await.unwrap();
        opened.sender().try_send(&Answer { twice: 0 }).unwrap();
        assert_eq!(client.recv().await, r#"{"twice":16}"#, "{transport}");
        assert_eq!(client.recv().await, r#"{"twice":0}"#, "{transport}");
        session = Some(opened);
    }
    let session = session.unwrap();
    session.close(3000, "enough");
    let error = session.send(&Answer { twice: 1 }).await.unwrap_err();
    assert!(matches!(&error, JsonError::Send(SendError::Closed(message)) if *message == r#"{"twice":1}"#));
    assert_eq!(error.close_frame().code(), 1000);
    assert_eq!(session.closed().await.to_string(), "closed by the server: 3000 \"enough\"");
    assert_eq!(session.close_reason(), session.get_ref().close_reason());
}

#[tokio::test(start_paused = true)]
async fn a_session_of_values_is_a_stream_and_a_sink() {
    for transport in transports() {
        let (mut client, session) = Stage::new(Options::new()).open(transport).await;
        let mut session = session.json::<u32, u32>();
        for text in ["1", "2", "x", "3"] {
            client.send(text).await;
        }
        let echo = async {
            while let Some(value) = session.try_next().await? {
                session.feed(value).await?;
            }
            Ok(())
        };
        let Err(JsonError::Parse { message, .. }) = echo.await else { panic!("x is no number") };
        assert_eq!(message, "x", "{transport}");
        for text in ["1", "2"] {
            assert_eq!(client.recv().await, text, "{transport}");
        }
        assert_eq!(session.next().await.unwrap().unwrap(), 3);
        let mut sender = session.sender();
        let closing = tokio::spawn(async move {
            sender.feed(3).await?;
            SinkExt::close(&mut sender).await
        });
        assert_eq!(client.recv().await, "3", "{transport}");
        done(closing).await.unwrap();
        assert_eq!(client.closed().await.to_string(), r#"1000 "Normal closure""#, "{transport}");
    }
}
