//! What is lost is given out, not dropped: its drop may be the application's code, and the caller has a lock.

use std::sync::Arc;

use bytes::Bytes;

use super::*;

/// Bytes that can be told to be alive.
struct Owned {
    _alive: Arc<()>,
}

impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        b"owned"
    }
}

/// A session with two messages for the client and two for the application, and the count of those that are alive.
fn filled(settings: Settings) -> (Timed, ReceiverId, Arc<()>) {
    let (mut session, first) = Timed::open(settings);
    let alive = Arc::new(());
    let message = || Message::from_utf8(Bytes::from_owner(Owned { _alive: Arc::clone(&alive) })).unwrap();
    let now = session.now;
    for _ in 0..2 {
        session.core.send(&message(), Overflow::Wait, false, || now).unwrap();
        session.core.accept(&mut vec![message()], || now).unwrap();
    }
    assert!(session.core.take_discarded().is_empty(), "nothing is lost yet");
    (session, first, alive)
}

/// Checks that a session has given out as many as it has lost, all of them alive, and that it keeps none of them.
#[track_caller]
fn expect_given_out(what: &str, session: &mut Timed, alive: &Arc<()>, lost: usize) {
    let count = || Arc::strong_count(alive) - 1;
    assert_eq!(count(), 4, "{what}: dropped under the lock");
    let discarded = session.core.take_discarded();
    assert_eq!(discarded.len(), lost, "{what}");
    drop(discarded);
    assert_eq!(count(), 4 - lost, "{what}: kept");
    assert!(session.core.take_discarded().is_empty(), "{what}: once");
}

#[test]
fn what_an_end_leaves_behind_is_given_out() {
    for (reason, _) in all_reasons() {
        let (mut session, _, alive) = filled(SETTINGS);
        session.end(reason.clone());
        let lost = if keeps_queue(&reason) { 0 } else { 2 };
        expect_given_out(&format!("{reason:?}"), &mut session, &alive, lost);
    }
}

#[test]
fn each_way_to_lose_messages_to_the_client_gives_them_out() {
    type Way = fn(&mut Timed, ReceiverId);
    const ROOMY: Settings = Settings { receive_queue_messages: 10, ..SETTINGS };
    let ways: [(&str, Settings, Way); 9] = [
        ("a receiver is cut off", SETTINGS, |session, first| session.interrupt(first)),
        ("a socket is cut off", SOCKET, |session, first| session.interrupt(first)),
        ("a receiver is cut off after the end", SETTINGS, |session, first| {
            session.end(server());
            session.interrupt(first);
        }),
        ("a session is forgotten", SETTINGS, |session, _| session.core.discard(session.now)),
        ("a session is forgotten after the end", SETTINGS, |session, _| {
            session.end(server());
            session.core.discard(session.now);
        }),
        ("nobody comes", SETTINGS, |session, first| {
            session.release(first);
            session.wait(DELAY).on_deadline();
        }),
        ("nobody comes after a shutdown", SETTINGS, |session, first| {
            session.release(first);
            session.core.leave(&restart(), session.now);
            session.wait(2 * SLOW_READER + DELAY).on_deadline();
        }),
        ("a client does not read", STRICT, |session, _| session.wait(WRITE).on_deadline()),
        ("a client sends too fast", ROOMY, |session, _| {
            let messages = Some(Rate::new(1, secs(86_400)));
            let rates = Rates { messages, overflow: RateOverflow::Close, ..Rates::NONE };
            session.core.throttle = Throttle::new(&rates, session.now);
            session.accept(&["first"]).unwrap();
            session.accept(&["too fast"]).unwrap();
            assert_eq!(session.core.close_reason(), Some(&CloseReason::RateExceeded));
        }),
    ];
    for (what, settings, way) in ways {
        let (mut session, first, alive) = filled(settings);
        way(&mut session, first);
        expect_given_out(what, &mut session, &alive, 2);
    }
}

#[test]
fn a_full_queue_gives_out_what_it_loses() {
    let large = "x".repeat(5000);
    for sink in [false, true] {
        for (send_overflow, result) in
            [(Overflow::DropOldest, Ok(())), (Overflow::Close, Err(Refused::Closed))]
        {
            let (mut session, _, alive) = filled(Settings { send_overflow, ..SETTINGS });
            assert_eq!(if sink { session.push(&large) } else { session.send(&large) }, result);
            expect_given_out(&format!("{send_overflow:?}"), &mut session, &alive, 2);
        }
    }
    let (mut session, _, alive) = filled(SETTINGS);
    session.send_with("new", Overflow::DropOldest, true).unwrap();
    expect_given_out("in the place of another", &mut session, &alive, 1);
}

#[test]
fn what_the_application_has_not_read_is_given_out() {
    let (mut session, _, alive) = filled(SETTINGS);
    session.end(server());
    session.core.stop_receiving();
    expect_given_out("nobody reads", &mut session, &alive, 2);
}

#[test]
fn what_comes_after_the_end_stays_with_its_sender() {
    for (reason, _) in all_reasons() {
        let (mut session, _) = Timed::open(SETTINGS);
        session.end(reason);
        let mut batch = vec!["late".into()];
        let now = session.now;
        let _ = session.core.accept(&mut batch, || now);
        assert_eq!(batch.len(), 1);
        assert!(session.core.take_discarded().is_empty());
    }
}
