//! One client without a fault beside those that have one.

use std::time::Duration;

use axum_sockjs::{CloseReason, Options};
use tokio::runtime::Handle;

use crate::support::{
    apps::Reporting,
    client::{Client, Frame, Kind, WAYS, Way, ways},
    http::Connection,
    until, until_time_has_passed,
};

/// How often an idle receiver hears of the server, where a test lets the time pass.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(60);

/// The way of the client that has no fault, and must not notice the others'.
pub(crate) fn neighbours_way() -> &'static Way {
    ways(Kind::Stream).next().expect("there is one")
}

/// An endpoint with one client that is fine, whose presence must be all that is left after a fault.
pub(crate) struct Scene {
    pub(crate) reporting: Reporting,
    pub(crate) neighbour: Client,
    pub(crate) tasks: usize,
}

pub(crate) fn alive_tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

impl Scene {
    pub(crate) async fn start(options: Options) -> Self {
        let reporting = Reporting::start(options).await;
        let mut neighbour = Client::open(&reporting.endpoint, neighbours_way()).await;
        neighbour.send(&["before"]).await;
        assert_eq!(neighbour.messages(1).await, ["before"]);
        Self { tasks: alive_tasks(), reporting, neighbour }
    }

    pub(crate) async fn connect(&self) -> Connection {
        self.reporting.endpoint.server.connect().await
    }

    /// Opens a session by a request on a connection that is used for this only.
    pub(crate) async fn open(&self, way: &Way, id: &str) {
        let answer = self.reporting.endpoint.server.ask(&way.receiving(id)).await;
        assert_eq!(way.read(answer.text()), Frame::Open);
    }

    /// Sends a batch by a request on a connection that is used for this only.
    pub(crate) async fn post(&self, way: &Way, id: &str, payload: &str) {
        way.expect_taken(&self.reporting.endpoint.server.ask(&way.sending(id, payload)).await);
    }

    /// Waits until one receiver beside the neighbour's has come.
    pub(crate) async fn both_wait(&self) {
        let handle = &self.reporting.endpoint.handle;
        until("a second receiver", || handle.stats().total().attached == 2).await;
    }

    /// Expects that of all sessions but the neighbour's there is no trace, and that the neighbour goes on.
    pub(crate) async fn nothing_is_left(&mut self) {
        let handle = self.reporting.endpoint.handle.clone();
        until(format_args!("one session, there are {}", handle.len()), || handle.len() == 1).await;
        // What is over is remembered for the disconnect delay.
        until_time_has_passed("the tasks of the others to end", || alive_tasks() <= self.tasks).await;
        self.neighbour.send(&["still here"]).await;
        let mut frame = Frame::Heartbeat;
        while frame == Frame::Heartbeat {
            frame = self.neighbour.frame().await;
        }
        assert_eq!(frame, Frame::messages(&["still here"]));
        assert!(self.reporting.has_no_more(), "an end that nobody asked about");
    }

    /// The same, where the fault may have come before or after the application heard of the session.
    pub(crate) async fn nothing_is_left_but_ends(&mut self, expected: &CloseReason) {
        let handle = self.reporting.endpoint.handle.clone();
        until(format_args!("one session, there are {}", handle.len()), || handle.len() == 1).await;
        until_time_has_passed("the tasks of the others to end", || alive_tasks() <= self.tasks).await;
        while let Some(end) = self.reporting.try_end() {
            assert_eq!(end, *expected);
        }
        self.nothing_is_left().await;
    }
}

pub(crate) fn polling() -> &'static Way {
    WAYS.iter().find(|way| way.receive == "xhr").expect("there is one")
}
