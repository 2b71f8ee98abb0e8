//! Properties that hold for every session after each step, whatever happens to it.
//!
//! No check repeats the state machine: each compares inputs with outputs, or asks a copy of the core for its next step.

use std::collections::VecDeque;

use proptest::{collection::vec, option::weighted, prelude::*};

use super::{super::throttle::tests::Past, *};

#[derive(Debug, Clone)]
enum Op {
    Attach,
    /// `back` counts from the receiver that attached last, which is 0. Calls of all others come too late.
    Next {
        back: usize,
        max_bytes: usize,
    },
    Release {
        back: usize,
    },
    Interrupt {
        back: usize,
    },
    /// A part of a frame leaves.
    Progress {
        back: usize,
    },
    /// The socket is blocked, or no longer.
    #[cfg(feature = "websocket")]
    Block {
        back: usize,
        blocked: bool,
    },
    /// The peer of a socket has sent something.
    #[cfg(feature = "websocket")]
    Hear,
    /// A socket reads the rest of a message, or the message is complete.
    #[cfg(feature = "websocket")]
    Unfinished(Option<u64>),
    /// A socket has written its close frame.
    #[cfg(feature = "websocket")]
    CloseWritten,
    /// The sizes of a batch's messages, beyond the number with which each begins.
    Accept(Vec<usize>),
    /// `overflow` is the policy of the call, or `None` for the endpoint's.
    Send {
        size: usize,
        overflow: Option<Overflow>,
        others_wait: bool,
    },
    Push(usize),
    /// A task is granted room for a message of this many bytes.
    Promise(Line, usize),
    /// The first task that was granted room uses it, or no longer waits.
    Withdraw(Line),
    /// The first batch that was granted room is accepted.
    AcceptPromised,
    Receive,
    StopReceiving,
    /// The application has been polled with all accepted batches.
    Attend,
    SetHeartbeat(Option<Duration>),
    End(CloseReason),
    /// The endpoint shuts down.
    Leave,
    /// The registry drops a session.
    Discard,
    Wait(Duration),
    /// What a driver does when it wakes.
    Drive,
}

fn an_op() -> impl Strategy<Value = Op> {
    let back = || prop_oneof![4 => Just(0), 1 => 1..3_usize];
    let size = || prop_oneof![4 => 0..4_usize, 1 => 20..60_usize];
    let line = || prop_oneof![Just(Line::In), Just(Line::Out)];
    let max_bytes = prop_oneof![0..30_usize, Just(100), Just(usize::MAX)];
    let wait = prop_oneof![
        8 => 0..2000_u64,
        2 => Just(3000),
        1 => prop_oneof![Just(4999_u64), Just(5000), Just(7000), Just(10_000), Just(25_000), Just(60_000)],
    ];
    let reason = proptest::sample::select(all_reasons().map(|(reason, _)| reason).to_vec());
    prop_oneof![
        6 => Just(Op::Attach),
        12 => (back(), max_bytes).prop_map(|(back, max_bytes)| Op::Next { back, max_bytes }),
        4 => back().prop_map(|back| Op::Release { back }),
        1 => back().prop_map(|back| Op::Interrupt { back }),
        1 => back().prop_map(|back| Op::Progress { back }),
        2 => on_a_socket(back()),
        6 => vec(size(), 0..4).prop_map(Op::Accept),
        8 => (size(), weighted(0.3, any_overflow()), prop::bool::weighted(0.2))
            .prop_map(|(size, overflow, others_wait)| Op::Send { size, overflow, others_wait }),
        1 => size().prop_map(Op::Push),
        2 => (line(), size()).prop_map(|(line, size)| Op::Promise(line, size)),
        2 => line().prop_map(Op::Withdraw),
        2 => Just(Op::AcceptPromised),
        8 => Just(Op::Receive),
        4 => Just(Op::Attend),
        2 => prop_oneof![6 => reason.prop_map(Op::End), 2 => Just(Op::Leave), 1 => Just(Op::Discard)],
        16 => prop_oneof![
            40 => wait.prop_map(|millis| Op::Wait(Duration::from_millis(millis))),
            40 => Just(Op::Drive),
            1 => Just(Op::StopReceiving),
            4 => any_heartbeat().prop_map(Op::SetHeartbeat),
        ],
    ]
}

#[cfg(feature = "websocket")]
fn on_a_socket(back: impl Strategy<Value = usize>) -> impl Strategy<Value = Op> {
    prop_oneof![
        (back, any::<bool>()).prop_map(|(back, blocked)| Op::Block { back, blocked }),
        Just(Op::Hear),
        Just(Op::CloseWritten),
        proptest::option::of(0..3_u64).prop_map(Op::Unfinished),
    ]
}

#[cfg(not(feature = "websocket"))]
fn on_a_socket(back: impl Strategy<Value = usize>) -> impl Strategy<Value = Op> {
    back.prop_map(|back| Op::Progress { back })
}

fn any_kind() -> impl Strategy<Value = Kind> {
    let pong_timeout =
        prop_oneof![Just(None), Just(Some(secs(1))), Just(Some(PONG)), Just(Some(Duration::MAX))];
    prop_oneof![
        2 => Just(Kind::Stream),
        2 => Just(Kind::Poll),
        2 => (prop::bool::weighted(0.8), pong_timeout)
            .prop_map(|(framed, pong_timeout)| Kind::Socket { framed, pong_timeout }),
    ]
}

fn any_heartbeat() -> impl Strategy<Value = Option<Duration>> {
    prop_oneof![Just(None), Just(Some(secs(3))), Just(Some(HEARTBEAT)), Just(Some(Duration::MAX))]
}

fn any_overflow() -> impl Strategy<Value = Overflow> {
    prop_oneof![
        4 => Just(Overflow::Wait),
        1 => Just(Overflow::Close),
        2 => Just(Overflow::DropOldest),
    ]
}

fn any_rates() -> impl Strategy<Value = Rates> {
    let messages = prop_oneof![
        4 => Just(Rate::per_second(2).burst(3)),
        1 => Just(Rate::new(1, secs(86_400))),
    ];
    let bytes = Just(Rate::per_second(10).burst(20));
    let overflow = prop_oneof![2 => Just(RateOverflow::Wait), 1 => Just(RateOverflow::Close)];
    prop_oneof![
        Just(Rates::NONE),
        (weighted(0.7, messages), weighted(0.5, bytes), overflow)
            .prop_map(|(messages, bytes, overflow)| Rates { messages, bytes, overflow }),
    ]
}

fn any_settings() -> impl Strategy<Value = Settings> {
    let delay = prop_oneof![1 => Just(Duration::ZERO), 8 => Just(DELAY), 2 => Just(Duration::MAX)];
    let queues =
        (prop_oneof![Just(300), Just(600), Just(usize::MAX)], 1..4_usize, prop_oneof![Just(1), Just(700)]);
    let write = prop_oneof![Just(None), Just(Some(secs(1))), Just(Some(WRITE)), Just(Some(Duration::MAX))];
    (any_heartbeat(), delay, queues, any_overflow(), write, any_rates(), any_kind()).prop_map(
        |(heartbeat, disconnect_delay, queues, send_overflow, write_timeout, rates, kind)| Settings {
            heartbeat,
            disconnect_delay,
            receive_queue_bytes: queues.0,
            receive_queue_messages: queues.1,
            send_queue_bytes: queues.2,
            send_overflow,
            write_timeout,
            rates,
            kind,
        },
    )
}

/// A message that begins with its number; some of its letters grow on the wire.
fn numbered(number: usize, size: usize) -> String {
    format!("{number}:") + &"x\"\u{2028}".chars().cycle().take(size).collect::<String>()
}

/// A time that can come.
fn finite(time: Option<Duration>) -> Option<Duration> {
    time.filter(|&time| time < Duration::MAX)
}

/// The events that a copy of the core would have ready for each kind of waiting task.
fn ready(core: &Core, receiver: Option<ReceiverId>, batch: Accepted, now: Instant) -> Vec<(Events, bool)> {
    let copy = || core.clone();
    let has_frame = receiver.is_none_or(|id| copy().next_frame(id, 1, || now) != Next::Wait);
    let ended = core.close_reason().is_some();
    let mut ready = vec![
        (Events::FRAME, has_frame),
        (Events::MESSAGE, copy().receive() != Ok(None)),
        (Events::DETACHED, !core.attached()),
        (Events::ENDED, ended),
        (Events::ATTENDED, core.has_attended(batch)),
        (Events::FLUSHED, core.flushed()),
    ];
    for size in [0, 40] {
        let message = Message::from(numbered(100, size));
        let [room_out, room_in] = [core.room_for(&message), Room::of_batch(std::slice::from_ref(&message))];
        ready.push((Events::WRITABLE, core.writable(room_out.bytes) != Ok(false)));
        ready.push((Events::WRITABLE, ended || copy().promise(Line::Out, room_out, || now)));
        // The time of a batch is a matter of the driver: see `Op::Drive`.
        let without_rates = || Core { throttle: None, ..copy() };
        let accepted = without_rates().accept(&mut vec![message], || now);
        ready.push((Events::ROOM, accepted != Err(Refused::Full)));
        ready.push((Events::ROOM, ended || without_rates().promise(Line::In, room_in, || now)));
    }
    ready
}

/// A session, and the history that the checks need.
struct Witness {
    core: Core,
    settings: Settings,
    now: Instant,
    ids: Vec<ReceiverId>,
    attached: Option<usize>,
    frames: Vec<Frame>,
    /// The messages that were sent and not taken, and those that were accepted and not received.
    to_client: VecDeque<String>,
    to_app: VecDeque<String>,
    /// The messages that were discarded in this step.
    discarded: Vec<String>,
    /// The number of messages that have been queued, taken and accepted, in all.
    sent: u64,
    taken: u64,
    accepted: u64,
    /// The numbers that messages carry.
    numbers: usize,
    /// The room that has been promised and not been withdrawn.
    promises: [Vec<Room>; 2],
    /// The batches that were accepted, or were promised room by a rate with the policy to wait.
    past: Past,
    /// A message or a batch that is larger than its whole queue, or a `push`, has gone beyond a bound.
    overfull: [bool; 2],
    armed: Option<Instant>,
    first_reason: Option<CloseReason>,
    ended_at: Option<Instant>,
    /// Whether the open frame was taken before the end.
    opened_in_time: bool,
    /// Whether messages were lost with a receiver that was cut off after the end.
    lost_before_close: bool,
    close_delivered: bool,
    pending_at_shutdown: bool,
    /// The last times of these events.
    detached_at: Instant,
    got_on_at: Instant,
    /// Since when the peer could have answered a ping, if it has sent nothing since.
    asked_at: Option<Instant>,
    frame_at: Instant,
    heard_at: Instant,
    /// Whether the receiver has found no frame since it took its last one.
    at_rest: bool,
    blocked: bool,
}

impl Witness {
    fn new(settings: Settings) -> Self {
        let now = Instant::now();
        let (core, first) = Core::new(&settings, now);
        Self {
            core,
            settings,
            now,
            ids: vec![first],
            attached: Some(0),
            frames: Vec::new(),
            to_client: VecDeque::new(),
            to_app: VecDeque::new(),
            discarded: Vec::new(),
            sent: 0,
            taken: 0,
            accepted: 0,
            numbers: 0,
            promises: [Vec::new(), Vec::new()],
            past: Past::default(),
            overfull: [false; 2],
            armed: None,
            first_reason: None,
            ended_at: None,
            opened_in_time: false,
            lost_before_close: false,
            close_delivered: false,
            pending_at_shutdown: false,
            detached_at: now,
            got_on_at: now,
            asked_at: None,
            frame_at: now,
            heard_at: now,
            at_rest: false,
            blocked: false,
        }
    }

    fn resumes(&self) -> bool {
        !matches!(self.settings.kind, Kind::Socket { .. })
    }

    fn receiver(&self) -> Option<ReceiverId> {
        self.attached.map(|attached| self.ids[attached])
    }

    fn next_text(&mut self, size: usize) -> String {
        self.numbers += 1;
        numbered(self.numbers, size)
    }

    fn has_ended(&self) -> bool {
        self.core.close_reason().is_some()
    }

    fn close_frames(&self) -> impl Iterator<Item = &CloseFrame> {
        self.frames
            .iter()
            .filter_map(|frame| if let Frame::Close(close) = frame { Some(close) } else { None })
    }

    fn step(&mut self, op: &Op) {
        let before = self.core.clone();
        let (receiver, frames) = (self.receiver(), self.frames.len());
        let ready_before = ready(&before, receiver, before.accepted(), self.now);
        let closed_before = self.close_frames().next().is_some();
        self.run(op);
        self.follow_end(op, &before);
        let discarded = self.core.take_discarded().into_messages();
        assert!(discarded.iter().eq(self.discarded.drain(..).as_slice()), "what is lost is given out");
        self.check_queues();
        self.check_answers();
        self.check_times(op, &before);

        let events = self.core.take_events();
        let ready_after = ready(&self.core, self.receiver(), before.accepted(), self.now);
        for ((event, before), (_, after)) in ready_before.into_iter().zip(ready_after) {
            // A receiver that attaches or detaches needs no wake-up, since it asks by itself.
            let concerned = event != Events::FRAME || receiver == self.receiver();
            assert!(
                !concerned || before || !after || events.contains(event),
                "waiters for {event:?} sleep on"
            );
        }
        let new_frames = &self.frames[frames..];
        let told = !closed_before && self.close_frames().next().is_some() && self.pending_at_shutdown;
        let wake_driver = new_frames.contains(&Frame::Open)
            || told
            || before.close_reason() != self.core.close_reason()
            || before.is_gone() != self.core.is_gone()
            || before.accepted() != self.core.accepted()
            || self.core.deadline().is_some_and(|at| self.armed.is_none_or(|armed| at < armed));
        assert_eq!(events.contains(Events::DRIVER), wake_driver, "waking the driver");
    }

    /// Runs an operation, and records the frames that came out.
    fn run(&mut self, op: &Op) {
        let now = self.now;
        let last = self.ids.len() - 1;
        let id = |back: usize| last.saturating_sub(back);
        match *op {
            Op::Attach => self.attach(),
            Op::Next { back, max_bytes } => self.next(id(back), max_bytes),
            Op::Release { back } => self.of_receiver(id(back), |core, id| core.release(id, now), true),
            Op::Interrupt { back } => {
                let id = id(back);
                let is_attached = self.attached == Some(id);
                let opened = !self.frames.is_empty();
                self.of_receiver(id, |core, id| core.interrupt(id, now), true);
                if is_attached {
                    assert!(self.has_ended(), "what it has taken may be lost");
                    assert!(self.core.is_gone() || opened && self.resumes(), "nobody can be told");
                }
            }
            Op::Progress { back } => {
                self.of_receiver(id(back), |core, id| core.progress(id, now), false);
                if self.attached == Some(id(back)) {
                    self.get_on();
                }
            }
            #[cfg(feature = "websocket")]
            Op::Block { back, blocked } => {
                self.of_receiver(id(back), |core, id| core.set_blocked(id, blocked, now), false);
                if self.attached == Some(id(back)) && self.blocked != blocked {
                    self.blocked = blocked;
                    self.get_on();
                }
            }
            #[cfg(feature = "websocket")]
            Op::Hear => {
                self.core.heard();
                self.hear();
            }
            #[cfg(feature = "websocket")]
            Op::Unfinished(message) => self.core.set_unfinished(message, now),
            #[cfg(feature = "websocket")]
            Op::CloseWritten => {
                self.core.close_written(now);
                self.close_delivered |= self.close_frames().next().is_some() && !self.core.is_gone();
            }
            Op::Accept(ref sizes) => self.accept(sizes),
            Op::Send { size, overflow, others_wait } => self.send(size, overflow, others_wait),
            Op::Push(size) => self.push(size),
            Op::Promise(line, size) => self.promise(line, size),
            Op::Withdraw(line) => self.withdraw(line),
            Op::AcceptPromised => self.accept_promised(),
            Op::Receive => {
                let expected = match self.to_app.pop_front() {
                    Some(text) => Ok(Some(Message::from(text))),
                    None => self.core.close_reason().cloned().map_or(Ok(None), Err),
                };
                assert_eq!(self.core.receive(), expected, "each once, in order, and then the end");
            }
            // A `Session` that is dropped ends first.
            Op::StopReceiving => {
                if self.has_ended() {
                    self.core.stop_receiving();
                    self.discarded.extend(self.to_app.drain(..));
                }
            }
            Op::Attend => self.core.attend(self.core.accepted()),
            Op::SetHeartbeat(heartbeat) => {
                self.core.set_heartbeat(heartbeat);
                self.settings.heartbeat = heartbeat;
            }
            Op::End(ref reason) => {
                let news = !self.has_ended();
                assert_eq!(self.core.end(reason.clone(), now), news);
                assert!(!news || self.core.close_reason() == Some(reason));
            }
            Op::Leave => {
                let had_ended = self.has_ended();
                self.core.leave(&restart(), now);
                assert!(had_ended || self.core.close_reason() == Some(&CloseReason::Shutdown(restart())));
                let is_own = matches!(
                    self.core.close_reason(),
                    Some(CloseReason::Server(_) | CloseReason::Shutdown(_))
                );
                self.pending_at_shutdown |= is_own && !self.close_delivered && !self.core.is_gone();
            }
            Op::Discard => {
                self.core.discard(now);
                assert!(self.core.is_gone() && self.has_ended());
            }
            Op::Wait(time) => self.now += time,
            Op::Drive => {
                let awaited = self.core.intake_deadline();
                self.core.on_deadline(now);
                let is_told = self.core.events.contains(Events::ROOM);
                assert!(awaited.is_none_or(|at| at > now) || is_told, "a batch waits beyond its time");
                assert!(self.core.deadline().is_none_or(|at| at > now), "all is done that was due");
                let after = format!("{:?}", self.core);
                self.core.on_deadline(now);
                assert_eq!(format!("{:?}", self.core), after, "a second call does nothing");
                let deadline = self.core.deadline();
                self.armed = self.core.arm(now);
                assert!(deadline.is_none_or(|at| self.armed.is_some_and(|armed| armed <= at)), "no later");
                assert!(self.armed.is_none_or(|armed| armed > now), "the driver would spin");
            }
        }
    }

    /// The connection has accepted bytes, or is blocked no longer.
    fn get_on(&mut self) {
        self.got_on_at = self.now;
        self.asked_at = self.asked_at.map(|_| self.now);
    }

    fn hear(&mut self) {
        self.heard_at = self.now;
        self.asked_at = None;
    }

    fn attach(&mut self) {
        let expected = match self.attached {
            _ if self.core.is_gone() => Err(AttachError::Gone),
            Some(_) => Err(AttachError::Busy),
            None => Ok(()),
        };
        let attached = self.core.attach(self.now);
        assert_eq!(attached.map(drop), expected, "one receiver at a time");
        if let Ok(id) = attached {
            assert!(!self.ids.contains(&id));
            self.attached = Some(self.ids.len());
            self.ids.push(id);
            (self.got_on_at, self.frame_at) = (self.now, self.now);
            (self.at_rest, self.blocked) = (false, false);
        }
    }

    /// A call that comes too late, from a receiver that is not attached, changes nothing.
    fn of_receiver(&mut self, id: usize, call: impl FnOnce(&mut Core, ReceiverId), leaves: bool) {
        let is_attached = self.attached == Some(id);
        let before = (!is_attached).then(|| format!("{:?}", self.core));
        call(&mut self.core, self.ids[id]);
        if let Some(before) = before {
            assert_eq!(format!("{:?}", self.core), before, "it is too late");
        } else if leaves {
            self.attached = None;
            self.detached_at = self.now;
        }
    }

    fn next(&mut self, id: usize, max_bytes: usize) {
        let now = self.now;
        let had_ended = self.has_ended();
        let next = self.core.next_frame(self.ids[id], max_bytes, || now);
        let receives = self.attached == Some(id) && !self.core.is_gone();
        assert_eq!(next == Next::End, !receives, "one receiver");
        let frame = match next {
            Next::Frame(frame) => frame,
            Next::Wait => {
                assert!(!self.frames.is_empty() && self.to_client.is_empty() && !had_ended);
                self.at_rest = true;
                return;
            }
            Next::End => return,
        };
        assert_eq!(frame == Frame::Open, self.frames.is_empty(), "`o` first, and once: {frame:?}");
        if let Some(close) = self.close_frames().next() {
            assert_eq!(frame, Frame::Close(close.clone()), "nothing else after the end");
        }
        match &frame {
            Frame::Open => self.opened_in_time = !had_ended,
            Frame::Messages(messages) => {
                assert!(!messages.is_empty());
                self.taken += messages.len() as u64;
                for message in messages {
                    let expected = self.to_client.pop_front().expect("it was sent");
                    assert_eq!(*message, expected.as_str(), "each once, in order");
                }
            }
            Frame::Close(close) => {
                assert!(self.to_client.is_empty(), "all before it has come");
                let reason = self.core.close_reason().expect("an end has a reason");
                let whole = all_reasons().into_iter().find(|(known, _)| known == reason);
                let expected = match whole {
                    _ if self.lost_before_close => INTERRUPTED,
                    Some((_, frame)) => frame,
                    None => restart(),
                };
                assert_eq!(*close, expected);
                self.close_delivered |= self.resumes();
            }
            Frame::Heartbeat => {
                assert!(!had_ended && self.to_client.is_empty());
                self.asked_at.get_or_insert(now);
            }
        }
        if !matches!(frame, Frame::Close(_)) {
            self.frame_at = now;
            self.at_rest = false;
            self.got_on_at = if self.blocked { self.got_on_at } else { now };
        }
        self.frames.push(frame);
    }

    fn accept(&mut self, sizes: &[usize]) {
        let texts: Vec<_> = sizes.iter().map(|&size| self.next_text(size)).collect();
        let mut batch: Vec<_> = texts.iter().map(Message::from).collect();
        let room = Room::of_batch(&batch);
        let is_ours = self.core.close_reason().is_some_and(is_ours) && !self.core.is_gone();
        let fits = self.fits(Line::In, room);
        let batches = self.core.accepted();
        let (now, rates) = (self.now, self.settings.rates);
        let is_in_time = self.past.allows(&rates, now);
        let had_ended = self.has_ended();
        let result = self.core.accept(&mut batch, || now);
        if fits && !is_in_time && !had_ended && !texts.is_empty() {
            assert_eq!(batch.len(), texts.len(), "whole or not at all");
            self.hear();
            self.check_too_fast(result);
            return;
        }
        if self.has_ended() {
            assert_eq!(result, if is_ours { Ok(()) } else { Err(Refused::Closed) });
            assert_eq!(batch.len(), texts.len(), "nobody reads it");
        } else if texts.is_empty() {
            assert_eq!(result, Ok(()));
        } else {
            self.hear();
            assert_eq!(result, if fits { Ok(()) } else { Err(Refused::Full) });
            assert_eq!(batch.len(), if fits { 0 } else { texts.len() }, "whole or not at all");
            let is_counted = fits && self.resumes();
            assert_eq!(self.core.accepted() > batches, is_counted);
            assert!(!is_counted || !self.core.has_attended(self.core.accepted()));
            if fits {
                self.overfull[0] |= room.bytes > self.settings.receive_queue_bytes
                    || room.messages > self.settings.receive_queue_messages;
                self.accepted += texts.len() as u64;
                self.to_app.extend(texts);
                self.past.has_come(room, now);
            }
        }
    }

    /// Checks the refusal of a batch that has room and has come too early for the rate.
    fn check_too_fast(&self, result: Result<(), Refused>) {
        if self.settings.rates.overflow == RateOverflow::Close {
            assert_eq!(result, Ok(()), "it is thrown away");
            assert_eq!(self.core.close_reason(), Some(&CloseReason::RateExceeded));
        } else {
            assert_eq!(result, Err(Refused::Full));
            let next = self.core.intake_deadline().expect("its time will come");
            assert!(self.past.allows(&self.settings.rates, next));
            assert!(!self.past.allows(&self.settings.rates, next - Duration::from_nanos(1)), "too late");
        }
    }

    fn accept_promised(&mut self) {
        if self.has_ended() || self.promises[0].is_empty() {
            return;
        }
        let room = self.promises[0].remove(0);
        let text = "x".repeat(room.bytes - MESSAGE_OVERHEAD);
        let mut batch = vec![Message::from(&text)];
        let (now, rates) = (self.now, self.settings.rates);
        let result = self.core.accept_promised(&mut batch, room, || now);
        self.hear();
        let is_paid = rates.overflow == RateOverflow::Wait;
        if !is_paid && !self.past.allows(&rates, now) {
            self.check_too_fast(result);
            return;
        }
        assert_eq!((result, batch.len()), (Ok(()), 0), "what was promised is there");
        self.accepted += 1;
        self.to_app.push_back(text);
        if !is_paid {
            self.past.has_come(room, now);
        }
    }

    fn send(&mut self, size: usize, overflow: Option<Overflow>, others_wait: bool) {
        let overflow = overflow.unwrap_or(self.settings.send_overflow);
        let now = self.now;
        let send = |core: &mut Core, message: &Message| core.send(message, overflow, others_wait, || now);
        self.queue(size, overflow, others_wait, Err(Refused::Full), send);
    }

    fn push(&mut self, size: usize) {
        let overflow = self.settings.send_overflow;
        let now = self.now;
        let push = |core: &mut Core, message: &Message| core.push(message, overflow, false, || now);
        self.queue(size, overflow, false, Ok(()), push);
    }

    fn queue(
        &mut self,
        size: usize,
        overflow: Overflow,
        others_wait: bool,
        where_it_waits: Result<(), Refused>,
        queue: impl FnOnce(&mut Core, &Message) -> Result<(), Refused>,
    ) {
        let text = self.next_text(size);
        let message = Message::from(&text);
        let room = self.core.room_for(&message);
        let (ended, fits) = (self.has_ended(), self.fits(Line::Out, room));
        let writable = self.core.writable(room.bytes);
        let (dropped, before) = (self.core.dropped_messages(), self.core.outbox.bytes());
        let result = queue(&mut self.core, &message);
        let dropped = self.core.dropped_messages() - dropped;
        let expected = match overflow {
            _ if ended => Err(Refused::Closed),
            _ if fits => Ok(()),
            Overflow::Wait => where_it_waits,
            Overflow::Close => Err(Refused::Closed),
            Overflow::DropOldest => Ok(()),
        };
        assert_eq!(result, expected);
        let waits = self.settings.send_overflow == Overflow::Wait && !fits;
        assert_eq!(writable, if ended { Err(Refused::Closed) } else { Ok(!waits) });
        let drops = overflow == Overflow::DropOldest;
        assert!(dropped == 0 || drops && (!fits || others_wait));
        for _ in 0..dropped {
            self.discarded.push(self.to_client.pop_front().expect("the oldest of those that have not left"));
        }
        if result.is_ok() {
            self.sent += 1;
            self.to_client.push_back(text);
            let is_alone = self.to_client.len() == 1;
            let has_grown = self.core.outbox.bytes() > before;
            assert!(!(drops && others_wait && has_grown) || is_alone, "who waits gets the room that is free");
            // Beside the promised room, a message that finds no other to drop goes beyond the bound.
            let beyond = !fits && (overflow == Overflow::Wait || drops && is_alone);
            self.overfull[1] |= beyond || room.bytes > self.settings.send_queue_bytes;
        }
    }

    /// The queued and promised amount of a queue, and its bound.
    fn filling(&self, line: Line) -> (Room, Room) {
        let cost = |text: &String| self.core.room_for(&text.into()).bytes;
        let (bytes, messages, bound) = match line {
            Line::In => {
                let Settings { receive_queue_bytes: bytes, receive_queue_messages: messages, .. } =
                    self.settings;
                let queued = self.to_app.iter().map(|text| text.len() + MESSAGE_OVERHEAD).sum();
                (queued, self.to_app.len(), Room { bytes, messages })
            }
            Line::Out => {
                let bound = Room { bytes: self.settings.send_queue_bytes, messages: usize::MAX };
                (self.to_client.iter().map(cost).sum::<usize>(), self.to_client.len(), bound)
            }
        };
        let promises = &self.promises[line as usize];
        let promised = promises.iter().map(|room| room.bytes).sum::<usize>();
        let promised_messages = promises.iter().map(|room| room.messages).sum::<usize>();
        (Room { bytes: bytes + promised, messages: messages + promised_messages }, bound)
    }

    /// Whether a queue has this much room beside the promised one.
    fn fits(&self, line: Line, more: Room) -> bool {
        let (full, bound) = self.filling(line);
        let within =
            full.bytes + more.bytes <= bound.bytes && full.messages + more.messages <= bound.messages;
        within || full == Room::default()
    }

    fn promise(&mut self, line: Line, size: usize) {
        // No task waits for room in a session that has ended.
        if self.has_ended() {
            return;
        }
        let message = Message::from(numbered(100, size));
        let room = if line == Line::In { Room::of_batch(&[message]) } else { self.core.room_for(&message) };
        let (now, rates) = (self.now, self.settings.rates);
        let pays = line == Line::In && rates.overflow == RateOverflow::Wait;
        let fits = self.fits(line, room) && (!pays || self.past.allows(&rates, now));
        let promised = self.core.promise(line, room, || now);
        assert_eq!(promised, fits, "room is promised that is not there, or not");
        if fits && pays {
            self.past.has_come(room, now);
        }
        if fits {
            let (full, bound) = self.filling(line);
            self.overfull[line as usize] |= full.bytes + room.bytes > bound.bytes;
            self.promises[line as usize].push(room);
        }
    }

    fn withdraw(&mut self, line: Line) {
        if self.has_ended() || self.promises[line as usize].is_empty() {
            return;
        }
        let room = self.promises[line as usize].remove(0);
        self.core.withdraw(line, room);
        let is_there = Core { throttle: None, ..self.core.clone() }.promise(line, room, || self.now);
        assert!(is_there || self.overfull[line as usize], "what was promised is there");
    }

    /// Follows the messages that were queued, and a session that has just ended.
    fn follow_end(&mut self, op: &Op, before: &Core) {
        let had_ended = before.close_reason().is_some();
        let abandoned = self.core.traffic().abandoned - before.traffic().abandoned;
        let reason = self.core.close_reason();
        let keeps = matches!(reason, Some(CloseReason::Server(_) | CloseReason::Shutdown(_)));
        let is_cut =
            had_ended && matches!(op, Op::Interrupt { .. }) && before.attached() && !self.core.attached();
        let is_over = !had_ended && reason.is_some() && !keeps || !before.is_gone() && self.core.is_gone();
        if is_cut || is_over {
            assert_eq!(abandoned, self.to_client.len() as u64, "all that has not left");
            self.lost_before_close |= is_cut && abandoned > 0;
            self.discarded.extend(self.to_client.drain(..));
        } else {
            assert_eq!(abandoned, 0, "no message is lost");
        }
        if !had_ended && reason.is_some() {
            self.first_reason = reason.cloned();
            self.ended_at = Some(self.now);
            self.promises.iter_mut().for_each(Vec::clear);
        }
        assert_eq!(self.core.close_reason(), self.first_reason.as_ref(), "the first reason stays");
        assert!(self.core.is_gone() || !before.is_gone(), "no session comes back");
    }

    fn check_queues(&mut self) {
        for (line, queued) in [(Line::In, self.core.inbox.bytes()), (Line::Out, self.core.outbox.bytes())] {
            let (full, bound) = self.filling(line);
            let promised = self.promises[line as usize].iter().map(|room| room.bytes).sum::<usize>();
            assert_eq!(queued + promised, full.bytes, "{line:?}");
            let is_within = full.bytes <= bound.bytes && full.messages <= bound.messages;
            assert!(is_within || self.overfull[line as usize], "{line:?} is beyond its bound");
            self.overfull[line as usize] &= !is_within;
        }
        assert_eq!(self.core.flushed(), self.to_client.is_empty());
        let traffic = self.core.traffic();
        let gone = traffic.messages_sent + traffic.dropped();
        assert_eq!(self.sent, gone + self.to_client.len() as u64, "each is somewhere");
        assert_eq!((traffic.messages_sent, traffic.messages_received), (self.taken, self.accepted));
        assert_eq!(self.core.dropped_messages(), traffic.overflowed);
        assert!(traffic.send_queue_peak >= self.core.outbox.bytes());
        assert!(traffic.receive_queue_peak >= self.core.inbox.bytes());
    }

    /// Checks the answers of the core's queries.
    fn check_answers(&self) {
        let core = &self.core;
        let (ended, gone) = (self.has_ended(), core.is_gone());
        assert_eq!(core.attached(), self.attached.is_some() && !gone);
        assert_eq!(core.handler_due(), self.opened_in_time);
        assert_eq!(core.is_discarding(), core.close_reason().is_some_and(is_ours) && !gone);
        assert!(!ended || core.has_attended(core.accepted()));
        let whole = self.close_delivered && !self.lost_before_close;
        let farewell = if whole { Farewell::Delivered } else { Farewell::Lost };
        assert_eq!(core.farewell(), self.pending_at_shutdown.then_some(farewell));
        let is_pending = self.pending_at_shutdown && !self.close_delivered;
        assert_eq!(core.is_leaving(), !gone && (is_pending || !self.resumes()));
        let state = match (ended, self.frames.is_empty()) {
            (true, _) if gone || self.close_frames().next().is_some() => State::Closed,
            (true, _) => State::Closing,
            (false, true) => State::Opening,
            (false, false) if self.attached.is_some() => State::Attached,
            (false, false) => State::Detached,
        };
        assert_eq!(core.state(), state);
    }

    /// Checks that nothing happens too early, and that each effect of time has a deadline.
    fn check_times(&self, op: &Op, before: &Core) {
        let Settings { heartbeat, write_timeout, disconnect_delay, kind, .. } = self.settings;
        let for_ever = Duration::MAX;
        let since = |at: Instant| self.now - at;
        if matches!(op, Op::Drive) && before.close_reason().is_none() {
            match self.core.close_reason() {
                Some(CloseReason::TimedOut) => {
                    assert!(self.attached.is_none() && since(self.detached_at) >= disconnect_delay);
                }
                Some(CloseReason::WriteTimeout) => {
                    assert!(since(self.got_on_at) >= write_timeout.unwrap_or(for_ever));
                }
                Some(CloseReason::PongTimeout) => {
                    let Kind::Socket { pong_timeout, .. } = kind else { panic!("nobody was asked") };
                    let quiet = since(self.asked_at.expect("nobody was asked"));
                    assert!(!self.blocked && quiet >= pong_timeout.unwrap_or(for_ever));
                }
                Some(CloseReason::ProtocolError(frame)) => assert_eq!(*frame, MESSAGE_TOO_SLOW),
                None => {}
                other => panic!("a clock has no {other:?}"),
            }
        }
        let goes_by_time = matches!(op, Op::Drive) && !before.is_gone() && self.core.is_gone();
        if goes_by_time && before.close_reason().is_some() {
            assert!(self.ended_at.is_some_and(|at| since(at) >= disconnect_delay));
        }

        let Some(id) = self.receiver().filter(|_| !self.has_ended()) else {
            // No receiver is attached, or the session is over: it has to go, unless it has gone.
            let goes = !self.core.is_gone() && disconnect_delay < for_ever;
            let latest = disconnect_delay.saturating_add(2 * SLOW_READER);
            let awaited = self.core.intake_deadline();
            assert_eq!(self.core.deadline().is_some(), goes || awaited.is_some());
            assert!(!goes || self.core.deadline().is_some_and(|at| at <= self.now + latest));
            assert!(awaited.is_none() || !self.has_ended(), "nobody waits for it");
            return;
        };
        let within = |time: Duration| self.core.deadline().is_some_and(|at| at <= self.now + time);
        let mut copy = self.core.clone();
        let mut lying = 0;
        let mut next = copy.next_frame(id, usize::MAX, || self.now);
        while matches!(next, Next::Frame(Frame::Open | Frame::Messages(_))) {
            lying += 1;
            next = copy.next_frame(id, usize::MAX, || self.now);
        }
        // Frames leave before a heartbeat that is due, so the heartbeat may wait unseen.
        let is_waiting = next == Next::Frame(Frame::Heartbeat) || lying > 0;
        if let Some(heartbeat) = finite(heartbeat).filter(|_| !is_waiting) {
            assert!(within(heartbeat), "an idle session has no heartbeat to come");
        }
        if let Some(timeout) = finite(write_timeout) {
            let is_stuck = self.blocked || !self.at_rest && is_waiting;
            let at = self.got_on_at + timeout;
            assert!(
                !is_stuck || self.core.deadline().is_some_and(|deadline| deadline <= at),
                "stuck for ever"
            );
        }
        if matches!(op, Op::Drive) && next == Next::Frame(Frame::Heartbeat) && lying == 0 {
            let heartbeat = heartbeat.expect("nobody wants one");
            let mut was_due = before.clone();
            let is_new = was_due.next_frame(id, 1, || self.now) == Next::Wait;
            let quiet = since(self.frame_at).max(since(self.heard_at)) + PROMPT;
            let asks = matches!(kind, Kind::Socket { pong_timeout: Some(_), .. });
            assert!(!is_new || quiet >= heartbeat || asks, "a heartbeat comes too early");
        }
    }

    /// Empties both queues, after which nothing is left. Then no receiver attaches any more, and the session goes.
    fn finish(&mut self) {
        for _ in 0..=self.to_app.len() {
            self.step(&Op::Receive);
        }
        self.step(&Op::Attach);
        while !self.core.is_gone() && (self.frames.is_empty() || !self.to_client.is_empty()) {
            self.step(&Op::Next { back: 0, max_bytes: 50 });
        }
        assert_eq!((self.core.inbox.bytes(), self.core.outbox.bytes()), (0, 0));
        self.step(&Op::Drive);
        self.step(&Op::Release { back: 0 });
        for _ in 0..3 {
            if let Some(deadline) = self.core.deadline() {
                self.step(&Op::Wait(deadline.saturating_duration_since(self.now)));
                self.step(&Op::Drive);
            }
        }
        assert!(self.core.is_gone() || self.settings.disconnect_delay == Duration::MAX, "it stays for ever");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(384))]

    #[test]
    fn hold_after_each_step(settings in any_settings(), ops in vec(an_op(), 1..100)) {
        let mut witness = Witness::new(settings);
        for op in &ops {
            witness.step(op);
        }
        witness.finish();
    }
}
