//! Session URLs, frames, encoding and closing, shown with the xhr transports.

use crate::support::{
    apps,
    http::{Connection, Request, Response},
    server::Server,
    suite::{session_of, stream, xhr_send},
};

/// One poll.
async fn xhr(server: &Server, session: &str) -> String {
    let response = server.post(format!("{session}/xhr"), "").await;
    assert_eq!(response.status, 200, "{response}");
    response.text().to_owned()
}

/// Sends two polls at once and gives the answer that comes first, and the connection of the other one.
async fn two_polls(server: &Server, session: &str) -> (Response, Connection) {
    let poll = Request::post(format!("{session}/xhr"));
    let (mut one, mut two) = (server.connect().await, server.connect().await);
    one.send(&poll).await;
    two.send(&poll).await;
    tokio::select! {
        answer = one.answer("POST") => (answer, two),
        answer = two.answer("POST") => (answer, one),
    }
}

/// Suite: `SessionURLs.test_anyValue`.
#[tokio::test]
async fn server_and_session_may_be_any_text() {
    let server = apps::suite().await;
    for ids in ["z/y", "_/__", "-/-", "7/8", "p%20q/r%20s", "a-b_c~d!e/%2Fx%2e", "%F0%9F%98%80/%00"] {
        assert_eq!(xhr(&server, &format!("/echo/{ids}")).await, "o\n", "{ids}");
    }
}

/// Suite: `SessionURLs.test_invalidPaths`.
#[tokio::test]
async fn ids_are_neither_empty_nor_dotted_and_there_are_two() {
    let server = apps::suite().await;
    for ids in ["", "/", "//", "///", "/z", "/z/", "/z./y", "/z/y.", "/z/.y", "/./.", "/z/y/x", "/../z/y"] {
        for request in [Request::get(format!("/echo{ids}/xhr")), Request::post(format!("/echo{ids}/xhr"))] {
            assert_eq!(server.ask(&request).await.status, 404, "{}", request.target);
        }
    }
}

/// Suite: `SessionURLs.test_ignoringServerId`.
#[tokio::test]
async fn the_server_id_does_not_matter() {
    let server = apps::suite().await;
    assert_eq!(xhr(&server, "/echo/111/one").await, "o\n");
    xhr_send(&server, "/echo/222/one", r#"["b"]"#).await;
    assert_eq!(xhr(&server, "/echo/333/one").await, "a[\"b\"]\n");
}

/// Suite: `Protocol.test_simpleSession`.
#[tokio::test]
async fn a_session_opens_echoes_and_has_one_receiver() {
    let server = apps::suite().await;
    let session = session_of("echo");
    assert_eq!(xhr(&server, &session).await, "o\n");
    xhr_send(&server, &session, r#"["b"]"#).await;
    assert_eq!(xhr(&server, &session).await, "a[\"b\"]\n");

    let unknown = server.post("/echo/000/unknown/xhr_send", r#"["b"]"#).await;
    assert_eq!(unknown.status, 404);

    let (refused, mut waiting) = two_polls(&server, &session).await;
    assert_eq!(refused.status, 200);
    assert_eq!(refused.text(), "c[2010,\"Another connection still open\"]\n");
    // The other one goes on waiting.
    xhr_send(&server, &session, r#"["c"]"#).await;
    assert_eq!(waiting.answer("POST").await.text(), "a[\"c\"]\n");
}

/// Suite: `Protocol.test_closeSession`.
#[tokio::test]
async fn a_closed_session_says_so_to_every_poll() {
    let server = apps::suite().await;
    let session = session_of("close");
    assert_eq!(xhr(&server, &session).await, "o\n");
    for _ in 0..3 {
        assert_eq!(xhr(&server, &session).await, "c[3000,\"Go away!\"]\n");
    }
}

/// Suite: `JSONEncoding.test_xhr_server_encodes`.
#[tokio::test]
async fn what_browsers_alter_is_sent_escaped() {
    let server = apps::suite().await;
    let session = session_of("echo");
    assert_eq!(xhr(&server, &session).await, "o\n");

    let ranges = [0x200c..=0x200f, 0x2028..=0x202f, 0x2060..=0x206f, 0xfff0..=0xffff_u32];
    let altered: Vec<char> = ranges.into_iter().flatten().filter_map(char::from_u32).collect();
    let plain: String = altered.iter().collect();
    let escaped: String = altered.iter().map(|&c| format!("\\u{:04x}", u32::from(c))).collect();
    xhr_send(&server, &session, &format!("[\"{plain}\"]")).await;
    assert_eq!(xhr(&server, &session).await, format!("a[\"{escaped}\"]\n"));

    // Control characters come back as JSON writes them.
    let controls: String = (0..0x20).map(|code: u8| format!("\\u{code:04x}")).collect();
    let shortest = controls
        .replace("\\u0008", "\\b")
        .replace("\\u0009", "\\t")
        .replace("\\u000a", "\\n")
        .replace("\\u000c", "\\f")
        .replace("\\u000d", "\\r");
    xhr_send(&server, &session, &format!("[\"{controls}\"]")).await;
    assert_eq!(xhr(&server, &session).await, format!("a[\"{shortest}\"]\n"));
}

/// Suite: `JSONEncoding.test_xhr_server_decodes`.
#[tokio::test]
async fn whatever_a_client_escapes_arrives() {
    let server = apps::suite().await;
    let session = session_of("echo");
    assert_eq!(xhr(&server, &session).await, "o\n");
    // Clients escape a part of these; the server cannot know which.
    let all: Vec<char> = (0..=0xffff).filter_map(char::from_u32).collect();
    for part in all.chunks(8192) {
        let escaped: String = part.iter().map(|&c| format!("\\u{:04x}", u32::from(c))).collect();
        xhr_send(&server, &session, &format!("[\"{escaped}\"]")).await;
        let answer = xhr(&server, &session).await;
        let messages: Vec<String> = serde_json::from_str(&answer[1..]).unwrap();
        assert_eq!(messages, [part.iter().collect::<String>()]);
    }
}

/// Suite: `HandlingClose.test_close_frame`.
#[tokio::test]
async fn a_close_ends_the_stream_and_every_later_one() {
    let server = apps::suite().await;
    let request = Request::post(session_of("close") + "/xhr_streaming");
    let (mut first, ..) = stream(&server, &request).await;
    assert_eq!(first.text_chunk().await, "o\n");
    assert_eq!(first.text_chunk().await, "c[3000,\"Go away!\"]\n");
    // Asked for before the end of the first one has been read.
    let (mut second, ..) = stream(&server, &request).await;
    assert_eq!(second.text_chunk().await, "c[3000,\"Go away!\"]\n");
    assert_eq!(first.text_chunk().await, "");
    assert_eq!(second.text_chunk().await, "");
}

/// Suite: `HandlingClose.test_close_request`.
#[tokio::test]
async fn a_second_stream_is_refused_and_ended() {
    let server = apps::suite().await;
    let session = session_of("echo");
    let request = Request::post(format!("{session}/xhr_streaming"));
    let (mut first, ..) = stream(&server, &request).await;
    assert_eq!(first.text_chunk().await, "o\n");
    let (mut second, ..) = stream(&server, &request).await;
    assert_eq!(second.text_chunk().await, "c[2010,\"Another connection still open\"]\n");
    assert_eq!(second.text_chunk().await, "");
    xhr_send(&server, &session, r#"["b"]"#).await;
    assert_eq!(first.text_chunk().await, "a[\"b\"]\n");
}

/// Suite: `HandlingClose.test_abort_xhr_streaming`.
#[tokio::test]
async fn a_stream_that_is_cut_off_ends_its_session() {
    let server = apps::suite().await;
    let request = Request::post(session_of("echo") + "/xhr_streaming");
    let (mut first, ..) = stream(&server, &request).await;
    assert_eq!(first.text_chunk().await, "o\n");
    let (mut second, ..) = stream(&server, &request).await;
    assert_eq!(second.text_chunk().await, "c[2010,\"Another connection still open\"]\n");
    assert_eq!(second.text_chunk().await, "");
    drop(first);
    // A new session would be legal too; this server lets the client know.
    let (mut third, ..) = stream(&server, &request).await;
    assert_eq!(third.text_chunk().await, "c[1002,\"Connection interrupted\"]\n");
}

/// Suite: `HandlingClose.test_abort_xhr_polling`.
#[tokio::test]
async fn a_poll_that_is_cut_off_ends_its_session() {
    let server = apps::suite().await;
    let session = session_of("echo");
    assert_eq!(xhr(&server, &session).await, "o\n");
    let (refused, waiting) = two_polls(&server, &session).await;
    assert_eq!(refused.text(), "c[2010,\"Another connection still open\"]\n");
    drop(waiting);
    assert_eq!(xhr(&server, &session).await, "c[1002,\"Connection interrupted\"]\n");
}
