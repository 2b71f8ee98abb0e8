//! The answer to `/info`.

use serde_json::{Map, Value};

/// What the browser's client reads of it, too.
///
/// `cookie_needed` concerns only browsers that cannot send cookies, `origins` and `entropy` nobody.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Info {
    pub(crate) websocket: bool,
    pub(crate) base_url: Option<String>,
}

impl Info {
    /// Reads a body: only a literal `false` switches WebSocket off, and only a string is a URL. What is not an object of
    /// JSON says nothing, as for the browser's client.
    pub(crate) fn parse(body: &[u8]) -> Self {
        let fields: Map<String, Value> = serde_json::from_slice(body).unwrap_or_default();
        let base_url = fields.get("base_url").and_then(Value::as_str).filter(|url| !url.is_empty());
        Self {
            websocket: fields.get("websocket") != Some(&Value::Bool(false)),
            base_url: base_url.map(str::to_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_false_switches_websocket_off() {
        assert!(!Info::parse(br#"{"websocket":false,"origins":["*:*"],"entropy":1}"#).websocket);
        for body in
            [r#"{"websocket":true}"#, r#"{"websocket":0}"#, "{}", "[]", "[false]", "<html>", "", "\u{feff}{}"]
        {
            assert_eq!(Info::parse(body.as_bytes()), Info { websocket: true, base_url: None }, "{body}");
        }
        let base_url = |body: &str| Info::parse(body.as_bytes()).base_url;
        assert_eq!(base_url(r#"{"base_url":"/a"}"#).as_deref(), Some("/a"));
        assert_eq!(base_url(r#"{"base_url":1,"base_url":"/b"}"#).as_deref(), Some("/b"));
        assert_eq!(base_url(r#"{"base_url":1}"#), None);
        assert_eq!(base_url(r#"{"base_url":""}"#), None);
    }
}
