//! What belongs to no session: the greeting, `/info`, the iframe page, the client's script.

use axum::response::Response;
use http::{Method, StatusCode, request::Parts};

use super::dispatch::{Answer, Service, SharedHeaders};
use crate::{
    options::cors::Cors,
    response::{
        cache,
        cors::{self, AllowOrigin},
        rejection::Rejection,
        reply,
    },
};

impl Service {
    pub(super) fn greeting(&self, parts: &Parts) -> Result<Response, Rejection> {
        page(parts, || Ok(reply::text(StatusCode::OK, "Welcome to SockJS!\n")))
    }

    pub(super) fn iframe(&self, parts: &Parts) -> Result<Response, Rejection> {
        page(parts, || {
            Ok(match self.options().origins.frame_ancestors(&parts.headers) {
                Some(policy) => self.endpoint.iframe.respond_within(policy),
                None => self.endpoint.iframe.respond(&parts.headers),
            })
        })
    }

    pub(super) fn info(&self, parts: &Parts) -> Answer {
        // A client of a server that goes down is to fail at once, and to come back where another serves it.
        let info = || match self.endpoint.registry().is_shutting_down() {
            true => Err(Rejection::Shutdown),
            false => Ok(self.endpoint.info.respond()),
        };
        let Some(allow_origin) = self.allow_origin(parts) else {
            return page(parts, info).into();
        };
        cross_origin_page(parts, allow_origin, info)
    }

    pub(super) fn client_script(&self, version: Option<&str>, parts: &Parts) -> Answer {
        let Some(script) = &self.options().client_script else { return Err(Rejection::NotFound).into() };
        let script = || script.respond(version, &parts.headers);
        if self.options().cors == Cors::External {
            return page(parts, script).into();
        }
        // A page of another origin may check its `integrity`, which takes a readable answer; and anyone may
        // read what is the same for all.
        cross_origin_page(parts, AllowOrigin::Anyone, script)
    }
}

/// A page that belongs to no session. The answer to HEAD loses its body in the HTTP server.
fn page(parts: &Parts, page: impl FnOnce() -> Result<Response, Rejection>) -> Result<Response, Rejection> {
    match parts.method {
        Method::GET | Method::HEAD => page(),
        _ => Err(Rejection::Method { allow: "GET, HEAD" }),
    }
}

/// The same for a page that other origins may read.
fn cross_origin_page(
    parts: &Parts,
    allow_origin: AllowOrigin,
    page: impl FnOnce() -> Result<Response, Rejection>,
) -> Answer {
    let result = match parts.method {
        Method::GET | Method::HEAD => page(),
        Method::OPTIONS => Ok(preflight(parts, "OPTIONS, GET")),
        _ => Err(Rejection::Method { allow: "OPTIONS, GET, HEAD" }),
    };
    let headers = SharedHeaders { allow_origin: Some(allow_origin), ..SharedHeaders::default() };
    Answer { result, headers }
}

/// The answer to a CORS preflight request; good for a year (suite: `verify_options`).
pub(super) fn preflight(parts: &Parts, methods: &'static str) -> Response {
    let mut response = reply::empty(StatusCode::NO_CONTENT);
    cors::preflight(&parts.headers, methods, response.headers_mut());
    cache::for_a_year(response.headers_mut());
    response
}
