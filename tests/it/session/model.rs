//! Many sessions at once, under any order of receivers, aborts, sends, closes and pauses, on a paused clock.
//!
//! Whatever happens: the client sees a beginning of what its application sent, and all of it if it sees the
//! close; the application gets exactly what was taken from its client; it is told one end, and one that has a
//! cause; and in the end nothing is left.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use axum::{Router, body::Body};
use axum_sockjs::{CloseReason, Options, Sender, Session, SockJs, SockJsHandle};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use proptest::prelude::*;
use tokio::{runtime::Handle, task::JoinHandle, time::sleep};
use tower::ServiceExt as _;

use crate::support::apps::open_to_all;

const SESSIONS: usize = 3;
const DELAY: Duration = Duration::from_secs(5);

#[derive(Debug, Clone)]
enum Step {
    /// A receiving request; a second one beside a first is told 2010.
    Receive {
        id: usize,
        stream: bool,
    },
    /// Breaks the oldest receiving request off that still runs.
    Abort {
        id: usize,
    },
    ClientSends {
        id: usize,
        count: usize,
    },
    /// Messages that may be long, so that queues and responses fill up.
    ServerSends {
        id: usize,
        count: usize,
        length: usize,
    },
    ServerCloses {
        id: usize,
    },
    Pass(Duration),
}

fn step() -> impl Strategy<Value = Step> {
    let id = 0..SESSIONS;
    prop_oneof![
        6 => (id.clone(), any::<bool>()).prop_map(|(id, stream)| Step::Receive { id, stream }),
        1 => id.clone().prop_map(|id| Step::Abort { id }),
        3 => (id.clone(), 0_usize..4).prop_map(|(id, count)| Step::ClientSends { id, count }),
        4 => (id.clone(), 1_usize..6, 0_usize..300)
            .prop_map(|(id, count, length)| Step::ServerSends { id, count, length }),
        1 => id.prop_map(|id| Step::ServerCloses { id }),
        3 => (0_u64..4000).prop_map(|millis| Step::Pass(Duration::from_millis(millis))),
        1 => Just(Step::Pass(DELAY * 2)),
    ]
}

/// One session, from its application's side.
struct Served {
    sender: Sender,
    received: Vec<String>,
    ends: Vec<CloseReason>,
    // What the test did to it, and has to be true of it.
    sent: Vec<String>,
    taken: Vec<String>,
    aborted: bool,
    closed: bool,
}

/// One session, from its client's side.
#[derive(Default)]
struct Seen {
    messages: Vec<String>,
    close: Option<(u16, String)>,
}

/// All sessions that one id has stood for, in their order on both sides.
#[derive(Default)]
struct Id {
    served: Vec<Served>,
    seen: Vec<Seen>,
}

#[derive(Clone, Default)]
struct World(Arc<[Mutex<Id>; SESSIONS]>);

impl World {
    fn id(&self, id: usize) -> MutexGuard<'_, Id> {
        self.0[id].lock().expect("nobody panics")
    }
}

async fn serve(world: World, id: usize, mut session: Session) {
    let served = Served {
        sender: session.sender(),
        received: Vec::new(),
        ends: Vec::new(),
        sent: Vec::new(),
        taken: Vec::new(),
        aborted: false,
        closed: false,
    };
    let at = {
        let mut id = world.id(id);
        id.served.push(served);
        id.served.len() - 1
    };
    while let Some(message) = session.recv().await {
        world.id(id).served[at].received.push(message.as_str().expect("no binary data").to_owned());
    }
    let end = session.closed().await;
    world.id(id).served[at].ends.push(end);
}

fn request(id: usize, name: &str, body: String) -> Request<Body> {
    let request = Request::post(format!("/app/000/id{id}/{name}")).header("x-id", id);
    request.body(Body::from(body)).expect("a request")
}

/// Receives one response, and keeps what it says.
async fn receive(app: Router, world: World, id: usize, stream: bool) {
    let name = if stream { "xhr_streaming" } else { "xhr" };
    let Ok(response) = app.oneshot(request(id, name, String::new())).await;
    // A poll that waited while its session was closed and forgotten.
    if response.status() == StatusCode::NOT_FOUND {
        return;
    }
    assert_eq!(response.status(), StatusCode::OK);
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        let data = frame.expect("no body breaks").into_data().expect("there are no trailers");
        let text = std::str::from_utf8(&data).expect("frames are UTF-8");
        for line in text.lines() {
            let mut id = world.id(id);
            match line.split_at_checked(1) {
                Some(("o", "")) => id.seen.push(Seen::default()),
                Some(("h", _)) => {}
                Some(("a", array)) => {
                    let messages: Vec<String> = serde_json::from_str(array).expect("an array of strings");
                    let seen = id.seen.last_mut().expect("`o` comes first");
                    assert_eq!(seen.close, None, "a message behind the close");
                    seen.messages.extend(messages);
                }
                Some(("c", array)) => {
                    let close: (u16, String) = serde_json::from_str(array).expect("a code and a text");
                    if close.0 != 2010 {
                        let seen = id.seen.last_mut().expect("`o` comes first");
                        assert!(seen.close.is_none() || seen.close.as_ref() == Some(&close), "two closes");
                        seen.close = Some(close);
                    }
                }
                _ => panic!("no frame: {line:?}"),
            }
        }
    }
}

struct Run {
    world: World,
    app: Router,
    handle: SockJsHandle,
    receivers: Vec<Vec<JoinHandle<()>>>,
    /// Makes each message one of a kind.
    number: usize,
}

impl Run {
    fn new() -> Self {
        let world = World::default();
        let of_handler = world.clone();
        let handler = move |headers: HeaderMap, session: Session| {
            let id = headers["x-id"].to_str().ok().and_then(|id| id.parse().ok()).expect("the test sets it");
            serve(of_handler.clone(), id, session)
        };
        let options = Options::new().disconnect_delay(DELAY).response_limit(600).send_queue_bytes(2000);
        let endpoint = SockJs::new(handler).options(open_to_all(options));
        let handle = endpoint.handle();
        let app = Router::new().nest_service("/app", endpoint);
        Self { world, app, handle, receivers: (0..SESSIONS).map(|_| Vec::new()).collect(), number: 0 }
    }

    fn message(&mut self, length: usize) -> String {
        self.number += 1;
        format!("{}{}", self.number, "é\"".repeat(length / 3))
    }

    async fn step(&mut self, step: &Step) {
        match *step {
            Step::Receive { id, stream } => {
                let receiver = receive(self.app.clone(), self.world.clone(), id, stream);
                self.receivers[id].push(tokio::spawn(receiver));
            }
            Step::Abort { id } => {
                self.receivers[id].retain(|receiver| !receiver.is_finished());
                if !self.receivers[id].is_empty() {
                    // The oldest is the one that is attached: a second one waits behind it, and not for long.
                    self.receivers[id].remove(0).abort();
                    sleep(Duration::from_millis(1)).await;
                    if let Some(served) = self.world.id(id).served.last_mut() {
                        served.aborted = true;
                        assert_eq!(served.sender.close_reason(), Some(CloseReason::ConnectionLost));
                    }
                }
            }
            Step::ClientSends { id, count } => {
                let messages: Vec<String> = (0..count).map(|_| self.message(10)).collect();
                let payload = serde_json::to_string(&messages).expect("strings are JSON");
                let at = self.world.id(id).served.len();
                let Ok(answer) = self.app.clone().oneshot(request(id, "xhr_send", payload)).await;
                let mut id = self.world.id(id);
                match answer.status() {
                    StatusCode::NO_CONTENT => {
                        let served = &mut id.served[at - 1];
                        // One that has been closed from this side takes them and throws them away.
                        if !served.closed {
                            served.taken.extend(messages);
                        }
                    }
                    other => assert_eq!(other, StatusCode::NOT_FOUND),
                }
            }
            Step::ServerSends { id, count, length } => {
                for _ in 0..count {
                    let message = self.message(length);
                    if let Some(served) = self.world.id(id).served.last_mut() {
                        if served.sender.try_send(message.clone()).is_ok() {
                            served.sent.push(message);
                        }
                    }
                }
            }
            Step::ServerCloses { id } => {
                if let Some(served) = self.world.id(id).served.last_mut() {
                    served.closed |= served.sender.close_reason().is_none();
                    served.sender.close(3000, "enough");
                }
            }
            Step::Pass(time) => sleep(time).await,
        }
        // What can happen happens before the next step.
        sleep(Duration::from_millis(1)).await;
    }

    async fn finish(mut self) {
        for (id, receivers) in self.receivers.iter_mut().enumerate() {
            for receiver in receivers.drain(..) {
                if receiver.is_finished() {
                    receiver.await.expect("no receiver saw anything wrong");
                } else {
                    receiver.abort();
                    if let Some(served) = self.world.id(id).served.last_mut() {
                        served.aborted = true;
                    }
                }
            }
        }
        sleep(DELAY * 20).await;
        let stats = self.handle.stats();
        let total = stats.total();
        assert_eq!((self.handle.len(), total.open(), total.closing, total.closed), (0, 0, 0, 0));
        assert_eq!((stats.handlers, Handle::current().metrics().num_alive_tasks()), (0, 0));
        for id in 0..SESSIONS {
            let id = self.world.id(id);
            assert_eq!(id.served.len(), id.seen.len(), "a session is one on both sides");
            for (served, seen) in id.served.iter().zip(&id.seen) {
                let whole = seen.close == Some((3000, "enough".to_owned()));
                assert!(served.sent.starts_with(&seen.messages), "{:?}, {:?}", served.sent, seen.messages);
                assert!(!whole || served.sent == seen.messages, "a close in front of messages");
                assert_eq!(served.received, served.taken);
                let [end] = &served.ends[..] else { panic!("{} ends: {:?}", served.ends.len(), served.ends) };
                match end {
                    CloseReason::Server(_) => assert!(served.closed),
                    CloseReason::ConnectionLost => assert!(served.aborted && !served.closed),
                    CloseReason::TimedOut => assert!(!served.closed),
                    other => panic!("{other}"),
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn any_order_of_events_keeps_the_promises(steps in proptest::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime can be built").block_on(async {
            let mut run = Run::new();
            for step in &steps {
                run.step(step).await;
            }
            run.finish().await;
        });
    }
}
