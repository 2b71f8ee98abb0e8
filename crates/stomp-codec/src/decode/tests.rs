use proptest::{collection::vec, prelude::*};

use super::*;
use crate::fuzzing::said;

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

/// The same octet by octet, with empty pieces between.
fn read_octets(decoder: &mut Decoder, text: impl AsRef<[u8]>) -> (Vec<Frame>, Option<DecodeErrorKind>) {
    let mut all = Vec::new();
    for octet in text.as_ref() {
        let (frames, error) = read(decoder, [*octet]);
        all.extend(frames);
        if error.is_some() {
            return (all, error);
        }
        assert_eq!(read(decoder, ""), (Vec::new(), None));
    }
    (all, None)
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
fn line_ends_between_frames_are_heart_beats() {
    let mut decoder = of_client(Some(V1_2));
    for beats in ["\n", "\r\n", "\n\n\r\n", "\r", "\n"] {
        assert_eq!(read(&mut decoder, beats), (Vec::new(), None));
    }
    assert_eq!(read(&mut decoder, "SEND\n\n\0\n\r").0.len(), 1);
    assert_eq!(read(&mut decoder, "\n\nSEND\n\n\0").0.len(), 1);
    assert_eq!(read(&mut decoder, "\r"), (Vec::new(), None));
    assert_eq!(read(&mut decoder, "SEND"), (Vec::new(), Some(DecodeErrorKind::CarriageReturn)));
}

#[test]
fn commands_are_those_of_the_side_and_the_version() {
    for command in Command::ALL {
        let text = format!("{command}\n\n\0");
        for version in Version::ALL {
            let read = |mut decoder: Decoder| {
                decoder.set_version(version);
                read(&mut decoder, &text)
            };
            let known = (vec![Frame::new(command)], None);
            let unknown = (Vec::new(), Some(DecodeErrorKind::UnknownCommand));
            let is_known = !command.is_of_server() && (command, version) != (Command::Nack, V1_0);
            let of_client = read(Decoder::of_client(Limits::new()));
            assert_eq!(
                of_client,
                if is_known { known.clone() } else { unknown.clone() },
                "{command} in {version}"
            );
            let of_server = read(Decoder::of_server(Limits::new()));
            assert_eq!(
                of_server,
                if command.is_of_server() { known } else { unknown },
                "{command} in {version}"
            );
        }
    }
}

#[test]
fn commands_are_neither_trimmed_nor_in_other_letters() {
    for text in [
        "send\n\n\0",
        " SEND\n\n\0",
        "SEND \n\n\0",
        "SEND\r\r\n\n\0",
        "SE\rND\n\n\0",
        "SENDS\n\n\0",
        "GET / HTTP/1.1\r\n",
        "\u{feff}SEND\n\n\0",
    ] {
        assert_eq!(kind(V1_2, text), Some(DecodeErrorKind::UnknownCommand), "{text:?}");
    }
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
fn the_first_header_of_a_name_counts_and_all_are_there() {
    let frame = one(V1_2, "SEND\nfoo:World\nfoo:Hello\n\n\0");
    assert_eq!(frame.headers.get("foo"), Some("World"));
    assert_eq!(frame.headers.iter().collect::<Vec<_>>(), [("foo", "World"), ("foo", "Hello")]);
}

#[test]
fn what_opens_a_session_has_no_escapes() {
    for (side, command) in [
        (Decoder::of_client as fn(_) -> _, "CONNECT"),
        (Decoder::of_client, "STOMP"),
        (Decoder::of_server, "CONNECTED"),
    ] {
        let text = format!("{command}\naccept-version:1.2\nversion:1.2\nlogin: a\\tb \npasscode:\\c\\\n\n\0");
        for version in [None, Some(V1_1), Some(V1_2)] {
            let mut decoder = side(Limits::new());
            decoder.version = version;
            let (frames, error) = read(&mut decoder, &text);
            assert_eq!(error, None);
            assert_eq!(frames[0].headers.get("login"), Some(" a\\tb "), "{command}");
            assert_eq!(frames[0].headers.get("passcode"), Some("\\c\\"), "{command}");
        }
    }
}

#[test]
fn values_are_trimmed_in_what_opens_a_session_of_1_0() {
    // As the examples of 1.0 are written.
    for (head, expected) in [
        ("CONNECT\nlogin: a \n", "a"),
        ("CONNECT\nlogin: \ta\n", "\ta"),
        ("CONNECT\nlogin: a \naccept-version: 1.0\n", "a"),
        ("STOMP\nlogin: a \naccept-version:1.0\n", "a"),
        ("CONNECT\nlogin: a \naccept-version:1.0,1.1\n", " a "),
        ("CONNECT\nlogin: a \naccept-version:2.0\n", " a "),
    ] {
        let (frames, error) = read(&mut of_client(None), format!("{head}content-length:0\n\n\0"));
        assert_eq!((frames[0].headers.get("login"), error), (Some(expected), None), "{head:?}");
    }
    for (head, expected) in
        [("CONNECTED\nsession: a \n", "a"), ("CONNECTED\nsession: a \nversion:1.1\n", " a ")]
    {
        let (frames, _) = read(&mut Decoder::of_server(Limits::new()), format!("{head}\n\0"));
        assert_eq!(frames[0].headers.get("session"), Some(expected), "{head:?}");
    }
    let (frames, error) = read(&mut of_client(None), "CONNECT\ncontent-length: 1 \n\nx\0");
    assert_eq!((frames.len(), error), (1, None));
}

#[test]
fn undefined_escapes_are_kept_where_that_is_allowed() {
    let read = |lenient| {
        let mut decoder = Decoder::of_client(Limits::new()).lenient_escapes(lenient);
        decoder.set_version(V1_1);
        read(&mut decoder, "SEND\nC\\t:C\\c\\r\\\n\n\0")
    };
    assert_eq!(read(false).1, Some(DecodeErrorKind::UndefinedEscape));
    assert_eq!(read(true).0[0].headers, Headers::from_iter([("C\\t", "C:\\r\\")]));
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
    assert_eq!(kind(V1_2, "SEND\ncontent-length:3\n\nab\0\0"), None);
    assert_eq!(kind(V1_2, "SEND\ncontent-length:3\n\nab\0SEND"), Some(DecodeErrorKind::MissingNul));
    assert_eq!(one(V1_2, "SEND\ncontent-length:0001\n\na\0").body, "a");
    assert_eq!(one(V1_2, format!("SEND\ncontent-length:{}1\n\na\0", "0".repeat(40))).body, "a");
    assert_eq!(one(V1_0, "SEND\ncontent-length: 1 \n\na\0").body, "a");
    // Of two the first counts, also where the other one is no number.
    assert_eq!(one(V1_2, "SEND\ncontent-length:1\ncontent-length:x\n\na\0").body, "a");
    assert_eq!(
        kind(V1_2, "SEND\ncontent-length:x\ncontent-length:1\n\na\0"),
        Some(DecodeErrorKind::InvalidContentLength)
    );
    // Names are case sensitive.
    assert_eq!(one(V1_2, "SEND\nContent-Length:x\n\na\0").body, "a");
}

#[test]
fn any_frame_may_have_a_length() {
    for version in Version::ALL {
        let frame = one(version, "SUBSCRIBE\nid:1\ncontent-length:0\n\n\0");
        assert_eq!((frame.command, &*frame.body), (Command::Subscribe, &b""[..]));
    }
    let (frames, error) = read(&mut of_client(None), "CONNECT\ncontent-length:3\n\na\0b\0SEND\n\n\0");
    assert_eq!((frames.len(), &*frames[0].body, error), (2, &b""[..], None));
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
    for version in [None, Some(V1_2)] {
        assert_eq!(read(&mut of_client(version), "CONNECT\n\nbody\0").0[0].body, "");
    }
    // A client does not end a session for what a server adds.
    let mut of_server = Decoder::of_server(Limits::new());
    of_server.set_version(V1_2);
    assert_eq!(read(&mut of_server, "RECEIPT\nreceipt-id:1\n\nbody\0").0[0].body, "");
}

#[test]
fn each_limit_is_exact() {
    let limits = Limits::new();
    for (limits, fits, exceeds, limit) in [
        (limits.max_headers(2), "SEND\na:b\nc:d\n\n", "SEND\na:b\nc:d\ne:f\n", Limit::Headers),
        (limits.max_line_bytes(6), "SEND\na:0123\r\nb:4567\n\n", "SEND\na:01234\n", Limit::LineBytes),
        (limits.max_line_bytes(6), "SEND\na:01234", "SEND\na:012345", Limit::LineBytes),
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
        for read in [read, read_octets] {
            let kind = |text| {
                let mut decoder = Decoder::of_client(limits);
                decoder.set_version(V1_2);
                read(&mut decoder, text).1
            };
            assert_eq!(kind(fits), None, "{fits:?}");
            assert_eq!(kind(exceeds), Some(DecodeErrorKind::LimitExceeded(limit)), "{exceeds:?}");
        }
    }
}

#[test]
fn the_limit_that_is_exceeded_first_counts() {
    let limits = Limits::new();
    let long = format!("SEND\na:{}", "b".repeat(100));
    for (limits, first) in [
        (limits.max_line_bytes(20).max_head_bytes(30), Limit::LineBytes),
        (limits.max_line_bytes(20).max_head_bytes(26), Limit::LineBytes),
        (limits.max_line_bytes(30).max_head_bytes(30), Limit::HeadBytes),
        (limits.max_line_bytes(20).max_head_bytes(3), Limit::HeadBytes),
    ] {
        let expected = (Vec::new(), Some(DecodeErrorKind::LimitExceeded(first)));
        let decoder = || {
            let mut decoder = Decoder::of_client(limits);
            decoder.set_version(V1_2);
            decoder
        };
        assert_eq!(read(&mut decoder(), &long), expected);
        assert_eq!(read_octets(&mut decoder(), &long), expected);
    }
}

#[test]
fn limits_may_be_as_large_as_numbers_are() {
    let max = usize::MAX;
    let limits = Limits::new()
        .max_headers(max)
        .max_line_bytes(max)
        .max_head_bytes(max)
        .max_body_bytes(max)
        .max_connect_bytes(max);
    let mut decoder = Decoder::of_client(limits);
    assert_eq!(read(&mut decoder, "CONNECT\r\na:b\r\n\r\n\0").0.len(), 1);
    let text = format!("SEND\r\ncontent-length:{max}\r\n\r\nbody");
    assert_eq!(read(&mut decoder, text), (Vec::new(), None));
    let none = Limits::new().max_headers(0).max_line_bytes(0).max_body_bytes(0);
    assert_eq!(read(&mut Decoder::of_client(none), "SEND\n\n\0SEND\r\n\r\n\0").0.len(), 2);
}

#[test]
fn the_defaults_of_the_limits_are_as_documented() {
    let expected = Limits { headers: 64, line: 8192, head: 65536, body: 65536, connect: 16384 };
    assert_eq!((Limits::new(), Limits::default()), (expected, expected));
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
fn what_is_beyond_the_bound_is_not_looked_at() {
    let limits = Limits::new().max_connect_bytes(11);
    let connect = "CONNECT\n\n\0\n";
    for (text, frames, error) in [
        (connect.to_owned(), 1, None),
        (format!("{connect}\n"), 1, Some(DecodeErrorKind::LimitExceeded(Limit::ConnectBytes))),
        // What is wrong here would be found only behind it.
        (
            "CONNECT\na:b\nno colon\n\n\0".to_owned(),
            0,
            Some(DecodeErrorKind::LimitExceeded(Limit::ConnectBytes)),
        ),
        ("CONNECT\n\nabc\0".to_owned(), 0, Some(DecodeErrorKind::LimitExceeded(Limit::ConnectBytes))),
        ("CONNECT\n\0\n\n\n\n".to_owned(), 0, Some(DecodeErrorKind::NulInHead)),
    ] {
        for read in [read, read_octets] {
            let (found, kind) = read(&mut Decoder::of_client(limits), &text);
            assert_eq!((found.len(), kind), (frames, error), "{text:?}");
        }
    }
}

#[test]
fn many_small_pieces_take_no_longer() {
    // A head or a body that was searched from its start for each of them would take hours.
    const LENGTH: usize = 1 << 20;
    let limits = Limits::new().max_line_bytes(LENGTH).max_head_bytes(2 * LENGTH).max_body_bytes(LENGTH);
    let mut decoder = Decoder::of_client(limits);
    decoder.set_version(V1_2);
    let long = "x".repeat(LENGTH - 2);
    let (frames, error) = read_octets(&mut decoder, format!("SEND\na:{long}\n\n{long}\0"));
    assert_eq!((frames.len(), error), (1, None));
    assert_eq!((frames[0].headers.get("a").unwrap().len(), frames[0].body.len()), (LENGTH - 2, LENGTH - 2));
}

#[test]
fn nothing_is_kept_of_what_is_done_with() {
    let mut decoder = of_client(Some(V1_2));
    assert_eq!(read_octets(&mut decoder, "SEND\na:b\n\nbody\0\n").0.len(), 1);
    assert_eq!(decoder.buffer.capacity(), 0);
    read(&mut decoder, "SEND\na:b\n\nbo");
    assert_eq!(&decoder.buffer[..], b"bo");
    // Not even the first octets of a body that is too long.
    let (_, error) = read_octets(&mut of_client(Some(V1_2)), "SEND\ncontent-length:65537\n\n");
    assert_eq!(error, Some(DecodeErrorKind::LimitExceeded(Limit::BodyBytes)));
    read(&mut decoder, "\0BAD\n\n\0");
    assert_eq!(decoder.buffer.capacity(), 0);
    let mut decoder = of_client(Some(V1_2));
    let (_, error) = read_octets(&mut decoder, "SEND\ncontent-length:2\n\nabc");
    assert_eq!((error, decoder.buffer.capacity()), (Some(DecodeErrorKind::MissingNul), 0));
}

#[test]
fn a_passcode_is_not_shown() {
    let mut decoder = of_client(None);
    let mut piece = Bytes::from("CONNECT\nlogin:guest\npasscode:hunter2\n\n\0CONNECT\npasscode:hunter2\n");
    let frame = decoder.decode(&mut piece).unwrap().unwrap();
    assert_eq!(decoder.decode(&mut piece), Ok(None));
    let shown = format!("{frame:?} {decoder:?}");
    assert!(shown.contains("guest") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_frame_that_is_cut_off_is_none() {
    let text = "SEND\n\n1\0SEND\ncontent-length:3\n\n123\0";
    for end in 0..text.len() {
        let (frames, error) = read(&mut of_client(Some(V1_2)), &text[..end]);
        assert_eq!((frames.len(), error), (usize::from(end >= 8), None), "{end}");
    }
}

#[test]
fn a_character_may_be_cut() {
    let text = "SEND\n\u{e9}:\u{1f600}\n\n\u{1f600}\0";
    let (frames, _) = read_octets(&mut of_client(Some(V1_2)), text);
    assert_eq!(frames[0].headers.get("\u{e9}"), Some("\u{1f600}"));
    assert_eq!(frames[0].body, "\u{1f600}");
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
fn an_error_has_no_receipt_of_another_frame() {
    for text in [
        "SEND\na:b\0\0\nSEND\nreceipt:1\n\n\0",
        "SEND\n\0\nreceipt:1\n\n\0",
        "SEND\nreceipt:1\0",
        "GET / HTTP/1.1\nreceipt:1\n\n",
        "receipt:1\n\n\0",
        "ACK\nreceipt-id:1\nno colon\n\n\0",
        "SEND\ncontent-length:x\n\nreceipt:1\n\0",
        "SEND\nreceipt:\\t\nreceipt:1\n\n\0",
        "SEND\nContent:a\nno colon\n\n\0SEND\nreceipt:1\n\n\0",
    ] {
        let error = of_client(Some(V1_2)).decode(&mut Bytes::from(text)).unwrap_err();
        assert_eq!(error.receipt(), None, "{text:?}");
        let mut decoder = of_client(Some(V1_2));
        read_octets(&mut decoder, text);
        assert_eq!(decoder.decode(&mut Bytes::new()), Err(error), "{text:?}");
    }
    let limits = Limits::new().max_headers(1);
    let text = "SEND\na:b\nc:d\nreceipt:1\n\n\0";
    assert_eq!(Decoder::of_client(limits).decode(&mut text.into()).unwrap_err().receipt(), None);
    // An empty one is one, and the first counts.
    let error = of_client(Some(V1_0)).decode(&mut "SEND\nreceipt: \nreceipt:1\na\n\n\0".into()).unwrap_err();
    assert_eq!(error.receipt().map(|receipt| &**receipt), Some(""));
}

#[test]
fn an_error_names_the_setting_and_repeats_nothing() {
    let secret = "hunter2";
    for text in [
        format!("{secret}\n\n\0"),
        format!("SEND\n{secret}\n\n\0"),
        format!("SEND\ncontent-length:{secret}\n\n\0"),
        format!("SEND\na:\\{secret}\n\n\0"),
    ] {
        let error = of_client(Some(V1_2)).decode(&mut text.into()).unwrap_err();
        assert!(!error.to_string().contains(secret), "{error}");
    }
    for (limit, name) in [
        (Limit::Headers, "max_headers"),
        (Limit::LineBytes, "max_line_bytes"),
        (Limit::HeadBytes, "max_head_bytes"),
        (Limit::BodyBytes, "max_body_bytes"),
        (Limit::ConnectBytes, "max_connect_bytes"),
    ] {
        let error = DecodeError::new(DecodeErrorKind::LimitExceeded(limit), None);
        assert_eq!(error.to_string(), format!("the frame exceeds {name}"));
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
        let expected: Vec<_> = frames.iter().map(|frame| said(frame, Some(version))).collect();
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
        prop_assert_eq!(whole, read_octets(&mut of_client(version), &bytes));
    }
}
