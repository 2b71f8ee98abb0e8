//! A client in process, for tests.
//!
//! [`TestClient`] speaks STOMP to a router, by the SockJS client of [`sockjs_client::test`]: there is no socket and no
//! port, and under a paused clock (`#[tokio::test(start_paused = true)]`, tokio's feature `test-util`) time-outs and
//! heart-beats are exact, and none is waited for.
//!
//! ```
//! use axum::{Json, Router};
//! use axum_stomp::{Path, SendTo, Stomp, test::TestClient};
//!
//! async fn say(Path(room): Path<String>, Json(text): Json<String>) -> SendTo<Json<String>> {
//!     SendTo::new(format!("/topic/rooms/{room}"), Json(text))
//! }
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let server = Stomp::new().message("/rooms/{room}", say).build();
//! let app: Router = server.sockjs().into_router("/stomp");
//! let client = TestClient::new(app, "/stomp");
//!
//! let [mut anna, mut bob] = [client.connect().await, client.connect().await];
//! bob.subscribe("/topic/rooms/*").await;
//! anna.send("/app/rooms/rust", Json("hello")).await;
//! let message = bob.message().await;
//! assert_eq!((message.destination(), message.json::<String>()), ("/topic/rooms/rust", "hello".to_owned()));
//! # }
//! ```
//!
//! What does not come is a panic with a sentence that names the line of the test.
//!
//! Imports: payload.

mod client;
mod failure;
mod message;
mod session;

pub use sockjs_client::{self, Transport};

pub use self::{client::TestClient, message::TestMessage, session::TestSession};
