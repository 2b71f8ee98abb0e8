//! Requests that bring messages: as many as their client likes, in pieces; what a piece that is wrong leaves; and bodies
//! whose session ends.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    http::StatusCode,
};
use axum_sockjs::{CloseReason, Options, Session, SockJs, SockJsHandle};
use tokio::{sync::mpsc, task::yield_now, time::Instant};

use crate::{
    session::service,
    support::{
        apps::{Stage, open_to_all},
        client::{Client, Kind, WAYS, Way, http_ways, on_each},
        fresh_id, until, within,
    },
};

const NEVER: Duration = Duration::from_secs(600);

/// The most messages of a batch, by default.
const BATCH: usize = 1000;

fn array(messages: &[String]) -> Vec<u8> {
    serde_json::to_vec(messages).expect("strings are JSON")
}

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

// In process, under a paused clock.

/// An endpoint in process, whose application is the test.
struct Scene {
    app: Router,
    handle: SockJsHandle,
    sessions: mpsc::UnboundedReceiver<Session>,
}

impl Scene {
    fn new(options: Options) -> Self {
        let (sender, sessions) = mpsc::unbounded_channel();
        let endpoint = SockJs::new(move |session: Session| async move {
            sender.send(session).ok();
        });
        let endpoint = endpoint.options(open_to_all(options));
        let handle = endpoint.handle();
        Self { app: Router::new().nest_service("/app", endpoint), handle, sessions }
    }

    /// A session, and the client with the response that receives.
    async fn open(&mut self) -> (service::Client, service::Receiving, Session) {
        let client = service::Client::new(&self.app, "/app", &fresh_id());
        let mut receiving = client.receive(axum_sockjs::Transport::XhrStreaming).await;
        assert_eq!(receiving.frame().await.as_deref(), Some("o"));
        let session = service::soon("a session", self.sessions.recv()).await.expect("the endpoint is alive");
        (client, receiving, session)
    }
}

/// The URLs that take messages; without a form, `jsonp_send` takes the array itself.
const SENDING: [&str; 2] = ["xhr_send", "jsonp_send"];

async fn settle() {
    for _ in 0..50 {
        yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_as_long_as_the_application_needs() {
    let messages: Vec<String> = (0..3 * BATCH).map(|n| n.to_string()).collect();
    for name in SENDING {
        // Nobody reads heartbeats here.
        let mut scene = Scene::new(Options::new().heartbeat(Duration::ZERO));
        let (client, _receiving, mut session) = scene.open().await;
        let work = async {
            for (number, message) in messages.iter().enumerate() {
                if number % BATCH == 0 {
                    tokio::time::sleep(Duration::from_secs(3600)).await;
                }
                assert_eq!(session.recv().await.expect("the session is open"), *message.as_str());
            }
        };
        let (answer, ()) = tokio::join!(client.call("POST", name, array(&messages)), work);
        assert!(answer.status().is_success(), "{name}: {}", answer.status());
    }
}

/// Bytes that tell when they are given back.
struct Counted(Vec<u8>, Arc<AtomicUsize>);

impl Counted {
    fn bytes(data: &[u8], held: &Arc<AtomicUsize>) -> Bytes {
        held.fetch_add(1, Ordering::Relaxed);
        Bytes::from_owner(Self(data.to_vec(), Arc::clone(held)))
    }
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A body of which nothing more comes.
struct Stalled(Option<Bytes>);

impl http_body::Body for Stalled {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        self.0.take().map_or(Poll::Pending, |data| Poll::Ready(Some(Ok(http_body::Frame::data(data)))))
    }
}

/// The ways for a session to end while a body comes, and whether what its client sends is thrown away then.
const ENDS: [(&str, bool); 4] =
    [("lost", false), ("timed out", false), ("closed", true), ("shut down", true)];

#[tokio::test(start_paused = true)]
async fn a_body_dies_with_its_session() {
    for name in SENDING {
        for (end, is_discarding) in ENDS {
            let mut scene = Scene::new(Options::new().response_limit(100));
            let (client, receiving, session) = scene.open().await;
            let held = Arc::new(AtomicUsize::new(0));
            let body = Body::new(Stalled(Some(Counted::bytes(b"[\"never whole", &held))));
            let request = {
                let client = client.clone();
                tokio::spawn(async move {
                    let answer = client.call("POST", name, body).await;
                    (answer.status(), Instant::now())
                })
            };
            settle().await;
            assert_eq!(held.load(Ordering::Relaxed), 1);
            let mut receiving = Some(receiving);
            let ended = async {
                match end {
                    "lost" => drop(receiving.take()),
                    "timed out" => {
                        // The response comes to its end, and no other takes its place.
                        session.send("x".repeat(200)).await.expect("the session is open");
                        while receiving.as_mut().expect("it is there").frame().await.is_some() {}
                        session.closed().await;
                    }
                    "closed" => session.close(3000, "enough"),
                    _ => {
                        let handle = scene.handle.clone();
                        tokio::spawn(async move { handle.shutdown(3001, "down", NEVER).await });
                    }
                }
                session.closed().await;
                Instant::now()
            };
            let ended = ended.await;
            settle().await;
            assert_eq!(held.load(Ordering::Relaxed), 0, "{name}, {end}: what was read is still held");
            let (status, answered) = service::soon("an answer", request).await.expect("no panic");
            let waited = answered - ended;
            if is_discarding {
                // The client is to hear of the close by its receiver; a body that does not come has ten seconds.
                assert!(status.is_success() && waited <= Duration::from_secs(10), "{name}, {end}: {status}");
            } else {
                assert_eq!((status, waited), (StatusCode::NOT_FOUND, Duration::ZERO), "{name}, {end}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_waits_for_room_dies_with_its_session() {
    for name in SENDING {
        let mut scene = Scene::new(Options::new().receive_queue_messages(1));
        let (client, receiving, session) = scene.open().await;
        assert_eq!(client.send("[\"fills the queue\"]").await, StatusCode::NO_CONTENT);
        let held = Arc::new(AtomicUsize::new(0));
        let many = array(&vec!["waits".to_owned(); 2 * BATCH]);
        let body = Body::from(Counted::bytes(&many, &held));
        let request = tokio::spawn(async move { client.call("POST", name, body).await.status() });
        settle().await;
        assert!(!request.is_finished());
        drop(receiving);
        assert_eq!(session.closed().await, CloseReason::ConnectionLost);
        assert_eq!(
            service::soon("an answer", request).await.expect("no panic"),
            StatusCode::NOT_FOUND,
            "{name}"
        );
        assert_eq!(held.load(Ordering::Relaxed), 0);
    }
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

/// A body that brings one chunk each half a minute.
async fn slowly(chunks: Vec<String>) -> Body {
    let chunks = futures_util::stream::unfold(chunks.into_iter(), async |mut chunks| {
        tokio::time::sleep(Duration::from_secs(30)).await;
        let chunk = chunks.next()?;
        Some((Ok::<_, Infallible>(Bytes::from(chunk)), chunks))
    });
    Body::from_stream(chunks)
}

#[tokio::test(start_paused = true)]
async fn a_slow_link_may_take_as_long_as_it_needs_for_many_messages_and_not_for_one() {
    for name in SENDING {
        let mut scene = Scene::new(Options::new().heartbeat(Duration::ZERO));
        let (client, _receiving, mut session) = scene.open().await;
        let start = Instant::now();
        // A message is whole each half a minute.
        let mut chunks = vec!["[\"0".to_owned()];
        chunks.extend((1..20).map(|n| format!("\",\"{n}")));
        chunks.push("\"]".to_owned());
        let answer = client.call("POST", name, slowly(chunks).await).await;
        assert!(
            answer.status().is_success() && start.elapsed() > Duration::from_secs(600),
            "{}",
            answer.status()
        );
        for n in 0..20 {
            assert_eq!(session.recv().await.expect("the session is open"), *n.to_string());
        }

        // One that never is, although bytes come; before it, and behind one that is.
        for (first, patience) in [("[\"", 60), ("[\"whole\",\"", 120)] {
            let mut chunks = vec![first.to_owned()];
            chunks.extend((0..20).map(|_| "x".to_owned()));
            let start = Instant::now();
            let answer = client.call("POST", name, slowly(chunks).await).await;
            assert_eq!((answer.status().as_u16(), start.elapsed().as_secs()), (408, patience), "{name}");
            assert!(session.try_recv().is_none(), "nothing of a small request");
        }
    }
}
