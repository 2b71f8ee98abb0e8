//! A server that a test talks to.

use std::sync::{Arc, Mutex};

use axum::{Router, routing::any_service};
use axum_sockjs::Origins;
use axum_stomp::{Event, Messenger, Registry, Session, Stomp, StompServer};
use sockjs_client::test::TestClient;
use tokio::sync::Notify;

use super::{
    client::{Client, Way},
    soon,
};

/// What has been told of sessions, in order.
#[derive(Clone, Default)]
pub(crate) struct Events(Arc<Inner>);

#[derive(Default)]
struct Inner {
    told: Mutex<Vec<String>>,
    changed: Notify,
}

impl Events {
    fn tell(&self, event: &Event) {
        let text = match event {
            Event::Connected(_) => "connected".to_owned(),
            Event::Subscribed(_, subscription) => format!("subscribed {}", subscription.destination()),
            Event::Unsubscribed(_, subscription) => format!("unsubscribed {}", subscription.destination()),
            Event::Disconnected(_, reason) => format!("disconnected: {}", reason.name()),
            other => panic!("{other:?}"),
        };
        self.0.told.lock().expect("no test panics with it").push(text);
        self.0.changed.notify_waiters();
    }

    /// All so far.
    pub(crate) fn all(&self) -> Vec<String> {
        self.0.told.lock().expect("no test panics with it").clone()
    }

    /// All, once as many sessions have ended.
    pub(crate) async fn after_ends(&self, sessions: usize) -> Vec<String> {
        self.after("disconnected", sessions).await
    }

    /// All, once as many of them begin so.
    pub(crate) async fn after(&self, start: &str, count: usize) -> Vec<String> {
        soon("an event", async {
            loop {
                let mut changed = std::pin::pin!(self.0.changed.notified());
                changed.as_mut().enable();
                let all = self.all();
                if all.iter().filter(|event| event.starts_with(start)).count() >= count {
                    return all;
                }
                changed.await;
            }
        })
        .await
    }
}

/// A server, with a WebSocket route at `/ws` and a SockJS endpoint at `/stomp`.
pub(crate) struct Scene {
    pub(crate) server: StompServer,
    pub(crate) app: Router,
    pub(crate) events: Events,
}

impl Scene {
    pub(crate) fn new(stomp: Stomp) -> Self {
        let events = Events::default();
        let told = events.clone();
        let server = stomp.on_event(move |event, _| told.tell(event)).build();
        let sockjs = server.sockjs_with(server.sockjs_options().origins(Origins::any()));
        let raw = any_service(sockjs.raw_websocket());
        let app = Router::new().route("/ws", raw).merge(sockjs.into_router("/stomp"));
        Self { server, app, events }
    }

    pub(crate) fn test_client(&self) -> TestClient {
        TestClient::new(self.app.clone(), "/stomp")
    }

    /// A client that has sent nothing yet.
    pub(crate) async fn open(&self, way: Way) -> Client {
        match way {
            Way::SockJs(transport) => {
                let opened = self.test_client().open(transport).await;
                Client::of_sockjs(opened.unwrap_or_else(|refusal| panic!("{transport}: {refusal}")))
            }
            Way::Stream => {
                let (client, server) = tokio::io::duplex(64 << 10);
                let stomp = self.server.clone();
                tokio::spawn(async move { stomp.serve_stream(server, None, ()).await });
                Client::of_stream(client)
            }
        }
    }

    /// A client that is connected with version 1.2.
    pub(crate) async fn connect(&self, way: Way) -> Client {
        self.connect_with(way, "accept-version:1.2\n").await
    }

    /// A client that is connected with these header lines.
    pub(crate) async fn connect_with(&self, way: Way, headers: &str) -> Client {
        let mut client = self.open(way).await;
        client.connect(headers).await;
        client
    }

    pub(crate) fn messenger(&self) -> Messenger {
        self.server.messenger()
    }

    pub(crate) fn registry(&self) -> Registry {
        self.server.registry()
    }

    /// Whether the only session has ended.
    pub(crate) fn session_has_ended(&self) -> bool {
        self.registry().sessions().iter().all(Session::is_closed)
    }

    /// The session, of which there is one.
    pub(crate) fn session(&self) -> Session {
        let mut sessions = self.registry().sessions();
        assert_eq!(sessions.len(), 1, "{sessions:?}");
        sessions.remove(0)
    }
}
