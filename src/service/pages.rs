//! Pages without a session: the greeting, `/info`, the iframe page, the client script.

use axum::response::Response;
use http::{Method, StatusCode, request::Parts};

use super::{
    dispatch::{Answer, Service, SharedHeaders},
    head::Head,
};
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

    pub(super) fn info(&self, head: &Head) -> Answer {
        let parts = &head.parts;
        // During a shutdown a client should fail at once, so that it can connect to another server.
        let info = || match self.endpoint.registry().is_shutting_down() {
            true => Err(Rejection::Shutdown),
            #[cfg(feature = "cluster")]
            false => Ok(self.endpoint.info.respond(self.base_url(head).as_deref())),
            #[cfg(not(feature = "cluster"))]
            false => Ok(self.endpoint.info.respond(None)),
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
        // A page of another origin may check the script's `integrity`, which needs a readable response. The script is
        // the same for all, so anyone may read it.
        cross_origin_page(parts, AllowOrigin::Anyone, script)
    }
}

/// A page without a session. The HTTP server drops the body of a response to `HEAD`.
fn page(parts: &Parts, page: impl FnOnce() -> Result<Response, Rejection>) -> Result<Response, Rejection> {
    match parts.method {
        Method::GET | Method::HEAD => page(),
        _ => Err(Rejection::Method { allow: "GET, HEAD" }),
    }
}

/// Like [`page`], for a page that other origins may read.
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

/// The response to a CORS preflight request, valid for a year (suite: `verify_options`).
pub(super) fn preflight(parts: &Parts, methods: &'static str) -> Response {
    let mut response = reply::empty(StatusCode::NO_CONTENT);
    cors::preflight(&parts.headers, methods, response.headers_mut());
    cache::for_a_year(response.headers_mut());
    response
}
