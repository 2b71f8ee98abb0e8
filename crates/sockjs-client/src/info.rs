//! The answer to `/info`.

use serde::Deserialize;

/// What the browser's client reads of it, too.
///
/// `cookie_needed` concerns only browsers that cannot send cookies, `origins` and `entropy` nobody.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "Fields")]
pub(crate) struct Info {
    pub(crate) websocket: bool,
    pub(crate) base_url: Option<String>,
}

/// Any JSON value is taken: only a literal `false` switches WebSocket off, and only a string is a URL.
#[derive(Deserialize)]
struct Fields {
    #[serde(default)]
    websocket: serde_json::Value,
    #[serde(default)]
    base_url: serde_json::Value,
}

impl From<Fields> for Info {
    fn from(fields: Fields) -> Self {
        let base_url = fields.base_url.as_str().filter(|url| !url.is_empty()).map(str::to_owned);
        Self { websocket: fields.websocket != serde_json::Value::Bool(false), base_url }
    }
}

impl Info {
    /// Reads a body. What is not an object of JSON says nothing, as for the browser's client.
    pub(crate) fn parse(body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or(Self { websocket: true, base_url: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_false_switches_websocket_off() {
        assert!(!Info::parse(br#"{"websocket":false,"origins":["*:*"],"entropy":1}"#).websocket);
        for body in [r#"{"websocket":true}"#, r#"{"websocket":0}"#, "{}", "[]", "<html>", "", "\u{feff}{}"] {
            assert_eq!(Info::parse(body.as_bytes()), Info { websocket: true, base_url: None }, "{body}");
        }
        let base_url = |body: &str| Info::parse(body.as_bytes()).base_url;
        assert_eq!(base_url(r#"{"base_url":"/a"}"#).as_deref(), Some("/a"));
        assert_eq!(base_url(r#"{"base_url":1}"#), None);
        assert_eq!(base_url(r#"{"base_url":""}"#), None);
    }
}
