//! The cookies that pass to a backend ([RFC 6265, section 4.2](https://www.rfc-editor.org/rfc/rfc6265#section-4.2)).

use http::{HeaderMap, HeaderValue, header::COOKIE};

use crate::config::backend::Cookies;

/// The value of the one `Cookie` header that the backend gets, if any cookie passes.
pub(super) fn passing(headers: &HeaderMap, policy: &Cookies) -> Option<HeaderValue> {
    // HTTP/2 splits the header into lines (RFC 9113, section 8.2.3).
    let lines = headers.get_all(COOKIE).iter();
    let pairs = lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b';')).map(<[u8]>::trim_ascii);
    let passes = |pair: &[u8]| match policy {
        Cookies::None => false,
        Cookies::All => !pair.is_empty(),
        Cookies::Named(names) => {
            // A pair without `=` has no name.
            let Some(end) = pair.iter().position(|&byte| byte == b'=') else { return false };
            let name = pair[..end].trim_ascii_end();
            names.iter().any(|one| one.as_bytes() == name)
        }
    };
    let passing: Vec<&[u8]> = pairs.filter(|pair| passes(pair)).collect();
    if passing.is_empty() {
        return None;
    }
    // Parts of valid values, joined by a valid text, are valid.
    let mut value = HeaderValue::from_bytes(&passing.join(&b"; "[..])).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_named_passes() {
        let mut headers = HeaderMap::new();
        for line in ["a=1; b=2;c = 3 ", "sid=x=y; nameless; ; A=4"] {
            headers.append(COOKIE, HeaderValue::from_static(line));
        }
        let named = |names: &[&str]| {
            let names = names.iter().map(|&name| name.to_owned()).collect();
            passing(&headers, &Cookies::Named(names)).map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(named(&["sid", "a"]).as_deref(), Some("a=1; sid=x=y"));
        assert_eq!(named(&["A", "c"]).as_deref(), Some("c = 3; A=4"));
        assert_eq!(named(&["nameless", "", "si"]), None);
        assert_eq!(named(&[]), None);
        assert_eq!(passing(&headers, &Cookies::None), None);
        let all = passing(&headers, &Cookies::All).unwrap();
        assert_eq!(all, "a=1; b=2; c = 3; sid=x=y; nameless; A=4");
        assert!(all.is_sensitive());
    }
}
