//! Checks of every parser of what a peer sends, which must hold for any bytes.
//!
//! The targets of `fuzz/` call these functions. The tests below run them on the targets' seeds and on random input.

use std::str;

use super::{
    LoneSurrogates, Message, Transport,
    body::{FrameDecoder, FrameError},
    close::CloseFrame,
    decode::{self, ArrayDecoder, DecodeError, Limits},
    frame::Frame,
    path::{self, Path},
    quote::{escape_event, escape_script, quote},
    uri::decode_uri,
};

/// The parts of a path.
pub fn parse_path(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    match path::parse(text) {
        Some(Path::Session { session, transport }) => {
            let session = session.of(text);
            assert!((1..=128).contains(&session.len()) && !session.contains(['.', '/']), "{session:?}");
            assert!(!transport.contains('/') && text.ends_with(transport), "{transport:?}");
        }
        Some(Path::Client { version: Some(version) }) => assert!(text.contains(version)),
        _ => {}
    }
}

/// An array of messages: accepted exactly if serde_json accepts it, except for lone surrogates. A message that is sent
/// back is the same again.
pub fn decode_messages(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let limits = Limits::new(usize::MAX);
    let ours = decode::decode(text, limits);
    match (serde_json::from_str::<Vec<String>>(text), &ours) {
        (Ok(theirs), Ok(ours)) => {
            assert!(ours.iter().map(|message| message.as_str()).eq(theirs.iter().map(|text| Some(&**text))));
        }
        (Ok(theirs), Err(error)) => panic!("{error:?} for {theirs:?}"),
        (Err(error), Ok(_)) => assert!(text.to_ascii_lowercase().contains("\\ud"), "taken, despite {error}"),
        (Err(_), Err(_)) => {}
    }
    // Surrogates can be kept, which makes no other difference, or refused.
    let kept = decode::decode(text, limits.with_lone_surrogates(LoneSurrogates::Keep));
    let refusing = decode::decode(text, limits.with_lone_surrogates(LoneSurrogates::Refuse));
    match (&ours, &kept) {
        (Ok(ours), Ok(kept)) => {
            assert!(ours.iter().map(Message::to_bytes).eq(kept.iter().map(Message::to_bytes_lossy)));
            let all_are_str = kept.iter().all(|message| message.as_str().is_some());
            assert_eq!(
                refusing.as_ref(),
                if all_are_str { Ok(ours) } else { Err(&DecodeError::LoneSurrogate) }
            );
            for message in kept {
                let frame = Frame::Messages(vec![message.clone()]).text();
                let echo = str::from_utf8(&frame[1..]).expect("a frame is UTF-8");
                let again = decode::decode(echo, limits.with_lone_surrogates(LoneSurrogates::Keep));
                assert_eq!(again, Ok(vec![message.clone()]));
            }
        }
        (ours, kept) => assert!(ours == kept && refusing.is_err(), "{ours:?}, {kept:?}, {refusing:?}"),
    }
    // The result does not depend on the pieces.
    let (mut array, mut taken, mut held, mut end) = (ArrayDecoder::new(limits), Vec::new(), 0, 0);
    let in_pieces = loop {
        end = (end + 7).min(text.len());
        while !text.is_char_boundary(end) {
            end += 1;
        }
        match array.take(&text[held..end], end == text.len()) {
            Ok(batch) => {
                held += batch.length;
                taken.extend(batch.messages);
            }
            Err(error) => break Err(error),
        }
        if end == text.len() {
            break Ok(taken);
        }
    };
    assert_eq!(in_pieces, ours);
    // On a WebSocket, a single string is valid too.
    match (serde_json::from_str::<String>(text), decode::decode_text(text, limits)) {
        (Ok(theirs), Ok(ours)) => assert!(ours.len() == 1 && ours[0] == *theirs),
        (Ok(theirs), Err(error)) => panic!("{error:?} for {theirs:?}"),
        (Err(_), lone) => assert!(lone == ours || text.to_ascii_lowercase().contains("\\ud")),
    }
    // Limits can only reject.
    let limits = Limits::new(16).with_messages(2);
    if let Ok(messages) = decode::decode(text, limits) {
        assert!(messages.len() <= 2 && messages.iter().all(|message| message.len() <= 16));
        assert_eq!(messages, ours.unwrap_or_default());
    }
}

/// A message and a close reason, sent by every transport.
pub fn quote_text(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let mut quoted = Vec::new();
    quote(text, &mut quoted);
    assert_eq!(serde_json::from_slice::<String>(&quoted).ok().as_deref(), Some(text));
    for frame in
        [Frame::Messages(vec![text.into(), "".into()]), Frame::Close(CloseFrame::new(3000, text.to_owned()))]
    {
        let whole = frame.text();
        let (mut script, mut event) = (vec![b'"'], Vec::new());
        frame.write(|piece| escape_script(piece, &mut script));
        frame.write(|piece| escape_event(piece, &mut event));
        script.push(b'"');
        assert!(!script.iter().any(|byte| b"<>&\r\n".contains(byte)));
        assert_eq!(
            serde_json::from_slice::<String>(&script).ok().as_deref().map(str::as_bytes),
            Some(&whole[..])
        );
        assert!(!event.iter().any(|byte| b"\r\n\0".contains(byte)));
        assert_eq!(decode_uri(str::from_utf8(&event).unwrap_or_default()).as_bytes(), &whole[..]);
    }
}

/// A frame, as a client reads it. One that is written again is the same.
pub fn read_frame(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let limits = Limits::new(usize::MAX).with_lone_surrogates(LoneSurrogates::Keep);
    let Ok(frame) = Frame::parse(text, limits) else { return };
    let written = frame.text();
    let written = str::from_utf8(&written).expect("a frame is UTF-8");
    assert_eq!(Frame::parse(written, limits), Ok(frame.clone()));
    // Limits can only reject, and surrogates that are replaced make no other difference.
    let strict = Limits::new(16).with_messages(2);
    match (Frame::parse(text, strict), &frame) {
        (Ok(Frame::Messages(few)), Frame::Messages(kept)) => {
            assert!(few.len() <= 2 && few.iter().all(|message| message.len() <= 16));
            assert!(few.iter().map(Message::to_bytes).eq(kept.iter().map(Message::to_bytes_lossy)));
        }
        (Err(error), Frame::Messages(_)) => assert_ne!(error, DecodeError::Malformed),
        (other, _) => assert_eq!(other, Ok(frame)),
    }
}

/// The body of a response, as a client reads it: the frames do not depend on the pieces. The first byte chooses the
/// transport and the sizes of the pieces.
pub fn read_body(data: &[u8]) {
    const MAX: usize = 100;
    let Some((&choice, body)) = data.split_first() else { return };
    let transport = Transport::ALL[usize::from(choice) % Transport::ALL.len()];
    let step = usize::from(choice) / Transport::ALL.len() + 1;
    let read = |step: usize| {
        let mut decoder = FrameDecoder::new(transport, MAX, Limits::new(64))?;
        let mut found: Vec<Result<Frame, FrameError>> = Vec::new();
        for mut piece in body.chunks(step) {
            while let Some(frame) = decoder.decode(&mut piece).transpose() {
                found.push(frame);
                assert!(found.len() <= body.len());
            }
            assert!(piece.is_empty() && decoder.buffered() <= MAX + 64);
        }
        Some((found, decoder.buffered()))
    };
    let whole = read(usize::MAX);
    assert_eq!(whole.is_none(), transport.is_socket());
    assert_eq!(read(step), whole);
    assert_eq!(read(1), whole);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Check = fn(&[u8]);

    /// Each check by the name of its target.
    const CHECKS: &[(&str, Check)] = &[
        ("path", parse_path),
        ("messages", decode_messages),
        ("quote", quote_text),
        ("frame", read_frame),
        ("body", read_body),
    ];

    /// What the targets of this name begin with.
    fn seeds<'a>(archive: &'a str, target: &'a str) -> impl Iterator<Item = Vec<u8>> + 'a {
        let lines = archive.lines().filter(|line| !line.starts_with('#'));
        lines.filter_map(move |line| {
            let name = line.strip_prefix(target)?.strip_prefix('/')?;
            let (name, bytes) = name.split_once(' ').unwrap_or((name, ""));
            let bytes = data_encoding::BASE64.decode(bytes.as_bytes());
            Some(bytes.unwrap_or_else(|error| panic!("{target}/{name}: {error}")))
        })
    }

    #[test]
    fn the_seeds_hold() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds.txt");
        // The published package has none.
        let Ok(archive) = std::fs::read_to_string(path) else { return };
        for (name, check) in CHECKS {
            let mut count = 0;
            for bytes in seeds(&archive, name) {
                // Each seed, and all its prefixes.
                for end in 0..=bytes.len() {
                    check(&bytes[..end]);
                }
                count += 1;
            }
            assert!(count > 2, "{name} has {count} seeds");
        }
    }

    /// Bytes, many of which have a meaning for a parser.
    fn input() -> impl Strategy<Value = Vec<u8>> {
        let special: Vec<u8> = b"/.;,:\"\\[]{}()ud8 \r\n\t\0\xff\xe2\x80\xa8oahcm%1-".to_vec();
        let piece = prop_oneof![
            proptest::sample::select(special).prop_map(|byte| vec![byte]),
            any::<u8>().prop_map(|byte| vec![byte]),
            any::<char>().prop_map(|char| char.to_string().into_bytes()),
            proptest::sample::select(vec![
                "/000/id/xhr",
                "[\"a\",",
                "\\ud800",
                "c[1,\"\"]",
                "a[\"x\"]\n",
                "data: o\r\n\r\n",
                "p(\"o\");\n",
                "/**/a(\"o\");\n",
            ])
            .prop_map(|text| text.as_bytes().to_vec()),
        ];
        proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn any_input_holds(data in input()) {
            for (_, check) in CHECKS {
                check(&data);
            }
        }
    }
}
