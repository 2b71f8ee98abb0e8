//! Heart-beats, as agreed.

use std::time::Duration;

use crate::options::HeartBeatPolicy;

/// How many intervals a client may be silent.
const GRACE: u32 = 3;

/// Longer intervals are none: no timer would see their end.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// The header of a client: what it can send and what it wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Offer {
    send: u64,
    want: u64,
}

/// What both sides have agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HeartBeats {
    /// The header of the answer.
    answer: (u64, u64),
    /// How often the server sends something.
    pub(super) send: Option<Duration>,
    /// How long the client may be silent.
    pub(super) read_timeout: Option<Duration>,
}

impl Offer {
    /// Reads the header; `None` if it is not two numbers.
    pub(super) fn parse(header: &str) -> Option<Self> {
        let (send, want) = header.split_once(',')?;
        Some(Self { send: millis(send)?, want: millis(want)? })
    }
}

fn millis(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // What no `u64` holds is longer than all that can be waited for.
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

impl HeartBeats {
    pub(super) fn agree(offer: Offer, policy: HeartBeatPolicy, min_read_timeout: Option<Duration>) -> Self {
        let floor = |wish: u64, floor: Duration| if wish == 0 { 0 } else { wish.max(as_millis(floor)) };
        let answer = match policy {
            HeartBeatPolicy::Client { floor: least } => (floor(offer.want, least), floor(offer.send, least)),
            HeartBeatPolicy::Fixed { send, receive } => (as_millis(send), as_millis(receive)),
        };
        let agreed = |one: u64, other: u64| {
            let interval = Duration::from_millis(one.max(other));
            (one != 0 && other != 0 && interval <= LONGEST).then_some(interval)
        };
        let read = agreed(offer.send, answer.1).map(|interval| interval * GRACE);
        Self {
            answer,
            send: agreed(answer.0, offer.want),
            read_timeout: read.map(|timeout| timeout.max(min_read_timeout.unwrap_or_default().min(LONGEST))),
        }
    }

    /// The header of the answer.
    pub(super) fn header(&self) -> String {
        format!("{},{}", self.answer.0, self.answer.1)
    }
}

fn as_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: HeartBeatPolicy = HeartBeatPolicy::Client { floor: Duration::from_secs(1) };

    fn agree(header: &str, policy: HeartBeatPolicy) -> (String, Option<u128>, Option<u128>) {
        let agreed = HeartBeats::agree(Offer::parse(header).expect("two numbers"), policy, None);
        let millis = |duration: Option<Duration>| duration.map(|duration| duration.as_millis());
        (agreed.header(), millis(agreed.send), millis(agreed.read_timeout))
    }

    #[test]
    fn the_clients_wish_is_granted() {
        assert_eq!(agree("10000,20000", CLIENT), ("20000,10000".into(), Some(20_000), Some(30_000)));
        assert_eq!(agree("0,0", CLIENT), ("0,0".into(), None, None));
        assert_eq!(agree("0,5000", CLIENT), ("5000,0".into(), Some(5000), None));
        assert_eq!(agree("5000,0", CLIENT), ("0,5000".into(), None, Some(15_000)));
    }

    #[test]
    fn not_too_often() {
        assert_eq!(agree("1,2", CLIENT), ("1000,1000".into(), Some(1000), Some(3000)));
    }

    #[test]
    fn fixed_intervals_are_offered_whatever_the_client_wants() {
        let fixed =
            HeartBeatPolicy::Fixed { send: Duration::from_secs(10), receive: Duration::from_secs(20) };
        assert_eq!(agree("5000,30000", fixed), ("10000,20000".into(), Some(30_000), Some(60_000)));
        assert_eq!(agree("0,0", fixed), ("10000,20000".into(), None, None));
        let none = HeartBeatPolicy::Fixed { send: Duration::ZERO, receive: Duration::ZERO };
        assert_eq!(agree("5000,5000", none), ("0,0".into(), None, None));
    }

    #[test]
    fn hidden_pages_get_more_time() {
        let offer = Offer::parse("10000,0").expect("two numbers");
        let agreed = HeartBeats::agree(offer, CLIENT, Some(Duration::from_secs(75)));
        assert_eq!(agreed.read_timeout, Some(Duration::from_secs(75)));
        // What no clock can add.
        let agreed = HeartBeats::agree(offer, CLIENT, Some(Duration::MAX));
        assert_eq!(agreed.read_timeout, Some(LONGEST));
    }

    #[test]
    fn numbers_of_any_length_are_numbers() {
        let (header, send, read) = agree("99999999999999999999999,99999999999999999999999", CLIENT);
        assert_eq!((send, read), (None, None), "{header}");
    }

    #[test]
    fn all_else_is_refused() {
        for header in ["", "abc", "1000", "-1,0", "1.5,0", "1,2,3", ",", "1,", "+1,0", "1, 2", "0x1,0"] {
            assert_eq!(Offer::parse(header), None, "{header:?}");
        }
    }
}
