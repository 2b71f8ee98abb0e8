//! Every order of the events that can happen to a close frame.

use super::*;

#[test]
fn a_farewell_is_delivered_with_all_that_was_before_it() {
    let events: [fn(&mut CloseDelivery); 3] = [
        CloseDelivery::close_delivered,
        CloseDelivery::messages_lost_before_close,
        CloseDelivery::close_pending_at_shutdown,
    ];
    let reason = CloseReason::Server(CloseFrame::new(3000, "Go away!"));
    for which in 0..8 {
        let [delivered, lost, concerned] = [0, 1, 2].map(|bit| which & 1 << bit != 0);
        let mut close = CloseDelivery::new();
        for (happens, event) in [delivered, lost, concerned].into_iter().zip(events) {
            if happens {
                event(&mut close);
            }
        }
        assert_eq!(close.is_delivered(), delivered);
        assert_eq!(close.concerns_shutdown(), concerned);
        assert_eq!(close.frame(&reason), if lost { INTERRUPTED } else { reason.frame() });
        let farewell = match (concerned, delivered && !lost) {
            (false, _) => None,
            (true, true) => Some(Farewell::Delivered),
            (true, false) => Some(Farewell::Lost),
        };
        assert_eq!(close.farewell(), farewell);
    }
}
