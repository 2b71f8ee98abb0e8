//! Messages whose drop is code of the application's.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    task::Wake,
};

use bytes::Bytes;

use super::*;
use crate::session::tests::open_session;

struct Owned<F: Fn()>(F);

impl<F: Fn()> AsRef<[u8]> for Owned<F> {
    fn as_ref(&self) -> &[u8] {
        b"owned"
    }
}

impl<F: Fn()> Drop for Owned<F> {
    fn drop(&mut self) {
        self.0();
    }
}

fn message(on_drop: impl Fn() + Send + 'static) -> Message {
    Message::from_utf8(Bytes::from_owner(Owned(on_drop))).expect("it is UTF-8")
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wakes {
    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn the_lock_is_free_and_all_are_awake_when_messages_are_dropped() {
    let (shared, id) = open_session();
    let wakes = Arc::new(Wakes::default());
    let (dropped, seen) = mpsc::channel();
    for _ in 0..2 {
        let (shared_then, wakes, dropped) = (Arc::downgrade(&shared), Arc::clone(&wakes), dropped.clone());
        let sent = message(move || {
            let is_free = shared_then.upgrade().is_some_and(|shared| shared.state.try_lock().is_ok());
            dropped.send((is_free, wakes.count())).unwrap();
        });
        shared.try_send(&sent, None).unwrap();
    }
    let waker = Waker::from(Arc::clone(&wakes));
    let mut ended = pin!(shared.ended());
    assert!(ended.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    shared.interrupt(id);
    assert_eq!(seen.try_iter().collect::<Vec<_>>(), [(true, 1); 2]);
}

#[test]
fn a_drop_that_panics_takes_no_wake_up_with_it() {
    let (shared, id) = open_session();
    shared.try_send(&message(|| panic!("on purpose")), None).unwrap();
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let mut ended = pin!(shared.ended());
    assert!(ended.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    assert!(catch_unwind(AssertUnwindSafe(|| shared.interrupt(id))).is_err());
    assert_eq!(wakes.count(), 1);
    assert!(ended.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
}
