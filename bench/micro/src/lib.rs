//! What axum-sockjs and the codec of STOMP do with the text of a message, one step at a time.

use std::{cell::RefCell, fmt, hint::black_box};

use sockjs_core::{
    Frame, Message,
    decode::{Limits, decode},
    quote::{escape_event, escape_script},
};
use stomp_codec::{Command, Decoder, Frame as StompFrame, Limits as StompLimits, Version};

const LIMITS: Limits = Limits::new(1 << 20).with_messages(1000);

/// One step on one text.
pub struct Case {
    /// `step/text`.
    pub name: String,
    /// The length of the text, in bytes.
    pub bytes: usize,
    step: Box<dyn Fn()>,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Case {
    /// Runs the step once.
    #[inline(never)]
    pub fn run(&self) {
        (self.step)();
    }
}

/// Every step on every text.
pub fn cases() -> Vec<Case> {
    texts().into_iter().flat_map(|(name, text)| steps(name, &text)).chain([many()]).chain(stomp()).collect()
}

/// Texts as clients send them; the longer ones by what their bytes mean to the steps.
fn texts() -> [(&'static str, String); 5] {
    let object = |id: usize| {
        format!(r#"{{"id":{id},"user":"u{id}","text":"Hello, how are you?","tags":["a","b"],"ok":true}}"#)
    };
    let mut json = format!("[{}", object(0));
    for id in 1.. {
        let next = object(id);
        if json.len() + next.len() + 2 > 1024 {
            break;
        }
        json.push(',');
        json.push_str(&next);
    }
    json.push(']');
    let ascii = "The quick brown fox jumps over the lazy dog, and 0123456789 more. ";
    let japanese = "「吾輩は猫である！名前は“まだ”無い。」";
    [
        ("64 B", ascii[..64].to_owned()),
        ("1 KiB of JSON", json),
        ("16 KiB of ASCII", ascii.repeat(249)[..16 << 10].to_owned()),
        ("16 KiB of emoji", "😀".repeat(4 << 10)),
        ("16 KiB of Japanese", japanese.repeat((16 << 10) / japanese.len())),
    ]
}

fn steps(name: &str, text: &str) -> Vec<Case> {
    let payload = serde_json::to_string(&[text]).unwrap_or_default();
    let raw = payload.clone().into_bytes();
    let message = Message::from(text);
    let frame = Frame::Messages(vec![message]);
    let case = |step: &str, run: Box<dyn Fn()>| Case {
        name: format!("{step}/{name}"),
        bytes: text.len(),
        step: run,
    };
    vec![
        case("utf-8", {
            Box::new(move || {
                black_box(std::str::from_utf8(black_box(&raw)).is_ok());
            })
        }),
        case("decode", {
            let payload = payload.clone();
            Box::new(move || {
                black_box(decode(black_box(&payload), LIMITS).is_ok());
            })
        }),
        case("quote", {
            let text = text.to_owned();
            Box::new(move || {
                black_box(Message::from(black_box(&*text)).quoted());
            })
        }),
        case("join", {
            let body = Message::from(text);
            black_box(body.quoted());
            Box::new(move || {
                let parts = [Message::from(black_box("a head\n")), body.clone()];
                black_box(Message::concat(parts).quoted());
            })
        }),
        case("echo", {
            Box::new(move || {
                let messages = decode(black_box(&payload), LIMITS).unwrap_or_default();
                black_box(Frame::Messages(messages).text());
            })
        }),
        case("frame", {
            let frame = frame.clone();
            Box::new(move || {
                black_box(frame.text());
            })
        }),
        case("event", {
            let frame = frame.clone();
            Box::new(move || {
                let mut out = Vec::with_capacity(frame.size_hint() + 64);
                frame.write(|piece| escape_event(piece, &mut out));
                black_box(out);
            })
        }),
        case("script", {
            Box::new(move || {
                let mut out = Vec::with_capacity(frame.size_hint() + 64);
                frame.write(|piece| escape_script(piece, &mut out));
                black_box(out);
            })
        }),
    ]
}

/// A batch as a client sends it that has queued up, echoed in one frame.
fn many() -> Case {
    let (name, text) = &texts()[0];
    let payload = serde_json::to_string(&vec![text; 16]).unwrap_or_default();
    Case {
        name: format!("echo/16 x {name}"),
        bytes: 16 * text.len(),
        step: Box::new(move || {
            let messages = decode(black_box(&payload), LIMITS).unwrap_or_default();
            black_box(Frame::Messages(messages).text());
        }),
    }
}

/// A frame as a client sends it, and as a subscriber gets it.
fn stomp() -> [Case; 2] {
    let (name, text) = &texts()[0];
    let case = |step: &str, step_once: Box<dyn Fn()>| Case {
        name: format!("{step}/{name}"),
        bytes: text.len(),
        step: step_once,
    };
    let frame = |command| {
        StompFrame::new(command).header("destination", "/topic/room/1").header("content-type", "text/plain")
    };
    let send = frame(Command::Send).body(text.clone()).encode(Version::V1_2);
    let message = frame(Command::Message).header("subscription", "sub-0").header("message-id", "1-1");
    let message = message.body(text.clone());
    let mut decoder = Decoder::of_client(StompLimits::new());
    decoder.set_version(Version::V1_2);
    let decoder = RefCell::new(decoder);
    [
        case("decode SEND", {
            Box::new(move || {
                black_box(decoder.borrow_mut().decode(&mut black_box(send.clone())).is_ok());
            })
        }),
        case("encode MESSAGE", {
            Box::new(move || {
                black_box(black_box(&message).encode(Version::V1_2));
            })
        }),
    ]
}
