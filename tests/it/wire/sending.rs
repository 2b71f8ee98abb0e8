//! Requests that bring messages: as many as their client likes, in pieces; and what a piece that is wrong leaves.

use axum_sockjs::{Options, Session};

use crate::support::{
    NEVER,
    apps::Stage,
    client::{BATCH, Client, Kind, WAYS, Way, array, http_ways, on_each},
    fresh_id, until, within,
};

async fn receive_all(session: &mut Session, messages: &[String]) {
    for (number, message) in messages.iter().enumerate() {
        let received =
            within(format_args!("message {number}"), session.recv()).await.expect("the session is open");
        assert!(received == *message.as_str(), "message {number}: {} bytes", received.len());
    }
}

/// What a page may send in one turn, by name.
fn turns() -> Vec<(&'static str, Vec<String>)> {
    let numbered = |count: usize, text: &str| (0..count).map(|n| format!("{n} {text}")).collect();
    vec![
        ("1,500 short messages", numbered(1500, "short")),
        ("40 messages of 40 KB", numbered(40, &"x".repeat(40_000))),
        ("30,000 empty messages", vec![String::new(); 30_000]),
        ("3,000 messages with escapes and wide characters", numbered(3000, &"é\u{1}😀\"\u{2028}".repeat(50))),
        ("10 messages of nearly the limit, in escapes", numbered(10, &"\u{1}".repeat(131_000))),
    ]
}

#[tokio::test]
async fn a_request_carries_what_a_page_may_send_over_a_socket_in_one_turn() {
    on_each(WAYS, async |way| {
        for (name, messages) in turns() {
            let mut stage = Stage::start(Options::new().disconnect_delay(NEVER)).await;
            let mut client = Client::open(&stage.endpoint, way).await;
            let mut session = stage.session().await;
            let send = async {
                if way.kind == Kind::Socket {
                    for message in &messages {
                        client.send(std::slice::from_ref(message)).await;
                    }
                } else {
                    let answer = client.up.post(&array(&messages)).await;
                    assert!(matches!(answer.status, 200 | 204), "{name} over {}: {answer}", way.transport);
                }
            };
            tokio::join!(send, receive_all(&mut session, &messages));
            assert!(session.try_recv().is_none(), "nothing comes twice");
            assert_eq!(session.close_reason(), None);
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_wrong_in_a_large_request_leaves_the_batches_before_it() {
    let many: Vec<String> = (0..BATCH + 500).map(|n| n.to_string()).collect();
    // The first piece of a MiB ends within the last of these, or before.
    let large: Vec<String> = (0..10).map(|n| format!("{n}{}", "x".repeat(120_000))).collect();
    let with_end = |messages: &[String], end: &str| {
        let mut payload = array(messages);
        payload.pop();
        [&payload[..], end.as_bytes()].concat()
    };
    let too_long = format!(",\"{}\"]", "x".repeat(200_000));
    let cases = [
        (&many, with_end(&many, ",1]"), 500, BATCH),
        (&many, with_end(&many, ""), 500, BATCH),
        (&many, with_end(&many, "]]"), 500, BATCH),
        (&many, with_end(&many, &too_long), 413, BATCH),
        (&large, with_end(&large, ",null]"), 500, 8),
        (&large, with_end(&large, ",\"\\x\"]"), 500, 8),
        (&large, with_end(&large, &too_long), 413, 8),
    ];
    on_each(http_ways(), async |way| {
        for (messages, payload, status, taken) in &cases {
            let mut stage = Stage::start(Options::new().disconnect_delay(NEVER)).await;
            let mut client = Client::open(&stage.endpoint, way).await;
            let mut session = stage.session().await;
            let (answer, ()) =
                tokio::join!(client.up.post(payload), receive_all(&mut session, &messages[..*taken]));
            assert_eq!(answer.status, *status, "{}", way.transport);
            assert!(session.try_recv().is_none(), "the batch that is wrong is refused whole");
            client.send(&["on"]).await;
            receive_all(&mut session, &["on".to_owned()]).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_large_request_that_breaks_off_leaves_the_batches_before() {
    let messages: Vec<String> = (0..20).map(|n| format!("{n}{}", "x".repeat(100_000))).collect();
    on_each(http_ways(), async |way| {
        let mut stage = Stage::start(Options::new().disconnect_delay(NEVER)).await;
        let id = fresh_id();
        let mut client = Client::open_as(&stage.endpoint, way, &id).await;
        let mut session = stage.session().await;
        let request = way.sending(&id, array(&messages)).to_bytes();
        let mut connection = stage.endpoint.server.connect().await;
        connection.write(&request[..request.len() - 10]).await;
        // A MiB of JSON holds ten of them.
        receive_all(&mut session, &messages[..10]).await;
        connection.abort();
        client.send(&["on"]).await;
        receive_all(&mut session, &["on".to_owned()]).await;
    })
    .await;
}

#[tokio::test]
async fn a_body_dies_with_its_session_over_real_connections() {
    on_each(http_ways(), async |way: &'static Way| {
        for chunked in [false, true] {
            let mut stage = Stage::start(Options::new().disconnect_delay(NEVER)).await;
            let id = fresh_id();
            let mut client = Client::open_as(&stage.endpoint, way, &id).await;
            let session = stage.session().await;
            let mut bodies = Vec::new();
            for _ in 0..8 {
                let payload = array(&["x".repeat(100_000)]);
                let mut request = way.sending(&id, &payload).to_bytes();
                if chunked {
                    let text = String::from_utf8(request).expect("a request is text");
                    let (head, body) = text.split_once("\r\n\r\n").expect("a head has an end");
                    let head = head.split("\r\nContent-Length").next().expect("the first part");
                    request =
                        format!("{head}\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}", body.len())
                            .into();
                }
                request.pop();
                let mut connection = stage.endpoint.server.connect().await;
                connection.write(&request).await;
                bodies.push(connection);
            }
            client.down.request().await;
            let handle = stage.endpoint.handle.clone();
            until("the receiver to be there", || handle.stats().total().attached == 1).await;
            client.abort(false);
            within("the end", session.closed()).await;
            for connection in &mut bodies {
                assert_eq!(connection.head().await.status, 404, "{}", way.transport);
            }
            stage.endpoint.is_left_empty().await;
        }
    })
    .await;
}
