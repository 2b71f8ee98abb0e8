//! What the text of a message may be: halves of characters, parts.

use axum::http::StatusCode;
use axum_sockjs::{LoneSurrogates, Message, Options};

use crate::support::in_process::{Stage, http_transports, next, polling_with};

#[tokio::test(start_paused = true)]
async fn halves_of_a_character_are_kept_and_joined() {
    for transport in http_transports() {
        let mut stage = Stage::new(Options::new().lone_surrogates(LoneSurrogates::Keep));
        let (mut down, mut session) = stage.open(transport).await;
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
    for transport in http_transports() {
        let (mut down, session) = stage.open(transport).await;
        let head = format!("{transport}\n");
        session.send(Message::concat([head.into(), body.clone(), "\0".into()])).await.unwrap();
        let expected = format!(r#"a["{transport}\n\"body\"\n\u0000"]"#);
        assert_eq!(down.frame().await, expected);
    }
}
