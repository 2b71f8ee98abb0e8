//! Every order in which two or three threads can come to the lock, tried by loom: no wake-up is lost.
//!
//! `RUSTC_WORKSPACE_WRAPPER=$PWD/scripts/rustc-for-loom cargo test --release --lib shared::orders`. A waiter that no task
//! wakes causes a deadlock, which fails the test.

use std::{
    future::poll_fn,
    pin::pin,
    task::{Context, Poll, Waker},
};

use loom::{future::block_on, thread};

use super::*;
use crate::session::{
    send_permit::SendPermit,
    tests::{SETTINGS, open_session_with},
};

/// A session whose client has its `o`, and whose queues hold one message each.
fn open() -> (Arc<Shared>, ReceiverId) {
    let small =
        Settings { receive_queue_bytes: 1000, receive_queue_messages: 1, send_queue_bytes: 1, ..SETTINGS };
    open_session_with(small)
}

fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// Runs `other` beside `this` in every order.
fn beside(this: fn(&Arc<Shared>, ReceiverId), others: &'static [fn(&Arc<Shared>, ReceiverId)]) {
    let mut model = loom::model::Builder::new();
    // All orders in which a thread is interrupted up to three times: all that are known to matter in practice.
    model.preemption_bound = Some(3);
    model.check(move || {
        let (shared, id) = open();
        let others: Vec<_> = others
            .iter()
            .map(|other| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || other(&shared, id))
            })
            .collect();
        this(&shared, id);
        for other in others {
            other.join().unwrap();
        }
    });
}

fn next_frame(shared: &Arc<Shared>, id: ReceiverId) -> Option<Frame> {
    block_on(poll_fn(|cx| shared.poll_frame(id, 1, cx)))
}

fn receive(shared: &Arc<Shared>) -> Option<Message> {
    block_on(poll_fn(|cx| shared.poll_receive(cx)))
}

fn permit(shared: &Arc<Shared>) -> SendPermit {
    SendPermit::acquire(Arc::clone(shared), usize::MAX).unwrap()
}

fn accept(shared: &Arc<Shared>, _: ReceiverId) {
    assert!(block_on(permit(shared).accept(&mut vec!["in".into()])).is_ok());
}

fn send(shared: &Arc<Shared>, _: ReceiverId) {
    assert_eq!(block_on(shared.send(&"out".into(), None)), Ok(()));
}

#[test]
fn a_receiver_gets_what_is_sent() {
    beside(
        |shared, id| assert_eq!(next_frame(shared, id), Some(Frame::Messages(vec!["out".into()]))),
        &[send],
    );
}

#[test]
fn the_application_gets_what_comes() {
    beside(|shared, _| assert_eq!(receive(shared), Some("in".into())), &[accept]);
}

#[test]
fn both_senders_find_room() {
    // Each frame takes one message, and the queue holds no second.
    beside(
        |shared, id| {
            for _ in 0..2 {
                assert!(matches!(next_frame(shared, id), Some(Frame::Messages(_))));
            }
        },
        &[send, send],
    );
}

#[test]
fn both_batches_find_room() {
    beside(
        |shared, _| {
            for _ in 0..2 {
                assert!(receive(shared).is_some());
            }
        },
        &[accept, accept],
    );
}

#[test]
fn a_wait_that_is_dropped_takes_no_others_turn() {
    beside(
        |shared, _| {
            receive(shared);
            receive(shared);
        },
        &[
            |shared, id| {
                accept(shared, id);
                accept(shared, id);
            },
            |shared, _| {
                let mut batch = vec!["maybe".into()];
                if pin!(permit(shared).accept(&mut batch)).poll(&mut context()).is_ready() {
                    shared.try_receive();
                }
            },
        ],
    );
}

#[test]
fn room_that_was_kept_for_a_send_that_is_dropped_reaches_the_next() {
    beside(
        |shared, id| while next_frame(shared, id) != Some(Frame::Messages(vec!["out".into()])) {},
        &[
            |shared, _| {
                // It may wait behind the other, or the other behind it; and another one may come first.
                let _ = shared.try_send(&"first".into(), None);
                let _ = pin!(shared.send(&"maybe".into(), None)).poll(&mut context());
            },
            send,
        ],
    );
}

#[test]
fn one_who_drops_passes_by_who_waits_and_wakes_it() {
    beside(
        |shared, id| {
            // What waited leaves at last, unless it was queued first and dropped.
            while next_frame(shared, id) != Some(Frame::Messages(vec!["out".into()])) {
                if shared.dropped_messages() > 0 {
                    break;
                }
            }
        },
        &[send, |shared, _| assert_eq!(shared.try_send(&"new".into(), Some(Overflow::DropOldest)), Ok(()))],
    );
}

#[test]
fn a_send_is_answered_after_the_handlers_turn() {
    beside(
        |shared, receiver| {
            shared.release(receiver);
            let mut permit = permit(shared);
            block_on(permit.accept(&mut vec!["in".into()])).unwrap();
            block_on(pin!(permit.attended()));
            assert!(shared.try_receive().is_none(), "the handler had its turn");
        },
        &[|shared, _| {
            // As a driver: awake when something happens, and asleep once the handler has had its turn.
            block_on(poll_fn(|cx| {
                let status = shared.drive(cx);
                shared.try_receive();
                shared.attend(status.accepted);
                if status.accepted != Accepted::default() { Poll::Ready(()) } else { Poll::Pending }
            }));
        }],
    );
}

#[cfg(feature = "websocket")]
#[test]
fn a_socket_that_has_disarmed_misses_nothing() {
    beside(
        |shared, id| {
            let (mut message, mut frame) = (false, false);
            block_on(poll_fn(|cx| {
                shared.disarm(cx.waker());
                message |= shared.poll_receive(cx).is_ready();
                frame |= shared.poll_frame(id, 1, cx).is_ready();
                if message && frame { Poll::Ready(()) } else { Poll::Pending }
            }));
        },
        &[accept, send],
    );
}

#[test]
fn the_end_reaches_everyone() {
    beside(
        |shared, id| assert!(matches!(next_frame(shared, id), Some(Frame::Close(_)))),
        &[
            |shared, _| assert_eq!(receive(shared), None),
            |shared, _| {
                shared.end(CloseReason::TimedOut);
            },
        ],
    );
}

#[test]
fn a_second_receiver_comes_when_the_first_has_gone() {
    beside(
        |shared, _| {
            block_on(shared.detached());
            assert!(shared.attach().is_ok());
        },
        &[|shared, id| shared.release(id)],
    );
}
