use proptest::prelude::*;

use super::*;
use crate::{
    CloseFrame, LoneSurrogates, Message,
    quote::{escape_event, escape_script},
    wtf8::tests::{encoded, units},
};

const LIMITS: Limits = Limits::new(1 << 20);
const MAX: usize = 100;
const BODIES: [Transport; 5] = [
    Transport::XhrPolling,
    Transport::XhrStreaming,
    Transport::EventSource,
    Transport::HtmlFile,
    Transport::JsonpPolling,
];
const TOO_LONG: Result<Frame, FrameError> = Err(FrameError::FrameTooLong);
const MALFORMED: Result<Frame, FrameError> = Err(FrameError::Decode(DecodeError::Malformed));

type Frames = Vec<Result<Frame, FrameError>>;

fn decoder(transport: Transport) -> FrameDecoder {
    FrameDecoder::new(transport, MAX, LIMITS).unwrap()
}

/// What a body has, and how much the decoder kept of it at any time.
fn read<'a>(decoder: &mut FrameDecoder, pieces: impl IntoIterator<Item = &'a [u8]>) -> (Frames, usize) {
    let (mut frames, mut most) = (Vec::new(), 0);
    for mut piece in pieces {
        loop {
            let before = piece.len();
            let found = decoder.decode(&mut piece).transpose();
            most = most.max(decoder.buffered()).max(decoder.line.capacity());
            match found {
                Some(found) => {
                    assert!(piece.len() < before);
                    frames.push(found);
                }
                None => break,
            }
        }
        assert!(piece.is_empty());
    }
    (frames, most)
}

/// What a body has, however it is split.
fn frames(transport: Transport, body: impl AsRef<[u8]>) -> Frames {
    let body = body.as_ref();
    let (whole, _) = read(&mut decoder(transport), [body]);
    for split in 0..body.len() {
        let (first, second) = body.split_at(split);
        assert_eq!(
            read(&mut decoder(transport), [first, second]).0,
            whole,
            "{split} of {}",
            body.escape_ascii()
        );
    }
    let (by_bytes, most) = read(&mut decoder(transport), body.chunks(1));
    assert_eq!(by_bytes, whole, "{}", body.escape_ascii());
    assert!(most <= MAX + LEAST_BYTES, "{most}");
    whole
}

fn messages<const N: usize>(texts: [&str; N]) -> Result<Frame, FrameError> {
    Ok(Frame::Messages(texts.map(Message::from).into()))
}

fn close() -> Result<Frame, FrameError> {
    Ok(Frame::Close(CloseFrame::new(3000, "Go away!")))
}

#[test]
fn lines() {
    for transport in [Transport::XhrPolling, Transport::XhrStreaming] {
        let frames = |body: &str| frames(transport, body);
        assert_eq!(frames(""), []);
        assert_eq!(frames("o\n"), [Ok(Frame::Open)]);
        assert_eq!(frames("o"), [], "the line has no end");
        assert_eq!(
            frames("\u{feff}hhhhh\no\n\nh\na[\"x\",\"é\"]\nx\nc[3000,\"Go away!\"]\n"),
            [Ok(Frame::Open), Ok(Frame::Heartbeat), messages(["x", "é"]), MALFORMED, close()]
        );
        assert_eq!(frames("o\n\u{feff}o\n"), [Ok(Frame::Open), MALFORMED], "not at the beginning");
        assert_eq!(frames("a[\"x\"]\r\n"), [messages(["x"])]);
        let prelude = "h".repeat(2048) + "\no\n";
        assert_eq!(frames(&prelude), [Ok(Frame::Open)], "it is longer than a frame may be");
    }
}

#[test]
fn events() {
    let frames = |body: &str| frames(Transport::EventSource, body);
    assert_eq!(frames("\r\ndata: o\r\n\r\n"), [Ok(Frame::Open)]);
    assert_eq!(frames("data: o\r\n"), [], "the event has no end");
    for end in ["\n", "\r", "\r\n"] {
        let body =
            "\u{feff}: comment\nid: 1\nevent: message\ndata:o\n\ndata\n\n\n:\n\nretry\ndata\ndata: h\n\n";
        assert_eq!(frames(&body.replace('\n', end)), [Ok(Frame::Open), MALFORMED]);
        assert_eq!(frames(&"data: a[\ndata:\"x\"]\n\n".replace('\n', end)), [messages(["x"])], "{end:?}");
    }
    assert_eq!(frames("data: o\n\r\ndata: h\r\r\n"), [Ok(Frame::Open), Ok(Frame::Heartbeat)]);
    assert_eq!(frames("data:  o\n\ndatas: o\n\n data: o\n\n"), [MALFORMED], "one space is taken");
    assert_eq!(
        frames("data: a[\"%25%41%C3%A9\",\"%80%23%\"]\n\n"),
        [messages(["%Aé", "%80%23%"])],
        "as decodeURI, but lenient"
    );
}

#[test]
fn scripts_and_calls() {
    let page = "\u{feff}<!doctype html>\n<script>\n  function p(d) {c.message(d);};\n</script>\r\n";
    let scripts = r#"<script>
p("o");
</script>
<script>
 p("a[\"\u003c/script>\",\"\\ud83d\\ude00\"]") ;
</script>
p(o);
p("o"
p("");
p("c[3000,\"Go away!\"]")
"#;
    let heart = "😀";
    let found = [Ok(Frame::Open), messages(["</script>", heart]), MALFORMED, MALFORMED, close()];
    assert_eq!(frames(Transport::HtmlFile, page.to_owned() + scripts), found);
    assert_eq!(frames(Transport::HtmlFile, (page.to_owned() + scripts).replace('\n', "\r\n")), found);

    let frames = |body: &str| frames(Transport::JsonpPolling, body);
    assert_eq!(frames("/**/callback(\"o\");\r\n"), [Ok(Frame::Open)]);
    assert_eq!(
        frames("/**/a(\"a[\\\"it\\'s\\\",\\\"\\/\\u003C\\\"]\");\r\n"),
        [messages(["it's", "/<"])],
        "Spring's escapes"
    );
    assert_eq!(frames("/**/a(\"a[\\\"it\\\\'s\\\"]\");\r\n"), [MALFORMED], "no escape of JSON");
    assert_eq!(frames("\u{feff}\r\n_jp.a-1$(\"a[\\\"x\\\"]\");\n"), [messages(["x"])]);
    for body in [
        "o\n",
        "/**/(\"o\");\n",
        "/**/a b(\"o\");\n",
        "/**/a(\"o\";\n",
        "/**/a(\"o\") + 1;\n",
        "/**/a('o');\n",
    ] {
        assert_eq!(frames(body), [MALFORMED], "{body}");
    }
}

#[test]
fn a_body_is_not_utf_8() {
    let replaced = || messages(["\u{fffd}\u{fffd}"]);
    assert_eq!(frames(Transport::XhrPolling, b"a[\"\xff\xe2\x80\"]\n"), [replaced()]);
    assert_eq!(frames(Transport::EventSource, b"data: a[\"\xff\xe2\x80\"]\n\n"), [replaced()]);
    assert_eq!(frames(Transport::HtmlFile, b"p(\"a[\\\"\xff\xe2\x80\\\"]\");\n"), [replaced()]);
    assert_eq!(frames(Transport::JsonpPolling, b"/**/c(\"a[\\\"\xff\xe2\x80\\\"]\");\n"), [replaced()]);
    assert_eq!(frames(Transport::EventSource, b"\xff\xfedata: o\n\ndata: h\n\n"), [Ok(Frame::Heartbeat)]);
}

#[test]
fn a_frame_that_is_too_long_is_one_error() {
    let long = |length: usize| format!("a[\"{}\"]", "x".repeat(length - 5));
    for length in [MAX + 1, MAX + 2, 3 * MAX] {
        let body = format!("\u{feff}{}\no\n", long(length));
        assert_eq!(frames(Transport::XhrPolling, body), [TOO_LONG, Ok(Frame::Open)]);
    }
    assert_eq!(frames(Transport::XhrPolling, long(MAX) + "\n").len(), 1);
    assert!(frames(Transport::XhrPolling, long(MAX) + "\n")[0].is_ok());
    assert_eq!(
        read(&mut decoder(Transport::XhrPolling), [long(MAX + 1).as_bytes()]).0,
        [TOO_LONG],
        "before its end"
    );
    let x = "x".repeat(MAX);
    let events = [
        (format!("data: {x}\ndata: o\nother\n"), Some(TOO_LONG)),
        (format!(":{x}{x}\ndata: o\nid:{x}\n"), Some(Ok(Frame::Open))),
        (format!("data: h\n:{x}\ndata: {x}\ndata: {x}\n"), Some(TOO_LONG)),
        (format!("data{x}: o\n"), None),
        (format!("data: {}\n", "x".repeat(LEAST_BYTES - 7)).repeat(3), Some(TOO_LONG)),
        ("data\n".repeat(2 * MAX), Some(TOO_LONG)),
        ("data: h\n".to_owned(), Some(Ok(Frame::Heartbeat))),
    ];
    let body: String = events.iter().map(|(event, _)| event.clone() + "\n").collect();
    assert_eq!(
        frames(Transport::EventSource, body),
        events.map(|(_, found)| found).into_iter().flatten().collect::<Frames>()
    );
    assert_eq!(
        frames(Transport::HtmlFile, format!("<!--{x}\np(\"{x}\");\n{x}p(\"\n{x}\np(\"o\");\n")),
        [TOO_LONG, Ok(Frame::Open)]
    );
    assert_eq!(frames(Transport::JsonpPolling, format!("/**/{x}(\"o\");\n")), [TOO_LONG]);
}

/// Each byte is looked at a few times only: a search from the frame's beginning on would take minutes here.
#[test]
fn a_long_frame_may_come_byte_by_byte() {
    let frame = Frame::Messages(vec!["x".repeat(1 << 20).into()]);
    for transport in BODIES {
        let mut decoder = FrameDecoder::new(transport, 2 << 20, LIMITS).unwrap();
        let body = written(&frame, transport, "\r");
        assert_eq!(read(&mut decoder, body.chunks(1)).0, [Ok(frame.clone())], "{transport}");
    }
}

#[test]
fn sockets_have_no_body() {
    for &transport in Transport::ALL {
        let decoder = FrameDecoder::new(transport, 0, LIMITS);
        assert_eq!(decoder.is_none(), transport.is_socket(), "{transport}");
    }
}

/// A frame as the server writes it. For an event stream, other servers' line ends are possible.
fn written(frame: &Frame, transport: Transport, end: &str) -> Vec<u8> {
    let mut out = Vec::new();
    match transport {
        Transport::EventSource => {
            out.extend_from_slice(b"data: ");
            frame.write(|piece| escape_event(piece, &mut out));
            out.extend_from_slice(end.as_bytes());
            out.extend_from_slice(end.as_bytes());
        }
        Transport::HtmlFile => {
            out.extend_from_slice(b"<script>\np(\"");
            frame.write(|piece| escape_script(piece, &mut out));
            out.extend_from_slice(b"\");\n</script>\r\n");
        }
        Transport::JsonpPolling => {
            out.extend_from_slice(b"/**/callback(\"");
            frame.write(|piece| escape_script(piece, &mut out));
            out.extend_from_slice(b"\");\r\n");
        }
        _ => out.extend_from_slice(&frame.line()),
    }
    out
}

fn text() -> impl Strategy<Value = Message> {
    prop_oneof![
        units().prop_map(|units| Message::from_wtf8(encoded(&units))),
        any::<String>().prop_map(Message::from),
        "[\r\n\0%\"\\\\<>&'A-F0-9\u{2028}]{0,20}".prop_map(Message::from),
    ]
}

fn frame() -> impl Strategy<Value = Frame> {
    prop_oneof![
        1 => Just(Frame::Open),
        1 => Just(Frame::Heartbeat),
        4 => proptest::collection::vec(text(), 0..4).prop_map(Frame::Messages),
        1 => (any::<u16>(), any::<String>()).prop_map(|(code, reason)| Frame::Close(CloseFrame::new(code, reason))),
    ]
}

/// Cuts a body into pieces of these lengths, over and over.
fn cut<'a>(body: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
    let (mut pieces, mut rest) = (Vec::new(), body);
    for length in lengths.iter().cycle() {
        if rest.is_empty() || pieces.len() > 10_000 {
            break;
        }
        let (piece, behind) = rest.split_at((*length).min(rest.len()));
        pieces.push(piece);
        rest = behind;
    }
    pieces.push(rest);
    pieces
}

/// What means something in a body.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => proptest::sample::select(vec![
            "data", "data:", "data: ", ":", "id: ", "\n", "\r", "\r\n", "\n\n", "\u{feff}", "o", "h", "hh", "a[\"x\"]",
            "c[1,\"\"]", "m\"x\"", "%25", "%", "p(\"", "\");", "/**/a(\"", "\\u0061", "\"", " ",
        ]).prop_map(|text| text.as_bytes().to_vec()),
        2 => proptest::collection::vec(any::<u8>(), 0..5),
        1 => (any::<u8>(), 0..2 * MAX).prop_map(|(byte, length)| vec![byte; length]),
        1 => Just(b"data: x\n".repeat(20)),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn what_a_server_writes_is_read(
        sent in proptest::collection::vec(frame(), 0..5),
        end in prop_oneof![Just("\n"), Just("\r"), Just("\r\n")],
        lengths in proptest::collection::vec(0_usize..40, 0..8),
    ) {
        let limits = LIMITS.with_lone_surrogates(LoneSurrogates::Keep);
        for transport in BODIES {
            let body: Vec<u8> = sent.iter().flat_map(|frame| written(frame, transport, end)).collect();
            let mut decoder = FrameDecoder::new(transport, 1 << 20, limits).unwrap();
            let (received, _) = read(&mut decoder, cut(&body, &lengths));
            prop_assert_eq!(received, sent.iter().cloned().map(Ok).collect::<Frames>(), "{}", transport);
            prop_assert_eq!(decoder.buffered(), 0);
        }
    }

    #[test]
    fn pieces_make_no_difference(
        body in prop_oneof![4 => body(), 1 => any::<Vec<u8>>()],
        lengths in proptest::collection::vec(0_usize..40, 0..8),
    ) {
        for transport in BODIES {
            let (whole, _) = read(&mut decoder(transport), [&body[..]]);
            for pieces in [cut(&body, &lengths), body.chunks(1).collect()] {
                let (in_pieces, most) = read(&mut decoder(transport), pieces);
                prop_assert_eq!(&in_pieces, &whole, "{}", transport);
                prop_assert!(most <= MAX + LEAST_BYTES);
            }
        }
    }
}
