//! Chat in rooms, with the page that a Spring application would have.
//!
//! `cargo run -p axum-stomp --example stomp_chat [IP:PORT]`, then open <http://127.0.0.1:8081> in some windows, under different
//! names. The page needs its libraries from npm: `npm ci` in `crates/stomp/examples`, once.
//!
//! | destination | what it is |
//! |---|---|
//! | SUBSCRIBE `/topic/rooms` | the rooms, with how many people are in each |
//! | SUBSCRIBE `/topic/rooms/{room}` | what is said in a room; who has subscribed is in it |
//! | SUBSCRIBE `/topic/rooms/{room}/people` | who is in it |
//! | SUBSCRIBE `/app/rooms` | the rooms now, once |
//! | SUBSCRIBE `/app/rooms/{room}` | the last lines and the people of a room, once |
//! | SEND `/app/rooms/{room}` | says something |
//! | SUBSCRIBE `/user/queue/errors` | why something was not said |
//!
//! The name of a user is the `login` of `CONNECT`. Nobody proves a name here: the example `trading` has passwords.

pub(crate) mod app;
#[path = "../common/mod.rs"]
pub(crate) mod common;
mod rooms;

use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8081".to_owned());
    let listener = TcpListener::bind(addr).await?;
    let app = app::app(common::Libraries::load());
    println!("open http://{}", listener.local_addr()?);
    axum::serve(listener.tap_io(|tcp| _ = tcp.set_nodelay(true)), app).await
}
