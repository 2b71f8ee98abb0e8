//! The field `d` of a form, as JSONP clients send it.
//!
//! `form_urlencoded` is not used: it needs the whole form, and would accept bytes that are not UTF-8.

/// The name of the field and the `=` after it.
const NAME: &[u8] = b"d=";

/// Decodes the first field `d` of a form that arrives in chunks, and skips all others.
#[derive(Debug, Default)]
pub(crate) struct FormField(State);

#[derive(Debug, Clone, Copy)]
enum State {
    /// At the beginning of a field whose first bytes match this many bytes of [`NAME`].
    Name(usize),
    /// In another field.
    Other,
    Value,
    /// After `%`, and after its first digit.
    Percent(Option<u8>),
    /// After the field.
    Done,
}

impl Default for State {
    fn default() -> Self {
        Self::Name(0)
    }
}

impl FormField {
    /// Decodes a chunk until about `room` bytes are decoded. Returns the number of bytes read.
    pub(crate) fn decode(&mut self, chunk: &[u8], room: usize, out: &mut Vec<u8>) -> usize {
        let full = out.len() + room;
        let mut at = 0;
        while at < chunk.len() && (out.len() < full || !self.is_in_value()) {
            let rest = &chunk[at..];
            let byte = chunk[at];
            self.0 = match self.0 {
                State::Name(matched) if byte == NAME[matched] => {
                    at += 1;
                    if matched + 1 == NAME.len() { State::Value } else { State::Name(matched + 1) }
                }
                State::Name(_) | State::Other => {
                    let end = rest.iter().position(|&byte| byte == b'&');
                    at += end.map_or(rest.len(), |end| end + 1);
                    if end.is_some() { State::Name(0) } else { State::Other }
                }
                State::Value => {
                    let (read, state) = decode_value(rest, full - out.len(), out);
                    at += read;
                    state
                }
                State::Percent(first) => match (digit(byte), first) {
                    (Some(_), None) => {
                        at += 1;
                        State::Percent(Some(byte))
                    }
                    (Some(low), Some(first)) => {
                        at += 1;
                        out.push(digit(first).unwrap_or_default() << 4 | low);
                        State::Value
                    }
                    // Not an escape: the bytes stand for themselves.
                    (None, _) => self.end_of_percent(out),
                },
                State::Done => {
                    at = chunk.len();
                    State::Done
                }
            };
        }
        at
    }

    /// Marks the end of the form.
    pub(crate) fn end(&mut self, out: &mut Vec<u8>) {
        self.0 = self.end_of_percent(out);
    }

    fn is_in_value(&self) -> bool {
        matches!(self.0, State::Value | State::Percent(_))
    }

    fn end_of_percent(&self, out: &mut Vec<u8>) -> State {
        let State::Percent(first) = self.0 else { return self.0 };
        out.push(b'%');
        out.extend(first);
        State::Value
    }
}

/// Decodes a part of a value into at most `room` bytes. Returns the number of bytes read, and the next state.
///
/// Works byte by byte into reserved memory: in a text made of words, every run of plain bytes is short.
fn decode_value(part: &[u8], room: usize, out: &mut Vec<u8>) -> (usize, State) {
    let start = out.len();
    out.resize(start + room.min(part.len()), 0);
    let (mut read, mut written, mut state) = (0, 0, State::Value);
    for place in &mut out[start..] {
        *place = match part.get(read) {
            Some(b'+') => b' ',
            Some(b'%') => match escaped(&part[read..]) {
                Some(byte) => {
                    read += 2;
                    byte
                }
                // The escape is incomplete or invalid.
                None => {
                    read += 1;
                    state = State::Percent(None);
                    break;
                }
            },
            Some(b'&') => {
                state = State::Done;
                break;
            }
            Some(&byte) => byte,
            None => break,
        };
        read += 1;
        written += 1;
    }
    out.truncate(start + written);
    (read, state)
}

/// The byte of a complete escape at the beginning of `rest`.
fn escaped(rest: &[u8]) -> Option<u8> {
    match rest {
        [b'%', high, low, ..] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    }
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Decodes a form in chunks, with `room` bytes at a time.
    fn decode(form: &[u8], chunk: usize, room: usize) -> Vec<u8> {
        let (mut field, mut out) = (FormField::default(), Vec::new());
        for chunk in form.chunks(chunk) {
            let mut rest = chunk;
            while !rest.is_empty() {
                let before = out.len();
                let read = field.decode(rest, room, &mut out);
                let made = out.len() - before;
                // An invalid escape produces two bytes at once.
                assert!(read + made > 0 && made <= room + 1);
                rest = &rest[read..];
            }
        }
        field.end(&mut out);
        out
    }

    #[test]
    fn finds_the_field() {
        for (form, expected) in [
            ("d=a", "a"),
            ("c=1&d=a&e=2", "a"),
            ("dd=1&d=a", "a"),
            ("d&d=a&d=b", "a"),
            ("&&d=a+b%20c%2B", "a b c+"),
            ("d=%5B%22%c3%a9%22%5D", "[\"é\"]"),
            ("d=%&c", "%"),
            ("d=%4", "%4"),
            ("d=%4g%zz%%41", "%4g%zz%A"),
            ("", ""),
            ("d", ""),
            ("d=", ""),
            ("D=a", ""),
        ] {
            for chunk in 1..8 {
                for room in 1..4 {
                    assert_eq!(
                        decode(form.as_bytes(), chunk, room),
                        expected.as_bytes(),
                        "{form} by {chunk}"
                    );
                }
            }
        }
    }

    proptest! {
        #[test]
        fn decodes_what_others_encode(text: String, chunk in 1_usize..20, room in 1_usize..20) {
            let form: String =
                form_urlencoded::Serializer::new(String::new()).append_pair("c", &text).append_pair("d", &text).finish();
            prop_assert_eq!(decode(form.as_bytes(), chunk, room), text.as_bytes());
        }
    }
}
