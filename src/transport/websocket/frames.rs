//! The boundaries of WebSocket frames ([RFC 6455, section 5.2](https://www.rfc-editor.org/rfc/rfc6455#section-5.2)).
//!
//! The library reports only complete messages. Only the bytes given to it show how much of the next message it holds,
//! and since when.

/// Two bytes, plus eight for the length and four for the mask.
const MAX_HEADER: usize = 14;

/// Tracks the frames of a client by their headers: payload is skipped by its length.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    /// The first `held` bytes of an incomplete header.
    header: [u8; MAX_HEADER],
    held: usize,
    /// The number of payload bytes still missing from the current frame.
    payload: u64,
    /// Whether a message has begun and its last fragment has not.
    fragmented: bool,
    /// The number of messages begun, including control frames between messages.
    begun: u64,
    /// The largest frame since the last call of [`take_largest`](Self::take_largest).
    largest: u64,
    close: Option<Close>,
}

/// The code in the client's first close frame.
#[derive(Debug)]
enum Close {
    /// The code has arrived in part.
    Partial {
        mask: [u8; 4],
        first: Option<u8>,
    },
    Code(u16),
    /// The frame is too short for a code.
    None,
}

struct Header {
    is_final: bool,
    opcode: u8,
    length: u64,
    mask: [u8; 4],
    /// The length of the header itself.
    size: usize,
}

const CONTROL: u8 = 8;
const CLOSE: u8 = 8;

impl Tracker {
    /// Tracks the next bytes. Returns the number of frames that began in them.
    #[inline]
    pub(super) fn advance(&mut self, bytes: &[u8]) -> usize {
        // Most reads of a long message bring payload and nothing else.
        if self.payload >= bytes.len() as u64 && self.close.is_none() {
            self.payload -= bytes.len() as u64;
            return 0;
        }
        self.advance_over_headers(bytes)
    }

    fn advance_over_headers(&mut self, mut bytes: &[u8]) -> usize {
        let mut frames = 0;
        loop {
            let here = usize::try_from(self.payload).map_or(bytes.len(), |payload| payload.min(bytes.len()));
            let (payload, rest) = bytes.split_at(here);
            self.payload -= here as u64;
            if let Some(close) = &mut self.close {
                close.take(payload);
            }
            bytes = rest;
            if bytes.is_empty() {
                return frames;
            }
            if self.held == 0 && !self.fragmented {
                self.begun += 1;
            }
            let Some((header, used)) = self.read_header(bytes) else { return frames };
            bytes = &bytes[used..];
            frames += 1;
            self.begin(&header);
        }
    }

    /// The next header, and the number of these bytes that belong to it; `None` if the header is still incomplete.
    fn read_header(&mut self, bytes: &[u8]) -> Option<(Header, usize)> {
        if self.held == 0 {
            if let Some(header) = parse(bytes) {
                let used = header.size;
                return Some((header, used));
            }
        }
        let before = self.held;
        let more = bytes.len().min(MAX_HEADER - before);
        self.header[before..before + more].copy_from_slice(&bytes[..more]);
        self.held += more;
        let header = parse(&self.header[..self.held])?;
        self.held = 0;
        let used = header.size - before;
        Some((header, used))
    }

    fn begin(&mut self, header: &Header) {
        self.payload = header.length;
        self.largest = self.largest.max(header.length);
        if header.opcode < CONTROL {
            self.fragmented = !header.is_final;
        } else if header.opcode == CLOSE && self.close.is_none() {
            self.close = Some(Close::new(header));
        }
    }

    /// The number of the message or frame that has arrived only in part.
    pub(super) fn unfinished(&self) -> Option<u64> {
        (self.held > 0 || self.payload > 0 || self.fragmented).then_some(self.begun)
    }

    /// The code of the client's close frame as received.
    pub(super) fn close_code(&self) -> Option<u16> {
        match self.close {
            Some(Close::Code(code)) => Some(code),
            _ => None,
        }
    }

    /// The largest frame since the last call.
    pub(super) fn take_largest(&mut self) -> u64 {
        std::mem::take(&mut self.largest)
    }
}

/// The header at the beginning of these bytes, if it is complete.
fn parse(bytes: &[u8]) -> Option<Header> {
    let (&[first, second], rest) = bytes.split_first_chunk()?;
    let (length, rest) = match second & 0x7f {
        126 => rest.split_first_chunk().map(|(&length, rest)| (u16::from_be_bytes(length).into(), rest))?,
        127 => rest.split_first_chunk().map(|(&length, rest)| (u64::from_be_bytes(length), rest))?,
        length => (length.into(), rest),
    };
    let (mask, rest) = if second & 0x80 == 0 {
        ([0; 4], rest)
    } else {
        rest.split_first_chunk().map(|(&mask, rest)| (mask, rest))?
    };
    let size = bytes.len() - rest.len();
    Some(Header { is_final: first & 0x80 != 0, opcode: first & 0xf, length, mask, size })
}

impl Close {
    fn new(header: &Header) -> Self {
        if header.length < 2 { Self::None } else { Self::Partial { mask: header.mask, first: None } }
    }

    fn take(&mut self, payload: &[u8]) {
        for &byte in payload {
            let Self::Partial { mask, first } = self else { return };
            match first {
                None => *first = Some(byte ^ mask[0]),
                Some(first) => *self = Self::Code(u16::from_be_bytes([*first, byte ^ mask[1]])),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    const MASK: [u8; 4] = [1, 2, 3, 4];

    /// A frame whose length is written in this many bytes after the second.
    fn frame(first: u8, payload: &[u8], width: usize, masked: bool) -> Vec<u8> {
        let length = payload.len() as u64;
        let second = match width {
            0 => payload.len() as u8,
            2 => 126,
            _ => 127,
        };
        let mut frame = vec![first, second | if masked { 0x80 } else { 0 }];
        frame.extend(&length.to_be_bytes()[8 - width..]);
        let mask = if masked { MASK } else { [0; 4] };
        frame.extend(&mask[..if masked { 4 } else { 0 }]);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        frame
    }

    #[test]
    fn messages_are_counted_from_their_first_byte_to_their_last() {
        let mut tracker = Tracker::default();
        let mut expect = |bytes: &[u8], frames, unfinished| {
            assert_eq!((tracker.advance(bytes), tracker.unfinished()), (frames, unfinished), "{bytes:?}");
        };
        expect(&[], 0, None);
        expect(&frame(0x81, b"whole", 0, true), 1, None);
        expect(&frame(0x89, b"", 0, true), 1, None);
        expect(&[0x01], 0, Some(3));
        expect(&frame(0x01, b"part", 0, true)[1..], 1, Some(3));
        expect(&frame(0x8a, b"between", 0, true), 1, Some(3));
        expect(&frame(0x00, b"", 2, true), 1, Some(3));
        expect(&frame(0x80, b"end", 8, true)[..16], 1, Some(3));
        expect(b"d", 0, None);
        expect(&[&frame(0x82, b"", 0, false)[..], &[0x81]].concat(), 1, Some(5));
    }

    #[test]
    fn the_first_close_frame_has_the_code() {
        for (payload, code) in [
            (&[0x03, 0xea][..], Some(1002)),
            (b"\x03\xeaProtocol violation", Some(1002)),
            (&[0, 0, 1], Some(0)),
            (&[0xff, 0xff], Some(0xffff)),
            (b"", None),
            (b"\x03", None),
        ] {
            for masked in [true, false] {
                let close = frame(0x88, payload, 0, masked);
                let bytes =
                    [&frame(0x81, b"\x07\xd0", 0, true)[..], &close, &frame(0x88, b"\x07\xd0", 0, true)];
                let bytes = bytes.concat();
                for cut in 0..bytes.len() {
                    let mut tracker = Tracker::default();
                    tracker.advance(&bytes[..cut]);
                    tracker.advance(&bytes[cut..]);
                    assert_eq!(tracker.close_code(), code, "{payload:?} {masked} {cut}");
                }
            }
        }
    }

    #[test]
    fn no_length_overflows() {
        let mut tracker = Tracker::default();
        let header = [&[0x82, 0xff][..], &[0xff; 8], &[0; 4]].concat();
        assert_eq!(tracker.advance(&header), 1);
        assert_eq!(tracker.advance(&[0x81; 100_000]), 0);
        assert_eq!((tracker.unfinished(), tracker.take_largest()), (Some(1), u64::MAX));
    }

    proptest! {
        #[test]
        fn frames_are_found_however_they_are_cut(
            frames in vec((any::<u8>(), vec(any::<u8>(), 0..126), prop_oneof![Just(0_usize), Just(2), Just(8)], any::<bool>()), 0..8),
            cuts in vec(1..200_usize, 0..40),
        ) {
            let frames: Vec<_> = frames.iter().map(|(first, payload, width, masked)| (*first, frame(*first, payload, *width, *masked))).collect();
            let wire = frames.iter().flat_map(|(_, bytes)| bytes).copied().collect::<Vec<_>>();
            let mut tracker = Tracker::default();
            let (mut at, mut counted) = (0_usize, 0);
            for cut in cuts.into_iter().chain([usize::MAX]) {
                let end = wire.len().min(at.saturating_add(cut));
                counted += tracker.advance(&wire[at..end]);
                at = end;
                // The position of this byte, computed from the whole frames.
                let (mut open, mut start, mut begun) = (false, 0, 0);
                let mut inside = false;
                for (first, bytes) in &frames {
                    if start >= at { break; }
                    begun += u64::from(!open);
                    inside = at < start + bytes.len();
                    if inside { break; }
                    if first & 8 == 0 { open = first & 0x80 == 0; }
                    start += bytes.len();
                }
                prop_assert_eq!(tracker.unfinished(), (inside || open).then_some(begun));
            }
            prop_assert_eq!(counted, frames.len());
        }

        #[test]
        fn any_bytes_do(bytes in vec(any::<u8>(), 0..300), cut in 1..20_usize) {
            let (mut whole, mut cut_up) = (Tracker::default(), Tracker::default());
            let frames = whole.advance(&bytes);
            prop_assert_eq!(bytes.chunks(cut).map(|part| cut_up.advance(part)).sum::<usize>(), frames);
            prop_assert_eq!(whole.unfinished(), cut_up.unfinished());
            prop_assert_eq!(whole.close_code(), cut_up.close_code());
        }
    }
}
