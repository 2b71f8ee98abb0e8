//! Bodies of sending requests, under a paused clock: how long they may take, and their end with the session.

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
    body::{Body, Bytes},
    http::StatusCode,
};
use axum_sockjs::{CloseReason, Options, Session, Transport};
use tokio::time::Instant;

use crate::support::{
    NEVER,
    client::{BATCH, array},
    in_process::{Client, Receiving, Stage},
    settle, soon,
};

/// A session, and its client with the response that receives.
async fn receiving(options: Options) -> (Stage, Client, Receiving, Session) {
    let mut stage = Stage::new(options);
    let (down, session) = stage.open_by_hand(Transport::XhrStreaming).await;
    let receiving = down.current.expect("a stream goes on");
    (stage, down.client, receiving, session)
}

/// The URLs that take messages; without a form, `jsonp_send` takes the array itself.
const SENDING: [&str; 2] = ["xhr_send", "jsonp_send"];

#[tokio::test(start_paused = true)]
async fn a_request_waits_as_long_as_the_application_needs() {
    let messages: Vec<String> = (0..3 * BATCH).map(|n| n.to_string()).collect();
    for name in SENDING {
        // Nobody reads heartbeats here.
        let (_stage, client, _receiving, mut session) = receiving(Options::new().heartbeat(None)).await;
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
            let (stage, client, receiving, session) = receiving(Options::new().response_limit(100)).await;
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
                        let handle = stage.endpoint.handle.clone();
                        tokio::spawn(async move { handle.shutdown(3001, "down", NEVER).await });
                    }
                }
                session.closed().await;
                Instant::now()
            };
            let ended = ended.await;
            settle().await;
            assert_eq!(held.load(Ordering::Relaxed), 0, "{name}, {end}: what was read is still held");
            let (status, answered) = soon("an answer", request).await.expect("no panic");
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
        let (_stage, client, receiving, session) = receiving(Options::new().receive_queue_messages(1)).await;
        assert_eq!(client.send("[\"fills the queue\"]").await, StatusCode::NO_CONTENT);
        let held = Arc::new(AtomicUsize::new(0));
        let many = array(&vec!["waits".to_owned(); 2 * BATCH]);
        let body = Body::from(Counted::bytes(&many, &held));
        let request = tokio::spawn(async move { client.call("POST", name, body).await.status() });
        settle().await;
        assert!(!request.is_finished());
        drop(receiving);
        assert_eq!(session.closed().await, CloseReason::ConnectionLost);
        assert_eq!(soon("an answer", request).await.expect("no panic"), StatusCode::NOT_FOUND, "{name}");
        assert_eq!(held.load(Ordering::Relaxed), 0);
    }
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
        let (_stage, client, _receiving, mut session) = receiving(Options::new().heartbeat(None)).await;
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
