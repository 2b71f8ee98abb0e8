//! The waker of a handler that shares its task with a socket.
//!
//! Most turns of such a task are the socket's: a message leaves, a heartbeat is due. The handler is polled only in those
//! that it was woken for. A handler that waits for many things would look at each of them for every message that leaves.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Wake, Waker},
};

/// The handler has been woken since its last poll.
const DUE: u8 = 1;
/// The task runs, and looks at [`DUE`] before it waits.
const IN_TURN: u8 = 2;

/// Whether a handler is to be polled, as its task sees it.
#[derive(Debug)]
pub(super) struct HandlerWaker {
    shared: Arc<Shared>,
    /// Of `shared`.
    waker: Waker,
    /// The same as in `shared`.
    task: Waker,
}

#[derive(Debug)]
struct Shared {
    state: AtomicU8,
    task: Mutex<Waker>,
}

impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.fetch_or(DUE, Ordering::AcqRel) == 0 {
            // The lock is not held while the task is woken.
            let task = self.lock().clone();
            task.wake();
        }
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Waker> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HandlerWaker {
    pub(super) fn new() -> Self {
        let task = Waker::noop();
        let shared = Arc::new(Shared { state: AtomicU8::new(0), task: Mutex::new(task.clone()) });
        Self { waker: shared.clone().into(), shared, task: task.clone() }
    }

    /// Until [`end_turn`](Self::end_turn), the task is not woken for the handler.
    pub(super) fn begin_turn(&mut self, cx: &Context<'_>) {
        if !self.task.will_wake(cx.waker()) {
            self.task.clone_from(cx.waker());
            let _dropped_after_the_lock = std::mem::replace(&mut *self.shared.lock(), cx.waker().clone());
        }
        self.shared.state.fetch_or(IN_TURN, Ordering::AcqRel);
    }

    /// The handler is to be polled in this turn.
    pub(super) fn set_due(&self) {
        self.shared.state.fetch_or(DUE, Ordering::AcqRel);
    }

    /// Whether the handler is to be polled, which the caller does then, with [`waker`](Self::waker).
    pub(super) fn take_due(&self) -> bool {
        self.shared.state.fetch_and(!DUE, Ordering::AcqRel) & DUE != 0
    }

    pub(super) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Wakes the task if the handler has been woken since it was polled.
    pub(super) fn end_turn(&self) {
        if self.shared.state.fetch_and(!IN_TURN, Ordering::AcqRel) & DUE != 0 {
            self.task.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Debug, Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A task that counts how often it is woken.
    fn task() -> (Waker, impl Fn() -> usize) {
        let count = Arc::new(Count::default());
        (count.clone().into(), move || count.0.swap(0, Ordering::Relaxed))
    }

    #[test]
    fn a_handler_is_due_once_for_all_that_wakes_it() {
        let (task, woken) = task();
        let mut handler = HandlerWaker::new();
        handler.begin_turn(&Context::from_waker(&task));
        assert!(!handler.take_due());
        handler.end_turn();
        handler.waker().wake_by_ref();
        handler.waker().wake_by_ref();
        assert_eq!(woken(), 1);
        handler.begin_turn(&Context::from_waker(&task));
        assert!(handler.take_due() && !handler.take_due());
        handler.end_turn();
        assert_eq!(woken(), 0);
    }

    #[test]
    fn what_happens_in_a_turn_wakes_the_task_only_if_the_handler_is_not_polled_after_it() {
        let (task, woken) = task();
        let mut handler = HandlerWaker::new();
        handler.begin_turn(&Context::from_waker(&task));
        handler.waker().wake_by_ref();
        assert!(handler.take_due());
        handler.end_turn();
        assert_eq!(woken(), 0);
        handler.begin_turn(&Context::from_waker(&task));
        assert!(!handler.take_due());
        handler.waker().wake_by_ref();
        assert_eq!(woken(), 0);
        handler.end_turn();
        assert_eq!(woken(), 1);
        // It need not be woken again before its next turn.
        handler.waker().wake_by_ref();
        assert_eq!(woken(), 0);
        handler.begin_turn(&Context::from_waker(&task));
        assert!(handler.take_due());
    }

    #[test]
    fn the_task_of_the_last_turn_is_woken() {
        let ((first, first_woken), (second, second_woken)) = (task(), task());
        let mut handler = HandlerWaker::new();
        for task in [&first, &second] {
            handler.begin_turn(&Context::from_waker(task));
            handler.end_turn();
        }
        handler.waker().wake_by_ref();
        assert_eq!((first_woken(), second_woken()), (0, 1));
    }
}
