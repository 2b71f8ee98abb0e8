//! Receivers on real connections: those that take turns, wait, and are cut off.

use std::time::Duration;

use axum_sockjs::{CloseReason, Options};
use futures_util::future::join_all;

use crate::support::{
    NEVER,
    apps::{self, Endpoint, Stage, end_of, one_frame_per_response},
    client::{Client, Down, Frame, Kind, WAYS, Way, http_ways, on_each},
    fresh_id, pass, within,
};

#[tokio::test]
async fn an_idle_receiver_gets_heartbeats_and_keeps_its_session() {
    on_each(WAYS, async |way| {
        let options = Options::new().heartbeat(Duration::from_millis(20));
        // A stream and a socket have a receiver all the time, a poll only nearly so.
        let options = match way.kind {
            Kind::Poll => options.disconnect_delay(NEVER),
            Kind::Stream | Kind::Socket => options.disconnect_delay(Duration::from_millis(50)),
        };
        let mut stage = Stage::start(options).await;
        let mut client = Client::open(&stage.endpoint, way).await;
        let session = stage.session().await;
        for _ in 0..6 {
            assert_eq!(client.frame().await, Frame::Heartbeat);
        }
        assert_eq!(session.close_reason(), None);
    })
    .await;
}

/// Between bursts a socket gives its buffers back, and is read by new ones.
#[tokio::test]
async fn a_session_that_was_silent_after_a_burst_goes_on() {
    on_each(WAYS, async |way| {
        let options = Options::new().heartbeat(Duration::from_millis(20)).disconnect_delay(NEVER);
        let endpoint = Endpoint::start(apps::echo, options).await;
        let mut client = Client::open(&endpoint, way).await;
        let large = "x".repeat(64 << 10);
        for message in [large.as_str(), "small", &large] {
            client.send(&[message]).await;
            let mut frame = client.frame().await;
            while frame == Frame::Heartbeat {
                frame = client.frame().await;
            }
            assert!(frame == Frame::messages(&[message]), "the message comes whole");
            for _ in 0..2 {
                assert_eq!(client.frame().await, Frame::Heartbeat);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_session_without_a_receiver_times_out_and_its_id_is_free() {
    on_each(http_ways(), async |way| {
        let options = one_frame_per_response().disconnect_delay(NEVER);
        let mut stage = Stage::start(options).await;
        let id = fresh_id();
        let mut client = Client::open_as(&stage.endpoint, way, &id).await;
        let mut session = stage.session().await;
        client.send(&["the last words"]).await;
        assert_eq!(within("a message", session.recv()).await.unwrap(), "the last words");
        pass(NEVER).await;
        assert_eq!(end_of(&mut session).await, CloseReason::TimedOut);
        assert_eq!(client.up.post(b"[\"too late\"]").await.status, 404);

        let mut again = Client::open_as(&stage.endpoint, way, &id).await;
        let another = stage.session().await;
        assert_ne!(another.id(), session.id());
        another.send("anew").await.unwrap();
        assert_eq!(again.messages(1).await, ["anew"]);
    })
    .await;
}

/// Lets two receivers of one session race, both of which have sent their request; gives the first frame,
/// and the receiver that still waits.
async fn race(mut one: Down, mut two: Down) -> (Frame, Down) {
    one.request().await;
    two.request().await;
    tokio::select! {
        frame = one.frame() => (frame, two),
        frame = two.frame() => (frame, one),
    }
}

const ANOTHER: &str = "Another connection still open";

const INTERRUPTED: &str = "Connection interrupted";

/// Asks for the next frame on another connection as soon as the last one is there, which is before the end
/// of its response can be.
async fn hammer(way: &'static Way) {
    const ROUNDS: usize = 2000;
    let mut stage = Stage::start(one_frame_per_response()).await;
    let id = fresh_id();
    let client = Client::open_as(&stage.endpoint, way, &id).await;
    let session = stage.session().await;
    let sending = tokio::spawn(async move {
        for number in 0..ROUNDS {
            session.send(number.to_string()).await.expect("the session is open");
        }
        session
    });
    let mut receivers = [client.down, Down::new(stage.endpoint.server.addr, way, &id)];
    let mut next = 0;
    for turn in [1, 0].into_iter().cycle() {
        let Frame::Messages(messages) = receivers[turn].frame().await else {
            panic!("no messages after {next} of them");
        };
        for message in messages {
            assert_eq!(message, next.to_string());
            next += 1;
        }
        if next == ROUNDS {
            break;
        }
    }
    let session = sending.await.expect("all messages were sent");
    assert_eq!(session.close_reason(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_lets_go_before_its_last_byte_leaves() {
    on_each(http_ways(), hammer).await;
}

/// Returns when the server has attached the client's receiver to its session. A stream and a socket are
/// attached as soon as they are open; of a poll, only the answer to another receiver tells.
async fn wait_attached(client: Client, endpoint: &Endpoint, id: &str) -> Client {
    if client.way.kind != Kind::Poll {
        return client;
    }
    let another = Down::new(endpoint.server.addr, client.way, id);
    let (refused, down) = race(client.down, another).await;
    assert_eq!(refused, Frame::Close(2010, ANOTHER.to_owned()));
    Client { down, ..client }
}

/// Cuts off one session's receiver.
async fn cut_off(way: &'static Way, with_reset: bool) {
    let mut stage = Stage::start(Options::new().disconnect_delay(NEVER)).await;
    let id = fresh_id();
    let mut client = Client::open_as(&stage.endpoint, way, &id).await;
    let mut session = stage.session().await;
    session.send("possibly lost").await.expect("the session is open");
    assert_eq!(client.messages(1).await, ["possibly lost"]);
    wait_attached(client, &stage.endpoint, &id).await.abort(with_reset);
    if way.kind != Kind::Socket {
        // Comes at once, perhaps before the server has seen the end of the former connection.
        let mut next = Down::new(stage.endpoint.server.addr, way, &id);
        for _ in 0..2 {
            assert_eq!(next.frame().await, Frame::Close(1002, INTERRUPTED.to_owned()));
        }
    }
    assert_eq!(end_of(&mut session).await, CloseReason::ConnectionLost);
    stage.endpoint.is_left_empty().await;
    assert!(stage.has_no_more(), "another session has been opened");
}

async fn cut_off_200_times(way: &'static Way) {
    // Some at a time, so that the servers have something else to do too.
    for _ in 0..20 {
        join_all((0..10).map(|number| cut_off(way, number % 2 == 0))).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_is_cut_off_ends_its_session() {
    on_each(WAYS, cut_off_200_times).await;
}
