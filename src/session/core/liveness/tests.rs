//! The state of a connection, computed from its history from the latest moment back.

use proptest::{collection::vec, prelude::*};

use super::*;

const HEARTBEAT: Duration = Duration::from_secs(25);
const PONG: Duration = Duration::from_secs(7);
const TICK: Duration = Duration::from_millis(1);

/// With a heartbeat that is due and has been taken.
fn asked(pong_timeout: Option<Duration>) -> (Liveness, Instant) {
    let start = Instant::now();
    let mut liveness = Liveness::new(Some(HEARTBEAT), pong_timeout, start);
    let now = start + HEARTBEAT;
    assert_eq!(liveness.deadline(false), Some(now));
    assert_eq!(liveness.on_deadline(false, now), Due::Heartbeat);
    assert_eq!(liveness.heartbeat_due(), Some(now));
    liveness.heartbeat_left(now);
    (liveness, now)
}

#[test]
fn a_peer_that_can_be_asked_has_the_pong_timeout() {
    let (mut liveness, now) = asked(Some(PONG));
    assert_eq!(liveness.deadline(false), Some(now + PONG));
    assert_eq!(liveness.deadline(true), Some(now + HEARTBEAT), "the ping may be in a full buffer");
    liveness.progress(now + TICK);
    assert_eq!(liveness.deadline(false), Some(now + TICK + PONG));
    assert_eq!(liveness.on_deadline(false, now + TICK + PONG), Due::PongTimeout);
    let (liveness, now) = asked(None);
    assert_eq!(liveness.deadline(false), Some(now + HEARTBEAT));
}

#[test]
fn whatever_is_heard_is_an_answer_and_an_end_waits_for_none() {
    let answers: [fn(&mut Liveness); 5] = [
        Liveness::heard,
        |liveness| liveness.heard_messages(true),
        |liveness| liveness.heard_messages(false),
        Liveness::session_ended,
        Liveness::receiver_detached,
    ];
    for answer in answers {
        let (mut liveness, now) = asked(Some(PONG));
        answer(&mut liveness);
        assert_eq!(liveness.deadline(false), Some(now + HEARTBEAT));
        liveness.progress(now + TICK);
        assert_eq!(liveness.deadline(false), Some(now + HEARTBEAT), "progress asks nobody");
    }
}

#[test]
fn a_late_heartbeat_begins_the_interval_and_a_prompt_one_keeps_it() {
    for (late, counts_from) in [(PROMPT, Duration::ZERO), (PROMPT + TICK, PROMPT + TICK)] {
        let due = Instant::now();
        let mut liveness = Liveness::new(Some(HEARTBEAT), None, due - HEARTBEAT);
        liveness.on_deadline(false, due);
        liveness.heartbeat_left(due + late);
        assert_eq!(liveness.deadline(false), Some(due + counts_from + HEARTBEAT));
    }
}

#[test]
fn an_interval_that_changes_counts_from_the_last_frame() {
    let start = Instant::now();
    for pong_timeout in [None, Some(PONG)] {
        let mut liveness = Liveness::new(Some(HEARTBEAT), pong_timeout, start);
        liveness.frame_left(start);
        for interval in [TICK, HEARTBEAT * 2] {
            liveness.set_heartbeat(Some(interval));
            assert_eq!(liveness.deadline(false), Some(start + interval));
        }
        liveness.set_heartbeat(None);
        assert_eq!(liveness.deadline(false), None);
    }
}

#[test]
fn without_heartbeats_none_waits_and_no_answer_is_waited_for() {
    let (mut liveness, now) = asked(Some(PONG));
    liveness.set_heartbeat(Some(HEARTBEAT * 2));
    assert_eq!(liveness.deadline(false), Some(now + PONG), "the ping has left");
    liveness.set_heartbeat(None);
    liveness.progress(now + TICK);
    assert_eq!(liveness.deadline(false), None);

    liveness.set_heartbeat(Some(HEARTBEAT));
    assert_eq!(liveness.on_deadline(false, now + HEARTBEAT), Due::Heartbeat);
    liveness.set_heartbeat(None);
    assert_eq!((liveness.heartbeat_due(), liveness.deadline(false)), (None, None));
}

#[cfg(feature = "websocket")]
#[test]
fn a_message_that_is_read_has_its_time() {
    let now = Instant::now();
    let mut liveness = Liveness::new(None, None, now);
    liveness.set_unfinished(Some(1), now);
    let end = liveness.deadline(true).unwrap();
    assert_eq!(liveness.on_deadline(true, end), Due::MessageTooSlow);
    liveness.set_unfinished(None, now);
    assert_eq!(liveness.deadline(true), None);
}

#[cfg(feature = "websocket")]
#[test]
fn a_dead_peer_is_not_told_that_it_is_slow() {
    let (mut liveness, now) = asked(Some(PONG));
    liveness.set_unfinished(Some(1), now);
    assert_eq!(liveness.on_deadline(false, now + HEARTBEAT * 10), Due::PongTimeout);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Attached,
    Detached,
    /// The deadline came: a heartbeat is due, or a new interval of listening begins.
    HeartbeatDue,
    Listening,
    FrameLeft,
    HeartbeatLeft,
    Progress,
    Heard,
    Messages {
        fit: bool,
    },
    /// The interval is changed.
    Changed(Option<Duration>),
}

/// All events, with their times.
struct History {
    pong_timeout: Option<Duration>,
    past: Vec<(Event, Instant)>,
}

impl History {
    /// The latest of these events, with its time.
    fn last(&self, events: &[Event]) -> Option<(Event, Instant)> {
        self.past.iter().rev().find(|(event, _)| events.contains(event)).copied()
    }

    /// The interval that was set before this place in the history.
    fn interval(&self, before: usize) -> Option<Duration> {
        let interval = |(event, _): &(Event, Instant)| match event {
            Event::Changed(interval) => Some(*interval),
            _ => None,
        };
        self.past[..before].iter().rev().find_map(interval).expect("the first event sets one")
    }

    fn present_interval(&self) -> Option<Duration> {
        self.interval(self.past.len())
    }

    /// The time since which a heartbeat waits.
    fn waiting(&self) -> Option<Instant> {
        use Event::{Changed, Detached, FrameLeft, HeartbeatDue, HeartbeatLeft};
        match self.last(&[HeartbeatDue, FrameLeft, HeartbeatLeft, Detached, Changed(None)]) {
            Some((HeartbeatDue, at)) => Some(at),
            _ => None,
        }
    }

    /// The time at which the interval to the next heartbeat began.
    fn last_frame(&self) -> Instant {
        use Event::{Attached, FrameLeft, HeartbeatDue, HeartbeatLeft};
        let (event, at) = self.last(&[Attached, FrameLeft, HeartbeatLeft]).unwrap();
        if event == HeartbeatLeft {
            // Another heartbeat may have become due since, and been dropped.
            let left = self.past.iter().rposition(|(event, _)| *event == HeartbeatLeft).unwrap();
            let is_due = |(event, _): &&(Event, Instant)| *event == HeartbeatDue;
            let due = self.past[..left].iter().rev().find(is_due).unwrap().1;
            let next_is_due = self.interval(left).is_some_and(|interval| due + interval <= at);
            return if at <= due + Duration::from_secs(1) && !next_is_due { due } else { at };
        }
        at
    }

    /// Whether the peer has been heard in the current interval of listening, and the beginning of that interval.
    fn listening(&self) -> (bool, Instant) {
        use Event::{Heard, HeartbeatLeft, Listening, Messages};
        let is_start = |event| matches!(event, HeartbeatLeft | Listening);
        let start = self.past.iter().rposition(|(event, _)| is_start(*event)).unwrap_or(0);
        let heard = self.past[start..].iter().any(|(event, _)| matches!(event, Heard | Messages { .. }));
        (heard, self.past[start].1)
    }

    /// The time at which the answer to a ping is overdue.
    fn pong(&self) -> Option<Instant> {
        use Event::{Changed, Detached, Heard, HeartbeatLeft, Messages, Progress};
        let answered = self
            .past
            .iter()
            .rposition(|(event, _)| matches!(event, Heard | Messages { .. } | Detached | Changed(None)))
            .map_or(0, |at| at + 1);
        let full = self.past.iter().rev().find(|(event, _)| matches!(event, Messages { .. }));
        let paused = full.is_some_and(|(event, _)| *event == Messages { fit: false });
        let since = &self.past[answered..];
        let ping = since.iter().position(|(event, _)| *event == HeartbeatLeft).filter(|_| !paused)?;
        let from = since[ping..].iter().rev().find(|(event, _)| *event == Progress).unwrap_or(&since[ping]);
        Some(from.1 + self.pong_timeout?)
    }

    fn next_heartbeat(&self) -> Option<Instant> {
        let (_, listening) = self.listening();
        let listens = self.pong_timeout.is_some();
        let from = if listens { self.last_frame().min(listening) } else { self.last_frame() };
        Some(from + self.present_interval()?).filter(|_| self.waiting().is_none())
    }

    fn deadline(&self, is_blocked: bool) -> Option<Instant> {
        let pong = self.pong().filter(|_| !is_blocked);
        pong.into_iter().chain(self.next_heartbeat()).min()
    }

    fn due(&self, is_blocked: bool, now: Instant) -> Due {
        let is_quiet = self.present_interval().is_some_and(|interval| self.last_frame() + interval <= now);
        match (self.pong(), self.listening()) {
            (Some(pong), _) if pong <= now && !is_blocked => Due::PongTimeout,
            (_, (true, _)) if !is_quiet => Due::Listening,
            _ => Due::Heartbeat,
        }
    }
}

fn an_interval() -> impl Strategy<Value = Option<Duration>> {
    prop_oneof![1 => Just(None), 1 => Just(Some(PROMPT / 2)), 4 => Just(Some(HEARTBEAT))]
}

fn an_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => Just(Event::FrameLeft),
        6 => Just(Event::HeartbeatLeft),
        2 => Just(Event::Progress),
        2 => Just(Event::Heard),
        3 => any::<bool>().prop_map(|fit| Event::Messages { fit }),
        1 => Just(Event::Detached),
        8 => Just(Event::HeartbeatDue),
        2 => an_interval().prop_map(Event::Changed),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn is_what_its_history_says(
        heartbeat in an_interval(),
        pong_timeout in prop_oneof![1 => Just(None), 3 => Just(Some(PONG))],
        events in vec((an_event(), prop_oneof![0..900_u64, 0..9000_u64, Just(25_000)], any::<bool>()), 1..60),
    ) {
        let mut now = Instant::now();
        let mut liveness = Liveness::new(heartbeat, pong_timeout, now);
        let past = vec![(Event::Changed(heartbeat), now), (Event::Attached, now)];
        let mut history = History { pong_timeout, past };
        for (event, millis, is_blocked) in events {
            now += Duration::from_millis(millis);
            match event {
                Event::HeartbeatDue => {
                    // Like the driver, this does what is due until nothing is.
                    while is_due(liveness.deadline(is_blocked), now) {
                        let due = liveness.on_deadline(is_blocked, now);
                        prop_assert_eq!(due, history.due(is_blocked, now));
                        history.past.push(match due {
                            Due::Heartbeat => (Event::HeartbeatDue, now),
                            Due::Listening => (Event::Listening, now),
                            Due::PongTimeout | Due::MessageTooSlow => return Ok(()),
                        });
                    }
                    continue;
                }
                Event::HeartbeatLeft if history.waiting().is_none() => continue,
                Event::HeartbeatLeft => liveness.heartbeat_left(now),
                Event::FrameLeft => liveness.frame_left(now),
                Event::Progress => liveness.progress(now),
                Event::Heard => liveness.heard(),
                Event::Changed(heartbeat) => liveness.set_heartbeat(heartbeat),
                Event::Messages { fit } => liveness.heard_messages(fit),
                Event::Detached => {
                    liveness.receiver_detached();
                    history.past.push((event, now));
                    liveness.receiver_attached(now);
                    history.past.push((Event::Attached, now));
                    continue;
                }
                Event::Attached | Event::Listening => continue,
            }
            history.past.push((event, now));
            prop_assert_eq!(liveness.heartbeat_due(), history.waiting());
            for is_blocked in [false, true] {
                prop_assert_eq!(liveness.deadline(is_blocked), history.deadline(is_blocked));
            }
            let soon = history.present_interval().into_iter().chain(pong_timeout).min();
            prop_assert_eq!(liveness.after_heartbeat(now), soon.map(|soon| now + soon));
        }
    }
}
