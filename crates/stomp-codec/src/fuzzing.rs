//! A check of both directions, which must hold for any bytes.
//!
//! The target `stomp` of `fuzz/` calls it. The tests below run it on the target's seeds and on random input.

use bytes::Bytes;

use super::{Command, DecodeError, Decoder, Frame, Headers, Limits, Version};

/// What the first octet of an input chooses.
#[derive(Clone, Copy)]
struct Choice {
    is_client: bool,
    /// The version from the beginning on; without one, that of the first frame.
    version: Option<Version>,
    lenient: bool,
    limits: Limits,
}

const TIGHT: Limits = Limits::new()
    .max_headers(3)
    .max_line_bytes(20)
    .max_head_bytes(48)
    .max_body_bytes(12)
    .max_connect_bytes(60);

const NONE: Limits = Limits::new()
    .max_headers(usize::MAX)
    .max_line_bytes(usize::MAX)
    .max_head_bytes(usize::MAX)
    .max_body_bytes(usize::MAX)
    .max_connect_bytes(usize::MAX);

impl Choice {
    fn of(octet: u8) -> Self {
        Self {
            is_client: octet & 1 == 0,
            version: Version::ALL.get(usize::from(octet >> 1) % 4).copied(),
            lenient: octet & 8 != 0,
            limits: if octet & 16 != 0 { TIGHT } else { Limits::new() },
        }
    }

    fn decoder(self) -> Decoder {
        let decoder =
            if self.is_client { Decoder::of_client(self.limits) } else { Decoder::of_server(self.limits) };
        let mut decoder = decoder.lenient_escapes(self.lenient);
        if let Some(version) = self.version {
            decoder.set_version(version);
        }
        decoder
    }

    /// The frames of these bytes, each with the version in which it was read, and the error behind them.
    fn read(mut self, mut bytes: &[u8], steps: [usize; 2]) -> (Vec<(Frame, Self)>, Option<DecodeError>) {
        let mut decoder = self.decoder();
        let mut frames = Vec::new();
        for step in steps.into_iter().cycle() {
            let (piece, behind) = bytes.split_at(step.min(bytes.len()));
            let mut piece = Bytes::copy_from_slice(piece);
            loop {
                match decoder.decode(&mut piece) {
                    Ok(Some(frame)) => {
                        frames.push((frame, self));
                        let (frame, _) = &frames[frames.len() - 1];
                        if let (None, Some(version)) = (self.version, agreed(frame)) {
                            self.version = Some(version);
                            decoder.set_version(version);
                        }
                    }
                    Ok(None) => break,
                    Err(error) => {
                        assert_eq!(decoder.decode(&mut "\n".into()), Err(error.clone()));
                        assert_eq!(decoder.buffered(), 0);
                        return (frames, Some(error));
                    }
                }
            }
            let most = if self.limits == TIGHT { 48 } else { 64 << 10 };
            assert!(piece.is_empty() && decoder.buffered() <= most);
            bytes = behind;
            if bytes.is_empty() {
                break;
            }
        }
        (frames, None)
    }

    /// The one frame that these bytes are.
    fn read_one(self, bytes: &[u8]) -> Frame {
        let (mut frames, error) = Self { limits: NONE, ..self }.read(bytes, [usize::MAX; 2]);
        assert_eq!((frames.len(), error), (1, None));
        frames.remove(0).0
    }
}

/// The version of a session that begins with this frame.
fn agreed(frame: &Frame) -> Option<Version> {
    let versions = match frame.command {
        Command::Connect | Command::Stomp => frame.headers.get("accept-version"),
        Command::Connected => frame.headers.get("version"),
        _ => return None,
    };
    versions.map_or(Some(Version::V1_0), Version::newest)
}

/// What is left of a frame that is written in a version and read again. What opens a session has no version.
pub(crate) fn said(frame: &Frame, version: Option<Version>) -> Frame {
    let not_in_names: &[char] = match version {
        None | Some(Version::V1_0) => &['\0', '\r', '\n', ':'],
        Some(Version::V1_1) => &['\0', '\r'],
        Some(Version::V1_2) => &['\0'],
    };
    let value = |value: &str| {
        let value = value.replace('\0', "");
        match version {
            None => value.replace('\r', "").replace('\n', "\\n"),
            Some(Version::V1_0) => value.replace('\r', "").replace('\n', "\\n").trim_matches(' ').to_owned(),
            Some(Version::V1_1) => value.replace('\r', ""),
            Some(Version::V1_2) => value,
        }
    };
    let is_said = |name: &str| !name.is_empty() && name != "content-length" && !name.contains(not_in_names);
    let said = frame.headers.iter().filter(|(name, _)| is_said(name));
    let mut headers: Headers = said.map(|(name, text)| (name.to_owned(), value(text))).collect();
    let has_body = matches!(frame.command, Command::Send | Command::Message | Command::Error);
    if has_body {
        headers.append("content-length", frame.body.len().to_string());
    }
    Frame { headers, body: if has_body { frame.body.clone() } else { Bytes::new() }, ..*frame }
}

/// Writes a frame in every version that has it, and reads it again.
fn check_written(frame: &Frame, choice: Choice) {
    for version in Version::ALL {
        if (frame.command, version) == (Command::Nack, Version::V1_0) {
            continue;
        }
        let choice = Choice { version: Some(version), lenient: false, ..choice };
        let again = choice.read_one(&frame.encode(version));
        let opens = agreed(frame).is_some()
            || matches!(frame.command, Command::Connect | Command::Stomp | Command::Connected);
        if !opens {
            assert_eq!(again, said(frame, Some(version)));
        } else if agreed(&again) != Some(Version::V1_0) && version != Version::V1_0 {
            assert_eq!(again, said(frame, None));
        }
    }
}

/// Bytes of a client or a server: the same frames and the same error, however they are cut. What was read is written as
/// what is read as the same. Then the bytes as the command, the headers and the body of a frame, which is written in all
/// versions.
pub fn read_frames(data: &[u8]) {
    let [first, steps, bytes @ ..] = data else { return };
    let choice = Choice::of(*first);
    let whole = choice.read(bytes, [usize::MAX; 2]);
    let steps = [usize::from(steps & 15) + 1, usize::from(steps >> 4) + 1];
    for steps in [steps, [1; 2]] {
        let (frames, error) = choice.read(bytes, steps);
        assert!(frames.iter().map(|(frame, _)| frame).eq(whole.0.iter().map(|(frame, _)| frame)));
        assert_eq!(error, whole.1);
    }
    for (frame, choice) in &whole.0 {
        // Without a version nothing is escaped, as in 1.0.
        let again = choice.read_one(&frame.encode(choice.version.unwrap_or(Version::V1_0)));
        let mut expected = frame.clone();
        expected.headers.remove("content-length");
        if !frame.body.is_empty() || again.headers.contains("content-length") {
            expected.headers.append("content-length", frame.body.len().to_string());
        }
        assert_eq!(again, expected);
        check_written(frame, *choice);
    }
    let commands = Command::ALL.into_iter().filter(|command| command.is_of_server() != choice.is_client);
    let command = commands.cycle().nth(steps[0]).unwrap_or(Command::Send);
    let text = String::from_utf8_lossy(bytes);
    let mut parts = text.split('\u{1}').map(ToOwned::to_owned);
    let mut frame = Frame::new(command).body(bytes.to_vec());
    while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
        frame.headers.append(name, value);
    }
    check_written(&frame, choice);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_seeds_hold() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds.txt");
        // The published package has none.
        let Ok(archive) = std::fs::read_to_string(path) else { return };
        let mut count = 0;
        for line in archive.lines().filter(|line| line.starts_with("stomp/")) {
            let (name, bytes) = line.split_once(' ').unwrap_or((line, ""));
            let bytes = data_encoding::BASE64.decode(bytes.as_bytes());
            let bytes = bytes.unwrap_or_else(|error| panic!("{name}: {error}"));
            // Each seed, and all its prefixes.
            for end in 0..=bytes.len() {
                read_frames(&bytes[..end]);
            }
            count += 1;
        }
        assert!(count > 2, "{count} seeds");
    }

    /// Bytes, many of which have a meaning for a decoder.
    fn input() -> impl Strategy<Value = Vec<u8>> {
        let special: Vec<u8> = b"\0\n\r:\\ncr \x01\xff\xe2\x80\xa8a1+".to_vec();
        let piece = prop_oneof![
            proptest::sample::select(special).prop_map(|byte| vec![byte]),
            any::<u8>().prop_map(|byte| vec![byte]),
            any::<char>().prop_map(|char| char.to_string().into_bytes()),
            proptest::sample::select(vec![
                "\n\n",
                "\n\n\0",
                "\r\n",
                "CONNECT\n",
                "CONNECTED\n",
                "SEND\n",
                "MESSAGE\r\n",
                "ACK\nid:1\n",
                "content-length:",
                "accept-version:1.2\n",
                "version:1.1\n",
                "receipt:1\n",
                "\\c",
            ])
            .prop_map(|text| text.as_bytes().to_vec()),
        ];
        (any::<[u8; 2]>(), proptest::collection::vec(piece, 0..24))
            .prop_map(|(first, pieces)| [&first[..], &pieces.concat()].concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn any_input_holds(data in input()) {
            read_frames(&data);
        }
    }
}
