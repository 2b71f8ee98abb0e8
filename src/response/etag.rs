//! Entity tags, by which a browser checks its cached copy.

use http::{HeaderMap, HeaderValue, header::IF_NONE_MATCH};

/// A hash of all bytes of some content, the same on every node and in every process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ETag {
    hex: String,
    header: HeaderValue,
}

impl ETag {
    pub(crate) fn of(content: &[u8]) -> Self {
        let hex = format!("{:016x}", fnv1a(content));
        let header = HeaderValue::try_from(format!("\"{hex}\"")).unwrap_or(HeaderValue::from_static("\"\""));
        Self { hex, header }
    }

    /// The hash as sixteen letters and digits.
    pub(crate) fn as_str(&self) -> &str {
        &self.hex
    }

    pub(crate) fn header(&self) -> HeaderValue {
        self.header.clone()
    }

    /// Whether a request names this tag, by weak comparison ([RFC 9110, section
    /// 13.1.2](https://www.rfc-editor.org/rfc/rfc9110#section-13.1.2)).
    pub(crate) fn is_known(&self, request: &HeaderMap) -> bool {
        request
            .get_all(IF_NONE_MATCH)
            .iter()
            .flat_map(|header| header.as_bytes().split(|&byte| byte == b','))
            .map(<[u8]>::trim_ascii)
            .any(|tag| tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == self.header.as_bytes())
    }
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_match_in_lists_weakly_and_by_star() {
        let etag = ETag::of(b"content");
        let quoted = etag.header().to_str().unwrap().to_owned();
        let known = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(IF_NONE_MATCH, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            etag.is_known(&headers)
        };
        assert!(known(&quoted) && known(&format!("\"x\", W/{quoted}")) && known("*"));
        assert!(!known("\"x\"") && !known("") && !known(etag.as_str()));
        // Others' tags may have any bytes.
        assert!(known(&format!("\"caf\u{e9}\", {quoted}")) && known(&format!("{quoted},\"\u{e9}\"")));
        assert!(known("\"\u{e9}\", *") && known(&format!("W/\"\u{e9}\" ,\tW/{quoted}")));
        assert!(!known("\"\u{e9}\"") && !known(&quoted.replace('"', "\u{e9}")));
        assert_ne!(ETag::of(b"other"), etag);
    }
}
