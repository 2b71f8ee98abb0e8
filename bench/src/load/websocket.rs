//! RFC 6455 as a client reads it.

use super::connection::Buffer;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

/// The header of a server's frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    pub(crate) kind: Option<Kind>,
    pub(crate) fin: bool,
    pub(crate) header_len: usize,
    pub(crate) payload_len: usize,
}

impl Header {
    /// Parses the header of a frame that is whole, or says that more is needed.
    pub(crate) fn of_whole_frame(buffer: &Buffer) -> Result<Option<Self>, String> {
        let bytes = buffer.filled();
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        if first & 0x70 != 0 || second & 0x80 != 0 {
            return Err("a frame is masked, or has reserved bits".to_owned());
        }
        let (header_len, payload_len) = match (second, rest) {
            (126, [a, b, ..]) => (4, u16::from_be_bytes([*a, *b]).into()),
            (127, [a, b, c, d, e, f, g, h, ..]) => {
                (10, u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]) as usize)
            }
            (126 | 127, _) => return Ok(None),
            (len, _) => (2, usize::from(*len)),
        };
        if bytes.len() - header_len < payload_len {
            return Ok(None);
        }
        let kind = match first & 15 {
            0 => None,
            1 => Some(Kind::Text),
            2 => Some(Kind::Binary),
            8 => Some(Kind::Close),
            9 => Some(Kind::Ping),
            10 => Some(Kind::Pong),
            opcode => return Err(format!("opcode {opcode}")),
        };
        Ok(Some(Self { kind, fin: first & 0x80 != 0, header_len, payload_len }))
    }
}

/// Appends a masked control frame.
pub(crate) fn control(to: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    let key = [0x37, 0xfa, 0x21, 0x3d];
    to.extend([0x80 | opcode, 0x80 | payload.len().min(125) as u8]);
    to.extend(key);
    to.extend(payload.iter().take(125).zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
}

/// Appends a masked text frame of less than 64 KiB.
pub(crate) fn text(to: &mut Vec<u8>, payload: &[u8], key: [u8; 4]) {
    to.push(0x81);
    match payload.len() {
        length @ 0..126 => to.push(0x80 | length as u8),
        length => {
            to.push(0x80 | 126);
            to.extend((length as u16).to_be_bytes());
        }
    }
    to.extend(key);
    to.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
}
