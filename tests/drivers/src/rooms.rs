//! Rooms of two nodes.

use std::time::Duration;

use axum_sockjs::{Pair, Peer, Session};
use axum_sockjs_rooms::{History, Outcome, Rooms};

use crate::{engine::Engine, server::Server, wait::until};

async fn rooms(server: &Server, history: Option<History>) -> Rooms {
    let builder = Rooms::builder().bus(server.connect().await);
    match history {
        Some(history) => builder.history(history).build(),
        None => builder.build(),
    }
}

fn of(user: &str) -> (Session, Peer) {
    Pair::new().identity(user.to_owned()).open()
}

async fn expect(peer: &mut Peer, texts: &[&str]) {
    let mut heard = Vec::new();
    until("messages arrive", || {
        heard.extend(
            std::iter::from_fn(|| peer.try_recv()).map(|message| message.as_str().unwrap().to_owned()),
        );
        heard.len() >= texts.len()
    })
    .await;
    assert_eq!(heard, texts);
}

/// Members, messages and users are those of two nodes.
pub async fn rooms_and_users_are_those_of_both_nodes(engine: &'static dyn Engine) {
    let server = Server::start(engine);
    let (here, there) = (rooms(&server, None).await, rooms(&server, None).await);
    let ((ada, mut ada_hears), (bob, mut bob_hears)) = (of("ada"), of("bob"));
    let member = here.join(&ada, "lobby").await.unwrap();
    let other = there.join(&bob, "lobby").await.unwrap();
    for node in [&here, &there] {
        until("both are present", || node.presence("lobby").len() == 2).await;
    }
    member.send("one");
    expect(&mut bob_hears, &["one"]).await;
    expect(&mut ada_hears, &["one"]).await;
    until("the user is known", || here.users().len() == 2).await;
    here.send_to_user("bob", "two");
    expect(&mut bob_hears, &["two"]).await;
    drop(other);
    until("one has left", || here.presence("lobby").len() == 1).await;
}

/// A history is read at each node, and after the server was killed.
pub async fn a_history_is_that_of_both_nodes(engine: &'static dyn Engine) {
    let server = Server::start(engine);
    let history = || Some(History::last(100));
    let (here, there) = (rooms(&server, history()).await, rooms(&server, history()).await);
    let ((ada, mut ada_hears), (bob, mut bob_hears)) = (of("ada"), of("bob"));
    let member = here.join(&ada, "lobby").await.unwrap();
    let start = member.recovery().unwrap().position;
    for text in ["1", "2", "3"] {
        there.send("lobby", text);
    }
    expect(&mut ada_hears, &["1", "2", "3"]).await;
    let other = there.join(&bob, "lobby").since(start).await.unwrap();
    assert_eq!(other.recovery().unwrap().outcome, Outcome::Whole);
    expect(&mut bob_hears, &["1", "2", "3"]).await;
    // It is that of the server, and not of a node.
    drop((member, other, here, there));
    server.kill();
    server.run();
    let late = rooms(&server, history()).await;
    let (eve, mut eve_hears) = of("eve");
    let member = late.join(&eve, "lobby").since(start).await.unwrap();
    assert_eq!(member.recovery().unwrap().outcome, Outcome::Whole);
    expect(&mut eve_hears, &["1", "2", "3"]).await;
}

/// A node that leaves the bus in order is not waited for.
pub async fn a_node_that_stops_in_order_is_gone_at_once(engine: &'static dyn Engine) {
    let server = Server::start(engine);
    let node = async || {
        // Longer than the test waits.
        Rooms::<String>::builder().bus(server.connect().await).dead_after(Duration::from_secs(3600)).build()
    };
    let here = node().await;
    for _ in 0..3 {
        let there = node().await;
        let (ada, peer) = of("ada");
        let member = there.join(&ada, "lobby").await.unwrap();
        until("they know each other", || here.len("lobby") == 1).await;
        there.leave_bus().await;
        // With the bus, and before the member.
        drop((there, ada, peer, member));
        until("it has gone", || here.is_empty("lobby")).await;
    }
}
