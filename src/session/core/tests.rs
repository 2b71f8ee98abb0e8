//! The state machine under a clock that only these tests advance, rule by rule.

mod discarding;
mod invariants;

use std::time::Duration;

use sockjs_core::close::{INTERRUPTED, MESSAGE_TOO_SLOW, TOO_FAST, TOO_SLOW};

#[cfg(feature = "websocket")]
use super::settings::READ_TIME;
use super::{
    close_delivery::Farewell,
    expiry::SLOW_READER,
    kind::Kind,
    liveness::PROMPT,
    queue::MESSAGE_OVERHEAD,
    rate::{Rate, RateOverflow, Rates},
    settings::Overflow,
    *,
};
use crate::session::traffic::State;

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const HEARTBEAT: Duration = secs(25);
const DELAY: Duration = secs(5);
/// The smallest step of time that matters in these tests.
const TICK: Duration = Duration::from_millis(1);

const SETTINGS: Settings = Settings {
    heartbeat: Some(HEARTBEAT),
    disconnect_delay: DELAY,
    receive_queue_bytes: 1000,
    receive_queue_messages: 3,
    send_queue_bytes: 1000,
    send_overflow: Overflow::Wait,
    write_timeout: None,
    rates: Rates::NONE,
    kind: Kind::Stream,
};
const POLLING: Settings = Settings { kind: Kind::Poll, ..SETTINGS };
const SOCKET: Settings = Settings { kind: Kind::Socket { framed: true, pong_timeout: None }, ..SETTINGS };
const WRITE: Duration = secs(10);
const PONG: Duration = secs(7);
/// Settings with the deadlines for slow and dead clients.
const STRICT: Settings = Settings { write_timeout: Some(WRITE), ..SETTINGS };
#[cfg(feature = "websocket")]
const STRICT_SOCKET: Settings =
    Settings { kind: Kind::Socket { framed: true, pong_timeout: Some(PONG) }, ..STRICT };

/// A core and its clock.
struct Timed {
    core: Core,
    now: Instant,
}

impl Timed {
    /// A session whose first receiver has not asked for a frame.
    fn new(settings: Settings) -> (Self, ReceiverId) {
        let now = Instant::now();
        let (core, first) = Core::new(&settings, now);
        let mut session = Self { core, now };
        session.settle();
        (session, first)
    }

    /// A session whose first receiver has taken the open frame and is still attached.
    fn open(settings: Settings) -> (Self, ReceiverId) {
        let (mut session, first) = Self::new(settings);
        assert_eq!(session.next(first), Next::Frame(Frame::Open));
        session.settle();
        (session, first)
    }

    /// A session whose open frame has been taken, without a receiver.
    fn idle() -> Self {
        let (mut session, first) = Self::open(SETTINGS);
        session.release(first);
        session.settle();
        session
    }

    /// Clears the events and arms the driver: later events are new.
    fn settle(&mut self) {
        self.core.arm(self.now);
        self.core.take_events();
    }

    /// Lets time pass.
    fn wait(&mut self, time: Duration) -> &mut Self {
        self.now += time;
        self
    }

    fn attach(&mut self) -> ReceiverId {
        self.core.attach(self.now).expect("no receiver is attached")
    }

    fn next(&mut self, id: ReceiverId) -> Next {
        self.next_within(id, usize::MAX)
    }

    fn next_within(&mut self, id: ReceiverId, max_bytes: usize) -> Next {
        let now = self.now;
        self.core.next_frame(id, max_bytes, || now)
    }

    fn release(&mut self, id: ReceiverId) {
        self.core.release(id, self.now);
    }

    fn interrupt(&mut self, id: ReceiverId) {
        self.core.interrupt(id, self.now);
    }

    fn end(&mut self, reason: CloseReason) -> bool {
        self.core.end(reason, self.now)
    }

    fn on_deadline(&mut self) {
        self.core.on_deadline(self.now);
    }

    fn send(&mut self, text: &str) -> Result<(), Refused> {
        self.send_with(text, self.core.overflow(), false)
    }

    fn send_with(&mut self, text: &str, overflow: Overflow, others_wait: bool) -> Result<(), Refused> {
        let now = self.now;
        self.core.send(&Message::from(text), overflow, others_wait, || now)
    }

    fn push(&mut self, text: &str) -> Result<(), Refused> {
        let now = self.now;
        self.core.push(&Message::from(text), self.core.overflow(), false, || now)
    }

    fn accept(&mut self, texts: &[&str]) -> Result<(), Refused> {
        let mut batch = texts.iter().map(|&text| text.into()).collect();
        let now = self.now;
        let result = self.core.accept(&mut batch, || now);
        if result.is_err() {
            assert_eq!(batch.len(), texts.len(), "a refused batch stays whole");
        }
        result
    }

    /// The time until the deadline.
    fn deadline(&self) -> Option<Duration> {
        self.core.deadline().map(|deadline| deadline.saturating_duration_since(self.now))
    }

    fn raised(&mut self, event: Events) -> bool {
        self.core.take_events().contains(event)
    }

    /// The close frame that a poll gets at this time.
    fn poll_close(&mut self) -> CloseFrame {
        let id = self.attach();
        let next = self.next(id);
        self.release(id);
        match next {
            Next::Frame(Frame::Close(close)) => close,
            other => panic!("expected a close frame, got {other:?}"),
        }
    }
}

fn messages(texts: &[&str]) -> Next {
    Next::Frame(Frame::Messages(texts.iter().map(|&text| text.into()).collect()))
}

fn go_away() -> CloseFrame {
    CloseFrame::new(3000, "Go away!")
}

fn server() -> CloseReason {
    CloseReason::Server(go_away())
}

// Opening.

#[test]
fn the_first_receiver_gets_o_once() {
    let (mut session, first) = Timed::new(SETTINGS);
    assert!(session.core.attached() && !session.core.handler_due());
    assert_eq!(session.next(first), Next::Frame(Frame::Open));
    assert!(session.core.handler_due());
    assert!(session.raised(Events::DRIVER), "the driver starts the handler then");
    assert_eq!(session.next(first), Next::Wait);
}

#[test]
fn o_comes_before_all_that_was_queued() {
    let (mut session, first) = Timed::new(SETTINGS);
    session.send("a").unwrap();
    assert_eq!(session.next(first), Next::Frame(Frame::Open));
    assert_eq!(session.next(first), messages(&["a"]));
}

#[test]
fn a_receiver_that_leaves_o_behind_leaves_it_to_the_next() {
    let (mut session, first) = Timed::new(SETTINGS);
    session.release(first);
    let second = session.attach();
    assert_eq!(session.next(second), Next::Frame(Frame::Open));
    session.release(second);
    let third = session.attach();
    assert_eq!(session.next(third), Next::Wait);
}

#[test]
fn a_session_that_ends_before_o_still_begins_with_it() {
    let (mut session, first) = Timed::new(SETTINGS);
    session.end(server());
    assert_eq!(session.next(first), Next::Frame(Frame::Open));
    assert!(!session.core.handler_due(), "the application need not hear of it");
    assert_eq!(session.next(first), Next::Frame(Frame::Close(go_away())));
}

#[test]
fn a_session_that_ends_right_after_o_has_begun() {
    let (mut session, _) = Timed::open(SETTINGS);
    session.end(CloseReason::ConnectionLost);
    assert!(session.core.handler_due(), "there may be messages to read, and there is an end to tell");
}

// Attaching.

#[test]
fn one_receiver_at_a_time() {
    let (mut session, first) = Timed::open(SETTINGS);
    assert_eq!(session.core.attach(session.now), Err(AttachError::Busy));
    assert_eq!(session.next(first), Next::Wait, "the first one stays");
    session.release(first);
    assert!(session.raised(Events::DETACHED) && !session.core.attached());
    session.attach();
    assert_eq!(session.core.attach(session.now), Err(AttachError::Busy));
}

#[test]
fn a_receiver_that_was_let_go_gets_nothing_more() {
    let (mut session, first) = Timed::open(SETTINGS);
    session.release(first);
    session.send("a").unwrap();
    assert_eq!(session.next(first), Next::End);
    let second = session.attach();
    assert_eq!(session.next(first), Next::End);
    assert_eq!(session.next(second), messages(&["a"]));
}

#[test]
fn nobody_attaches_to_a_session_that_has_gone() {
    let mut session = Timed::idle();
    session.wait(DELAY).on_deadline();
    assert_eq!(session.core.attach(session.now), Err(AttachError::Gone));
}

#[test]
fn going_takes_the_session_from_its_receiver() {
    let (mut session, first) = Timed::open(SETTINGS);
    session.send("a").unwrap();
    session.settle();
    session.core.discard(session.now);
    assert!(session.core.is_gone() && !session.core.attached());
    assert_eq!(session.next(first), Next::End);
    assert_eq!(session.deadline(), None);
    let events = session.core.take_events();
    assert!(events.contains(Events::FRAME) && events.contains(Events::DRIVER));
    assert!(events.contains(Events::DETACHED), "who waits for the place learns that it is none");
    session.core.discard(session.now);
    assert!(session.core.take_events().is_empty(), "it goes once");
}

#[test]
fn discarding_a_session_that_has_ended_wakes_its_receiver_and_its_driver() {
    let (mut session, _) = Timed::open(SETTINGS);
    session.end(server());
    session.settle();
    session.core.discard(session.now);
    let events = session.core.take_events();
    for event in [Events::FRAME, Events::DRIVER, Events::DETACHED, Events::FLUSHED] {
        assert!(events.contains(event), "{event:?}");
    }
}

// Release, and the disconnect delay.

#[test]
fn a_released_session_times_out_at_the_delay_and_not_before() {
    let mut session = Timed::idle();
    session.wait(DELAY - TICK).on_deadline();
    assert!(!session.core.is_gone() && session.core.close_reason().is_none());
    session.wait(TICK).on_deadline();
    assert!(session.core.is_gone());
    assert_eq!(session.core.close_reason(), Some(&CloseReason::TimedOut));
}

#[test]
fn a_session_that_never_opened_times_out_too() {
    let (mut session, first) = Timed::new(SETTINGS);
    session.release(first);
    session.wait(DELAY).on_deadline();
    assert_eq!(session.core.close_reason(), Some(&CloseReason::TimedOut));
    assert!(session.core.is_gone() && !session.core.handler_due());
}

#[test]
fn a_new_receiver_stops_the_delay() {
    let mut session = Timed::idle();
    let id = session.wait(DELAY - TICK).attach();
    session.wait(DELAY).on_deadline();
    assert_eq!(session.core.close_reason(), None);
    session.release(id);
    assert_eq!(session.deadline(), Some(DELAY), "the next delay is a whole one");
}

#[test]
fn a_late_goodbye_of_an_old_receiver_does_nothing() {
    let (mut session, first) = Timed::open(SETTINGS);
    session.release(first);
    let second = session.attach();
    session.settle();
    let before = format!("{:?}", session.core);
    session.wait(TICK);
    session.release(first);
    session.interrupt(first);
    assert_eq!(format!("{:?}", session.core), before);
    session.release(second);
    let third = session.attach();
    session.interrupt(second);
    assert_eq!(session.next(third), Next::Wait);
}

#[test]
fn letting_go_twice_does_not_restart_the_delay() {
    let (mut session, first) = Timed::open(SETTINGS);
    session.release(first);
    session.wait(secs(3)).release(first);
    assert_eq!(session.deadline(), Some(secs(2)));
}

// Interruption.

#[test]
fn an_interruption_before_o_leaves_nothing_behind() {
    let (mut session, first) = Timed::new(SETTINGS);
    session.interrupt(first);
    assert_eq!(session.core.close_reason(), Some(&CloseReason::ConnectionLost));
    assert!(session.core.is_gone());
    assert!(session.raised(Events::DRIVER));
}

#[test]
fn an_interruption_ends_the_session_with_1002_for_the_delay() {
    let (mut session, first) = Timed::open(SETTINGS);
    session.send("lost").unwrap();
    session.interrupt(first);
    assert_eq!(session.core.close_reason(), Some(&CloseReason::ConnectionLost));
    assert!(!session.core.is_gone());
    assert_eq!(session.core.outbox.bytes(), 0);
    assert_eq!(session.poll_close(), CloseFrame::new(1002, "Connection interrupted"));
    assert_eq!(session.wait(secs(1)).poll_close(), INTERRUPTED);
    session.wait(DELAY - secs(1)).on_deadline();
    assert!(session.core.is_gone());
}

#[test]
fn an_interruption_does_not_change_an_end_that_was_there() {
    let (mut session, first) = Timed::open(SETTINGS);
    session.next(first);
    session.end(server());
    session.wait(secs(1)).interrupt(first);
    assert_eq!(session.core.close_reason(), Some(&server()));
    assert_eq!(session.deadline(), Some(DELAY - secs(1)));
    assert_eq!(session.poll_close(), go_away());
}

#[test]
fn a_close_of_ours_is_no_clean_one_behind_a_gap() {
    let (mut session, first) = Timed::open(SETTINGS);
    session.send("taken").unwrap();
    session.send("never taken").unwrap();
    session.end(server());
    assert_eq!(session.next_within(first, 1), messages(&["taken"]));
    session.interrupt(first);
    assert_eq!(session.core.close_reason(), Some(&server()), "what the application is told stays");
    for _ in 0..2 {
        assert_eq!(session.poll_close(), INTERRUPTED);
    }
}

#[test]
fn a_socket_goes_with_its_connection() {
    let (mut session, first) = Timed::open(SOCKET);
    session.interrupt(first);
    assert_eq!(session.core.close_reason(), Some(&CloseReason::ConnectionLost));
    assert!(session.core.is_gone());

    let (mut session, first) = Timed::open(SOCKET);
    session.send("a").unwrap();
    session.end(server());
    session.interrupt(first);
    assert_eq!(session.core.close_reason(), Some(&server()));
    assert!(session.core.is_gone());
}

// The end.

fn all_reasons() -> [(CloseReason, CloseFrame); 12] {
    let own = CloseFrame::new(4001, "own");
    [
        (CloseReason::Client(None), INTERRUPTED),
        (CloseReason::Client(Some(own.clone())), INTERRUPTED),
        (CloseReason::ConnectionLost, INTERRUPTED),
        (CloseReason::TimedOut, INTERRUPTED),
        (CloseReason::PongTimeout, INTERRUPTED),
        (CloseReason::WriteTimeout, TOO_SLOW),
        (CloseReason::SendQueueFull, TOO_SLOW),
        (CloseReason::RateExceeded, TOO_FAST),
        (CloseReason::Server(own.clone()), own.clone()),
        (CloseReason::ProtocolError(own.clone()), own.clone()),
        (CloseReason::ProtocolError(MESSAGE_TOO_SLOW), MESSAGE_TOO_SLOW),
        (CloseReason::Shutdown(own.clone()), own),
    ]
}

#[test]
fn the_first_reason_wins() {
    for (first, _) in all_reasons() {
        for (second, _) in all_reasons() {
            let (mut session, _) = Timed::open(SETTINGS);
            assert!(session.end(first.clone()));
            session.settle();
            assert!(!session.end(second.clone()), "{first:?}, then {second:?}");
            assert_eq!(session.core.close_reason(), Some(&first));
            assert!(session.core.take_events().is_empty(), "it ends once: {first:?}, then {second:?}");
        }
    }
}

#[test]
fn each_reason_has_its_close_frame() {
    for (reason, frame) in all_reasons() {
        let mut session = Timed::idle();
        session.end(reason.clone());
        assert_eq!(session.poll_close(), frame, "{reason:?}");
    }
}

#[test]
fn the_end_wakes_everyone() {
    let (mut session, _) = Timed::open(SETTINGS);
    session.end(server());
    let events = session.core.take_events();
    for event in [
        Events::FRAME,
        Events::MESSAGE,
        Events::DRIVER,
        Events::WRITABLE,
        Events::FLUSHED,
        Events::ROOM,
        Events::ENDED,
        Events::ATTENDED,
    ] {
        assert!(events.contains(event), "{event:?}");
    }
    assert!(!events.contains(Events::DETACHED));
}

#[test]
fn the_end_wakes_the_driver_even_if_it_changes_no_deadline() {
    let (mut session, _) = Timed::open(Settings { disconnect_delay: Duration::MAX, ..SETTINGS });
    session.end(server());
    assert!(session.raised(Events::DRIVER), "a handler that has not begun must not begin");
}

#[test]
fn what_was_queued_before_a_close_leaves_before_it() {
    for reason in [server(), CloseReason::Shutdown(go_away())] {
        let (mut session, first) = Timed::open(SETTINGS);
        session.send("a").unwrap();
        session.send("b").unwrap();
        session.end(reason);
        assert_eq!(session.next_within(first, 1), messages(&["a"]));
        assert_eq!(session.next_within(first, 1), messages(&["b"]));
        assert_eq!(session.next(first), Next::Frame(Frame::Close(go_away())));
    }
}

#[test]
fn a_client_that_is_lost_takes_its_queue_with_it() {
    for (reason, frame) in all_reasons() {
        if matches!(reason, CloseReason::Server(_) | CloseReason::Shutdown(_)) {
            continue;
        }
        let mut session = Timed::idle();
        session.send("a").unwrap();
        session.end(reason);
        assert_eq!((session.core.flushed(), session.core.outbox.bytes()), (true, 0));
        assert_eq!(session.poll_close(), frame);
    }
}

#[test]
fn every_poll_gets_the_same_close_frame_until_the_delay_ends() {
    let mut session = Timed::idle();
    session.end(server());
    session.wait(secs(2));
    assert_eq!(session.poll_close(), go_away());
    // The delay counts from the first time that the client got the close frame, not from each.
    for _ in 0..4 {
        assert_eq!(session.wait(secs(1)).poll_close(), go_away());
    }
    session.wait(secs(1) - TICK).on_deadline();
    assert!(!session.core.is_gone());
    session.wait(TICK).on_deadline();
    assert!(session.core.is_gone());
}

#[test]
fn a_receiver_that_stays_gets_nothing_but_the_close_frame() {
    let (mut session, first) = Timed::open(SETTINGS);
    session.end(server());
    for _ in 0..3 {
        assert_eq!(session.next(first), Next::Frame(Frame::Close(go_away())));
    }
    session.wait(DELAY).on_deadline();
    assert_eq!(session.next(first), Next::End);
}

#[test]
fn an_end_that_nobody_asks_for_is_forgotten_after_the_delay() {
    let mut session = Timed::idle();
    session.wait(secs(4)).end(server());
    assert_eq!(session.deadline(), Some(DELAY), "the end starts a delay of its own");
    session.wait(DELAY).on_deadline();
    assert!(session.core.is_gone());
    assert_eq!(session.core.close_reason(), Some(&server()), "it was no time-out");
}

#[test]
fn attaching_to_an_ended_session_does_not_keep_it() {
    let mut session = Timed::idle();
    session.end(server());
    let id = session.wait(secs(1)).attach();
    assert_eq!(session.deadline(), Some(DELAY - secs(1)));
    session.release(id);
    assert_eq!(session.deadline(), Some(DELAY - secs(1)));
}

#[test]
fn a_slow_link_has_time_to_bring_the_rest_of_a_response() {
    let (mut session, first) = Timed::open(SETTINGS);
    session.send(&"x".repeat(64 << 10)).unwrap();
    assert!(matches!(session.next(first), Next::Frame(Frame::Messages(_))));
    session.release(first);
    assert_eq!(session.deadline(), Some(DELAY + secs(4)), "16 KiB per second");
    let second = session.wait(DELAY + secs(3)).attach();
    session.release(second);
    assert_eq!(session.deadline(), Some(DELAY), "nothing of that is on its way any more");
    let third = session.attach();
    for _ in 0..40 {
        session.send(&"x".repeat(64 << 10)).unwrap();
        session.next(third);
    }
    session.release(third);
    assert_eq!(session.deadline(), Some(DELAY + secs(60)), "but not for ever");
}

#[test]
fn an_end_lets_the_last_response_arrive() {
    let (mut session, first) = Timed::open(SETTINGS);
    session.send(&"x".repeat(160 << 10)).unwrap();
    session.next(first);
    session.release(first);
    session.wait(secs(1)).end(server());
    assert_eq!(session.deadline(), Some(DELAY + secs(9)), "the client is still to come back");
    let second = session.wait(DELAY + secs(8)).attach();
    assert_eq!(session.next(second), Next::Frame(Frame::Close(go_away())));
}

#[test]
fn an_end_waits_for_a_receiver_that_has_not_come_back_for_more() {
    let (mut session, first) = Timed::open(SETTINGS);
    session.send("a").unwrap();
    session.next(first);
    session.end(server());
    assert_eq!(session.deadline(), Some(SLOW_READER), "it may still be at work on the message");
    session.wait(SLOW_READER - TICK);
    session.core.progress(first, session.now);
    assert_eq!(session.deadline(), Some(SLOW_READER));
    assert_eq!(session.next(first), Next::Frame(Frame::Close(go_away())));
}

#[cfg(feature = "websocket")]
#[test]
fn an_end_waits_for_a_socket_that_still_writes() {
    let (mut session, first) = Timed::open(SOCKET);
    session.send("a").unwrap();
    session.next(first);
    session.next(first);
    session.core.set_blocked(first, true, session.now);
    session.end(server());
    assert_eq!(session.deadline(), Some(SLOW_READER));
}

#[test]
fn a_slow_reader_gets_all_as_long_as_it_reads() {
    let (mut session, first) = Timed::open(SETTINGS);
    for text in ["a", "b", "c"] {
        session.send(text).unwrap();
    }
    session.end(server());
    for text in ["a", "b", "c"] {
        session.wait(SLOW_READER - TICK).on_deadline();
        assert_eq!(session.next_within(first, 1), messages(&[text]));
        assert_eq!(session.deadline(), Some(SLOW_READER));
    }
    session.wait(SLOW_READER - TICK).on_deadline();
    assert_eq!(session.next(first), Next::Frame(Frame::Close(go_away())));
    assert_eq!(session.deadline(), Some(DELAY));
}

#[test]
fn a_slow_reader_that_is_cut_off_has_the_delay_to_come_back() {
    let (mut session, first) = Timed::open(SETTINGS);
    session.send("a").unwrap();
    session.end(server());
    session.wait(secs(1)).interrupt(first);
    assert_eq!(session.deadline(), Some(DELAY));
}

#[test]
fn a_slow_reader_that_leaves_has_the_delay_to_come_back() {
    let (mut session, first) = Timed::open(SETTINGS);
    session.send("a").unwrap();
    session.end(server());
    session.wait(secs(1)).release(first);
    assert_eq!(session.deadline(), Some(DELAY));
}

#[cfg(feature = "websocket")]
#[test]
fn a_socket_has_time_to_write_its_close_frame() {
    let (mut session, first) = Timed::open(SOCKET);
    session.end(server());
    assert_eq!(session.next(first), Next::Frame(Frame::Close(go_away())));
    assert_eq!(session.deadline(), Some(SLOW_READER));
    session.wait(DELAY);
    session.core.close_written(session.now);
    assert_eq!(session.deadline(), Some(DELAY));
}

#[test]
fn a_reader_that_stops_reading_is_not_waited_for() {
    let (mut session, first) = Timed::open(SETTINGS);
    session.send("a").unwrap();
    session.end(server());
    session.wait(SLOW_READER).on_deadline();
    assert!(session.core.is_gone());
    assert_eq!(session.next(first), Next::End);
    assert_eq!((session.core.flushed(), session.core.outbox.bytes()), (true, 0));
}

#[test]
fn the_application_reads_what_was_accepted_and_then_the_end() {
    let mut session = Timed::idle();
    session.accept(&["a", "b"]).unwrap();
    session.end(CloseReason::ConnectionLost);
    assert_eq!(session.core.receive(), Ok(Some("a".into())));
    assert_eq!(session.core.receive(), Ok(Some("b".into())));
    for _ in 0..2 {
        assert_eq!(session.core.receive(), Err(CloseReason::ConnectionLost));
    }
    session.wait(DELAY).on_deadline();
    assert_eq!(session.core.receive(), Err(CloseReason::ConnectionLost));
}

#[test]
fn nothing_can_be_sent_after_the_end() {
    for (reason, _) in all_reasons() {
        let (mut session, _) = Timed::open(SETTINGS);
        session.end(reason);
        session.settle();
        assert_eq!(session.send("a"), Err(Refused::Closed));
        assert_eq!(session.push("a"), Err(Refused::Closed));
        assert_eq!(session.core.writable(0), Err(Refused::Closed));
        assert!(session.core.flushed() && session.core.take_events().is_empty());
    }
}

// Heartbeats.

#[test]
fn a_heartbeat_comes_after_each_interval_without_a_frame() {
    let (mut session, first) = Timed::open(SETTINGS);
    for _ in 0..3 {
        assert_eq!(session.deadline(), Some(HEARTBEAT));
        session.wait(HEARTBEAT - TICK).on_deadline();
        assert_eq!(session.next(first), Next::Wait);
        session.wait(TICK).on_deadline();
        assert!(session.raised(Events::FRAME));
        assert_eq!(session.next(first), Next::Frame(Frame::Heartbeat));
        assert_eq!(session.next(first), Next::Wait);
    }
}

#[test]
fn heartbeats_count_from_the_last_frame() {
    let (mut session, first) = Timed::open(SETTINGS);
    session.wait(secs(20)).send("a").unwrap();
    assert_eq!(session.deadline(), Some(HEARTBEAT - secs(20)), "queued is not yet sent");
    assert_eq!(session.next(first), messages(&["a"]));
    assert_eq!(session.deadline(), Some(HEARTBEAT));
}

#[test]
fn a_slow_receiver_gets_one_heartbeat_for_all_that_it_missed() {
    let (mut session, first) = Timed::open(SETTINGS);
    session.wait(HEARTBEAT).on_deadline();
    assert_eq!(session.deadline(), None, "nothing to do until it is taken");
    session.wait(HEARTBEAT * 3).on_deadline();
    assert_eq!(session.next(first), Next::Frame(Frame::Heartbeat));
    assert_eq!(session.next(first), Next::Wait);
    assert_eq!(session.deadline(), Some(HEARTBEAT));
}

#[test]
fn a_message_takes_the_place_of_a_heartbeat_that_is_due() {
    let (mut session, first) = Timed::open(SETTINGS);
    session.wait(HEARTBEAT).on_deadline();
    session.send("a").unwrap();
    assert_eq!(session.next(first), messages(&["a"]));
    assert_eq!(session.next(first), Next::Wait);
}

#[test]
fn a_new_receiver_starts_the_interval_again() {
    let mut session = Timed::idle();
    let id = session.wait(secs(4)).attach();
    assert_eq!(session.deadline(), Some(HEARTBEAT));
    session.wait(HEARTBEAT).on_deadline();
    session.release(id);
    let id = session.attach();
    assert_eq!(session.next(id), Next::Wait, "it inherits no heartbeat from the one before");
    assert_eq!(session.deadline(), Some(HEARTBEAT));
}

#[test]
fn no_heartbeats_if_none_are_wanted() {
    let (mut session, first) = Timed::open(Settings { heartbeat: None, ..SETTINGS });
    assert_eq!(session.deadline(), None);
    session.wait(HEARTBEAT * 100).on_deadline();
    assert_eq!(session.next(first), Next::Wait);
    session.release(first);
    assert_eq!(session.deadline(), Some(DELAY));
}

#[test]
fn nobody_is_there_to_be_sent_a_heartbeat() {
    let (mut session, first) = Timed::open(Settings { disconnect_delay: Duration::MAX, ..SETTINGS });
    session.release(first);
    assert_eq!(session.deadline(), None);
    session.wait(HEARTBEAT * 2).on_deadline();
    let id = session.attach();
    assert_eq!(session.next(id), Next::Wait);
}

#[test]
fn heartbeats_may_change_and_stop_and_begin() {
    for settings in [SETTINGS, POLLING, SOCKET] {
        let (mut session, first) = Timed::open(settings);
        assert_eq!(session.next(first), Next::Wait);
        session.wait(secs(4)).settle();
        session.core.set_heartbeat(Some(secs(10)));
        assert_eq!(session.deadline(), Some(secs(6)), "the time since the last frame counts");
        assert!(session.raised(Events::DRIVER), "it is sooner than the driver knows");
        session.core.set_heartbeat(Some(secs(3)));
        session.on_deadline();
        assert!(session.raised(Events::FRAME), "it is due already");
        session.core.set_heartbeat(None);
        assert!(session.raised(Events::FRAME), "a socket looks once more, as for a long time it may not");
        assert_eq!((session.next(first), session.deadline()), (Next::Wait, None), "what was due is not");
        session.core.set_heartbeat(None);
        assert!(session.core.take_events().is_empty(), "this changes nothing");
        session.core.set_heartbeat(Some(secs(3)));
        session.on_deadline();
        assert_eq!(session.next(first), Next::Frame(Frame::Heartbeat));
    }
}

#[test]
fn a_change_of_heartbeats_outlives_the_receiver() {
    let mut session = Timed::idle();
    session.core.set_heartbeat(Some(secs(2)));
    session.attach();
    assert_eq!(session.deadline(), Some(secs(2)));
    session.end(server());
    let deadline = session.deadline();
    session.core.set_heartbeat(Some(TICK));
    assert_eq!(session.deadline(), deadline, "it has ended");
}

#[test]
fn an_ended_session_has_no_heartbeats() {
    let (mut session, first) = Timed::open(Settings { disconnect_delay: HEARTBEAT * 2, ..SETTINGS });
    session.send("a").unwrap();
    session.end(server());
    session.wait(HEARTBEAT).on_deadline();
    assert_eq!(session.next(first), messages(&["a"]));
    assert_eq!(session.next(first), Next::Frame(Frame::Close(go_away())));
}

// Clients that do not read.

#[test]
fn a_receiver_that_leaves_frames_lying_is_given_up() {
    let (mut session, first) = Timed::open(STRICT);
    session.wait(secs(3)).send("a").unwrap();
    assert_eq!(session.deadline(), Some(WRITE - secs(3)), "it has not come back since it took `o`");
    assert!(session.raised(Events::DRIVER), "that is earlier than the heartbeat");
    session.wait(WRITE - secs(3) - TICK).on_deadline();
    assert_eq!(session.core.close_reason(), None);
    session.wait(TICK).on_deadline();
    assert_eq!(session.core.close_reason(), Some(&CloseReason::WriteTimeout));
    assert_eq!(session.core.outbox.bytes(), 0, "its memory is given back");
    assert_eq!(session.next(first), Next::Frame(Frame::Close(TOO_SLOW)), "should it come back after all");
    session.wait(DELAY).on_deadline();
    assert!(session.core.is_gone());
}

#[test]
fn a_receiver_that_takes_what_there_is_has_no_deadline_but_the_heartbeat() {
    let (mut session, first) = Timed::open(STRICT);
    for _ in 0..3 {
        assert_eq!(session.next(first), Next::Wait);
        session.wait(WRITE).on_deadline();
        session.settle();
        session.send("a").unwrap();
        assert!(!session.raised(Events::DRIVER), "a message sets no timer");
        assert_eq!(session.next(first), messages(&["a"]));
        assert!(!session.raised(Events::DRIVER));
    }
    assert_eq!(session.core.close_reason(), None);
}

#[test]
fn a_slow_receiver_that_gets_on_is_not_given_up() {
    let (mut session, first) = Timed::open(STRICT);
    for text in ["a", "b", "c", "d"] {
        session.send(text).unwrap();
    }
    for text in ["a", "b", "c"] {
        session.wait(WRITE - TICK).on_deadline();
        assert_eq!(session.next_within(first, 1), messages(&[text]));
        session.wait(WRITE - TICK).on_deadline();
        // A part of a large frame.
        session.core.progress(first, session.now);
    }
    assert_eq!(session.deadline(), Some(WRITE));
    session.wait(WRITE).on_deadline();
    assert_eq!(session.core.close_reason(), Some(&CloseReason::WriteTimeout));
}

#[test]
fn a_receiver_that_does_not_even_take_a_heartbeat_is_given_up_then() {
    let (mut session, _) = Timed::open(STRICT);
    assert_eq!(session.deadline(), Some(HEARTBEAT), "there is nothing that it leaves lying");
    session.wait(HEARTBEAT).on_deadline();
    assert_eq!(session.core.close_reason(), Some(&CloseReason::WriteTimeout));
}

#[test]
fn a_session_without_a_receiver_has_no_write_deadline() {
    let (mut session, first) = Timed::open(Settings { disconnect_delay: secs(60), ..STRICT });
    session.send("a").unwrap();
    session.release(first);
    session.wait(secs(59)).on_deadline();
    assert_eq!(session.core.close_reason(), None);
    let second = session.attach();
    assert_eq!(session.deadline(), Some(WRITE), "the new one has its own time");
    assert_eq!(session.next(second), messages(&["a"]));
}

#[test]
fn progress_of_an_old_receiver_does_not_count() {
    let (mut session, first) = Timed::open(STRICT);
    session.release(first);
    let _second = session.attach();
    session.send("a").unwrap();
    session.wait(secs(5));
    session.core.progress(first, session.now);
    assert_eq!(session.deadline(), Some(WRITE - secs(5)));
}

#[cfg(feature = "websocket")]
#[test]
fn a_socket_that_cannot_write_is_given_up_at_once() {
    let (mut session, first) = Timed::open(STRICT_SOCKET);
    session.send("a").unwrap();
    assert_eq!(session.next(first), messages(&["a"]));
    assert_eq!(session.next(first), Next::Wait);
    session.core.set_blocked(first, true, session.now);
    // More frames go into its buffer, which is no progress.
    session.wait(secs(4)).send("b").unwrap();
    session.next(first);
    session.next(first);
    assert_eq!(session.deadline(), Some(WRITE - secs(4)));
    session.wait(secs(1));
    session.core.progress(first, session.now);
    assert_eq!(session.deadline(), Some(WRITE), "it has written");
    session.wait(WRITE).on_deadline();
    assert_eq!(session.core.close_reason(), Some(&CloseReason::WriteTimeout));
    assert!(session.core.is_gone(), "a close frame could not be written either");
}

#[cfg(feature = "websocket")]
#[test]
fn a_socket_that_writes_again_is_not_given_up() {
    let (mut session, first) = Timed::open(STRICT_SOCKET);
    session.core.set_blocked(first, true, session.now);
    session.wait(WRITE - TICK);
    session.core.set_blocked(first, false, session.now);
    session.next(first);
    session.wait(WRITE).on_deadline();
    assert_eq!(session.core.close_reason(), None);
    assert_eq!(session.deadline(), Some(HEARTBEAT - 2 * WRITE + TICK));
}

#[cfg(feature = "websocket")]
#[test]
fn bytes_that_leave_count_as_reading_after_the_end_too() {
    let (mut session, first) = Timed::open(STRICT_SOCKET);
    session.send("a").unwrap();
    session.end(server());
    session.core.set_blocked(first, true, session.now);
    session.wait(SLOW_READER - TICK);
    session.core.progress(first, session.now);
    assert_eq!(session.deadline(), Some(SLOW_READER));
}

// Clients that send nothing.

#[cfg(feature = "websocket")]
#[test]
fn a_peer_has_the_pong_timeout_to_answer_a_heartbeat() {
    let (mut session, first) = Timed::open(STRICT_SOCKET);
    assert_eq!(session.next(first), Next::Wait);
    session.wait(HEARTBEAT).on_deadline();
    assert_eq!(session.next(first), Next::Frame(Frame::Heartbeat));
    assert_eq!(session.next(first), Next::Wait);
    assert_eq!(session.deadline(), Some(PONG));
    session.wait(PONG - TICK).on_deadline();
    assert_eq!(session.core.close_reason(), None);
    session.wait(TICK).on_deadline();
    assert_eq!(session.core.close_reason(), Some(&CloseReason::PongTimeout));
    assert!(!session.core.is_gone(), "it is told, should it be alive");
    assert_eq!(session.next(first), Next::Frame(Frame::Close(INTERRUPTED)));
    session.core.close_written(session.now);
    session.wait(DELAY).on_deadline();
    assert!(session.core.is_gone());
}

#[cfg(feature = "websocket")]
#[test]
fn a_ping_behind_other_bytes_has_its_time_when_they_have_left() {
    let (mut session, first) = Timed::open(STRICT_SOCKET);
    session.next(first);
    session.wait(HEARTBEAT - TICK).send("a").unwrap();
    session.next(first);
    session.core.set_blocked(first, true, session.now);
    session.wait(TICK).on_deadline();
    assert_eq!(session.next(first), Next::Frame(Frame::Heartbeat));
    for _ in 0..10 {
        session.wait(WRITE - 2 * TICK).on_deadline();
        session.core.progress(first, session.now);
    }
    session.core.set_blocked(first, false, session.now);
    assert_eq!(session.deadline(), Some(PONG));
    session.wait(PONG).on_deadline();
    assert_eq!(session.core.close_reason(), Some(&CloseReason::PongTimeout));
}

#[cfg(feature = "websocket")]
#[test]
fn whatever_a_peer_says_is_an_answer() {
    let answers: [fn(&mut Timed); 2] =
        [|session| session.core.heard(), |session| session.accept(&["a"]).unwrap()];
    for answer in answers {
        let (mut session, first) = Timed::open(STRICT_SOCKET);
        session.next(first);
        session.wait(HEARTBEAT).on_deadline();
        assert_eq!(session.next(first), Next::Frame(Frame::Heartbeat));
        session.next(first);
        answer(session.wait(PONG - TICK));
        session.wait(TICK).on_deadline();
        assert_eq!(session.core.close_reason(), None);
        assert_eq!(session.deadline(), Some(HEARTBEAT - PONG));
    }
}

#[cfg(feature = "websocket")]
#[test]
fn a_peer_that_is_sent_messages_is_asked_too() {
    let (mut session, first) = Timed::open(STRICT_SOCKET);
    for _ in 0..24 {
        session.wait(secs(1)).send("a").unwrap();
        session.next(first);
        assert_eq!(session.next(first), Next::Wait);
        session.on_deadline();
    }
    session.wait(secs(1)).on_deadline();
    assert_eq!(session.next(first), Next::Frame(Frame::Heartbeat), "nothing was heard of it");
    assert_eq!(session.deadline(), Some(PONG));
}

#[cfg(feature = "websocket")]
#[test]
fn a_peer_that_talks_is_not_asked() {
    let (mut session, first) = Timed::open(Settings { receive_queue_messages: 100, ..STRICT_SOCKET });
    for _ in 0..100 {
        session.wait(secs(1));
        session.accept(&["a"]).unwrap();
        session.core.receive().unwrap();
        session.send("a").unwrap();
        session.on_deadline();
        assert_eq!(session.next(first), messages(&["a"]), "and no heartbeat");
        assert_eq!(session.next(first), Next::Wait);
    }
}

#[cfg(feature = "websocket")]
#[test]
fn a_socket_that_is_not_read_cannot_answer() {
    let (mut session, first) = Timed::open(STRICT_SOCKET);
    session.next(first);
    session.accept(&["a", "b", "c"]).unwrap();
    session.wait(HEARTBEAT).on_deadline();
    assert_eq!(session.next(first), Next::Frame(Frame::Heartbeat));
    session.next(first);
    assert_eq!(session.deadline(), Some(PONG));
    assert_eq!(session.accept(&["d"]), Err(Refused::Full), "it was heard, and nothing is read from now on");
    assert_eq!(session.deadline(), Some(HEARTBEAT));
    session.wait(HEARTBEAT).on_deadline();
    session.wait(HEARTBEAT).on_deadline();
    assert_eq!(session.next(first), Next::Frame(Frame::Heartbeat));
    session.next(first);
    assert_eq!(session.deadline(), Some(HEARTBEAT), "no answer is waited for");
    session.core.receive().unwrap();
    session.accept(&["d"]).unwrap();
    session.wait(HEARTBEAT).on_deadline();
    assert_eq!(session.next(first), Next::Frame(Frame::Heartbeat));
    assert_eq!(session.deadline(), Some(PONG));
}

#[test]
fn the_http_transports_are_not_asked() {
    let (mut session, first) = Timed::open(STRICT);
    session.next(first);
    session.wait(HEARTBEAT).on_deadline();
    assert_eq!(session.next(first), Next::Frame(Frame::Heartbeat));
    assert_eq!(session.next(first), Next::Wait);
    assert_eq!(session.deadline(), Some(HEARTBEAT));
}

// The driver's deadline.

#[test]
fn a_heartbeat_wakes_the_driver_once() {
    for settings in [STRICT, Settings { write_timeout: Some(HEARTBEAT * 2), ..STRICT }] {
        let (mut session, first) = Timed::open(settings);
        session.next(first);
        session.settle();
        for _ in 0..3 {
            session.wait(HEARTBEAT).on_deadline();
            assert!(session.raised(Events::FRAME));
            session.settle();
            assert_eq!(session.wait(TICK).next(first), Next::Frame(Frame::Heartbeat));
            assert_eq!(session.next(first), Next::Wait);
            assert!(!session.raised(Events::DRIVER), "its timer rings when the next one is due");
            session.now -= TICK;
        }
    }
}

#[test]
fn a_heartbeat_that_is_late_starts_the_interval_again() {
    let (mut session, first) = Timed::open(SETTINGS);
    session.wait(HEARTBEAT).on_deadline();
    session.wait(PROMPT + TICK);
    assert_eq!(session.next(first), Next::Frame(Frame::Heartbeat));
    assert_eq!(session.deadline(), Some(HEARTBEAT));

    let quick = PROMPT / 2;
    let (mut session, first) = Timed::open(Settings { heartbeat: Some(quick), ..SETTINGS });
    session.wait(quick).on_deadline();
    session.wait(quick);
    assert_eq!(session.next(first), Next::Frame(Frame::Heartbeat));
    assert_eq!(session.deadline(), Some(quick), "not two at once");
}

#[test]
fn a_deadline_that_moves_nearer_wakes_the_driver() {
    let (mut session, first) = Timed::open(SETTINGS);
    assert_eq!(session.core.arm(session.now), Some(session.now + HEARTBEAT));
    session.wait(secs(1)).release(first);
    assert!(session.raised(Events::DRIVER), "25 s from before have become 5 s from now");
    assert!(session.raised(Events::DRIVER), "it has not listened yet");
    assert_eq!(session.core.arm(session.now), Some(session.now + DELAY));
    assert!(!session.raised(Events::DRIVER));
}

#[test]
fn a_deadline_that_moves_away_lets_the_driver_sleep() {
    let mut session = Timed::idle();
    session.settle();
    let id = session.wait(secs(1)).attach();
    assert_eq!(session.deadline(), Some(HEARTBEAT));
    assert!(!session.raised(Events::DRIVER));
    // The driver wakes at the old deadline, finds nothing to do, and takes the new deadline.
    session.wait(DELAY - secs(1)).on_deadline();
    assert!(session.core.take_events().is_empty());
    assert_eq!(session.core.arm(session.now), Some(session.now + HEARTBEAT + secs(1) - DELAY));
    session.send("a").unwrap();
    session.next(id);
    assert!(!session.raised(Events::DRIVER), "nor does a later heartbeat concern it");
}

#[test]
fn polls_that_come_and_go_neither_wake_the_driver_nor_set_its_timer() {
    let (mut session, first) = Timed::open(POLLING);
    session.release(first);
    let armed = session.now + DELAY;
    assert_eq!(session.core.arm(session.now), Some(armed));
    session.core.take_events();
    for _ in 0..3 {
        let id = session.wait(secs(1)).attach();
        assert_eq!(
            session.core.arm(session.now),
            Some(armed),
            "not the heartbeat's time, which the next moves"
        );
        session.send("a").unwrap();
        session.next(id);
        session.core.take_events();
        session.wait(TICK).release(id);
        assert!(!session.raised(Events::DRIVER));
    }
    session.wait(DELAY).on_deadline();
    assert_eq!(session.core.arm(session.now), session.core.deadline(), "once it has rung");
}

#[test]
fn a_heartbeat_of_a_poll_wakes_the_driver_once() {
    let (mut session, first) = Timed::open(POLLING);
    session.wait(HEARTBEAT).on_deadline();
    assert_eq!(session.core.arm(session.now), Some(session.now + DELAY), "as if the poll had gone already");
    session.core.take_events();
    assert_eq!(session.next(first), Next::Frame(Frame::Heartbeat));
    session.wait(TICK).release(first);
    assert!(!session.raised(Events::DRIVER));
}

#[test]
fn a_driver_that_sleeps_for_ever_is_woken_for_any_deadline() {
    let (mut session, first) = Timed::open(Settings { heartbeat: None, ..SETTINGS });
    assert_eq!(session.core.arm(session.now), None);
    session.release(first);
    assert!(session.raised(Events::DRIVER));
}

#[test]
fn a_driver_that_sleeps_until_the_delay_is_woken_for_an_earlier_heartbeat() {
    let (mut session, first) = Timed::open(Settings { heartbeat: Some(secs(1)), ..SETTINGS });
    session.release(first);
    session.settle();
    session.attach();
    assert!(session.raised(Events::DRIVER));
}

#[test]
fn on_deadline_early_or_twice_does_nothing() {
    let (mut session, first) = Timed::open(SETTINGS);
    let check = |session: &mut Timed, wait: Duration| {
        for time in [Duration::ZERO, wait - TICK] {
            session.wait(time);
            let before = format!("{:?}", session.core);
            session.on_deadline();
            assert_eq!(format!("{:?}", session.core), before, "early");
        }
        session.wait(TICK).on_deadline();
        let after = format!("{:?}", session.core);
        session.on_deadline();
        assert_eq!(format!("{:?}", session.core), after, "twice");
    };
    check(&mut session, HEARTBEAT);
    session.release(first);
    check(&mut session, DELAY);
    assert!(session.core.is_gone());
}

// Messages from the client.

#[test]
fn a_batch_is_taken_whole_or_not_at_all() {
    let mut session = Timed::idle();
    session.accept(&["a", "b"]).unwrap();
    assert!(session.raised(Events::MESSAGE));
    assert_eq!(session.accept(&["c", "d"]), Err(Refused::Full));
    assert!(session.core.take_events().is_empty());
    assert_eq!(session.core.receive(), Ok(Some("a".into())));
    assert!(session.raised(Events::ROOM));
    session.accept(&["c", "d"]).unwrap();
    for text in ["b", "c", "d"] {
        assert_eq!(session.core.receive(), Ok(Some(text.into())));
    }
    assert_eq!(session.core.receive(), Ok(None));
    assert_eq!(session.core.inbox.bytes(), 0);
}

#[test]
fn the_queue_to_the_application_is_bounded_in_bytes() {
    let text = "x".repeat(500 - MESSAGE_OVERHEAD);
    let mut session = Timed::idle();
    session.accept(&[&text, &text]).unwrap();
    assert_eq!(session.core.inbox.bytes(), 1000, "both limits are inclusive");
    assert_eq!(session.accept(&[""]), Err(Refused::Full), "an empty message costs something too");
}

#[test]
fn an_empty_queue_takes_a_batch_of_any_size() {
    let mut session = Timed::idle();
    let long = "x".repeat(2000);
    session.accept(&[&long, "b", "c", "d"]).unwrap();
    assert_eq!(session.accept(&["e"]), Err(Refused::Full));
    for _ in 0..4 {
        session.core.receive().unwrap().unwrap();
    }
    session.accept(&["e"]).unwrap();
}

#[test]
fn a_batch_waits_for_the_applications_turn() {
    let mut session = Timed::idle();
    session.accept(&["a", "b"]).unwrap();
    let first = session.core.accepted();
    assert!(session.raised(Events::DRIVER) && !session.core.has_attended(first));
    session.accept(&["c"]).unwrap();
    let second = session.core.accepted();
    session.core.attend(first);
    assert!(session.raised(Events::ATTENDED));
    assert!(session.core.has_attended(first) && !session.core.has_attended(second), "it came meanwhile");
    session.core.attend(first);
    assert!(!session.raised(Events::ATTENDED), "that is no news");
    session.accept(&[]).unwrap();
    assert_eq!(session.core.accepted(), second, "nothing has come");
    session.end(server());
    assert!(session.core.has_attended(second), "nobody has to wait for it any more");
}

#[test]
fn an_empty_batch_is_no_event() {
    let mut session = Timed::idle();
    session.accept(&["a", "b", "c"]).unwrap();
    session.settle();
    session.accept(&[]).unwrap();
    assert!(!session.raised(Events::MESSAGE));
}

/// Whether this side has closed the session by itself.
fn is_ours(reason: &CloseReason) -> bool {
    use CloseReason::{RateExceeded, SendQueueFull, Server, Shutdown, WriteTimeout};
    matches!(reason, Server(_) | Shutdown(_) | SendQueueFull | WriteTimeout | RateExceeded)
}

#[test]
fn messages_after_a_close_of_ours_are_swallowed_until_the_client_knows() {
    for (reason, _) in all_reasons().into_iter().filter(|(reason, _)| is_ours(reason)) {
        let mut session = Timed::idle();
        session.end(reason.clone());
        session.settle();
        session.accept(&["late"]).unwrap();
        assert!(session.core.take_events().is_empty());
        assert_eq!(session.core.receive(), Err(reason), "the application never sees it");
        session.wait(DELAY).on_deadline();
        assert_eq!(session.accept(&["later"]), Err(Refused::Closed));
    }
}

#[test]
fn messages_after_any_other_end_are_refused() {
    for (reason, _) in all_reasons().into_iter().filter(|(reason, _)| !is_ours(reason)) {
        let mut session = Timed::idle();
        session.end(reason);
        assert_eq!(session.accept(&["late"]), Err(Refused::Closed));
        assert_eq!(session.accept(&[]), Err(Refused::Closed));
    }
}

// The rates.

fn at_rate(messages: u64, overflow: RateOverflow, settings: Settings) -> (Timed, ReceiverId) {
    let rates = Rates { messages: Some(Rate::per_second(messages)), bytes: None, overflow };
    Timed::open(Settings { rates, receive_queue_messages: 100, receive_queue_bytes: 1 << 20, ..settings })
}

#[test]
fn a_batch_over_the_rate_waits_for_its_time() {
    for settings in [SETTINGS, POLLING, SOCKET] {
        let (mut session, first) = at_rate(2, RateOverflow::Wait, settings);
        assert_eq!(session.next(first), Next::Wait);
        session.accept(&["a", "b", "c"]).unwrap();
        session.settle();
        assert_eq!(session.deadline(), Some(HEARTBEAT), "nobody waits");
        assert_eq!(session.accept(&["d"]), Err(Refused::Full));
        assert_eq!(session.deadline(), Some(secs(1)), "a debt of one, and one is needed");
        assert!(session.raised(Events::DRIVER), "the driver has to know of it");
        session.wait(secs(1) - TICK).on_deadline();
        assert_eq!(session.deadline(), Some(TICK));
        session.wait(TICK).on_deadline();
        assert!(session.raised(Events::ROOM));
        assert_eq!(session.deadline(), Some(HEARTBEAT - secs(1)), "who waits has been told");
        session.accept(&["d"]).unwrap();
    }
}

#[test]
fn a_batch_waits_for_its_time_without_a_receiver_and_not_beyond_the_end() {
    let (mut session, first) = at_rate(1, RateOverflow::Wait, SETTINGS);
    session.release(first);
    session.accept(&["a"]).unwrap();
    assert_eq!(session.accept(&["b"]), Err(Refused::Full));
    assert_eq!(session.deadline(), Some(secs(1)));
    session.end(server());
    assert!(session.deadline().is_some_and(|deadline| deadline > secs(1)), "nobody waits any more");
}

#[test]
fn room_is_promised_in_its_time_and_paid_for_then() {
    let (mut session, _) = at_rate(1, RateOverflow::Wait, SETTINGS);
    let now = session.now;
    let mut batch = vec![Message::from("b")];
    let room = Room::of_batch(&batch);
    assert!(session.core.promise(Line::In, room, || now));
    assert!(!session.core.promise(Line::In, room, || now));
    assert_eq!(session.deadline(), Some(secs(1)));
    session.core.nobody_waits(Line::In);
    assert_eq!(session.deadline(), Some(HEARTBEAT));
    assert_eq!(session.core.accept_promised(&mut batch, room, || now), Ok(()));
    assert_eq!(session.accept(&["c"]), Err(Refused::Full));
    session.wait(secs(1)).accept(&["c"]).unwrap();
}

#[test]
fn a_rate_that_closes_ends_the_session() {
    let (mut session, first) = at_rate(2, RateOverflow::Close, SETTINGS);
    session.send("gone").unwrap();
    session.accept(&["a", "b"]).unwrap();
    session.settle();
    let mut batch = vec!["c".into()];
    let now = session.now;
    assert_eq!(session.core.accept(&mut batch, || now), Ok(()), "as each that comes after it");
    assert_eq!(batch.len(), 1, "it is thrown away");
    assert_eq!(session.core.close_reason(), Some(&CloseReason::RateExceeded));
    assert!(session.raised(Events::ENDED) && session.core.is_discarding());
    assert_eq!(session.next(first), Next::Frame(Frame::Close(TOO_FAST)));
    assert_eq!(session.core.receive(), Ok(Some("a".into())), "what was accepted is there");
}

#[cfg(feature = "websocket")]
#[test]
fn no_answer_to_a_ping_is_expected_of_a_socket_that_waits_for_its_rate() {
    let slow = Rate::new(1, secs(3600));
    let rates = Rates { messages: Some(slow), ..Rates::NONE };
    let (mut session, first) = Timed::open(Settings { rates, ..STRICT_SOCKET });
    assert_eq!(session.next(first), Next::Wait);
    session.accept(&["a"]).unwrap();
    assert_eq!(session.accept(&["b"]), Err(Refused::Full));
    for _ in 0..10 {
        session.wait(HEARTBEAT).on_deadline();
        assert_eq!(session.next(first), Next::Frame(Frame::Heartbeat));
        assert_eq!(session.next(first), Next::Wait);
    }
    assert_eq!(session.core.close_reason(), None);
}

#[test]
fn the_clock_is_asked_only_where_there_is_a_rate() {
    let (mut session, _) = Timed::open(SETTINGS);
    let never = || -> Instant { panic!("it is asked") };
    assert_eq!(session.core.accept(&mut vec!["a".into()], never), Ok(()));
    let room = Room::of_batch(&["b".into()]);
    assert!(session.core.promise(Line::In, room, never));
    assert_eq!(session.core.accept_promised(&mut vec!["b".into()], room, never), Ok(()));
}

// Messages to the client.

#[test]
fn the_queue_to_the_client_is_bounded_by_the_memory_it_takes() {
    // Text without escapes is kept as its line. Other text is kept beside its line, with 6 bytes for each of these
    // characters.
    let (clean, escaped) = ("x".repeat(100), "\u{1}".repeat(100));
    for (text, held) in [(&clean, 106), (&escaped, 100 + 606)] {
        let cost = held + MESSAGE_OVERHEAD;
        for (limit, second) in [(2 * cost, Ok(())), (2 * cost - 1, Err(Refused::Full))] {
            let (mut session, first) = Timed::open(Settings { send_queue_bytes: limit, ..SETTINGS });
            session.send(text).unwrap();
            assert_eq!(session.core.outbox.bytes(), cost);
            assert_eq!(session.send(text), second, "{limit}");
            assert_eq!(session.core.writable(limit - cost), Ok(second.is_err()), "{limit}");
            session.next(first);
            assert_eq!(session.core.outbox.bytes(), 0);
        }
    }
    // The raw WebSocket sends the text unquoted.
    let (mut session, _) =
        Timed::open(Settings { kind: Kind::Socket { framed: false, pong_timeout: None }, ..SOCKET });
    session.send(&escaped).unwrap();
    assert_eq!(session.core.outbox.bytes(), 100 + MESSAGE_OVERHEAD);
}

#[test]
fn a_full_queue_that_closes_ends_the_session_and_gives_its_memory_back() {
    for sink in [false, true] {
        let (mut session, first) = Timed::open(Settings { send_overflow: Overflow::Close, ..SETTINGS });
        session.send(&"x".repeat(900)).unwrap();
        assert_eq!(session.core.writable(500), Ok(true), "nobody has to wait");
        session.settle();
        let refused = if sink { session.push("one too many") } else { session.send("one too many") };
        assert_eq!(refused, Err(Refused::Closed));
        assert!(session.raised(Events::ENDED));
        assert_eq!(session.core.close_reason(), Some(&CloseReason::SendQueueFull));
        assert_eq!((session.core.outbox.bytes(), session.core.dropped_messages()), (0, 0));
        assert_eq!(session.next(first), Next::Frame(Frame::Close(TOO_SLOW)));
    }
}

#[test]
fn a_full_queue_that_drops_keeps_the_newest() {
    let (mut session, first) = Timed::open(Settings { send_overflow: Overflow::DropOldest, ..SETTINGS });
    let letter = |n: usize| char::from(b'a' + u8::try_from(n).unwrap()).to_string().repeat(200);
    let cost = 206 + MESSAGE_OVERHEAD;
    let kept = 1000 / cost;
    for n in 0..7 {
        assert_eq!(session.core.writable(cost), Ok(true), "nobody has to wait");
        if n % 2 == 0 {
            session.send(&letter(n)).unwrap();
        } else {
            session.push(&letter(n)).unwrap();
        }
        assert!(session.core.outbox.bytes() <= 1000);
    }
    assert_eq!(session.core.dropped_messages(), (7 - kept) as u64);
    let newest: Vec<_> = (7 - kept..7).map(letter).collect();
    assert_eq!(session.next(first), messages(&newest.iter().map(String::as_str).collect::<Vec<_>>()));
    // A message that is larger than the queue drops all others.
    session.send("small").unwrap();
    session.send(&"x".repeat(5000)).unwrap();
    assert_eq!(session.core.dropped_messages(), (7 - kept) as u64 + 1);
    assert_eq!(session.next(first), messages(&[&"x".repeat(5000)]));
}

#[test]
fn a_call_may_have_a_policy_of_its_own() {
    let of_another_call = [Overflow::Wait, Overflow::Close, Overflow::DropOldest];
    for send_overflow in of_another_call {
        let full = || {
            let (mut session, first) = Timed::open(Settings { send_overflow, ..SETTINGS });
            session.send(&"x".repeat(500)).unwrap();
            session.send(&"y".repeat(100)).unwrap();
            session.settle();
            (session, first)
        };
        let (mut session, first) = full();
        assert_eq!(session.send_with(&"z".repeat(100), Overflow::Wait, false), Err(Refused::Full));
        session.send_with(&"z".repeat(100), Overflow::DropOldest, false).unwrap();
        assert_eq!(session.core.dropped_messages(), 1);
        assert!(session.raised(Events::WRITABLE), "more has gone than has come");
        assert_eq!(session.next(first), messages(&[&"y".repeat(100), &"z".repeat(100)]));

        let (mut session, _) = full();
        assert_eq!(session.send_with(&"z".repeat(100), Overflow::Close, false), Err(Refused::Closed));
        assert_eq!(session.core.close_reason(), Some(&CloseReason::SendQueueFull));
    }
}

#[test]
fn who_drops_takes_no_room_from_those_who_wait() {
    let (mut session, first) = Timed::open(SETTINGS);
    for letter in ["a", "b", "c"] {
        session.send(letter).unwrap();
    }
    let before = session.core.outbox.bytes();
    session.settle();
    for _ in 0..10 {
        session.send_with("d", Overflow::DropOldest, true).unwrap();
        assert_eq!(session.core.outbox.bytes(), before);
    }
    session.send_with("e", Overflow::DropOldest, false).unwrap();
    assert_eq!(session.core.dropped_messages(), 10);
    assert_eq!(session.next(first), messages(&["d", "d", "d", "e"]));
}

#[test]
fn an_empty_queue_takes_a_message_of_any_size() {
    let (mut session, first) = Timed::open(SETTINGS);
    session.send(&"x".repeat(5000)).unwrap();
    assert_eq!(session.core.writable(0), Ok(false));
    assert_eq!(session.send(""), Err(Refused::Full));
    session.settle();
    assert!(matches!(session.next(first), Next::Frame(Frame::Messages(_))));
    assert!(session.raised(Events::WRITABLE));
    assert_eq!(session.core.writable(5000), Ok(true));
    session.send("").unwrap();
}

#[test]
fn a_sink_may_go_beyond_the_bound_once_promised() {
    let (mut session, first) = Timed::open(Settings { send_queue_bytes: 1, ..SETTINGS });
    session.send("a").unwrap();
    assert_eq!(session.send("b"), Err(Refused::Full));
    session.push("b").unwrap();
    assert!(session.raised(Events::FRAME) && !session.core.flushed());
    assert_eq!(session.next(first), messages(&["a", "b"]));
    assert!(session.core.flushed());
    assert_eq!(session.core.outbox.bytes(), 0);
}

#[test]
fn pending_messages_leave_together_within_the_limit() {
    // "a" and its comma: 4 bytes each.
    let cases: [(usize, &[usize]); 7] = [
        (usize::MAX, &[5]),
        (20, &[5]),
        (19, &[4, 1]),
        (8, &[2, 2, 1]),
        (4, &[1; 5]),
        (3, &[1; 5]),
        (0, &[1; 5]),
    ];
    for (max_bytes, frames) in cases {
        let (mut session, first) = Timed::open(SETTINGS);
        for _ in 0..5 {
            session.send("a").unwrap();
        }
        for &count in frames {
            assert_eq!(session.next_within(first, max_bytes), messages(&vec!["a"; count]), "{max_bytes}");
        }
        assert_eq!(session.next(first), Next::Wait, "{max_bytes}");
        assert_eq!(session.core.outbox.bytes(), 0, "{max_bytes}");
    }
}

#[test]
fn one_long_message_leaves_alone() {
    let (mut session, first) = Timed::open(SETTINGS);
    let long = "x".repeat(100);
    for text in ["a", &long, "b"] {
        session.send(text).unwrap();
    }
    assert_eq!(session.next_within(first, 50), messages(&["a"]));
    assert_eq!(session.next_within(first, 50), messages(&[&long]));
    assert_eq!(session.next_within(first, 50), messages(&["b"]));
}

#[test]
fn going_wakes_who_waits_for_the_queue_to_be_empty() {
    let (mut session, _) = Timed::open(SETTINGS);
    session.send("a").unwrap();
    session.end(server());
    session.settle();
    session.wait(SLOW_READER).on_deadline();
    assert!(session.core.flushed() && session.raised(Events::FLUSHED));
}

#[test]
fn messages_wait_for_the_next_receiver() {
    let mut session = Timed::idle();
    session.send("a").unwrap();
    session.send("b").unwrap();
    let id = session.attach();
    assert_eq!(session.next_within(id, 1), messages(&["a"]));
    session.release(id);
    session.send("c").unwrap();
    let id = session.attach();
    assert_eq!(session.next(id), messages(&["b", "c"]));
}

// Extremes.

#[test]
fn times_beyond_the_clock_are_for_ever() {
    let forever = Settings {
        heartbeat: Some(Duration::MAX),
        disconnect_delay: Duration::MAX,
        receive_queue_bytes: usize::MAX,
        receive_queue_messages: usize::MAX,
        send_queue_bytes: usize::MAX,
        ..SETTINGS
    };
    let (mut session, first) = Timed::open(forever);
    assert_eq!(session.deadline(), None);
    session.send("a").unwrap();
    session.accept(&["b"]).unwrap();
    session.next(first);
    session.release(first);
    assert_eq!((session.deadline(), session.core.arm(session.now)), (None, None));
    session.end(server());
    assert_eq!(session.wait(secs(1 << 40)).poll_close(), go_away());
    session.on_deadline();
    assert_eq!(session.deadline(), None);
    assert!(!session.core.is_gone());
}

#[test]
fn no_delay_at_all_means_gone_at_once() {
    let (mut session, first) = Timed::open(Settings { disconnect_delay: Duration::ZERO, ..SETTINGS });
    session.release(first);
    assert_eq!(session.deadline(), Some(Duration::ZERO));
    session.on_deadline();
    assert!(session.core.is_gone());
}

// Messages that come slowly.

#[cfg(feature = "websocket")]
#[test]
fn an_unfinished_message_has_a_minute() {
    for (number, settings) in
        [(1, SOCKET), (0, STRICT_SOCKET), (7, Settings { heartbeat: None, ..STRICT_SOCKET })]
    {
        let (mut session, first) = Timed::open(settings);
        session.next(first);
        session.settle();
        session.core.set_unfinished(Some(number), session.now);
        assert_eq!(
            session.raised(Events::DRIVER),
            settings.heartbeat.is_none(),
            "no timer if one rings before"
        );
        for _ in 0..READ_TIME.as_secs() - 1 {
            session.wait(secs(1));
            session.core.heard();
            session.on_deadline();
            session.next(first);
        }
        session.wait(secs(1) - TICK).on_deadline();
        assert_eq!(session.core.close_reason(), None);
        session.wait(TICK).on_deadline();
        let slow = CloseFrame::new(1008, "Message too slow");
        assert_eq!(session.core.close_reason(), Some(&CloseReason::ProtocolError(slow.clone())));
        assert_eq!(session.next(first), Next::Frame(Frame::Close(slow)));
    }
}

#[cfg(feature = "websocket")]
#[test]
fn a_message_that_comes_whole_in_time_is_forgotten() {
    let (mut session, _) = Timed::open(Settings { heartbeat: None, ..SOCKET });
    session.core.set_unfinished(Some(1), session.now);
    session.wait(READ_TIME - TICK).on_deadline();
    session.core.set_unfinished(None, session.now);
    assert_eq!(session.deadline(), None);
    // The next message does not inherit the time that it took.
    session.core.set_unfinished(Some(2), session.now);
    assert_eq!(session.deadline(), Some(READ_TIME));
}

#[cfg(feature = "websocket")]
#[test]
fn each_message_has_a_minute_of_its_own() {
    let (mut session, _) = Timed::open(Settings { heartbeat: None, ..SOCKET });
    for number in 0..100 {
        session.core.set_unfinished(Some(number), session.now);
        session.wait(secs(30)).on_deadline();
    }
    assert_eq!(session.core.close_reason(), None);
    assert_eq!(session.deadline(), Some(READ_TIME - secs(30)));
}

#[cfg(feature = "websocket")]
#[test]
fn time_without_reading_is_not_the_messages() {
    let (mut session, _) = Timed::open(Settings { heartbeat: None, ..SOCKET });
    for _ in 0..3 {
        session.core.set_unfinished(Some(1), session.now);
        session.wait(secs(20) - TICK).on_deadline();
        session.core.set_unfinished(None, session.now);
        assert_eq!(session.deadline(), None);
        session.wait(secs(1000)).on_deadline();
    }
    session.core.set_unfinished(Some(1), session.now);
    assert_eq!(session.deadline(), Some(3 * TICK), "the pauses have not begun it anew");
    session.wait(3 * TICK).on_deadline();
    assert!(matches!(session.core.close_reason(), Some(CloseReason::ProtocolError(_))));
}

#[cfg(feature = "websocket")]
#[test]
fn a_session_that_has_ended_waits_for_no_message() {
    let (mut session, first) = Timed::open(SOCKET);
    session.core.set_unfinished(Some(1), session.now);
    session.end(server());
    session.wait(READ_TIME).on_deadline();
    assert_eq!(session.core.close_reason(), Some(&server()));
    session.interrupt(first);
    session.on_deadline();
    assert!(session.core.is_gone());
}

// Shutdown and counting.

fn restart() -> CloseFrame {
    CloseFrame::new(4001, "restarting")
}

#[test]
fn a_shutdown_ends_an_open_session_and_waits_until_it_is_told() {
    let (mut session, first) = Timed::open(SETTINGS);
    session.send("last").unwrap();
    let now = session.now;
    session.core.leave(&restart(), now);
    assert_eq!(session.core.close_reason(), Some(&CloseReason::Shutdown(restart())));
    assert_eq!(session.core.farewell(), Some(Farewell::Lost), "not yet told");
    assert_eq!(session.next(first), Next::Frame(Frame::Messages(vec!["last".into()])));
    assert_eq!(session.next(first), Next::Frame(Frame::Close(restart())));
    assert_eq!(session.core.farewell(), Some(Farewell::Delivered));
    assert!(session.core.take_events().contains(Events::DRIVER) && !session.core.is_leaving());
    assert_eq!(session.accept(&["in flight"]), Ok(()), "no error before the close frame");
    assert_eq!(session.core.traffic().dropped(), 0);
}

#[test]
fn a_socket_waits_for_its_clients_close_in_a_shutdown_too() {
    let (mut session, first) = Timed::open(SOCKET);
    let now = session.now;
    session.core.leave(&restart(), now);
    assert_eq!(session.next(first), Next::Frame(Frame::Close(restart())));
    assert_eq!(session.core.farewell(), Some(Farewell::Lost), "not yet written");
    #[cfg(feature = "websocket")]
    {
        session.core.close_written(now);
        assert_eq!(session.core.farewell(), Some(Farewell::Delivered));
        assert!(session.core.is_leaving());
        session.core.interrupt(first, now);
        assert!(session.core.take_events().contains(Events::DRIVER) && !session.core.is_leaving());
    }
}

#[test]
fn a_shutdown_counts_what_a_client_never_came_for() {
    let mut session = Timed::idle();
    session.send("one").unwrap();
    session.send("two").unwrap();
    session.core.leave(&restart(), session.now);
    session.wait(DELAY);
    session.core.on_deadline(session.now);
    assert!(session.core.is_gone());
    assert_eq!(session.core.farewell(), Some(Farewell::Lost));
    assert_eq!(session.core.traffic().dropped(), 2);
}

#[test]
fn a_shutdown_counts_a_client_that_came_back_behind_a_gap_as_lost() {
    for closed_before in [false, true] {
        let (mut session, first) = Timed::open(SETTINGS);
        session.send("one").unwrap();
        session.send("two").unwrap();
        if closed_before {
            session.end(server());
        }
        session.core.leave(&restart(), session.now);
        session.next_within(first, 1);
        session.interrupt(first);
        assert!(session.core.is_leaving(), "its client may come to hear of it");
        assert_eq!(session.poll_close(), INTERRUPTED);
        assert!(!session.core.is_leaving());
        assert_eq!(session.core.farewell(), Some(Farewell::Lost));
        assert_eq!(session.core.traffic().dropped(), 1);
    }
}

#[test]
fn a_shutdown_waits_for_close_frames_that_were_owed_before_and_for_no_other() {
    let mut closing = Timed::idle();
    closing.core.end(CloseReason::Server(CloseFrame::new(3000, "")), closing.now);
    closing.core.leave(&restart(), closing.now);
    assert_eq!(closing.core.close_reason(), Some(&CloseReason::Server(CloseFrame::new(3000, ""))));
    assert_eq!(closing.core.farewell(), Some(Farewell::Lost));
    assert!(closing.core.is_leaving(), "its client may poll yet");

    let (mut interrupted, first) = Timed::open(SETTINGS);
    interrupted.core.interrupt(first, interrupted.now);
    interrupted.core.leave(&restart(), interrupted.now);
    assert_eq!(interrupted.core.farewell(), None, "lost before");
    assert!(!interrupted.core.is_leaving());
}

#[test]
fn traffic_is_counted_where_it_passes() {
    let (mut session, first) = Timed::open(SETTINGS);
    session.accept(&["abc", "é"]).unwrap();
    session.send("12345").unwrap();
    session.send("\u{0}").unwrap();
    let queued = session.core.outbox.bytes();
    let Traffic { messages_received, bytes_received, messages_sent, bytes_sent, .. } =
        *session.core.traffic();
    assert_eq!((messages_received, bytes_received, messages_sent, bytes_sent), (2, 5, 0, 0));
    session.next(first);
    session.core.receive().unwrap();
    session.send("gone").unwrap();
    session.core.end(CloseReason::TimedOut, session.now);
    let traffic = *session.core.traffic();
    assert_eq!((traffic.messages_sent, traffic.bytes_sent, traffic.dropped()), (2, 6, 1));
    assert_eq!(traffic.receive_queue_peak, 5 + 2 * MESSAGE_OVERHEAD);
    assert_eq!(traffic.send_queue_peak, queued);
}

#[test]
fn states_are_those_of_the_diagram() {
    let (mut session, first) = Timed::new(SETTINGS);
    assert_eq!(session.core.state(), State::Opening);
    session.next(first);
    assert_eq!(session.core.state(), State::Attached);
    session.release(first);
    assert_eq!(session.core.state(), State::Detached);
    session.core.end(CloseReason::Server(restart()), session.now);
    assert_eq!(session.core.state(), State::Closing);
    let second = session.attach();
    session.next(second);
    assert_eq!(session.core.state(), State::Closed);
}
