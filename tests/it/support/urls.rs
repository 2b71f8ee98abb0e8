//! Every URL of an endpoint, and what it answers.

use crate::support::{
    fresh_id,
    http::{Request, Response},
    server::Server,
};

/// What a method gets that the path does not serve, or the path does not exist for.
pub(crate) const NOT_ALLOWED: u16 = 405;

/// One URL of an endpoint and what it answers; any other method gets 405.
pub(crate) struct Url {
    pub(crate) name: &'static str,
    pub(crate) answers: &'static [(&'static str, u16)],
}

/// Every URL below `/app`, with `ID` for a session that is not there yet.
pub(crate) const URLS: &[Url] = &[
    Url { name: "", answers: &[("GET", 200), ("HEAD", 200)] },
    Url { name: "/", answers: &[("GET", 200), ("HEAD", 200)] },
    Url { name: "/info", answers: &[("GET", 200), ("HEAD", 200), ("OPTIONS", 204)] },
    Url { name: "/iframe.html", answers: &[("GET", 200), ("HEAD", 200)] },
    Url { name: "/iframe-1.6.1.html", answers: &[("GET", 200), ("HEAD", 200)] },
    Url { name: "/000/ID/xhr", answers: &[("POST", 200), ("OPTIONS", 204)] },
    Url { name: "/000/ID/xhr_streaming", answers: &[("POST", 200), ("OPTIONS", 204)] },
    Url { name: "/000/ID/xhr_send", answers: &[("POST", 404), ("OPTIONS", 204)] },
    Url { name: "/000/ID/eventsource", answers: &[("GET", 200), ("OPTIONS", 204)] },
    Url { name: "/000/ID/htmlfile?c=callback", answers: &[("GET", 200)] },
    Url { name: "/000/ID/jsonp?c=callback", answers: &[("GET", 200)] },
    Url { name: "/000/ID/jsonp_send", answers: &[("POST", 404)] },
    #[cfg(feature = "websocket")]
    Url { name: "/websocket", answers: &[("GET", 400)] },
    #[cfg(feature = "websocket")]
    Url { name: "/000/ID/websocket", answers: &[("GET", 400)] },
];

/// Paths that are none.
pub(crate) const UNKNOWN: &[&str] = &[
    "//",
    "/unknown",
    "/000/ID",
    "/000/ID/",
    "/000/ID/unknown",
    "/000/ID/xhr/more",
    // A name that a browser would save what it gets under.
    "/000/ID/jsonp;x.bat?c=callback",
    "/000/ID/xhr.html",
    #[cfg(not(feature = "websocket"))]
    "/websocket",
    #[cfg(not(feature = "websocket"))]
    "/000/ID/websocket",
];

pub(crate) const METHODS: &[&str] =
    &["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "BREW"];

/// Every URL with every method and the status that is due; each with a session id of its own.
pub(crate) fn every_request() -> impl Iterator<Item = (&'static str, String, u16)> {
    let known = URLS.iter().map(|url| (url.name, Some(url.answers)));
    let unknown = UNKNOWN.iter().map(|&name| (name, None));
    known.chain(unknown).flat_map(|(name, answers)| {
        METHODS.iter().map(move |&method| {
            let status = answers.map_or(404, |answers| {
                answers
                    .iter()
                    .find(|(served, _)| *served == method)
                    .map_or(NOT_ALLOWED, |(_, status)| *status)
            });
            (method, format!("/app{}", name.replace("ID", &fresh_id())), status)
        })
    })
}

/// Sends a request and reads its answer: whole, or of a stream the head only.
pub(crate) async fn answer(server: &Server, request: &Request) -> Response {
    let mut connection = server.connect().await;
    connection.send(request).await;
    let mut head = connection.head().await;
    let is_stream = head.header("x-accel-buffering").is_some();
    if request.method != "HEAD" && head.status != 101 && !is_stream {
        head.body = connection.body(&head).await;
    }
    head
}
