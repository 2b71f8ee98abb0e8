//! Both ends of a link.

use std::{
    future::pending,
    io,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Response};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadBuf, duplex, join, sink},
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use super::{
    client::{Exchange, Link, Outcome, greet},
    frame::{self, FromEdge, Linked, MAX_ANSWER, MAX_BODY, MAX_REQUEST, Outgoing, split},
    framed::Framed,
    links::{Links, Way},
    server::{Answered, serve},
};
use crate::cluster::forwarded::Forwarded;

const PROOF: HeaderValue = HeaderValue::from_static("proof");

/// The edge's end, until it is over.
async fn carry(link: Arc<Link>, io: DuplexStream) {
    let framed = greet(io, BytesMut::new(), &PROOF).await.expect("the owner takes the link");
    link.run(framed, || {}).await;
}

/// The end of an owner that takes a link, and does nothing more.
async fn welcoming(mut io: DuplexStream) -> DuplexStream {
    let mut out = BytesMut::new();
    frame::welcome(&mut out);
    io.write_all(&out).await.unwrap();
    io
}

fn send(link: &Arc<Link>, target: &str, body: &[u8]) -> Option<Exchange> {
    let (forwarded, headers) = (Forwarded::default(), HeaderMap::new());
    link.send(&Outgoing { forwarded: &forwarded, method: &Method::POST, target, headers: &headers, body })
}

async fn ask(link: &Arc<Link>, target: &str) -> Option<Outcome> {
    send(link, target, b"").expect("the link has room").outcome().await
}

fn text(outcome: Option<Outcome>) -> String {
    let Some(Outcome::Answered(answer)) = outcome else { panic!("{outcome:?}") };
    format!("{} {}", answer.status().as_u16(), String::from_utf8(answer.into_body().into()).unwrap())
}

fn answered(text: String) -> Answered<()> {
    Answered { response: Some(Response::new(text.into())), held: () }
}

/// Counts those that exist.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

struct Ends {
    link: Arc<Link>,
    edge: JoinHandle<()>,
    owner: JoinHandle<()>,
    /// The requests that wait at the owner.
    waiting: Arc<AtomicUsize>,
}

/// Both ends, whose owner does what the path says.
fn ends() -> Ends {
    let (one, other) = duplex(1024);
    let link = Link::new();
    let edge = Arc::clone(&link);
    let edge = tokio::spawn(carry(edge, one));
    let waiting = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&waiting);
    let owner = tokio::spawn(async move {
        let answer = |linked: Linked| {
            count.fetch_add(1, Ordering::SeqCst);
            let counted = Counted(Arc::clone(&count));
            async move {
                let _counted = counted;
                let path = linked.request.uri().path().to_owned();
                match path.split_at(2) {
                    ("/s", seconds) => sleep(Duration::from_secs(seconds.parse().unwrap())).await,
                    ("/w", _) => pending().await,
                    ("/d", _) => return Answered { response: None, held: () },
                    ("/p", _) => panic!("as the test asks for"),
                    ("/q", _) => {
                        tokio::task::yield_now().await;
                        panic!("as the test asks for");
                    }
                    _ => {}
                }
                answered(format!("{path} {}", linked.request.body().len()))
            }
        };
        serve(other, |proof| *proof == PROOF, answer).await;
    });
    Ends { link, edge, owner, waiting }
}

#[tokio::test(start_paused = true)]
async fn each_request_gets_its_own_answer() {
    let Ends { link, .. } = ends();
    let mut slow = send(&link, "/s9", b"").unwrap();
    let mut large = send(&link, "/large", &[b'x'; MAX_BODY]).unwrap();
    assert_eq!(text(ask(&link, "/s5").await), "200 /s5 0");
    assert_eq!(text(slow.outcome().await), "200 /s9 0");
    assert_eq!(text(large.outcome().await), format!("200 /large {MAX_BODY}"));
    assert!(matches!(ask(&link, "/d").await, Some(Outcome::Declined)));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_dropped_is_dropped_at_the_owner() {
    let Ends { link, waiting, .. } = ends();
    let dropped = send(&link, "/w1", b"").unwrap();
    let _kept = send(&link, "/w2", b"").unwrap();
    assert_eq!(text(ask(&link, "/a").await), "200 /a 0");
    assert_eq!(waiting.load(Ordering::SeqCst), 2);
    drop(dropped);
    assert_eq!(text(ask(&link, "/a").await), "200 /a 0");
    sleep(Duration::from_millis(1)).await;
    assert_eq!(waiting.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_one_request() {
    let Ends { link, .. } = ends();
    let mut other = send(&link, "/s5", b"").unwrap();
    for path in ["/p", "/q"] {
        assert_eq!(text(ask(&link, path).await), "500 ");
    }
    assert_eq!(text(other.outcome().await), "200 /s5 0");
}

#[tokio::test(start_paused = true)]
async fn who_waits_learns_that_the_owner_is_lost() {
    let Ends { link, owner, edge, .. } = ends();
    let mut exchange = send(&link, "/w", b"").unwrap();
    assert_eq!(text(ask(&link, "/a").await), "200 /a 0");
    owner.abort();
    assert!(exchange.outcome().await.is_none());
    edge.await.unwrap();
    assert!(link.is_over());
    assert!(send(&link, "/a", b"").is_none());
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_lost_edge_is_dropped() {
    let Ends { link, owner, edge, waiting } = ends();
    let _exchange = send(&link, "/w", b"").unwrap();
    assert_eq!(text(ask(&link, "/a").await), "200 /a 0");
    edge.abort();
    owner.await.unwrap();
    assert_eq!(waiting.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn an_idle_link_closes_and_one_in_use_does_not() {
    const LIMIT: Duration = Duration::from_secs(5);
    let Ends { link, owner, .. } = ends();
    let mut exchange = send(&link, "/s9", b"").unwrap();
    sleep(LIMIT).await;
    link.close_if_idle(LIMIT);
    assert_eq!(text(exchange.outcome().await), "200 /s9 0");
    link.close_if_idle(LIMIT);
    assert!(!link.is_over());
    sleep(LIMIT).await;
    link.close_if_idle(LIMIT);
    assert!(link.is_over());
    owner.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn little_waits_for_an_owner_that_does_not_read() {
    let link = Link::new();
    let (one, other) = duplex(1024);
    let edge = Arc::clone(&link);
    tokio::spawn(carry(edge, one));
    let _other = welcoming(other).await;
    sleep(Duration::from_millis(1)).await;
    let mut sent = Vec::new();
    // What does not fit goes the ordinary way, which has a limit of its own.
    while let Some(exchange) = send(&link, "/a", &[b'x'; MAX_BODY]) {
        sent.push(exchange);
        tokio::task::yield_now().await;
        assert!(sent.len() < 100);
    }
    let waiting = sent.len() * MAX_BODY;
    assert!((1 << 20..=(2 << 20) + 2 * MAX_BODY).contains(&waiting), "{waiting}");
}

#[tokio::test(start_paused = true)]
async fn little_waits_for_an_edge_that_does_not_read() {
    const ANSWER: usize = 64 << 10;
    let (mut edge, io) = duplex(1024);
    let answers = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&answers);
    tokio::spawn(async move {
        let answer = |_: Linked| {
            count.fetch_add(1, Ordering::SeqCst);
            async { answered("x".repeat(ANSWER)) }
        };
        serve(io, |_| true, answer).await;
    });
    let mut out = BytesMut::new();
    frame::hello(&mut out, &PROOF);
    let (forwarded, headers) = (Forwarded::default(), HeaderMap::new());
    for id in 0..1000 {
        let request = Outgoing {
            forwarded: &forwarded,
            method: &Method::GET,
            target: "/a",
            headers: &headers,
            body: b"",
        };
        assert!(frame::request(&mut out, id, &request));
    }
    let (mut input, mut output) = tokio::io::split(&mut edge);
    let writing = async { output.write_all(&out).await.unwrap() };
    let reading = async {
        sleep(Duration::from_secs(20)).await;
        let before = answers.load(Ordering::SeqCst);
        assert!((60..70).contains(&before), "{before}");
        // All come when it reads.
        let mut left = 1000 * ANSWER;
        let mut buffer = vec![0; ANSWER];
        while left > 0 {
            left = left.saturating_sub(input.read(&mut buffer).await.unwrap());
        }
        assert!(answers.load(Ordering::SeqCst) > 990);
    };
    tokio::join!(writing, reading);
}

#[tokio::test(start_paused = true)]
async fn who_proves_nothing_gets_no_answer() {
    for first in [Some(HeaderValue::from_static("other")), None] {
        let (mut edge, io) = duplex(1024);
        let (asked, mut is_asked) = mpsc::unbounded_channel();
        let owner = tokio::spawn(async move {
            let answer = move |_| {
                asked.send(()).ok();
                async { answered(String::new()) }
            };
            serve(io, |proof| *proof == PROOF, answer).await;
        });
        let mut out = BytesMut::new();
        if let Some(first) = &first {
            frame::hello(&mut out, first);
        }
        let (forwarded, headers) = (Forwarded::default(), HeaderMap::new());
        let request = Outgoing {
            forwarded: &forwarded,
            method: &Method::GET,
            target: "/a",
            headers: &headers,
            body: b"",
        };
        assert!(frame::request(&mut out, 1, &request));
        edge.write_all(&out).await.unwrap();
        assert_eq!(edge.read(&mut [0]).await.unwrap(), 0);
        owner.await.unwrap();
        assert!(is_asked.recv().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_not_waited_for() {
    let (_edge, io) = duplex(1024);
    serve(io, |_| true, |_: Linked| async { answered(String::new()) }).await;
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_talks_nonsense_is_lost() {
    let link = Link::new();
    let (one, owner) = duplex(1024);
    let edge = Arc::clone(&link);
    let edge = tokio::spawn(carry(edge, one));
    let mut owner = welcoming(owner).await;
    let mut exchange = send(&link, "/a", b"").unwrap();
    let mut input = BytesMut::new();
    let mut next = async || {
        loop {
            if let Some(frame) = split(&mut input, MAX_REQUEST).unwrap() {
                return FromEdge::decode(frame).unwrap();
            }
            owner.read_buf(&mut input).await.unwrap();
        }
    };
    assert!(matches!(next().await, FromEdge::Hello(proof) if proof == PROOF));
    assert!(matches!(next().await, FromEdge::Request(0, _)));
    owner.write_all(&[0, 0, 0, 5, 99, 0, 0, 0, 0]).await.unwrap();
    assert!(exchange.outcome().await.is_none());
    edge.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_does_not_take_the_link_gets_no_request() {
    for first in [&b""[..], &[0, 0, 0, 5, 7, 0, 0, 0, 0], &[0, 0, 0, 5, 5, 0, 0, 0, 1], &[0, 0, 0, 4]] {
        let (one, mut owner) = duplex(1024);
        owner.write_all(first).await.unwrap();
        // One has gone; the others say something else.
        let _owner = (!first.is_empty()).then_some(owner);
        assert!(greet(one, BytesMut::new(), &PROOF).await.is_none(), "{first:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_link_that_is_closed_waits_for_no_room() {
    let link = Link::new();
    let (one, other) = duplex(1024);
    let edge = tokio::spawn(carry(Arc::clone(&link), one));
    let _other = welcoming(other).await;
    let mut exchange = send(&link, "/a", &[b'x'; MAX_BODY]).unwrap();
    sleep(Duration::from_millis(1)).await;
    assert!(!edge.is_finished());
    link.close();
    timeout(Duration::from_secs(1), edge).await.expect("it ends at once").unwrap();
    assert!(exchange.outcome().await.is_none());
}

const IDLE: Duration = Duration::from_secs(1000);
const ANSWER: Duration = Duration::from_secs(2);

/// The links of an owner, with one that is open.
fn links(link: &Arc<Link>) -> Links {
    let links = Links::default();
    assert!(matches!(links.way("/app"), Way::OpenLink));
    links.opened("/app", Some(Arc::clone(link)));
    links
}

/// Looks after links as their owner does, for so many seconds. Returns how many have been given up.
async fn look_after(links: &Links, seconds: usize) -> usize {
    let mut lost = 0;
    for _ in 0..seconds {
        sleep(Duration::from_secs(1)).await;
        lost += links.sweep(IDLE, ANSWER);
    }
    lost
}

#[tokio::test(start_paused = true)]
async fn a_link_that_leads_nowhere_is_given_up() {
    let link = Link::new();
    let (one, other) = duplex(1024);
    let edge = tokio::spawn(carry(Arc::clone(&link), one));
    let _other = welcoming(other).await;
    let links = links(&link);
    let mut exchange = send(&link, "/a", b"").unwrap();
    assert_eq!(look_after(&links, 2).await, 0);
    assert!(!link.is_over());
    assert_eq!(look_after(&links, 2).await, 1);
    assert!(exchange.outcome().await.is_none());
    edge.await.unwrap();
    // The next one would probably lead nowhere too.
    assert!(matches!(links.way("/app"), Way::Ordinary));
}

#[tokio::test(start_paused = true)]
async fn a_link_stays_though_nothing_is_to_be_said() {
    let Ends { link, owner, waiting, .. } = ends();
    let links = links(&link);
    let _exchange = send(&link, "/w", b"").unwrap();
    assert_eq!(look_after(&links, 100).await, 0);
    assert_eq!(waiting.load(Ordering::SeqCst), 1);
    assert!(!link.is_over() && !owner.is_finished());
    assert_eq!(text(ask(&link, "/a").await), "200 /a 0");
}

#[tokio::test(start_paused = true)]
async fn an_edge_that_says_nothing_for_long_is_lost() {
    let Ends { link, owner, waiting, .. } = ends();
    let began = Instant::now();
    let mut exchange = send(&link, "/w", b"").unwrap();
    let outcome = timeout(Duration::from_secs(60), exchange.outcome()).await;
    assert!(outcome.expect("it does not wait for ever").is_none());
    owner.await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 30);
    assert_eq!(waiting.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn what_comes_or_leaves_slowly_is_a_sign_of_life() {
    // A part of an answer each second.
    let link = Link::new();
    let (one, other) = duplex(1024);
    tokio::spawn(carry(Arc::clone(&link), one));
    let mut other = welcoming(other).await;
    let watched = links(&link);
    let mut exchange = send(&link, "/a", b"").unwrap();
    let mut answer = BytesMut::new();
    frame::answer(&mut answer, 0, &Response::new(Bytes::from_static(&[b'x'; 20])));
    for byte in &answer {
        other.write_all(&[*byte]).await.unwrap();
        assert_eq!(look_after(&watched, 1).await, 0);
    }
    assert!(matches!(exchange.outcome().await, Some(Outcome::Answered(_))));
    // A part of what waits to be written.
    let link = Link::new();
    let (one, other) = duplex(1024);
    tokio::spawn(carry(Arc::clone(&link), one));
    let mut other = welcoming(other).await;
    let watched = links(&link);
    let _exchange = send(&link, "/a", &[b'x'; MAX_BODY]).unwrap();
    for _ in 0..20 {
        assert_eq!(look_after(&watched, 1).await, 0);
        assert!(other.read(&mut [0; 1024]).await.unwrap() > 0);
    }
    assert_eq!(look_after(&watched, 4).await, 1);
}

#[tokio::test(start_paused = true)]
async fn answers_wait_at_their_tasks_while_the_edge_does_not_read() {
    const COUNT: usize = 1000;
    const ANSWER: usize = 64 << 10;
    struct Body {
        bytes: Vec<u8>,
        _counted: Counted,
    }
    impl AsRef<[u8]> for Body {
        fn as_ref(&self) -> &[u8] {
            &self.bytes
        }
    }
    let (mut edge, io) = duplex(1024);
    // Those that have not been copied to what is to be written.
    let whole = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&whole);
    tokio::spawn(async move {
        let answer = |_: Linked| {
            let count = Arc::clone(&count);
            async move {
                sleep(Duration::from_secs(5)).await;
                count.fetch_add(1, Ordering::SeqCst);
                let body = Body { bytes: vec![b'x'; ANSWER], _counted: Counted(count) };
                Answered { response: Some(Response::new(Bytes::from_owner(body))), held: () }
            }
        };
        serve(io, |_| true, answer).await;
    });
    let mut out = BytesMut::new();
    frame::hello(&mut out, &PROOF);
    let (forwarded, headers) = (Forwarded::default(), HeaderMap::new());
    for id in 0..COUNT as u32 {
        let request = Outgoing {
            forwarded: &forwarded,
            method: &Method::GET,
            target: "/a",
            headers: &headers,
            body: b"",
        };
        assert!(frame::request(&mut out, id, &request));
    }
    edge.write_all(&out).await.unwrap();
    sleep(Duration::from_secs(10)).await;
    let before = whole.load(Ordering::SeqCst);
    assert!((COUNT - 70..COUNT - 60).contains(&before), "{before}");
    let mut left = COUNT * ANSWER;
    let mut buffer = vec![0; ANSWER];
    while left > 0 {
        left = left.saturating_sub(edge.read(&mut buffer).await.unwrap());
    }
    assert!(whole.load(Ordering::SeqCst) < 2);
}

/// Always has the same bytes again.
struct Again(Bytes, usize);

impl AsyncRead for Again {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let length = to.remaining().min(self.0.len() - self.1);
        to.put_slice(&self.0[self.1..][..length]);
        self.1 = (self.1 + length) % self.0.len();
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_turn_of_the_edge_is_bounded() {
    // By bytes and by frames.
    for (length, expected) in [(64 << 10, 16), (0, 256)] {
        let mut answer = BytesMut::new();
        frame::answer(&mut answer, 0, &Response::new(vec![b'x'; length].into()));
        let framed = Framed::new(join(Again(answer.freeze(), 0), sink()), BytesMut::new(), MAX_ANSWER);
        let (link, heard) = (Link::new(), AtomicUsize::new(0));
        let count = || _ = heard.fetch_add(1, Ordering::SeqCst);
        let mut running = pin!(link.run(framed, count));
        let mut cx = Context::from_waker(Waker::noop());
        // Each second time others go first.
        for turn in 1..=3 {
            assert!(running.as_mut().poll(&mut cx).is_pending());
            assert!(running.as_mut().poll(&mut cx).is_pending());
            assert_eq!(heard.load(Ordering::SeqCst), turn * expected);
        }
    }
}
