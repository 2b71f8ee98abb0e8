//! The URL of an endpoint, and those below it.

use sockjs_core::Transport;
use url::{Origin, Url};

use crate::error::{Error, InvalidUrl};

/// The letters of a session id, as the browser's client has them.
const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz012345";

/// The URL of an endpoint: absolute, of HTTP, without a fragment and without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EndpointUrl(Url);

impl EndpointUrl {
    /// Parses a URL by the rules of the browser's client. `ws` and `wss` stand for `http` and `https`.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidUrl> {
        let invalid = |why: String| InvalidUrl(format!("{text:?} is no URL of an endpoint: {why}"));
        let mut url = Url::parse(text).map_err(|error| invalid(error.to_string()))?;
        let scheme = match url.scheme() {
            "http" | "ws" => "http",
            "https" | "wss" => "https",
            other => return Err(invalid(format!("its scheme is {other:?}, not http or https"))),
        };
        if url.fragment().is_some() {
            return Err(invalid("it has a fragment".to_owned()));
        }
        if url.set_scheme(scheme).is_err() {
            return Err(invalid("its scheme cannot be changed".to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("it has a user name; send credentials in a header".to_owned()));
        }
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        Ok(Self(url))
    }

    pub(crate) fn origin(&self) -> Origin {
        self.0.origin()
    }

    pub(crate) fn is_secure(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// For logs: a query may have secrets.
    pub(crate) fn without_query(&self) -> String {
        let mut url = self.0.clone();
        url.set_query(None);
        url.into()
    }

    /// A URL below the endpoint's, with its query.
    pub(crate) fn join(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        url.set_path(&format!("{}/{path}", self.0.path().trim_end_matches('/')));
        url
    }

    /// The URL that the server names in its place, with the application's query unless it has one.
    pub(crate) fn replaced_by(&self, base_url: &str) -> Result<Self, InvalidUrl> {
        let invalid = |error: &dyn std::fmt::Display| InvalidUrl(format!("base_url: {error}"));
        let base = self.0.join(base_url).map_err(|error| invalid(&error))?;
        let mut base = Self::parse(base.as_str()).map_err(|error| invalid(&error))?;
        if self.is_secure() && !base.is_secure() {
            return Err(InvalidUrl("base_url leads from https to http".to_owned()));
        }
        if base.0.query().is_none() {
            base.0.set_query(self.0.query());
        }
        Ok(base)
    }

    /// A new session's URLs: a server of three digits and a random session id, as the browser's client makes them.
    pub(crate) fn session(&self) -> Result<SessionUrl, Error> {
        // 40 random bits for the letters, 32 for the number.
        let mut random = [0_u8; 12];
        getrandom::fill(&mut random).map_err(|error| Error::InvalidRequest(error.to_string()))?;
        let [letters @ .., a, b, c, d] = random;
        let server = u32::from_le_bytes([a, b, c, d]) % 1000;
        let session: String =
            letters.iter().map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()])).collect();
        Ok(SessionUrl { endpoint: self.clone(), path: format!("{server:03}/{session}") })
    }
}

/// The URLs of one session.
#[derive(Debug, Clone)]
pub(crate) struct SessionUrl {
    endpoint: EndpointUrl,
    path: String,
}

impl SessionUrl {
    /// The URL that a transport receives from, or that of its WebSocket.
    pub(crate) fn receiving(&self, transport: Transport) -> Url {
        match transport {
            Transport::RawWebSocket => self.endpoint.join(transport.path()),
            _ => self.endpoint.join(&format!("{}/{}", self.path, transport.path())),
        }
    }

    /// The URL that takes a transport's messages, if it has one.
    pub(crate) fn sending(&self, transport: Transport) -> Option<Url> {
        Some(self.endpoint.join(&format!("{}/{}", self.path, transport.send_path()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> String {
        EndpointUrl::parse(text).unwrap().0.to_string()
    }

    #[test]
    fn urls_are_those_of_the_browsers_client() {
        assert_eq!(parsed("http://host/echo//?a=b"), "http://host/echo?a=b");
        assert_eq!(parsed("wss://HOST:443/"), "https://host/");
        let url = EndpointUrl::parse("http://h:81/echo/?token=1&x").unwrap();
        assert_eq!(url.join("info").as_str(), "http://h:81/echo/info?token=1&x");
        assert_eq!(EndpointUrl::parse("http://h").unwrap().join("info").as_str(), "http://h/info");
        for (bad, why) in [
            ("echo", "relative URL without a base"),
            ("ftp://host/", "\"ftp\""),
            ("http://host/#a", "fragment"),
            ("http://u:p@host/", "user name"),
        ] {
            let error = EndpointUrl::parse(bad).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_session_has_ids_of_its_own() {
        let url = EndpointUrl::parse("http://h/echo?q").unwrap();
        let session = url.session().unwrap();
        let (server, id) = session.path.split_once('/').unwrap();
        assert!(server.len() == 3 && server.parse::<u16>().is_ok(), "{server}");
        assert!(id.len() == 8 && id.bytes().all(|byte| LETTERS.contains(&byte)), "{id}");
        assert_ne!(url.session().unwrap().path, session.path);
        assert_eq!(
            session.receiving(Transport::XhrStreaming).as_str(),
            format!("http://h/echo/{}/xhr_streaming?q", session.path)
        );
        assert_eq!(session.receiving(Transport::RawWebSocket).as_str(), "http://h/echo/websocket?q");
        assert_eq!(
            session.sending(Transport::EventSource).unwrap().path(),
            format!("/echo/{}/xhr_send", session.path)
        );
    }

    #[test]
    fn the_server_may_name_another_url() {
        let url = EndpointUrl::parse("https://h/echo?q").unwrap();
        let replaced = |base| url.replaced_by(base).map(|base| base.0.to_string());
        assert_eq!(replaced("/other/").unwrap(), "https://h/other?q");
        assert_eq!(replaced("https://node1.h/echo?p").unwrap(), "https://node1.h/echo?p");
        assert!(replaced("http://h/echo").is_err());
        assert!(replaced("javascript:1").is_err());
    }
}
