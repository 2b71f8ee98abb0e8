//! Dispatches a request to its target.

use std::sync::Arc;

use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::{
    HeaderValue, Version,
    header::{CONNECTION, SET_COOKIE},
    request::Parts,
};
use http_body::Body;
use tower::BoxError;

use super::{
    endpoint::Endpoint,
    erased::{ErasedHandler, ErasedIdentify},
    head::Head,
    target::Target,
};
use crate::{
    options::{builder::Options, cors::Cors},
    response::{cache, cors::AllowOrigin, rejection::Rejection},
    session::owner::Owner,
    util::body::discard_body,
};

/// An endpoint, its handler and its identity function.
pub(crate) struct Service<S = ()> {
    pub(crate) handler: Arc<dyn ErasedHandler<S>>,
    /// One pointer, since each request that waits holds a clone of the service.
    pub(crate) identity: Option<Arc<Identity<S>>>,
    pub(crate) endpoint: Arc<Endpoint>,
}

/// How sessions get their owners.
pub(crate) struct Identity<S> {
    pub(crate) function: Arc<dyn ErasedIdentify<S>>,
    pub(crate) limit: Option<Arc<IdentityLimit>>,
}

/// How many sessions an owner may have; `None` for any number.
pub(crate) type IdentityLimit = dyn Fn(&Owner) -> Option<usize> + Send + Sync;

impl<S> Clone for Service<S> {
    fn clone(&self) -> Self {
        let Self { handler, identity, endpoint } = self;
        Self { handler: Arc::clone(handler), identity: identity.clone(), endpoint: Arc::clone(endpoint) }
    }
}

/// The result of a request.
pub(super) struct Answer {
    pub(super) result: Result<Response, Rejection>,
    /// The headers of the response, whether it is a rejection or not.
    pub(super) headers: SharedHeaders,
}

/// The headers that all responses of one URL share.
#[derive(Default)]
pub(super) struct SharedHeaders {
    pub(super) uncached: bool,
    pub(super) allow_origin: Option<AllowOrigin>,
    pub(super) cookie: Option<HeaderValue>,
}

impl From<Result<Response, Rejection>> for Answer {
    fn from(result: Result<Response, Rejection>) -> Self {
        Self { result, headers: SharedHeaders::default() }
    }
}

impl SharedHeaders {
    fn apply(self, response: &mut Response) {
        let headers = response.headers_mut();
        if self.uncached {
            cache::never(headers);
        }
        if let Some(allow_origin) = self.allow_origin {
            allow_origin.apply(headers);
        }
        if let Some(cookie) = self.cookie {
            headers.append(SET_COOKIE, cookie);
        }
    }
}

impl Service {
    /// Answers a request. The future may wait for long, so it is kept small: the state before the wait is boxed.
    pub(crate) async fn respond<B>(&self, head: Box<Head>, body: B) -> Response
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let version = head.parts.version;
        #[cfg(feature = "cluster")]
        let mut head = head;
        #[cfg(feature = "cluster")]
        if let Some(result) = self.locate(&mut head).transpose() {
            discard_body(body).await;
            return self.finish(result.into());
        }
        let answer = self.answer(head, body).await;
        let mut response = self.finish(answer);
        if version == Version::HTTP_10 && response.body().size_hint().exact().is_none() {
            // Only the end of the connection ends this body. hyper adds `keep-alive` to an HTTP/1.1 response.
            *response.version_mut() = version;
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// The response of an answer.
    pub(super) fn finish(&self, Answer { result, headers }: Answer) -> Response {
        let mut response = result.unwrap_or_else(|rejection| self.refuse(rejection));
        headers.apply(&mut response);
        response
    }

    fn refuse(&self, rejection: Rejection) -> Response {
        let cause = rejection.cause();
        self.endpoint.sessions.count_rejection(cause);
        let response = rejection.into_response();
        tracing::debug!(cause = cause.name(), status = response.status().as_u16(), "request refused");
        response
    }

    /// Answers a request whose way is known.
    pub(super) async fn answer<B>(&self, head: Box<Head>, body: B) -> Answer
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let target = Target::of(&head, self.options());
        if target
            .as_ref()
            .is_some_and(|target| target.is_guarded() && !self.check_origin(target, &head.parts))
        {
            discard_body(body).await;
            return Err(Rejection::Origin).into();
        }
        if let Some(Target::Session { route, id }) = target {
            return self.session_url(route, id, head, body).await;
        }
        discard_body(body).await;
        match target {
            Some(Target::Info) => self.info(&head),
            Some(Target::RawWebSocket) => Box::pin(self.raw_websocket(head)).await.into(),
            Some(Target::Greeting) => self.greeting(&head.parts).into(),
            Some(Target::Iframe) => self.iframe(&head.parts).into(),
            Some(Target::Client { version }) => self.client_script(version.as_deref(), &head.parts),
            Some(Target::Session { .. }) | None => Err(Rejection::NotFound).into(),
        }
    }

    pub(super) fn options(&self) -> &Options {
        &self.endpoint.options
    }

    /// Whether the origin policy allows a request; a rejection may be logged.
    fn check_origin(&self, target: &Target, parts: &Parts) -> bool {
        let options = self.options();
        let verdict = options.origins.check(&options.origin_context(parts, target.missing_origin()));
        if let Err(refused) = &verdict {
            self.endpoint.refusal_log.log(refused, parts);
        }
        verdict.is_ok()
    }

    /// The origin that the response to an allowed request names, if this crate sends the CORS headers.
    pub(super) fn allow_origin(&self, parts: &Parts) -> Option<AllowOrigin> {
        let Options { origins, cors, .. } = self.options();
        (*cors == Cors::BuiltIn).then(|| origins.allow_origin(&parts.headers))
    }
}
