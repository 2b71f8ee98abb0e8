use proptest::{collection::vec, prelude::*};

use super::*;

fn of_client(version: Option<Version>) -> Decoder {
    let mut decoder = Decoder::of_client(Limits::new());
    if let Some(version) = version {
        decoder.set_version(version);
    }
    decoder
}

/// All frames of a text, and the error behind them.
fn read(decoder: &mut Decoder, text: impl AsRef<[u8]>) -> (Vec<Frame>, Option<DecodeErrorKind>) {
    let mut piece = Bytes::copy_from_slice(text.as_ref());
    let mut frames = Vec::new();
    loop {
        match decoder.decode(&mut piece) {
            Ok(Some(frame)) => frames.push(frame),
            Ok(None) => {
                assert!(piece.is_empty());
                return (frames, None);
            }
            Err(error) => return (frames, Some(error.kind())),
        }
    }
}

fn kind(version: Version, text: impl AsRef<[u8]>) -> Option<DecodeErrorKind> {
    read(&mut of_client(Some(version)), text).1
}

fn one(version: Version, text: impl AsRef<[u8]>) -> Frame {
    let (mut frames, error) = read(&mut of_client(Some(version)), text);
    assert_eq!((frames.len(), error), (1, None));
    frames.remove(0)
}

const V1_0: Version = Version::V1_0;
const V1_1: Version = Version::V1_1;
const V1_2: Version = Version::V1_2;

#[test]
fn lines_end_in_line_feeds_with_or_without_carriage_returns() {
    for version in Version::ALL {
        let frame = one(version, "\n\r\nSEND\r\ndestination:/a\nx:\r\n\r\nbody\r\n\0\r\n\n");
        assert_eq!(frame.headers, Headers::from_iter([("destination", "/a"), ("x", "")]));
        assert_eq!(frame.body, "body\r\n");
    }
}

#[test]
fn a_carriage_return_elsewhere_is_refused() {
    for text in ["\rSEND\n\n\0", "SEND\na:b\rc\n\n\0", "SEND\na:b\r\r\n\n\0", "SEND\n\n\0\r\r\n"] {
        assert_eq!(kind(V1_2, text), Some(DecodeErrorKind::CarriageReturn), "{text:?}");
    }
}

#[test]
fn commands_are_those_of_the_side_and_the_version() {
    for text in [
        "send\n\n\0",
        " SEND\n\n\0",
        "SEND \n\n\0",
        "MESSAGE\n\n\0",
        "GET / HTTP/1.1\r\n",
        "\u{feff}SEND\n\n\0",
    ] {
        assert_eq!(kind(V1_2, text), Some(DecodeErrorKind::UnknownCommand), "{text:?}");
    }
    assert_eq!(kind(V1_0, "NACK\nmessage-id:1\n\n\0"), Some(DecodeErrorKind::UnknownCommand));
    assert_eq!(one(V1_1, "NACK\nmessage-id:1\n\n\0").command, Command::Nack);
    let mut of_server = Decoder::of_server(Limits::new());
    let (frames, error) = read(&mut of_server, "CONNECTED\nversion:1.2\n\n\0SEND\n\n\0");
    assert_eq!((frames.len(), error), (1, Some(DecodeErrorKind::UnknownCommand)));
}

#[test]
fn what_cannot_become_a_command_is_refused_before_its_line_ends() {
    assert_eq!(kind(V1_2, "UNSUBSCRIBED"), None);
    assert_eq!(kind(V1_2, "UNSUBSCRIBED!"), Some(DecodeErrorKind::UnknownCommand));
}

#[test]
fn header_lines_have_a_name_and_a_colon() {
    for (line, expected) in [
        ("no colon", DecodeErrorKind::MissingColon),
        (":value", DecodeErrorKind::EmptyName),
        ("a\0:b", DecodeErrorKind::NulInHead),
        ("a:\\t", DecodeErrorKind::UndefinedEscape),
        ("\\t:a", DecodeErrorKind::UndefinedEscape),
    ] {
        assert_eq!(kind(V1_2, format!("SEND\n{line}\n\n\0")), Some(expected), "{line}");
    }
    assert_eq!(kind(V1_2, b"SEND\na:\xff\n\n\0"), Some(DecodeErrorKind::InvalidUtf8));
    assert_eq!(kind(V1_2, "SEND\ndestination:/a\n\0"), Some(DecodeErrorKind::NulInHead));
    let frame = one(V1_2, "SEND\na :b:c \n\\c:é\n\n\0");
    assert_eq!(frame.headers, Headers::from_iter([("a ", "b:c "), (":", "é")]));
}

#[test]
fn only_1_0_trims_values() {
    for (version, value) in [(V1_0, "b c"), (V1_1, " b c "), (V1_2, " b c ")] {
        assert_eq!(one(version, "SEND\na : b c \n\n\0").headers, Headers::from_iter([("a ", value)]));
    }
}

#[test]
fn connect_has_no_escapes() {
    let text = "CONNECT\nlogin:a\\tb\npasscode:\\c\n\n\0";
    for version in [None, Some(V1_2)] {
        let (frames, error) = read(&mut of_client(version), text);
        assert_eq!(error, None);
        assert_eq!(frames[0].headers, Headers::from_iter([("login", "a\\tb"), ("passcode", "\\c")]));
    }
}

#[test]
fn a_body_ends_where_its_length_says() {
    let text = "SEND\ncontent-length:3\ncontent-length:9\n\na\0b\0SEND\n\nc\0";
    let (frames, error) = read(&mut of_client(Some(V1_2)), text);
    assert_eq!(error, None);
    assert_eq!(frames.iter().map(|frame| &frame.body[..]).collect::<Vec<_>>(), [&b"a\0b"[..], b"c"]);
}

#[test]
fn lengths_are_digits_and_true() {
    for value in ["", "-1", "+1", " 1", "1 ", "0x1", "1.0", "١"] {
        let expected = Some(DecodeErrorKind::InvalidContentLength);
        assert_eq!(kind(V1_2, format!("SEND\ncontent-length:{value}\n\n1\0")), expected, "{value:?}");
    }
    assert_eq!(kind(V1_2, "SEND\ncontent-length:1\n\nab\0"), Some(DecodeErrorKind::MissingNul));
    assert_eq!(one(V1_2, "SEND\ncontent-length:0001\n\na\0").body, "a");
}

#[test]
fn a_length_is_refused_before_the_body_comes() {
    let expected = Some(DecodeErrorKind::LimitExceeded(Limit::BodyBytes));
    for length in ["65537", "18446744073709551615", "99999999999999999999999999999"] {
        assert_eq!(kind(V1_2, format!("SEND\ncontent-length:{length}\n\n")), expected, "{length}");
    }
}

#[test]
fn only_send_has_a_body() {
    for command in ["SUBSCRIBE", "DISCONNECT", "ACK"] {
        let text = format!("{command}\nid:1\n\nbody\0");
        for version in [V1_1, V1_2] {
            assert_eq!(kind(version, &text), Some(DecodeErrorKind::UnexpectedBody));
        }
        assert_eq!(one(V1_0, &text).body, "");
        assert_eq!(one(V1_2, text.replace("body", "")).body, "");
    }
    assert_eq!(read(&mut of_client(None), "CONNECT\n\nbody\0").0[0].body, "");
}

#[test]
fn each_limit_is_exact() {
    let limits = Limits::new();
    for (limits, fits, exceeds, limit) in [
        (limits.max_headers(2), "SEND\na:b\nc:d\n\n", "SEND\na:b\nc:d\ne:f\n", Limit::Headers),
        (limits.max_line_bytes(6), "SEND\na:0123\r\nb:4567\n\n", "SEND\na:01234", Limit::LineBytes),
        (limits.max_line_bytes(6), "SEND\na:0123\r", "SEND\na:0123\r\r", Limit::LineBytes),
        (limits.max_head_bytes(12), "SEND\na:bcd\n\n", "SEND\na:bcde\n\n", Limit::HeadBytes),
        (limits.max_head_bytes(12), "SEND\na:bcdef", "SEND\na:bcdefg", Limit::HeadBytes),
        (limits.max_body_bytes(4), "SEND\n\n1234\0", "SEND\n\n12345", Limit::BodyBytes),
        (
            limits.max_body_bytes(4),
            "SEND\ncontent-length:4\n\n1234\0",
            "SEND\ncontent-length:5\n\n",
            Limit::BodyBytes,
        ),
    ] {
        let kind = |text| {
            let mut decoder = Decoder::of_client(limits);
            decoder.set_version(V1_2);
            read(&mut decoder, text).1
        };
        assert_eq!(kind(fits), None, "{fits:?}");
        assert_eq!(kind(exceeds), Some(DecodeErrorKind::LimitExceeded(limit)), "{exceeds:?}");
    }
}

#[test]
fn what_comes_before_a_version_is_bounded_in_all() {
    let limits = Limits::new().max_connect_bytes(50);
    let kind = |text: &str| read(&mut Decoder::of_client(limits), text).1;
    let exceeded = Some(DecodeErrorKind::LimitExceeded(Limit::ConnectBytes));
    assert_eq!(kind(&"\n".repeat(50)), None);
    assert_eq!(kind(&"\n".repeat(51)), exceeded);
    assert_eq!(kind(&format!("CONNECT\n{}", "a:b\n".repeat(11))), exceeded);
    let mut decoder = Decoder::of_client(limits);
    let mut piece = Bytes::from(format!("CONNECT\n\n\0SEND\n\n{}\0", "a".repeat(50)));
    assert!(decoder.decode(&mut piece).unwrap().is_some());
    decoder.set_version(V1_2);
    assert_eq!(decoder.decode(&mut piece).unwrap().unwrap().body.len(), 50);
}

#[test]
fn nothing_follows_an_error() {
    let mut decoder = of_client(Some(V1_2));
    let (frames, error) = read(&mut decoder, "SEND\n\n1\0BAD\n\n\0SEND\n\n2\0");
    assert_eq!((frames.len(), error), (1, Some(DecodeErrorKind::UnknownCommand)));
    assert_eq!(read(&mut decoder, "SEND\n\n3\0"), (Vec::new(), Some(DecodeErrorKind::UnknownCommand)));
}

#[test]
fn an_error_has_the_receipt_of_its_frame() {
    for text in [
        "SEND\nreceipt:a\\cb\n\\t:\n\n\0",
        "SEND\nno colon\nreceipt:a\\cb\n\n\0",
        "SEND\nreceipt:a\\cb\ncontent-length:1\n\n23\0",
        "ACK\nreceipt:a\\cb\n\nbody\0",
        "MESSAGE\r\nreceipt:a\\cb\r\n\r\n\0",
        "SEND\nreceipt:a\\cb\n\0",
    ] {
        let error = of_client(Some(V1_2)).decode(&mut Bytes::from(text)).unwrap_err();
        assert_eq!(error.receipt().map(|receipt| &**receipt), Some("a:b"), "{text:?}");
    }
}

#[test]
fn a_frame_within_one_piece_is_not_copied() {
    let piece = Bytes::from_static(b"SEND\na:b\n\nbody\0SEND");
    let frame = of_client(Some(V1_2)).decode(&mut piece.clone()).unwrap().unwrap();
    assert_eq!(frame.body.as_ptr(), piece[10..].as_ptr());
    assert_eq!(frame.headers.get("a").unwrap().as_ptr(), piece[7..].as_ptr());
}

/// Any frames of any client.
fn frames() -> impl Strategy<Value = Vec<Frame>> {
    let texts = || "[a-c:\\\\\n\r é]{0,6}";
    let commands =
        proptest::sample::select(&[Command::Send, Command::Subscribe, Command::Ack, Command::Begin][..]);
    let headers = vec(("[a-c:\\\\\n\r é]{1,6}", texts()), 0..4);
    let frame = (commands, headers, vec(any::<u8>(), 0..20)).prop_map(|(command, headers, body)| Frame {
        command,
        headers: headers.into_iter().collect(),
        body: if command == Command::Send { body.into() } else { Bytes::new() },
    });
    vec(frame, 1..4)
}

/// What a version can say of a header.
fn sayable(version: Version, text: &str) -> String {
    match version {
        V1_0 => text.replace('\r', "").replace('\n', "\\n"),
        V1_1 => text.replace('\r', ""),
        V1_2 => text.to_owned(),
    }
}

fn expected(version: Version, frame: &Frame) -> Frame {
    let mut headers: Headers = frame
        .headers
        .iter()
        .filter(|(name, _)| version != V1_0 || !name.contains(':'))
        .map(|(name, value)| (sayable(version, name), sayable(version, value)))
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, value)| match version {
            V1_0 => (name, value.trim_matches(' ').to_owned()),
            _ => (name, value),
        })
        .collect();
    if frame.command == Command::Send {
        headers.append("content-length", frame.body.len().to_string());
    }
    Frame { headers, ..frame.clone() }
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded_however_it_is_cut(
        frames in frames(),
        version in proptest::sample::select(&Version::ALL[..]),
        cuts in vec(1..12usize, 1..10),
    ) {
        let bytes: Vec<u8> = frames.iter().flat_map(|frame| frame.encode(version)).collect();
        let mut decoder = of_client(Some(version));
        let (mut decoded, mut rest) = (Vec::new(), &bytes[..]);
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, behind) = rest.split_at((*cut).min(rest.len()));
            let (frames, error) = read(&mut decoder, piece);
            prop_assert_eq!(error, None);
            decoded.extend(frames);
            rest = behind;
        }
        let expected: Vec<_> = frames.iter().map(|frame| expected(version, frame)).collect();
        prop_assert_eq!(decoded, expected);
    }

    #[test]
    fn any_bytes_give_the_same_in_one_piece_and_in_octets(
        bytes in vec(proptest::sample::select(&b"SEND\n\r\0:ab\\c-ontelgh1 CONECT\xff"[..]), 0..60),
        prefix in proptest::sample::select(&["", "SEND\n", "CONNECT\na:b", "SEND\ncontent-length:1", "\r"][..]),
        version in proptest::option::of(proptest::sample::select(&Version::ALL[..])),
    ) {
        let bytes = [prefix.as_bytes(), &bytes].concat();
        let whole = read(&mut of_client(version), &bytes);
        let mut decoder = of_client(version);
        let mut octets = (Vec::new(), None);
        for octet in &bytes {
            let (frames, error) = read(&mut decoder, [*octet]);
            octets.0.extend(frames);
            octets.1 = error;
            if error.is_some() {
                break;
            }
        }
        prop_assert_eq!(whole, octets);
    }
}
