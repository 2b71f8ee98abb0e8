//! The callback: the JavaScript function that the page provides.

/// The error of a callback parameter; its texts are those that the suite expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InvalidCallback {
    Missing,
    Malformed,
}

impl InvalidCallback {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Missing => "\"callback\" parameter required\n",
            Self::Malformed => "invalid \"callback\" parameter\n",
        }
    }
}

/// The validated name of a JavaScript function.
///
/// Browsers run it as part of a script, so it may have only letters, digits, `-`, `_` and `.`
/// (suite: `test_invalid_callback`), and a bounded length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Callback(String);

impl Callback {
    const MAX_LENGTH: usize = 32;

    /// Reads `c=` or `callback=` from a query.
    pub(crate) fn from_query(query: Option<&str>) -> Result<Self, InvalidCallback> {
        let query = query.unwrap_or_default().as_bytes();
        let (_, name) = form_urlencoded::parse(query)
            .find(|(key, _)| key == "c" || key == "callback")
            .ok_or(InvalidCallback::Missing)?;
        let valid = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if name.is_empty() {
            Err(InvalidCallback::Missing)
        } else if name.len() > Self::MAX_LENGTH || !name.bytes().all(valid) {
            Err(InvalidCallback::Malformed)
        } else {
            Ok(Self(name.into_owned()))
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callbacks() {
        let parse = |query: &str| Callback::from_query(Some(query)).map(|callback| callback.0);
        assert_eq!(parse("c=%63allback"), Ok("callback".to_owned()));
        assert_eq!(parse("t=1&callback=_jp.a-Z0"), Ok("_jp.a-Z0".to_owned()));
        for missing in ["", "c", "c=", "d=x", "C=x"] {
            assert_eq!(parse(missing), Err(InvalidCallback::Missing), "{missing}");
        }
        for malformed in
            ["c=%20", "c=*", "c=abc(", "c=abc%28", "c=a+b", "c=%C3%A9", "c=a%00", "c=%3Cscript%3E"]
        {
            assert_eq!(parse(malformed), Err(InvalidCallback::Malformed), "{malformed}");
        }
        let longest = "x".repeat(Callback::MAX_LENGTH);
        assert_eq!(parse(&format!("c={longest}")), Ok(longest.clone()));
        assert_eq!(parse(&format!("c={longest}x")), Err(InvalidCallback::Malformed));
    }
}
