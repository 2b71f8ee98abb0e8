//! The `JSESSIONID` cookie.

use http::{HeaderMap, HeaderValue, header::COOKIE};

/// The longest value that is echoed, in bytes; servers' own are 32 or a little more.
const MAX_VALUE: usize = 256;

/// `JSESSIONID` as the request brought it, or `dummy` (suite: `JsessionidCookie`).
///
/// Only this one cookie is ever echoed, and only if its value holds nothing but cookie octets
/// ([RFC 6265, section 4.1.1](https://www.rfc-editor.org/rfc/rfc6265#section-4.1.1)).
pub(crate) fn jsessionid(request: &HeaderMap) -> HeaderValue {
    let value = request
        .get_all(COOKIE)
        .iter()
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(';'))
        .filter_map(|pair| pair.trim().strip_prefix("JSESSIONID="))
        .find(|value| is_cookie_value(value))
        .unwrap_or("dummy");
    HeaderValue::try_from(format!("JSESSIONID={value}; path=/"))
        .unwrap_or(HeaderValue::from_static("JSESSIONID=dummy; path=/"))
}

fn is_cookie_value(value: &str) -> bool {
    !value.is_empty()
        && value.len() <= MAX_VALUE
        && value.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(cookies: &[&str]) -> HeaderValue {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(COOKIE, cookie.parse().unwrap());
        }
        jsessionid(&headers)
    }

    #[test]
    fn echoes_jsessionid_and_nothing_else() {
        assert_eq!(answer(&[]), "JSESSIONID=dummy; path=/");
        assert_eq!(answer(&["JSESSIONID=abcdef"]), "JSESSIONID=abcdef; path=/");
        assert_eq!(answer(&["a=b; JSESSIONID=x.node1; c=d"]), "JSESSIONID=x.node1; path=/");
        assert_eq!(answer(&["a=b", "JSESSIONID=second"]), "JSESSIONID=second; path=/");
        assert_eq!(answer(&["secret=1; XJSESSIONID=2"]), "JSESSIONID=dummy; path=/");
    }

    #[test]
    fn refuses_values_that_are_no_cookie_value() {
        for bad in ["", "a b", "a,b", "\"a\"", "a\\b", &"x".repeat(257)] {
            assert_eq!(answer(&[&format!("JSESSIONID={bad}")]), "JSESSIONID=dummy; path=/", "{bad}");
        }
    }
}
