//! Whole STOMP sessions: several clients on one server with handlers, topics, queues and users.
//!
//! An input is a list of steps: clients send frames that are as they should be, changed or any bytes, in pieces; they
//! read or do not, and vanish; the application sends and closes; time passes, on a paused clock.
//!
//! Nothing may panic. Each frame that a client reads is one, and one that it may get: receipts once and in order, nothing
//! behind an `ERROR` or the receipt of an `UNSUBSCRIBE`, no message of another user's, messages in order. A message of a
//! queue is one client's at a time, and is lost never. What waits for a client is bounded. When all have gone, their
//! sessions end within bounded time, each event has been told once, and nothing is left.

#![no_main]

mod client;
mod input;
mod ledger;
mod world;

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use tokio::task::unconstrained;

fuzz_target!(|data: &[u8]| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime can be built").block_on(unconstrained(world::run(data)));
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    input::mutate(data, size, max_size, seed)
});
