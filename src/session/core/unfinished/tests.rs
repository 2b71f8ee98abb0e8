//! The time for which a message has been read, added up.

use proptest::{collection::vec, prelude::*};

use super::*;

proptest! {
    #[test]
    fn only_the_time_in_which_a_message_is_read_counts(
        steps in vec((proptest::option::of(0..3_u64), 0..30_u64), 1..30),
    ) {
        let start = Instant::now();
        let mut now = start;
        let mut unfinished = Unfinished::new();
        // The message that was read and the time for which it was, one after the other.
        let mut history: Vec<(u64, Duration)> = Vec::new();
        for (message, seconds) in steps {
            match message {
                Some(message) => unfinished.read(message, now),
                None => unfinished.pause(now),
            }
            let time = Duration::from_secs(seconds);
            let spent = |message: u64| -> Duration {
                history.iter().rev().take_while(|(read, _)| *read == message).map(|(_, time)| *time).sum()
            };
            let left = message.map(|message| READ_TIME.saturating_sub(spent(message)));
            prop_assert_eq!(unfinished.deadline(), left.map(|left| now + left));
            history.extend(message.map(|message| (message, time)));
            now += time;
        }
    }
}
