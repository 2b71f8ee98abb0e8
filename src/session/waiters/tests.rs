//! Tasks that wait for room are served in the order in which they came, and woken once.

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use sockjs_core::{Frame, Message};

use crate::session::{
    close_reason::CloseReason,
    core::{
        queue::{MESSAGE_OVERHEAD, Refused},
        rate::{Rate, Rates},
        receiver::ReceiverId,
        settings::{Overflow, Settings},
    },
    send_permit::SendPermit,
    sender::Sender,
    shared::Shared,
    tests::{SETTINGS, open_session_with},
};
use futures_sink::Sink;

const BOUND: usize = 10_000;

/// What `a["…"]` and its end take beside a message.
const FRAME: usize = 6;

fn open() -> (Arc<Shared>, ReceiverId) {
    open_session_with(Settings { receive_queue_bytes: BOUND, send_queue_bytes: BOUND, ..SETTINGS })
}

/// Counts how often a task is woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A future and the wake-ups that it gets.
struct Task<'a, T> {
    future: Pin<Box<dyn Future<Output = T> + 'a>>,
    wakes: Arc<Wakes>,
}

impl<'a, T> Task<'a, T> {
    /// Polls a future that has to wait.
    fn waiting(future: impl Future<Output = T> + 'a) -> Self {
        let mut task = Self { future: Box::pin(future), wakes: Arc::default() };
        assert!(task.poll().is_pending(), "it has to wait");
        task
    }

    fn poll(&mut self) -> Poll<T> {
        let waker = Waker::from(Arc::clone(&self.wakes));
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    fn wakes(&self) -> usize {
        self.wakes.0.load(Ordering::Relaxed)
    }
}

fn next_frame(shared: &Shared, id: ReceiverId) -> Option<Frame> {
    match shared.poll_frame(id, 1, &mut Context::from_waker(Waker::noop())) {
        Poll::Ready(frame) => frame,
        Poll::Pending => None,
    }
}

/// What the client gets next, by the first letter of its message.
fn next_letter(shared: &Shared, id: ReceiverId) -> Option<char> {
    match next_frame(shared, id)? {
        Frame::Messages(messages) => messages.first()?.as_str()?.chars().next(),
        other => panic!("{other:?}"),
    }
}

/// A message that takes so much of the queue.
fn message(letter: char, room: usize) -> Message {
    // The frame around a message counts, too.
    let message = Message::from(letter.to_string().repeat(room - MESSAGE_OVERHEAD - FRAME));
    assert_eq!(message.memory(true) + MESSAGE_OVERHEAD, room);
    message
}

#[test]
fn a_large_message_waits_no_longer_than_what_was_sent_before_it() {
    let (shared, id) = open();
    let [small, large] = [message('s', 1000), message('L', 9000)];
    for _ in 0..10 {
        shared.try_send(&small, None).unwrap();
    }
    let waited = message('w', 1000);
    let mut waited = Task::waiting(shared.send(&waited, None));
    let mut sending = Task::waiting(shared.send(&large, None));
    // Each of these fits as soon as one has left, again and again.
    let late = message('l', 1000);
    let late: Vec<_> = (0..20).map(|_| Task::waiting(shared.send(&late, None))).collect();
    let mut seen = String::new();
    while sending.wakes() == 0 {
        assert_eq!(shared.try_send(&small, None), Err(Refused::Full), "it would overtake those that wait");
        seen.extend(next_letter(&shared, id));
        if seen.len() == 1 {
            assert_eq!(waited.poll(), Poll::Ready(Ok(())), "it was first in line");
        }
        assert!(late.iter().all(|task| task.wakes() == 0), "a message overtakes the large one");
    }
    assert_eq!(sending.poll(), Poll::Ready(Ok(())));
    seen.extend(std::iter::from_fn(|| next_letter(&shared, id)));
    assert_eq!(seen, format!("{}wL", "s".repeat(10)));
}

#[test]
fn each_waiter_is_woken_once() {
    let (shared, id) = open();
    let full = message('f', BOUND);
    shared.try_send(&full, None).unwrap();
    let messages: Vec<_> = (0..100)
        .map(|n| message(if n % 7 == 0 { 'L' } else { 's' }, if n % 7 == 0 { 5000 } else { 300 }))
        .collect();
    let mut tasks: Vec<_> =
        messages.iter().map(|message| Task::waiting(shared.send(message, None))).collect();
    let mut order = String::new();
    let mut next = 0;
    while next < tasks.len() {
        assert!(next_letter(&shared, id).is_some(), "{next} are through");
        // Those that were woken are the next in line, without a gap.
        while next < tasks.len() && tasks[next].wakes() > 0 {
            assert_eq!(tasks[next].poll(), Poll::Ready(Ok(())));
            order.extend(messages[next].as_str().and_then(|text| text.chars().next()));
            next += 1;
        }
        assert!(tasks[next..].iter().all(|task| task.wakes() == 0));
    }
    assert!(tasks.iter().all(|task| task.wakes() == 1));
    assert_eq!(order.len(), 100);
}

#[test]
fn who_was_granted_room_and_goes_leaves_it_to_the_next() {
    let (shared, id) = open();
    shared.try_send(&message('f', BOUND), None).unwrap();
    let [large, small] = [message('L', 9000), message('s', 2000)];
    let granted = Task::waiting(shared.send(&large, None));
    let mut next = Task::waiting(shared.send(&small, None));
    assert_eq!(next_letter(&shared, id), Some('f'));
    assert_eq!((granted.wakes(), next.wakes()), (1, 0));
    drop(granted);
    assert_eq!(next.wakes(), 1);
    assert_eq!(next.poll(), Poll::Ready(Ok(())));

    // The same of one that still waits: who came behind it needs less.
    shared.try_send(&message('f', 8000), None).unwrap();
    let first = Task::waiting(shared.send(&large, None));
    let [two, three] = [message('2', 2000), message('3', 2000)];
    let mut second = Task::waiting(shared.send(&two, None));
    assert_eq!(next_letter(&shared, id), Some('s'));
    assert_eq!(second.wakes(), 0);
    drop(first);
    assert_eq!((second.wakes(), second.poll()), (1, Poll::Ready(Ok(()))));
    assert_eq!(shared.try_send(&three, None), Err(Refused::Full));
}

#[test]
fn room_that_is_kept_for_one_is_not_given_to_another() {
    let (shared, id) = open();
    shared.try_send(&message('f', BOUND), None).unwrap();
    let large = message('L', 9000);
    let mut granted = Task::waiting(shared.send(&large, None));
    assert_eq!(next_letter(&shared, id), Some('f'));
    assert_eq!(shared.try_send(&message('s', 2000), None), Err(Refused::Full));
    assert_eq!(shared.try_send(&message('s', 1000), None), Ok(()), "this is left");
    assert_eq!(granted.poll(), Poll::Ready(Ok(())));
}

#[test]
fn a_message_larger_than_the_queue_waits_for_an_empty_one_and_not_for_ever() {
    let (shared, id) = open();
    shared.try_send(&message('f', 1000), None).unwrap();
    let huge = message('H', 3 * BOUND);
    let mut huge = Task::waiting(shared.send(&huge, None));
    let behind = message('b', 1000);
    let mut behind = Task::waiting(shared.send(&behind, None));
    assert_eq!(next_letter(&shared, id), Some('f'));
    assert_eq!((huge.wakes(), behind.wakes()), (1, 0));
    assert_eq!(shared.try_send(&message('s', 200), None), Err(Refused::Full));
    assert_eq!(huge.poll(), Poll::Ready(Ok(())));
    assert!(behind.poll().is_pending());
    assert_eq!(next_letter(&shared, id), Some('H'));
    assert_eq!(behind.poll(), Poll::Ready(Ok(())));
}

#[test]
fn a_sink_waits_in_line() {
    let (shared, id) = open();
    shared.try_send(&message('f', BOUND), None).unwrap();
    let large = message('L', 9900);
    let mut first = Task::waiting(shared.send(&large, None));
    let mut sink = Sender::new(Arc::clone(&shared));
    let wakes = Arc::<Wakes>::default();
    let waker = Waker::from(Arc::clone(&wakes));
    let mut context = Context::from_waker(&waker);
    assert!(Pin::new(&mut sink).poll_ready(&mut context).is_pending());
    assert_eq!(next_letter(&shared, id), Some('f'));
    assert_eq!(wakes.0.load(Ordering::Relaxed), 0);
    assert_eq!(first.poll(), Poll::Ready(Ok(())));
    assert_eq!(next_letter(&shared, id), Some('L'));
    assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
    assert!(Pin::new(&mut sink).poll_ready(&mut context).is_ready());
    Pin::new(&mut sink).start_send(message('s', 200)).unwrap();
    assert!(Pin::new(&mut sink).poll_flush(&mut context).is_pending());
    assert_eq!(next_letter(&shared, id), Some('s'));
    assert!(Pin::new(&mut sink).poll_flush(&mut context).is_ready());
}

#[test]
fn batches_from_the_client_are_taken_in_order() {
    let (shared, _) = open();
    let batch = |letter, room| vec![message(letter, room)];
    let (mut first, mut large, mut small) = (batch('f', 9000), batch('L', 8000), batch('s', 1000));
    let mut permits = [0; 3].map(|_| SendPermit::acquire(Arc::clone(&shared), 3).unwrap());
    let [one, two, three] = &mut permits;
    assert!(pin!(one.accept(&mut first)).poll(&mut Context::from_waker(Waker::noop())).is_ready());
    let mut large = Task::waiting(two.accept(&mut large));
    let mut small = Task::waiting(three.accept(&mut small));
    assert_eq!(shared.try_receive(), Some(message('f', 9000)));
    // Both fit now.
    assert_eq!((large.wakes(), small.wakes()), (1, 1));
    assert!(small.poll().is_ready() && large.poll().is_ready());
    assert_eq!(shared.try_receive().map(|message| message.len()), Some(1000 - MESSAGE_OVERHEAD - FRAME));
}

#[test]
fn the_end_wakes_everybody_once() {
    let (shared, id) = open();
    shared.try_send(&message('f', BOUND), None).unwrap();
    let messages = [message('a', 9000), message('b', 9000), message('c', 9000)];
    let mut tasks = messages.each_ref().map(|message| Task::waiting(shared.send(message, None)));
    assert_eq!(next_letter(&shared, id), Some('f'));
    shared.end(CloseReason::TimedOut);
    assert!(tasks.iter().all(|task| task.wakes() == 1), "the first by the room that it was granted");
    for task in &mut tasks {
        assert!(matches!(task.poll(), Poll::Ready(Err(_))));
    }
    assert!(matches!(next_frame(&shared, id), Some(Frame::Close(_))));
}

#[test]
fn who_drops_the_oldest_neither_waits_nor_starves_those_who_do() {
    let (shared, id) = open();
    for _ in 0..10 {
        shared.try_send(&message('f', 1000), None).unwrap();
    }
    let large = message('L', 3000);
    let mut large = Task::waiting(shared.send(&large, None));
    let newest = message('n', 1000);
    let mut taken = 0;
    while large.wakes() == 0 {
        let mut sending = pin!(shared.send(&newest, Some(Overflow::DropOldest)));
        assert!(sending.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
        assert_eq!(shared.try_send(&newest, Some(Overflow::DropOldest)), Ok(()));
        assert_eq!(shared.try_send(&newest, Some(Overflow::Wait)), Err(Refused::Full), "it would overtake");
        assert!(next_letter(&shared, id).is_some());
        taken += 1;
    }
    assert_eq!(taken, 3, "what the client reads is for the one that waits");
    assert_eq!(shared.dropped_messages(), 6);
    assert_eq!(large.poll(), Poll::Ready(Ok(())));
}

#[test]
fn room_beyond_what_a_dropping_call_needs_reaches_the_line() {
    let (shared, _) = open();
    shared.try_send(&message('f', BOUND), None).unwrap();
    let next = message('n', 5000);
    let mut next = Task::waiting(shared.send(&next, None));
    assert_eq!(shared.try_send(&message('s', 1000), Some(Overflow::DropOldest)), Ok(()));
    assert_eq!((next.wakes(), next.poll()), (1, Poll::Ready(Ok(()))));
}

#[test]
fn a_sink_of_an_endpoint_that_drops_waits_for_nobody() {
    let settings = Settings { send_queue_bytes: BOUND, send_overflow: Overflow::DropOldest, ..SETTINGS };
    let (shared, id) = open_session_with(settings);
    shared.try_send(&message('f', BOUND), None).unwrap();
    let waits = message('w', 5000);
    let mut waits = Task::waiting(shared.send(&waits, Some(Overflow::Wait)));
    let mut sink = Sender::new(Arc::clone(&shared));
    assert!(Pin::new(&mut sink).poll_ready(&mut Context::from_waker(Waker::noop())).is_ready());
    Pin::new(&mut sink).start_send(message('s', 1000)).unwrap();
    assert_eq!((shared.dropped_messages(), waits.wakes()), (1, 1));
    assert_eq!(waits.poll(), Poll::Ready(Ok(())), "it is not dropped, nor drops");
    assert_eq!([next_letter(&shared, id), next_letter(&shared, id)], [Some('s'), Some('w')]);
}

#[test]
fn the_driver_has_a_time_for_the_first_in_line_and_none_when_nobody_waits() {
    let rates = Rates { messages: Some(Rate::new(1, Duration::from_secs(3600))), ..Rates::NONE };
    let (shared, _) = open_session_with(Settings { rates, ..SETTINGS });
    let deadline = || shared.drive(&mut Context::from_waker(Waker::noop())).deadline;
    let mut permits = [0; 3].map(|_| SendPermit::acquire(Arc::clone(&shared), 3).unwrap());
    let mut batches = ["a", "b", "c"].map(|text| vec![Message::from(text)]);
    let mut accepts = permits.iter_mut().zip(&mut batches).map(|(permit, batch)| permit.accept(batch));
    let mut first = accepts.next().unwrap();
    assert!(pin!(&mut first).poll(&mut Context::from_waker(Waker::noop())).is_ready());
    assert_eq!(deadline(), None);
    let (second, third) = (Task::waiting(accepts.next().unwrap()), Task::waiting(accepts.next().unwrap()));
    assert!(deadline().is_some());
    drop(second);
    assert!(deadline().is_some(), "another waits still");
    drop(third);
    assert_eq!(deadline(), None);
}

#[test]
fn the_driver_is_told_when_there_is_room_before_the_time() {
    let rates = Rates { messages: Some(Rate::new(1, Duration::from_secs(3600))), ..Rates::NONE };
    let (shared, _) = open_session_with(Settings { rates, receive_queue_messages: 1, ..SETTINGS });
    let mut permits = [0; 2].map(|_| SendPermit::acquire(Arc::clone(&shared), 2).unwrap());
    let (mut first, mut second) = (vec!["a".into()], vec!["b".into()]);
    let [one, two] = &mut permits;
    assert!(pin!(one.accept(&mut first)).poll(&mut Context::from_waker(Waker::noop())).is_ready());
    let second = Task::waiting(two.accept(&mut second));
    let driver = Arc::<Wakes>::default();
    let waker = Waker::from(Arc::clone(&driver));
    let drive = || shared.drive(&mut Context::from_waker(&waker)).deadline;
    assert_eq!(drive(), None, "it waits for room");
    let before = driver.0.load(Ordering::Relaxed);
    assert_eq!(shared.try_receive(), Some("a".into()));
    assert_eq!((second.wakes(), driver.0.load(Ordering::Relaxed) - before), (0, 1));
    assert!(drive().is_some(), "and now for its time");
}
