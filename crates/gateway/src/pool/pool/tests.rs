//! Pools whose backends answer as the test says, on a clock that stands still; then real ones.

mod sockets;

use std::time::Duration;

use axum_sockjs::CloseFrame;
use tokio::time::{advance, sleep};

use super::*;
use crate::{
    config::backend::Upstream,
    pool::{
        snapshot::Admission,
        testing::{
            Answer, CHECK_TIMEOUT, CONNECT_TIMEOUT, Failure, INTERVAL, OPEN_TIMEOUT, Scripted, members,
            upstream,
        },
    },
    pump::ended::{By, Ended, Traffic as Passed},
};

const URLS: [&str; 3] = ["ws://a/", "ws://b/", "ws://c/"];

fn backends() -> [Scripted; 3] {
    [Scripted::new(), Scripted::new(), Scripted::new()]
}

fn pool(upstream: &Upstream, backends: &[&Scripted]) -> Pool<Scripted> {
    Pool::new("/chat", members(upstream, backends))
}

impl<D: Probe> Pool<D> {
    fn shown(&self, name: &str) -> BackendSnapshot {
        let mut backends = self.snapshot().backends.into_iter().map(|(backend, _)| backend);
        backends.find(|backend| &*backend.name == name).expect("it is shown")
    }

    fn outcomes(&self, name: &str) -> Vec<(DialOutcome, u64)> {
        let dials = self.shown(name).dials;
        let all = DialOutcome::ALL.into_iter().map(|outcome| (outcome, dials.of(outcome)));
        all.filter(|(_, count)| *count > 0).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_goes_on_to_the_next_backend_and_the_dead_one_leaves() {
    let [a, b, _] = backends();
    let pool = pool(&upstream(&URLS[..2]), &[&a, &b]);
    a.answer_dials(Answer::Fail);
    let mut leases = Vec::new();
    for _ in 0..6 {
        let ((), lease) = pool.open(&()).await.expect("b is well");
        assert_eq!(lease.backend(), "ws://b/");
        leases.push(lease);
    }
    assert_eq!((a.dials(), b.dials()), (3, 6), "three failures in a row are enough");
    let shown = pool.shown("ws://a/");
    assert!(!shown.up);
    assert_eq!(shown.last_error.expect("it was told").0.as_ref(), "failed");
    assert_eq!(pool.shown("ws://b/").sessions, 6);
    drop(leases);
    assert_eq!(pool.shown("ws://b/").sessions, 0);
    assert_eq!(pool.outcomes("ws://b/"), [(DialOutcome::Opened, 6)]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_the_answer() {
    let [a, b, _] = backends();
    let pool = pool(&upstream(&URLS[..2]), &[&a, &b]);
    a.answer_dials(Answer::Refuse);
    let error = pool.open(&()).await.expect_err("a refuses");
    assert!(matches!(error, OpenError::Dial(Failure(DialOutcome::Refused))), "{error:?}");
    assert_eq!((a.dials(), b.dials()), (1, 0));
    assert!(pool.shown("ws://a/").up);
}

#[tokio::test(start_paused = true)]
async fn one_that_answers_stays_whatever_it_answers() {
    let [a, b, _] = backends();
    let pool = pool(&upstream(&URLS[..2]), &[&a, &b]);
    a.answer_dials(Answer::Unavailable);
    for _ in 0..10 {
        assert_eq!(pool.open(&()).await.expect("b is well").1.backend(), "ws://b/");
    }
    assert_eq!(pool.outcomes("ws://a/"), [(DialOutcome::Unavailable, 10)]);
    assert!(pool.shown("ws://a/").up);
}

#[tokio::test(start_paused = true)]
async fn what_the_gateway_lacks_is_not_held_against_backends() {
    let [a, b, _] = backends();
    let pool = pool(&upstream(&URLS[..2]), &[&a, &b]);
    pool.start();
    for backend in [&a, &b] {
        backend.answer_dials(Answer::OutOfFiles);
        backend.answer_probes(Answer::OutOfFiles);
    }
    for _ in 0..10 {
        assert!(matches!(pool.open(&()).await, Err(OpenError::OutOfFiles)));
    }
    assert_eq!((a.dials(), b.dials()), (5, 5), "another one would be the same");
    sleep(10 * INTERVAL).await;
    assert!(a.probes().len() >= 9);
    for url in &URLS[..2] {
        let shown = pool.shown(url);
        assert_eq!((shown.up, shown.dialling, shown.dials.timed(), shown.last_error), (true, 0, 0, None));
        assert_eq!(pool.outcomes(url), [(DialOutcome::OutOfFiles, 5)]);
    }
    assert_eq!(OpenError::<DialError>::OutOfFiles.into_response().status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test(start_paused = true)]
async fn all_are_tried_once_and_the_last_error_is_told() {
    let [a, b, c] = backends();
    let pool = pool(&upstream(&URLS), &[&a, &b, &c]);
    for backend in [&a, &b, &c] {
        backend.answer_dials(Answer::Fail);
    }
    for round in 1..=5 {
        let error = pool.open(&()).await.expect_err("none is well");
        assert!(matches!(error, OpenError::Dial(Failure(DialOutcome::Failed))), "{error:?}");
        assert_eq!([&a, &b, &c].map(Scripted::dials), [round; 3], "also those that are down");
    }
    assert!(!pool.snapshot().ready);
    b.answer_dials(Answer::Well);
    assert_eq!(pool.open(&()).await.expect("b is well").1.backend(), "ws://b/");
}

#[tokio::test(start_paused = true)]
async fn a_slow_backend_costs_a_session_no_more_than_the_time_to_open() {
    let [a, b, _] = backends();
    let pool = pool(&upstream(&URLS[..2]), &[&a, &b]);
    a.answer_dials(Answer::Hang);
    b.answer_dials(Answer::Hang);
    let began = Instant::now();
    let error = pool.open(&()).await.expect_err("both are slow");
    assert!(matches!(error, OpenError::TimedOut(OPEN_TIMEOUT)), "{error:?}");
    assert_eq!(began.elapsed(), OPEN_TIMEOUT);
    assert_eq!(pool.outcomes("ws://a/"), [(DialOutcome::TimedOut, 1)]);
    assert_eq!(pool.outcomes("ws://b/"), [(DialOutcome::Abandoned, 1)], "it had less than its time");
    let response = OpenError::<DialError>::TimedOut(OPEN_TIMEOUT).into_response();
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn one_that_takes_all_the_time_to_open_leaves() {
    let [a, ..] = backends();
    let pool = pool(&upstream(&URLS[..1]), &[&a]);
    a.answer_dials(Answer::HangForEver);
    for _ in 0..3 {
        assert!(matches!(pool.open(&()).await, Err(OpenError::TimedOut(_))));
    }
    let shown = pool.shown("ws://a/");
    assert_eq!((shown.up, shown.dialling, shown.sessions), (false, 0, 0));
    assert_eq!(shown.dials.total(), 3 * OPEN_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_while_it_is_dialled_for_gives_all_back() {
    let [a, ..] = backends();
    let pool = pool(&upstream(&URLS[..1]), &[&a]);
    a.answer_dials(Answer::HangForEver);
    for _ in 0..5 {
        let mut opens = Box::pin(pool.open(&()));
        tokio::select! {
            _ = &mut opens => unreachable!("it hangs"),
            () = sleep(Duration::from_secs(1)) => {}
        }
        assert_eq!(pool.shown(URLS[0]).dialling, 1);
        drop(opens);
        assert_eq!(pool.shown(URLS[0]).dialling, 0);
    }
    let shown = pool.shown(URLS[0]);
    assert_eq!((shown.up, shown.sessions), (true, 0), "no failure of the backend's");
    assert_eq!(pool.outcomes(URLS[0]), [(DialOutcome::Abandoned, 5)]);
    assert_eq!(shown.dials.timed(), 0);
}

#[tokio::test(start_paused = true)]
async fn where_all_drain_there_is_no_backend() {
    let [a, ..] = backends();
    let mut upstream = upstream(&URLS[..1]);
    upstream.backends[0].drain = true;
    let pool = pool(&upstream, &[&a]);
    assert!(matches!(pool.open(&()).await, Err(OpenError::NoBackend)));
    assert_eq!(a.dials(), 0);
    assert_eq!(OpenError::<DialError>::NoBackend.into_response().status(), StatusCode::BAD_GATEWAY);
}

#[tokio::test(start_paused = true)]
async fn a_lease_counts_what_its_session_was() {
    let [a, ..] = backends();
    let pool = pool(&upstream(&URLS[..1]), &[&a]);
    let ((), first) = pool.open(&()).await.expect("it is well");
    let ((), second) = pool.open(&()).await.expect("it is well");
    first.lost("reset by the peer".to_owned());
    first.traffic().to_backend.count(2, 30);
    first.traffic().from_backend.count(1, 5);
    first.end(&Ended {
        by: By::Backend,
        frame: CloseFrame::new(1011, ""),
        to_backend: Passed::default(),
        to_client: Passed::default(),
    });
    let snapshot = pool.snapshot();
    let (backend, traffic) = &snapshot.backends[0];
    assert_eq!((backend.sessions, backend.lost, backend.up), (1, 1, true));
    assert_eq!(backend.last_error.as_ref().expect("it was told").0.as_ref(), "reset by the peer");
    assert_eq!((traffic.to_backend.messages(), traffic.to_backend.bytes()), (2, 30));
    assert_eq!((traffic.from_backend.messages(), traffic.from_backend.bytes()), (1, 5));
    drop(second);
    let ended = pool.snapshot().ended.into_iter().filter(|(.., count)| *count > 0);
    assert_eq!(ended.collect::<Vec<_>>(), [("backend", "1xxx", 1), ("gateway", "1xxx", 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_reload_keeps_what_is_known_of_a_backend() {
    let [a, b, c] = backends();
    let pool = pool(&upstream(&URLS[..2]), &[&a, &b]);
    a.answer_dials(Answer::Fail);
    let ((), of_b) = pool.open(&()).await.expect("b is well");
    for _ in 0..2 {
        drop(pool.open(&()).await.expect("b is well"));
    }
    assert!(!pool.shown("ws://a/").up);

    let again = Scripted::new();
    pool.replace(members(&upstream(&["ws://c/", "ws://a/"]), &[&c, &again]));
    assert_eq!((a.holders(), b.holders()), (0, 0), "their connectors have been replaced");
    assert!(!pool.shown("ws://a/").up, "what is down stays down");
    assert_eq!(pool.shown("ws://b/").admission, Admission::Removed(Duration::ZERO));
    for _ in 0..3 {
        assert_eq!(pool.open(&()).await.expect("c is well").1.backend(), "ws://c/");
    }
    c.answer_dials(Answer::Fail);
    assert_eq!(pool.open(&()).await.expect("a is a last resort").1.backend(), "ws://a/");
    assert_eq!((a.dials(), again.dials()), (3, 1));
    assert_eq!(pool.shown("ws://b/").sessions, 1);
    drop(of_b);
    assert_eq!(pool.snapshot().backends.len(), 2);
    assert_eq!(pool.shared.lock().entries.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_route_that_is_removed_has_no_backends_and_its_sessions_go_on() {
    let [a, ..] = backends();
    let pool = pool(&upstream(&URLS[..1]), &[&a]);
    pool.start();
    let ((), lease) = pool.open(&()).await.expect("it is well");
    pool.replace(Members::none());
    assert!(matches!(pool.open(&()).await, Err(OpenError::NoBackend)));
    sleep(10 * INTERVAL).await;
    assert!(a.probes().len() <= 1);
    let snapshot = pool.snapshot();
    assert!(!snapshot.ready && !snapshot.is_configured);
    assert_eq!(snapshot.backends[0].0.admission, Admission::Removed(10 * INTERVAL));
    drop(lease);
    assert!(pool.snapshot().backends.is_empty());
    pool.replace(members(&upstream(&URLS[..1]), &[&a]));
    assert!(pool.open(&()).await.is_ok());
    sleep(10 * INTERVAL).await;
    assert!(a.probes().len() >= 9, "it is checked again");
}

#[tokio::test(start_paused = true)]
async fn a_dial_under_way_ends_as_it_began_though_its_backend_is_removed() {
    let [a, b, _] = backends();
    let pool = pool(&upstream(&URLS[..1]), &[&a]);
    a.answer_dials(Answer::Hang);
    let (opened, ()) = tokio::join!(pool.open(&()), async {
        tokio::task::yield_now().await;
        pool.replace(members(&upstream(&URLS[1..2]), &[&b]));
        assert_eq!(pool.shown("ws://a/").dialling, 1);
    });
    assert_eq!(opened.expect("b is well").1.backend(), "ws://b/");
    assert_eq!(pool.snapshot().backends.len(), 1, "a has gone with its last dial");
}

fn gaps(times: &[Instant]) -> Vec<Duration> {
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

#[tokio::test(start_paused = true)]
async fn each_backend_is_checked_at_once_and_then_every_interval() {
    let [a, b, _] = backends();
    let pool = pool(&upstream(&URLS[..2]), &[&a, &b]);
    sleep(INTERVAL).await;
    assert_eq!((a.probes().len(), b.probes().len()), (0, 0), "it has not been started");
    let start = Instant::now();
    pool.start();
    b.answer_probes(Answer::Hang);
    sleep(40 * INTERVAL).await;
    assert_eq!((a.probes()[0], b.probes()[0]), (start, start));
    for (backend, took) in [(&a, Duration::ZERO), (&b, CHECK_TIMEOUT)] {
        let gaps = gaps(&backend.probes());
        assert!(gaps.len() >= 32, "{gaps:?}");
        let slack = Duration::from_millis(2);
        let range = took + INTERVAL * 9 / 10..=took + INTERVAL * 11 / 10 + slack;
        assert!(gaps.iter().all(|gap| range.contains(gap)), "{gaps:?}");
        assert!(gaps.iter().any(|gap| *gap != gaps[0]), "they are spread");
        assert_eq!(backend.most_probes_at_once(), 1);
    }
    let shown = pool.shown("ws://b/");
    assert!(!shown.up);
    assert_eq!(shown.last_error.expect("it was told").0.as_ref(), "timed-out");
}

#[tokio::test(start_paused = true)]
async fn checks_take_a_backend_out_and_bring_it_back() {
    let [a, ..] = backends();
    let pool = pool(&upstream(&URLS[..1]), &[&a]);
    pool.start();
    a.answer_probes(Answer::Fail);
    let until = async |up: bool| {
        while pool.shown("ws://a/").up != up {
            sleep(Duration::from_millis(10)).await;
        }
    };
    until(false).await;
    assert_eq!(a.probes().len(), 3);
    assert!(!pool.snapshot().ready);
    a.answer_probes(Answer::Well);
    until(true).await;
    assert_eq!(a.probes().len(), 5);
    assert!(pool.snapshot().ready);
}

#[tokio::test(start_paused = true)]
async fn one_whose_port_accepts_though_it_is_frozen_leaves_and_costs_no_more_sessions() {
    let [a, b, _] = backends();
    let pool = pool(&upstream(&URLS[..2]), &[&a, &b]);
    pool.start();
    a.answer_dials(Answer::Hang);
    for _ in 0..6 {
        drop(pool.open(&()).await.expect("b is well"));
    }
    assert_eq!((a.dials(), pool.shown("ws://a/").up), (3, false));
    let began = Instant::now();
    for _ in 0..100 {
        sleep(INTERVAL / 10).await;
        drop(pool.open(&()).await.expect("b is well"));
    }
    assert_eq!((a.dials(), began.elapsed()), (3, 10 * INTERVAL), "no session has waited for it");
    assert!(!pool.shown("ws://a/").up);
    let tries = a.handshakes();
    assert!((5..=10).contains(&tries.len()) && b.handshakes().is_empty(), "{:?}", gaps(&tries));
    assert!(gaps(&tries).iter().all(|gap| *gap >= CONNECT_TIMEOUT), "one at a time");

    // What it answers to a check that is no client of its does not count.
    a.answer_dials(Answer::Refuse);
    sleep(5 * INTERVAL).await;
    assert!(pool.shown("ws://a/").up);
    let tries = a.handshakes().len();
    sleep(5 * INTERVAL).await;
    assert_eq!(a.handshakes().len(), tries, "the checks are the configured ones again");
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_has_its_backend_checked_soon_and_many_do_no_more() {
    let [a, ..] = backends();
    let pool = pool(&upstream(&URLS[..1]), &[&a]);
    pool.start();
    sleep(INTERVAL / 2).await;
    assert_eq!(a.probes().len(), 1);
    let ((), lease) = pool.open(&()).await.expect("it is well");
    for _ in 0..1000 {
        lease.lost("reset".to_owned());
    }
    sleep(Duration::from_millis(10)).await;
    assert_eq!(a.probes().len(), 2);
    for _ in 0..1000 {
        lease.lost("reset".to_owned());
    }
    sleep(Duration::from_millis(900)).await;
    assert_eq!(a.probes().len(), 2, "a second has not passed");
    sleep(Duration::from_millis(200)).await;
    assert_eq!(a.probes().len(), 3);
    assert!(pool.shown("ws://a/").up);
}

#[tokio::test(start_paused = true)]
async fn the_checks_end_with_the_pool_and_sessions_do_not() {
    let [a, ..] = backends();
    let pool = pool(&upstream(&URLS[..1]), &[&a]);
    pool.start();
    a.answer_probes(Answer::Hang);
    sleep(CHECK_TIMEOUT / 2).await;
    let ((), lease) = pool.open(&()).await.expect("it is well");
    drop(pool);
    sleep(10 * INTERVAL).await;
    assert_eq!(a.probes().len(), 1);
    lease.lost("reset".to_owned());
    drop(lease);
    assert_eq!(a.holders(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_reload_checks_by_the_new_settings() {
    let [a, b, _] = backends();
    let pool = pool(&upstream(&URLS[..1]), &[&a]);
    pool.start();
    advance(Duration::from_secs(1)).await;
    let mut faster = upstream(&URLS[..1]);
    faster.health.interval = Duration::from_secs(1);
    pool.replace(members(&faster, &[&b]));
    sleep(Duration::from_secs(5)).await;
    assert!(a.probes().len() <= 1);
    assert!((5..=6).contains(&b.probes().len()), "{:?}", gaps(&b.probes()));
    assert_eq!(a.holders(), 0);

    faster.health.check = Check::Off;
    pool.replace(members(&faster, &[&a]));
    let before = (a.probes().len(), b.probes().len());
    sleep(5 * INTERVAL).await;
    assert_eq!((a.probes().len(), b.probes().len()), before, "nobody checks");
}

#[tokio::test(start_paused = true)]
async fn without_checks_a_session_brings_a_backend_back() {
    let [a, b, _] = backends();
    let mut upstream = upstream(&URLS[..2]);
    upstream.health.check = Check::Off;
    let pool = pool(&upstream, &[&a, &b]);
    pool.start();
    a.answer_dials(Answer::Hang);
    for _ in 0..6 {
        drop(pool.open(&()).await.expect("b is well"));
    }
    assert_eq!(a.dials(), 3);
    sleep(INTERVAL).await;
    let opens = async || pool.open(&()).await.expect("b is well").1.backend().to_owned();
    let began = Instant::now();
    let four = tokio::join!(opens(), opens(), opens(), opens());
    assert_eq!(began.elapsed(), CONNECT_TIMEOUT, "one of them tried");
    assert_eq!(four, (URLS[1].into(), URLS[1].into(), URLS[1].into(), URLS[1].into()));
    assert_eq!(a.dials(), 4);
    a.answer_dials(Answer::Well);
    sleep(INTERVAL).await;
    let (first, second) = (opens().await, opens().await);
    assert!([first, second].contains(&URLS[0].to_owned()));
    assert!(pool.shown("ws://a/").up);
    assert_eq!((a.probes().len(), b.probes().len()), (0, 0));
}
