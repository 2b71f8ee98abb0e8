//! Checks of every parser of client input, which must hold for any bytes. Those of the protocol are in sockjs-core.
//!
//! The targets of `fuzz/` call these functions. The tests below run them on the targets' seeds and on random input.

use http::{HeaderMap, HeaderValue, header};

#[cfg(feature = "websocket")]
use crate::{
    options::builder::Options,
    response::cause::RejectionCause,
    transport::websocket::{handshake::Upgrade, hixie76::decode_in_pieces},
};
use crate::{
    options::cookie::Cookie,
    transport::{callback::Callback, form::FormField},
};

/// The callback in a query: an accepted one is harmless in a script.
pub fn parse_callback(data: &[u8]) {
    let Ok(query) = std::str::from_utf8(data) else { return };
    if let Ok(callback) = Callback::from_query(Some(query)) {
        let name = callback.as_str();
        assert!((1..=32).contains(&name.len()), "{name:?}");
        assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)), "{name:?}");
    }
}

/// The payload in the form of a sending request. Its first byte chooses the sizes of the chunks.
pub fn find_form_payload(data: &[u8]) {
    let Some((&choice, body)) = data.split_first() else { return };
    let decode = |chunk: usize, room: usize| {
        let (mut form, mut json) = (FormField::default(), Vec::new());
        for mut rest in body.chunks(chunk) {
            while !rest.is_empty() {
                let before = json.len();
                let read = form.decode(rest, room, &mut json);
                let made = json.len() - before;
                // An invalid escape produces two bytes at once.
                assert!(read + made > 0 && made <= room + 1);
                rest = &rest[read..];
            }
        }
        form.end(&mut json);
        json
    };
    let whole = decode(usize::MAX, usize::MAX >> 1);
    assert!(whole.len() <= body.len(), "a payload is no longer than what it comes in");
    assert_eq!(decode(usize::from(choice % 16) + 1, usize::from(choice / 16) + 1), whole);
}

/// The echoed affinity cookie.
pub fn reflect_cookie(data: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in data.split(|&byte| byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(header::COOKIE, value);
        }
    }
    let Some(cookie) = Cookie::jsessionid().for_request(&headers) else {
        assert!(data.windows(11).any(|bytes| bytes == b"JSESSIONID="), "one that came and cannot be echoed");
        return;
    };
    let value =
        cookie.as_bytes().strip_prefix(b"JSESSIONID=").and_then(|rest| rest.strip_suffix(b"; path=/"));
    let value = value.expect("it is this cookie and no other");
    let bare = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value);
    let fits = |byte: &u8| byte.is_ascii_graphic() && !b"\",;\\".contains(byte) || !byte.is_ascii();
    assert!(!bare.is_empty() && bare.iter().all(fits), "{value:?}");
}

/// The headers of a WebSocket request, old and new: one per line, after the target.
#[cfg(feature = "websocket")]
pub fn judge_handshake(data: &[u8]) {
    let mut lines = data.split(|&byte| byte == b'\n');
    let Some(target) = lines.next() else { return };
    let Ok(mut request) = http::Request::get(target).body(()) else { return };
    for line in lines {
        let mut parts = line.splitn(2, |&byte| byte == b':');
        let (Some(name), Some(value)) = (parts.next(), parts.next()) else { continue };
        if let (Ok(name), Ok(value)) = (header::HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            request.headers_mut().append(name, value);
        }
    }
    let (parts, ()) = request.into_parts();
    for hixie76 in [false, true] {
        let mut parts = parts.clone();
        let options = Options::new().hixie76(hixie76);
        let Err(answer) = Upgrade::from_request(&mut parts, &options) else {
            panic!("there is no connection to upgrade");
        };
        assert_eq!(answer.cause(), RejectionCause::Handshake, "{answer:?}");
    }
}

/// The frames of hixie-76: the messages do not depend on the pieces.
#[cfg(feature = "websocket")]
pub fn decode_hixie76(data: &[u8]) {
    let whole = decode_in_pieces(data, usize::MAX);
    for step in [1, 3] {
        let pieces = decode_in_pieces(data, step);
        // In pieces, a message that is too long is detected earlier, with another length in its error.
        assert_eq!(pieces.len(), whole.len());
        for (one, other) in pieces.iter().zip(&whole) {
            assert!(one == other || (one.is_err() && other.is_err()), "{one:?}, {other:?}");
        }
    }
}

/// The owner's name in a URL, and what an edge says of a request.
#[cfg(feature = "cluster")]
pub fn read_cluster(data: &[u8]) {
    crate::cluster::any_bytes::check(data);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Check = fn(&[u8]);

    /// Each check by the name of its target.
    const CHECKS: &[(&str, Check)] = &[
        ("callback", parse_callback),
        ("form", find_form_payload),
        ("cookie", reflect_cookie),
        #[cfg(feature = "cluster")]
        ("cluster", read_cluster),
        #[cfg(feature = "websocket")]
        ("handshake", judge_handshake),
        #[cfg(feature = "websocket")]
        ("hixie76", decode_hixie76),
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
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds.txt");
        let archive = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
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
        let special: Vec<u8> = b"/.%&=;,:\"\\[]{}ud8 \r\n\t\0\xff\xe2\x80\xa8+c1-".to_vec();
        let piece = prop_oneof![
            proptest::sample::select(special).prop_map(|byte| vec![byte]),
            any::<u8>().prop_map(|byte| vec![byte]),
            any::<char>().prop_map(|char| char.to_string().into_bytes()),
            proptest::sample::select(vec!["c=a", "d=%5B", "JSESSIONID=a", "/websocket\nUpgrade:"])
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
