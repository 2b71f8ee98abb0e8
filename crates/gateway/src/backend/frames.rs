//! The boundaries of the frames that a backend sends ([RFC 6455, section
//! 5.2](https://www.rfc-editor.org/rfc/rfc6455#section-5.2)): only they show whether the library holds a part of a message.

/// Two bytes, and eight for the length.
const LONGEST: usize = 10;

/// Follows the frames of a backend by their headers. It expects no masks: with one, the library ends the connection.
#[derive(Debug, Default)]
pub(super) struct Frames {
    header: [u8; LONGEST],
    /// So many bytes of the header have come.
    held: usize,
    /// So much of the frame's payload is still to come.
    payload: u64,
    /// Whether a message has begun and its last fragment has not.
    is_fragmented: bool,
    largest: u64,
}

impl Frames {
    pub(super) fn advance(&mut self, mut bytes: &[u8]) {
        loop {
            let here = usize::try_from(self.payload).map_or(bytes.len(), |payload| payload.min(bytes.len()));
            self.payload -= here as u64;
            bytes = &bytes[here..];
            let Some((&first, rest)) = bytes.split_first() else { return };
            bytes = rest;
            self.header[self.held] = first;
            self.held += 1;
            self.end_header();
        }
    }

    /// Begins the frame, if its header is complete.
    fn end_header(&mut self) {
        let [first, second, ref length @ ..] = self.header;
        let (size, length) = match (self.held, second & 0x7f) {
            (0 | 1, _) => return,
            (_, 126) => (4, u16::from_be_bytes([length[0], length[1]]).into()),
            (_, 127) => (LONGEST, u64::from_be_bytes(*length)),
            (_, length) => (2, length.into()),
        };
        if self.held < size {
            return;
        }
        (self.held, self.payload) = (0, length);
        self.largest = self.largest.max(length);
        let (is_final, is_control) = (first & 0x80 != 0, first & 0x08 != 0);
        if !is_control {
            self.is_fragmented = !is_final;
        }
    }

    /// Whether all that has come are whole messages.
    pub(super) fn is_between_messages(&self) -> bool {
        self.held == 0 && self.payload == 0 && !self.is_fragmented
    }

    /// The longest frame so far.
    pub(super) fn largest(&self) -> u64 {
        self.largest
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio_tungstenite::tungstenite::protocol::frame::{
        FrameHeader,
        coding::{Control, Data, OpCode},
    };

    use super::*;

    fn frame(opcode: OpCode, length: usize, is_final: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        let header = FrameHeader { is_final, opcode, ..FrameHeader::default() };
        header.format(length as u64, &mut bytes).unwrap();
        bytes.extend(std::iter::repeat_n(0xff, length));
        bytes
    }

    proptest! {
        #[test]
        fn boundaries_are_found_wherever_the_bytes_are_cut(
            messages in proptest::collection::vec((0..5_u8, prop_oneof![0..200_usize, 65_000..66_000_usize]), 1..6),
            cuts in proptest::collection::vec(prop_oneof![1..30_usize, 1..40_000_usize], 1..50),
        ) {
            let mut bytes = Vec::new();
            let mut ends = vec![0];
            for &(kind, length) in &messages {
                match kind {
                    0 => bytes.extend(frame(OpCode::Control(Control::Ping), length.min(125), true)),
                    1 => {
                        bytes.extend(frame(OpCode::Data(Data::Text), length, false));
                        bytes.extend(frame(OpCode::Control(Control::Pong), 3, true));
                        bytes.extend(frame(OpCode::Data(Data::Continue), 0, true));
                    }
                    _ => bytes.extend(frame(OpCode::Data(Data::Binary), length, true)),
                }
                ends.push(bytes.len());
            }
            let mut frames = Frames::default();
            let mut at = 0;
            for cut in cuts.into_iter().chain([usize::MAX]) {
                let end = at + cut.min(bytes.len() - at);
                frames.advance(&bytes[at..end]);
                at = end;
                prop_assert_eq!(frames.is_between_messages(), ends.contains(&at), "at {}", at);
            }
        }
    }
}
