//! The paths through the diagram.

use sockjs_core::CloseFrame;

use super::*;
fn reason() -> CloseReason {
    CloseReason::Server(CloseFrame::new(3000, "Go away!"))
}

/// Whether the open frame is taken, whether the handler has to run, whether the session has ended, and whether it is
/// gone.
fn facts(phase: &Phase) -> [bool; 4] {
    [phase.is_open_frame_taken(), phase.is_handler_due(), phase.has_ended(), phase.is_gone()]
}

#[test]
fn a_session_opens_ends_closes_and_goes() {
    let mut phase = Phase::Opening;
    assert_eq!((facts(&phase), phase.reason()), ([false; 4], None));
    phase.take_open_frame();
    assert_eq!((facts(&phase), phase.reason()), ([true, true, false, false], None));
    assert!(!phase.take_close_frame() && !phase.discard(), "it has not ended");
    phase.end(reason());
    assert_eq!((facts(&phase), phase.reason()), ([true, true, true, false], Some(&reason())));
    assert_eq!(phase.state(true), State::Closing);
    assert!(phase.take_close_frame() && !phase.take_close_frame(), "the first time");
    assert_eq!(phase.state(true), State::Closed);
    assert_eq!(facts(&phase), [true, true, true, false]);
    assert!(phase.discard() && !phase.discard(), "once");
    assert_eq!((facts(&phase), phase.reason()), ([true; 4], Some(&reason())));
    assert_eq!(phase.state(true), State::Closed);
}

#[test]
fn a_session_that_ends_before_its_open_frame_is_taken_has_no_handler() {
    let mut phase = Phase::Opening;
    phase.end(reason());
    assert_eq!(facts(&phase), [false, false, true, false]);
    phase.take_open_frame();
    assert_eq!(facts(&phase), [true, false, true, false]);
    assert!(phase.discard(), "without a close frame, too");
    assert_eq!(facts(&phase), [true, false, true, true]);
}

#[test]
fn the_first_reason_stays() {
    let mut phase = Phase::Open;
    phase.end(reason());
    phase.end(CloseReason::TimedOut);
    assert_eq!(phase.reason(), Some(&reason()));
}

#[test]
fn messages_are_discarded_between_a_close_of_this_side_and_the_end_of_its_memory() {
    let own = || CloseFrame::new(4001, "own");
    for (reason, is_ours, keeps) in [
        (CloseReason::Server(own()), true, true),
        (CloseReason::Shutdown(own()), true, true),
        (CloseReason::SendQueueFull, true, false),
        (CloseReason::WriteTimeout, true, false),
        (CloseReason::RateExceeded, true, false),
        (CloseReason::Client(None), false, false),
        (CloseReason::ConnectionLost, false, false),
        (CloseReason::TimedOut, false, false),
        (CloseReason::PongTimeout, false, false),
        (CloseReason::ProtocolError(own()), false, false),
    ] {
        assert_eq!(keeps_queue(&reason), keeps, "{reason:?}");
        let mut phase = Phase::Open;
        assert!(!phase.discards_messages());
        phase.end(reason.clone());
        assert_eq!(phase.discards_messages(), is_ours, "{reason:?}");
        phase.take_close_frame();
        assert_eq!(phase.discards_messages(), is_ours, "{reason:?}");
        phase.discard();
        assert!(!phase.discards_messages());
    }
}

#[test]
fn an_open_session_is_attached_or_detached() {
    assert_eq!(Phase::Opening.state(false), State::Opening);
    assert_eq!(Phase::Open.state(true), State::Attached);
    assert_eq!(Phase::Open.state(false), State::Detached);
}
