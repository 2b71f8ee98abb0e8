//! The messages: made, quoted and checked so cheaply that the servers are what is measured.
//!
//! Each message holds its session's number and its own; all else stays the same. So a message is quoted once
//! per session, and afterwards only its number changes in place: to write one is a copy, to check one is a
//! comparison.

use std::fmt::Write as _;

/// What messages are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Body {
    /// English words: nothing to escape.
    Ascii,
    /// JSON text: one character in five is a quote.
    Json,
}

/// Digits of a session's number, and of a message's.
const SESSION_DIGITS: usize = 6;
const DIGITS: usize = 10;
/// The smallest message of each body.
pub(crate) const MIN_SIZE: usize = 64;

/// The text of a session's message number zero, and where its number is.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    text: String,
    number_at: usize,
}

impl Text {
    /// A text of exactly `size` bytes.
    pub(crate) fn new(body: Body, size: usize, session: usize) -> Self {
        let (text, number_at) = text(body, size, session);
        Self { text, number_at }
    }

    /// The same with something before and behind it.
    pub(crate) fn within(self, before: &str, behind: &str) -> Self {
        let text = [before, &self.text, behind].concat();
        Self { text, number_at: before.len() + self.number_at }
    }
}

fn text(body: Body, size: usize, session: usize) -> (String, usize) {
    assert!(size >= MIN_SIZE, "messages have at least {MIN_SIZE} bytes");
    let mut text = String::with_capacity(size);
    if body == Body::Json {
        text.push_str("{\"id\":\"");
    }
    write!(text, "{session:0SESSION_DIGITS$}").expect("a string takes all");
    let number_at = text.len();
    text.push_str(&"0".repeat(DIGITS));
    match body {
        Body::Ascii => {
            let words = " the quick brown fox jumps over the lazy dog";
            text.extend(words.chars().cycle().take(size - text.len()));
        }
        Body::Json => {
            text.push_str("\",\"items\":[");
            let item = "{\"name\":\"apple\",\"count\":12,\"unit\":\"kg\"},";
            let end = "{}],\"_\":\"\"}";
            while text.len() + item.len() + end.len() <= size {
                text.push_str(item);
            }
            text.push_str(&end[..end.len() - 2]);
            text.extend(std::iter::repeat_n('x', size - text.len() - 2));
            text.push_str("\"}");
        }
    }
    assert_eq!(text.len(), size);
    (text, number_at)
}

/// `text` as a JSON string within its quotes, `levels` times over: none is the text itself. The quotes of the
/// first level are part of it, since a message brings them.
fn quoted(text: &str, levels: u8) -> String {
    let mut quoted = text.to_owned();
    for level in 0..levels {
        quoted = serde_json::to_string(&quoted).expect("a string is JSON");
        if level > 0 {
            quoted = quoted[1..quoted.len() - 1].to_owned();
        }
    }
    quoted
}

/// A message in some encoding, whose number counts up in place.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    number_at: usize,
}

impl Template {
    fn new(encoded: String, Text { text, number_at }: &Text) -> Self {
        let number = &text[number_at - SESSION_DIGITS..number_at + DIGITS];
        let at = encoded.find(number).expect("no encoding changes digits") + SESSION_DIGITS;
        Self { bytes: encoded.into_bytes(), number_at: at }
    }

    /// Message zero, quoted so many times.
    pub(crate) fn quoted(text: &Text, levels: u8) -> Self {
        Self::new(quoted(&text.text, levels), text)
    }

    /// Message zero as an element of an array in a form's field.
    pub(crate) fn form(text: &Text) -> Self {
        let mut form = String::new();
        for byte in quoted(&text.text, 1).bytes() {
            match byte {
                b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'.' | b'_' => form.push(byte.into()),
                b' ' => form.push('+'),
                _ => write!(form, "%{byte:02X}").expect("a string takes all"),
            }
        }
        Self::new(form, text)
    }

    /// Message zero as a WebSocket client's text frame, masked: bare, or as an array of one.
    pub(crate) fn frame(text: &Text, array: bool, key: [u8; 4]) -> MaskedFrame {
        let payload = if array { format!("[{}]", quoted(&text.text, 1)) } else { text.text.clone() };
        let plain = Self::new(payload, text);
        let mut bytes = vec![0x81];
        match plain.bytes.len() {
            len @ 0..126 => bytes.push(0x80 | len as u8),
            len @ 126..65_536 => {
                bytes.push(0x80 | 126);
                bytes.extend((len as u16).to_be_bytes());
            }
            len => {
                bytes.push(0x80 | 127);
                bytes.extend((len as u64).to_be_bytes());
            }
        }
        bytes.extend(key);
        let payload_at = bytes.len();
        bytes.extend(plain.bytes.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
        let number_at = payload_at + plain.number_at;
        let masks = std::array::from_fn(|i| key[(plain.number_at + i) % 4]);
        MaskedFrame { bytes, number_at, digits: [b'0'; DIGITS], masks }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Goes on to the next message.
    pub(crate) fn advance(&mut self) {
        increment(&mut self.bytes[self.number_at..self.number_at + DIGITS]);
    }

    /// Goes to message `number`.
    fn set(&mut self, number: u64) {
        let digits = format!("{number:0DIGITS$}");
        self.bytes[self.number_at..self.number_at + DIGITS].copy_from_slice(digits.as_bytes());
    }
}

/// A masked WebSocket frame, whose message counts up in place.
#[derive(Debug)]
pub(crate) struct MaskedFrame {
    bytes: Vec<u8>,
    number_at: usize,
    digits: [u8; DIGITS],
    masks: [u8; DIGITS],
}

impl MaskedFrame {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn advance(&mut self) {
        increment(&mut self.digits);
        for i in 0..DIGITS {
            self.bytes[self.number_at + i] = self.digits[i] ^ self.masks[i];
        }
    }
}

fn increment(digits: &mut [u8]) {
    for digit in digits.iter_mut().rev() {
        if *digit != b'9' {
            *digit += 1;
            return;
        }
        *digit = b'0';
    }
}

/// Checks that a session's messages come once each, in order, intact.
#[derive(Debug)]
pub(crate) struct Checker {
    /// The next message as it is expected, quoted as often as the transport quotes.
    expected: Template,
    /// The same, as it is.
    plain: Template,
    levels: u8,
    received: u64,
}

impl Checker {
    /// `levels` is 0 for bare messages, 1 for frames, and 2 for frames quoted once more.
    pub(crate) fn new(text: &Text, levels: u8) -> Self {
        Self {
            expected: Template::quoted(text, levels),
            plain: Template::quoted(text, 0),
            levels,
            received: 0,
        }
    }

    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Takes one bare message.
    pub(crate) fn message(&mut self, message: &[u8]) -> Result<(), String> {
        debug_assert_eq!(self.levels, 0);
        if message != self.expected.bytes() {
            return Err(self.wrong(message));
        }
        self.expected.advance();
        self.received += 1;
        Ok(())
    }

    /// Takes a frame `a[…]`, and says how many messages were in it.
    pub(crate) fn array(&mut self, frame: &[u8]) -> Result<u64, String> {
        let before = self.received;
        if !self.array_as_expected(frame) {
            // Quoted in another way, or wrong.
            self.received = before;
            self.array_by_value(frame)?;
            self.expected.set(self.received);
        }
        Ok(self.received - before)
    }

    fn array_as_expected(&mut self, frame: &[u8]) -> bool {
        let Some(mut rest) = frame.strip_prefix(b"a[") else { return false };
        loop {
            match rest.strip_prefix(self.expected.bytes()) {
                Some(after) => rest = after,
                None => return false,
            }
            self.expected.advance();
            self.received += 1;
            match rest {
                b"]" => return true,
                [b',', after @ ..] => rest = after,
                _ => return false,
            }
        }
    }

    fn array_by_value(&mut self, frame: &[u8]) -> Result<(), String> {
        let not_json = |error: serde_json::Error| format!("{error} in {}", shown(frame));
        let unquoted: String;
        let array = match self.levels {
            2 => {
                unquoted = serde_json::from_slice(&[b"\"", frame, b"\""].concat()).map_err(not_json)?;
                unquoted.as_bytes()
            }
            _ => frame,
        };
        let array = array.strip_prefix(b"a").ok_or_else(|| format!("no frame: {}", shown(frame)))?;
        let messages: Vec<String> = serde_json::from_slice(array).map_err(not_json)?;
        for message in messages {
            self.plain.set(self.received);
            if message.as_bytes() != self.plain.bytes() {
                return Err(self.wrong(message.as_bytes()));
            }
            self.received += 1;
        }
        Ok(())
    }

    fn wrong(&mut self, message: &[u8]) -> String {
        self.plain.set(self.received);
        format!("expected {}, got {}", shown(self.plain.bytes()), shown(message))
    }
}

/// Enough of some bytes to recognise them.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(100)]);
    format!("{start:?} ({} bytes)", bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_their_size_and_number() {
        for body in [Body::Ascii, Body::Json] {
            for size in [64, 100, 1024, 16_384] {
                let mut template = Template::quoted(&Text::new(body, size, 42), 0);
                assert_eq!(template.bytes().len(), size);
                for _ in 0..12 {
                    template.advance();
                }
                let text = String::from_utf8(template.bytes().to_vec()).expect("text");
                assert!(text.contains("0000420000000012"), "{text}");
                if body == Body::Json {
                    serde_json::from_str::<serde_json::Value>(&text).expect("JSON");
                }
            }
        }
    }

    #[test]
    fn a_masked_frame_unmasks_to_its_message() {
        let key = [1, 2, 3, 4];
        let mut frame = Template::frame(&Text::new(Body::Json, 64, 7), true, key);
        let mut plain = Template::quoted(&Text::new(Body::Json, 64, 7), 1);
        for _ in 0..101 {
            frame.advance();
            plain.advance();
        }
        let payload: Vec<u8> =
            frame.bytes()[6..].iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        assert_eq!(payload, [b"[", plain.bytes(), b"]"].concat());
    }

    #[test]
    fn every_way_to_quote_is_checked() {
        let text = Text::new(Body::Json, 64, 1);
        let message = |n: u64| {
            let mut template = Template::quoted(&text, 0);
            template.set(n);
            String::from_utf8(template.bytes().to_vec()).expect("text")
        };
        let mut checker = Checker::new(&text, 1);
        let usual = format!("a{}", serde_json::to_string(&[message(0), message(1)]).expect("JSON"));
        assert_eq!(checker.array(usual.as_bytes()), Ok(2));
        let spaced =
            format!("a[ {}]", serde_json::to_string(&message(2)).expect("JSON").replace("kg", "\\u006bg"));
        assert_eq!(checker.array(spaced.as_bytes()), Ok(1));
        let usual = format!("a{}", serde_json::to_string(&[message(3)]).expect("JSON"));
        assert_eq!(checker.array(usual.as_bytes()), Ok(1));
        // Twice, out of order, altered, none at all.
        assert!(checker.array(usual.as_bytes()).is_err());
        let wrong = format!("a{}", serde_json::to_string(&[message(4), message(6)]).expect("JSON"));
        assert!(checker.array(wrong.as_bytes()).is_err());
        let mut twice = Checker::new(&text, 2);
        let frame = serde_json::to_string(&usual.replace("0000000003", "0000000000")).expect("JSON");
        assert_eq!(twice.array(&frame.as_bytes()[1..frame.len() - 1]), Ok(1));
        let spaced = frame.replace("[\\\"", "[ \\\"").replace("0000000000", "0000000001");
        assert_eq!(twice.array(&spaced.as_bytes()[1..spaced.len() - 1]), Ok(1));
    }
}
