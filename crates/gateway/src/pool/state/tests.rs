//! The rules one by one, then all of them against a model under random operations.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::config::backend::{Check, Health};

const SECOND: Duration = Duration::from_secs(1);
const INTERVAL: Duration = Duration::from_secs(5);

fn rules(check: Check) -> Rules {
    Rules::from(&Health { check, interval: INTERVAL, timeout: SECOND, fall: 2, rise: 2 })
}

fn member(name: &str) -> Member {
    Member { url: name.into(), name: name.into(), drain: false }
}

fn draining(name: &str) -> Member {
    Member { drain: true, ..member(name) }
}

/// A state with its clock.
struct Fixture {
    state: State,
    now: Instant,
    keys: Vec<Key>,
}

impl Fixture {
    fn new(balance: Balance, check: Check, names: &[&str]) -> Self {
        let now = Instant::now();
        let mut state = State::new(balance, rules(check.clone()));
        let members: Vec<Member> = names.iter().map(|name| member(name)).collect();
        let (keys, events) = state.replace(now, balance, rules(check), &members);
        assert_eq!(events, []);
        Self { state, now, keys }
    }

    fn replace(&mut self, members: &[Member]) -> Vec<Event> {
        let (balance, rules) = (self.state.balance, self.state.rules);
        let (keys, events) = self.state.replace(self.now, balance, rules, members);
        self.keys = keys;
        events
    }

    fn name(&self, key: Key) -> Arc<str> {
        let backend = self.state.backends.iter().find(|backend| backend.key == key).expect("it is there");
        backend.member.name.clone()
    }

    fn pick(&mut self, tried: &[Key]) -> Option<(String, Pick)> {
        let pick = self.state.pick(self.now, tried)?;
        Some((self.name(pick.key).to_string(), pick))
    }

    fn told(&mut self, pick: Pick, outcome: DialOutcome) -> Vec<Event> {
        self.state.dialled(pick, self.now, outcome, SECOND, None)
    }

    fn open(&mut self) -> Option<(String, Key)> {
        let (name, pick) = self.pick(&[])?;
        self.told(pick, DialOutcome::Opened);
        Some((name, pick.key))
    }

    /// The backends of the next sessions.
    fn opens(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.open().expect("there is one").0).collect()
    }

    fn take_down(&mut self, place: usize) {
        let key = self.keys[place];
        assert_eq!(self.state.checked(key, self.now, Err("refused".into())), None);
        let what = What::Down(Some("refused".into()));
        let name = self.name(key);
        assert_eq!(self.state.checked(key, self.now, Err("refused".into())), Some(Event { name, what }));
    }

    fn shown(&self, name: &str) -> BackendSnapshot {
        let mut all = self.state.snapshot(self.now).into_iter().map(|(_, backend)| backend);
        all.find(|backend| &*backend.name == name).expect("it is shown")
    }
}

fn empty(name: &str) -> Event {
    Event { name: name.into(), what: What::Empty }
}

#[test]
fn round_robin_is_fair_also_when_one_is_down() {
    let mut pool = Fixture::new(Balance::RoundRobin, Check::Tcp, &["a", "b", "c"]);
    assert_eq!(pool.opens(6), ["a", "b", "c", "a", "b", "c"]);
    pool.take_down(1);
    assert_eq!(pool.opens(4), ["a", "c", "a", "c"]);
}

#[test]
fn least_sessions_counts_dials_as_well_and_takes_turns_among_equals() {
    let mut pool = Fixture::new(Balance::LeastSessions, Check::Tcp, &["a", "b", "c"]);
    let picks: Vec<_> = (0..4).filter_map(|_| pool.pick(&[])).collect();
    let names: Vec<&str> = picks.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c", "a"]);
    for &(_, pick) in &picks {
        pool.told(pick, DialOutcome::Opened);
    }
    assert_eq!(pool.opens(2), ["b", "c"]);
    pool.state.ended(pool.keys[2]);
    assert_eq!(pool.opens(2), ["c", "a"]);
}

#[test]
fn a_dial_that_fails_goes_on_to_the_others_and_then_ends() {
    let mut pool = Fixture::new(Balance::RoundRobin, Check::Tcp, &["a", "b"]);
    let mut tried = Vec::new();
    for expected in ["a", "b"] {
        let (name, pick) = pool.pick(&tried).expect("one is left");
        assert_eq!(name, expected);
        pool.told(pick, DialOutcome::Failed);
        tried.push(pick.key);
    }
    assert_eq!(pool.pick(&tried), None);
    assert_eq!(pool.state.snapshot(pool.now).iter().map(|(_, backend)| backend.dialling).sum::<usize>(), 0);
}

#[test]
fn an_answer_is_a_sign_of_life() {
    let mut pool = Fixture::new(Balance::RoundRobin, Check::Tcp, &["a"]);
    for outcome in [
        DialOutcome::Failed,
        DialOutcome::Refused,
        DialOutcome::Failed,
        DialOutcome::Unavailable,
        DialOutcome::Failed,
        DialOutcome::Abandoned,
    ] {
        let (_, pick) = pool.pick(&[]).expect("it is up");
        assert_eq!(pool.told(pick, outcome), []);
    }
    let (_, pick) = pool.pick(&[]).expect("it is up");
    assert_eq!(pool.told(pick, DialOutcome::TimedOut)[0].what, What::Down(None));
    let shown = pool.shown("a");
    assert_eq!((shown.up, shown.sessions, shown.dialling), (false, 0, 0));
    assert_eq!(DialOutcome::ALL.map(|outcome| shown.dials.of(outcome)), [0, 1, 1, 3, 1, 1, 0]);
}

#[test]
fn those_that_are_down_are_a_last_resort_and_those_that_drain_are_none() {
    let mut pool = Fixture::new(Balance::RoundRobin, Check::Tcp, &["a", "b", "c"]);
    pool.replace(&[member("a"), member("b"), draining("c")]);
    pool.take_down(0);
    assert_eq!(pool.opens(2), ["b", "b"]);
    pool.take_down(1);
    assert_eq!(pool.opens(3), ["a", "b", "a"]);
    pool.replace(&[draining("a"), draining("b"), draining("c")]);
    assert_eq!(pool.pick(&[]), None);
}

#[test]
fn without_checks_the_next_session_after_the_interval_tries_and_no_herd() {
    let mut pool = Fixture::new(Balance::LeastSessions, Check::Off, &["a", "b"]);
    for _ in 0..2 {
        let (name, pick) = pool.pick(&[pool.keys[1]]).expect("a is up");
        assert_eq!(name, "a");
        pool.told(pick, DialOutcome::Failed);
    }
    assert!(!pool.shown("a").up);
    pool.now += INTERVAL - SECOND;
    assert_eq!(pool.opens(2), ["b", "b"]);
    pool.now += SECOND;
    let (name, trial) = pool.pick(&[]).expect("there is one");
    assert_eq!(name, "a");
    assert_eq!(pool.opens(3), ["b", "b", "b"], "while it is tried");
    pool.told(trial, DialOutcome::Abandoned);
    let (name, trial) = pool.pick(&[]).expect("there is one");
    assert_eq!(name, "a", "nobody knows yet");
    pool.told(trial, DialOutcome::Failed);
    assert_eq!(pool.opens(1), ["b"]);
    pool.now += INTERVAL;
    let (name, trial) = pool.pick(&[]).expect("there is one");
    assert_eq!(name, "a");
    assert_eq!(pool.told(trial, DialOutcome::Opened)[0].what, What::Up);
    assert_eq!(pool.opens(3), ["a", "a", "a"]);
}

#[test]
fn it_is_ready_if_a_session_has_a_good_chance() {
    let mut pool = Fixture::new(Balance::RoundRobin, Check::Tcp, &["a", "b"]);
    pool.take_down(0);
    assert!(pool.state.is_ready(pool.now));
    pool.replace(&[member("a"), draining("b")]);
    assert!(!pool.state.is_ready(pool.now) && pool.state.is_configured());

    pool.open();
    pool.replace(&[]);
    assert!(!pool.state.is_ready(pool.now) && !pool.state.is_configured());
    assert_eq!(pool.pick(&[]), None);

    // Without checks only a session can bring it back, so one has to be let in.
    let mut pool = Fixture::new(Balance::RoundRobin, Check::Off, &["a"]);
    pool.take_down(0);
    assert!(!pool.state.is_ready(pool.now));
    pool.now += INTERVAL;
    assert!(pool.state.is_ready(pool.now));
}

#[test]
fn a_lost_connection_is_told_and_no_failure() {
    let mut pool = Fixture::new(Balance::RoundRobin, Check::Tcp, &["a"]);
    for _ in 0..5 {
        let (_, key) = pool.open().expect("it is up");
        pool.state.lost(key, pool.now, "reset".into());
        pool.state.ended(key);
    }
    let shown = pool.shown("a");
    assert_eq!((shown.up, shown.lost, shown.sessions), (true, 5, 0));
    assert_eq!(shown.last_error, Some(("reset".into(), Duration::ZERO)));
}

#[test]
fn one_that_drains_tells_once_that_its_last_session_has_gone() {
    let mut pool = Fixture::new(Balance::RoundRobin, Check::Tcp, &["a", "b"]);
    let (_, of_a) = pool.open().expect("it is up");
    let (_, of_b) = pool.open().expect("it is up");
    let (_, dial) = pool.pick(&[pool.keys[1]]).expect("it is up");
    assert_eq!(pool.replace(&[draining("a"), member("b")]), []);
    assert_eq!(pool.state.ended(of_a), [], "a dial is under way");
    assert_eq!(pool.told(dial, DialOutcome::Opened), []);
    pool.now += SECOND;
    assert_eq!(pool.replace(&[draining("a"), member("b")]), []);
    assert_eq!(pool.shown("a").admission, Admission::Draining(SECOND));
    assert_eq!(pool.state.ended(of_a), [empty("a")]);
    assert_eq!(pool.replace(&[draining("a"), member("b")]), [], "it has been told");
    assert_eq!(pool.state.ended(of_b), []);
    assert_eq!(pool.replace(&[draining("a"), draining("b")]), [empty("b")]);
    assert_eq!(pool.replace(&[member("a"), member("b")]), []);
    assert_eq!(pool.opens(2), ["b", "a"]);
}

#[test]
fn one_that_is_removed_stays_until_its_sessions_have_ended() {
    let mut pool = Fixture::new(Balance::RoundRobin, Check::Tcp, &["a", "b"]);
    let (_, of_a) = pool.open().expect("it is up");
    assert_eq!(pool.replace(&[member("c")]), [empty("b")]);
    assert_eq!(pool.shown("a").admission, Admission::Removed(Duration::ZERO));
    assert_eq!(pool.opens(2), ["c", "c"]);
    assert_eq!(pool.state.ended(of_a), [empty("a")]);
    assert_eq!(pool.state.snapshot(pool.now).len(), 1);
    assert_eq!(pool.state.checked(of_a, pool.now, Ok(Seen::Port)), None);
}

#[test]
fn one_that_comes_back_into_the_configuration_is_what_it_was() {
    let mut pool = Fixture::new(Balance::RoundRobin, Check::Tcp, &["a", "b"]);
    let before = pool.keys[0];
    pool.open();
    pool.take_down(0);
    pool.replace(&[member("b")]);
    pool.replace(&[member("b"), member("a")]);
    assert_eq!(pool.keys[1], before);
    let shown = pool.shown("a");
    assert_eq!((shown.up, shown.sessions, shown.admission), (false, 1, Admission::Open));
    assert_eq!(pool.opens(2), ["b", "b"]);
}

#[derive(Debug, Clone)]
enum Op {
    Pick {
        tried: u8,
    },
    Tell {
        which: usize,
        outcome: DialOutcome,
    },
    End {
        which: usize,
    },
    Check {
        which: usize,
        passes: bool,
        seen: Seen,
    },
    Wait {
        seconds: u64,
    },
    /// The bits say which of the backends are configured, and which of those drain.
    Replace {
        configured: u8,
        draining: u8,
        least: bool,
        checked: bool,
    },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0_u8..32).prop_map(|tried| Op::Pick { tried: if tried < 16 { tried } else { 0 } }),
        6 => (any::<usize>(), prop::sample::select(&DialOutcome::ALL[..]))
            .prop_map(|(which, outcome)| Op::Tell { which, outcome }),
        3 => any::<usize>().prop_map(|which| Op::End { which }),
        3 => (any::<usize>(), any::<bool>(), prop::sample::select(&[Seen::Port, Seen::Handshake][..]))
            .prop_map(|(which, passes, seen)| Op::Check { which, passes, seen }),
        2 => (0_u64..4).prop_map(|seconds| Op::Wait { seconds }),
        1 => (1_u8..16, any::<u8>(), any::<bool>(), any::<bool>())
            .prop_map(|(configured, draining, least, checked)| Op::Replace { configured, draining, least, checked }),
    ]
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// What is known of a backend, told in the plainest words.
#[derive(Debug, Clone, Default)]
struct Known {
    configured: bool,
    draining: bool,
    down: bool,
    by_dials: bool,
    failed_dials: u32,
    failed_checks: u32,
    passed_checks: u32,
    last_failure: Option<Instant>,
    trials: Vec<Pick>,
    dials: usize,
    sessions: usize,
}

impl Known {
    fn fail(&mut self, now: Instant, check: bool) {
        self.last_failure = Some(now);
        self.passed_checks = 0;
        if !self.down {
            *(if check { &mut self.failed_checks } else { &mut self.failed_dials }) += 1;
            self.down = self.failed_checks == 2 || self.failed_dials == 2;
            self.by_dials = self.failed_dials == 2;
        }
    }

    fn is_back(&mut self) {
        (self.down, self.failed_dials, self.failed_checks, self.passed_checks) = (false, 0, 0, 0);
        self.trials.clear();
    }

    fn takes(&self) -> bool {
        self.configured && !self.draining
    }

    fn shares(&self, now: Instant, checked: bool) -> bool {
        let due = || {
            !checked && self.trials.is_empty() && self.last_failure.is_some_and(|then| now - then >= INTERVAL)
        };
        !self.down || due()
    }
}

proptest! {
    #[test]
    fn it_does_as_the_model(least in any::<bool>(), checked in any::<bool>(), ops in prop::collection::vec(op(), 1..300)) {
        let balance = |least| if least { Balance::LeastSessions } else { Balance::RoundRobin };
        let check = |checked| if checked { Check::Tcp } else { Check::Off };
        let (mut least, mut checked) = (least, checked);
        let mut pool = Fixture::new(balance(least), check(checked), &NAMES);
        let mut known: BTreeMap<&str, Known> =
            NAMES.iter().map(|name| (*name, Known { configured: true, ..Known::default() })).collect();
        let mut keys: BTreeMap<&str, Key> = NAMES.iter().copied().zip(pool.keys.iter().copied()).collect();
        let mut dials: Vec<(&str, Pick)> = Vec::new();
        let mut sessions: Vec<&str> = Vec::new();
        for op in ops {
            let now = pool.now;
            match op {
                Op::Pick { tried } => {
                    let is_tried = |name: &str| NAMES.iter().position(|n| *n == name).is_some_and(|i| tried >> i & 1 == 1);
                    let tried: Vec<Key> = NAMES.iter().filter(|name| is_tried(name)).map(|name| keys[name]).collect();
                    let takes: Vec<&str> =
                        NAMES.into_iter().filter(|name| known[name].takes() && !is_tried(name)).collect();
                    let shares: Vec<&str> =
                        takes.iter().copied().filter(|name| known[name].shares(now, checked)).collect();
                    let among = if shares.is_empty() { takes } else { shares.clone() };
                    let Some((name, pick)) = pool.pick(&tried) else {
                        prop_assert!(among.is_empty());
                        continue;
                    };
                    let name = *among.iter().find(|one| **one == name).expect("it is among those that may be picked");
                    let load = |name: &str| known[name].dials + known[name].sessions;
                    prop_assert!(!least || among.iter().all(|other| load(name) <= load(other)));
                    let of = known.get_mut(name).expect("it is known");
                    if of.down && shares.contains(&name) {
                        of.trials.push(pick);
                    }
                    of.dials += 1;
                    prop_assert!(of.trials.len() <= 1, "a herd");
                    dials.push((name, pick));
                }
                Op::Tell { which, outcome } => {
                    if dials.is_empty() { continue }
                    let (name, pick) = dials.swap_remove(which % dials.len());
                    let of = known.get_mut(name).expect("it is known");
                    of.dials -= 1;
                    of.trials.retain(|trial| *trial != pick);
                    match outcome {
                        DialOutcome::Opened | DialOutcome::Refused | DialOutcome::Unavailable => {
                            if outcome == DialOutcome::Opened {
                                of.sessions += 1;
                                sessions.push(name);
                            }
                            of.failed_dials = 0;
                            if of.down && (of.by_dials || !checked) { of.is_back() }
                        }
                        DialOutcome::Failed | DialOutcome::TimedOut => of.fail(now, false),
                        DialOutcome::Abandoned | DialOutcome::OutOfFiles => {}
                    }
                    pool.told(pick, outcome);
                }
                Op::End { which } => {
                    if sessions.is_empty() { continue }
                    let name = sessions.swap_remove(which % sessions.len());
                    known.get_mut(name).expect("it is known").sessions -= 1;
                    pool.state.ended(keys[name]);
                }
                Op::Check { which, passes, seen } => {
                    let name = NAMES[which % NAMES.len()];
                    let of = known.get_mut(name).expect("it is known");
                    // Only those are checked that are configured.
                    if !of.configured { continue }
                    if passes {
                        of.failed_checks = 0;
                        of.passed_checks += u32::from(of.down && (seen == Seen::Handshake || !of.by_dials));
                        if of.passed_checks == 2 { of.is_back() }
                    } else {
                        of.fail(now, true);
                    }
                    pool.state.checked(keys[name], now, if passes { Ok(seen) } else { Err("refused".into()) });
                }
                Op::Wait { seconds } => pool.now += SECOND * u32::try_from(seconds).expect("few"),
                Op::Replace { configured, draining, least: now_least, checked: now_checked } => {
                    (least, checked) = (now_least, now_checked);
                    let bit = |bits: u8, place: usize| bits >> place & 1 == 1;
                    let members: Vec<Member> = (0..NAMES.len())
                        .filter(|&place| bit(configured, place))
                        .map(|place| Member { drain: bit(draining, place), ..member(NAMES[place]) })
                        .collect();
                    for (place, name) in NAMES.into_iter().enumerate() {
                        let of = known.get_mut(name).expect("it is known");
                        of.configured = bit(configured, place);
                        of.draining = bit(draining, place);
                    }
                    (pool.keys, _) = pool.state.replace(now, balance(least), rules(check(checked)), &members);
                    keys.extend(NAMES.into_iter().filter(|name| known[name].configured).zip(pool.keys.iter().copied()));
                }
            }
            // One that is not configured and has no sessions is forgotten.
            for of in known.values_mut() {
                if !of.configured && of.dials + of.sessions == 0 {
                    *of = Known::default();
                }
            }
            let shown: BTreeMap<String, (bool, usize, usize, bool)> = pool.state.snapshot(pool.now).into_iter()
                .map(|(_, b)| (b.name.to_string(), (b.up, b.dialling, b.sessions, b.admission == Admission::Open)))
                .collect();
            let expected: BTreeMap<String, (bool, usize, usize, bool)> = known.iter()
                .filter(|(_, of)| of.configured || of.dials + of.sessions > 0)
                .map(|(name, of)| ((*name).to_owned(), (!of.down, of.dials, of.sessions, of.takes())))
                .collect();
            prop_assert_eq!(shown, expected);
        }
    }

    /// Whichever of them are up, they get the same number of sessions.
    #[test]
    fn round_robin_is_fair(up in 1_u8..32, rounds in 1_usize..6, skip in 0_usize..5) {
        let names = ["a", "b", "c", "d", "e"];
        let mut pool = Fixture::new(Balance::RoundRobin, Check::Tcp, &names);
        pool.opens(skip);
        let ups: Vec<usize> = (0..names.len()).filter(|place| up >> place & 1 == 1).collect();
        for place in (0..names.len()).filter(|place| !ups.contains(place)) {
            pool.take_down(place);
        }
        let opened = pool.opens(rounds * ups.len());
        for (place, name) in names.iter().enumerate() {
            let times = opened.iter().filter(|opened| opened == name).count();
            prop_assert_eq!(times, if ups.contains(&place) { rounds } else { 0 });
        }
    }
}
