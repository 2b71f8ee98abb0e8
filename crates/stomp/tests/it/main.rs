//! Tests of whole sessions from outside: one binary.
//!
//! Most run in process under a paused clock, over every transport of SockJS and over streams; those of real sockets say
//! so.

mod access;
mod connecting;
mod ending;
mod frames;
mod handlers;
mod heart_beats;
mod hostile;
mod limits;
mod nodes;
mod queues;
mod slow;
mod soak;
mod sockets;
mod support;
mod tcp;
mod test_client;
mod transactions;
mod users;
