//! The URLs below `/SERVER/SESSION/`.

use std::sync::Arc;

use axum::response::Response;
use bytes::Bytes;
use http::Method;
use http_body::Body;
use sockjs_core::{Transport, close::ANOTHER_CONNECTION, path::Span};
use tower::BoxError;

use super::{
    dispatch::{Answer, Service, SharedHeaders},
    head::Head,
    pages::preflight,
};
#[cfg(feature = "cluster")]
use super::{
    forward::{lost, needs_owner, release},
    hop::Hop,
};
use crate::{
    response::{cause::RejectionCause, cors::AllowOrigin, rejection::Rejection},
    session::{
        attachment::Attachment, core::AttachError, owner::Owner, registry::Lookup, send_permit::SendPermit,
        shared::Shared,
    },
    transport::{
        self,
        route::{Action, Route},
    },
    util::body::discard_body,
};

impl Service {
    /// Answers a session URL: checks the method, and adds the headers that all these URLs share.
    pub(super) async fn session_url<B>(&self, route: &Route, id: Span, head: Box<Head>, body: B) -> Answer
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let mut headers = SharedHeaders {
            uncached: true,
            allow_origin: if route.cross_origin { self.allow_origin(&head.parts) } else { None },
            cookie: self.options().cookie.for_request(&head.parts.headers),
        };
        if matches!(route.action, Action::Receive(_)) {
            headers.allow_origin = headers.allow_origin.map(AllowOrigin::detached);
        }
        if route.serves(&head.parts) {
            #[cfg(feature = "cluster")]
            if let (Hop::To(node), true) = (&head.hop, needs_owner(route.action)) {
                return Box::pin(self.forward(*node, route, head, body, headers)).await;
            }
            let result = self.act(route.action, id, head, body).await;
            return Answer { result, headers };
        }
        headers.uncached = false;
        let methods = match (headers.allow_origin.is_some(), &route.method) {
            (true, &Method::GET) => "OPTIONS, GET",
            (true, _) => "OPTIONS, POST",
            (false, &Method::GET) => "GET",
            (false, _) => "POST",
        };
        discard_body(body).await;
        let result = if head.parts.method == Method::OPTIONS && headers.allow_origin.is_some() {
            Ok(preflight(&head.parts, methods))
        } else {
            Err(Rejection::Method { allow: methods })
        };
        Answer { result, headers }
    }

    /// Runs the route's action.
    async fn act<B>(&self, action: Action, id: Span, head: Box<Head>, body: B) -> Result<Response, Rejection>
    where
        B: Body<Data = Bytes>,
    {
        let options = self.options();
        #[cfg(feature = "cluster")]
        if matches!(head.hop, Hop::Lost) && needs_owner(action) {
            discard_body(body).await;
            return lost(action, head.parts.uri.query(), Rejection::NoSession);
        }
        match action {
            Action::Send(sending) => match self.permit_send(id, &head).await {
                Ok(permit) => {
                    transport::send::respond(sending, options, permit, &head.parts.headers, body).await
                }
                Err(rejection) => {
                    discard_body(body).await;
                    Err(rejection)
                }
            },
            Action::Receive(read_query) => {
                // Unread bytes would keep hyper from detecting a client disconnect.
                discard_body(body).await;
                let receiver = read_query(head.parts.uri.query())
                    .map_err(|invalid| Rejection::Malformed(invalid.text()))?;
                #[cfg(feature = "cluster")]
                if head.hop.is_link() && receiver.prelude.is_some() {
                    return Err(Rejection::NotOpen);
                }
                #[cfg(feature = "cluster")]
                let release = release(&head.hop);
                #[cfg(not(feature = "cluster"))]
                let release = None;
                match self.attach(receiver.transport, id, head).await {
                    Ok(Some(attachment)) => {
                        transport::receive::respond(receiver, attachment, options.response_limit, release)
                            .await
                    }
                    Ok(None) => Err({
                        transport::receive::refuse(receiver, RejectionCause::Busy, ANOTHER_CONNECTION)
                    }),
                    Err(rejection) if receiver.transport == Transport::EventSource => {
                        Err(transport::eventsource::framed(rejection))
                    }
                    Err(rejection) => Err(rejection),
                }
            }
            #[cfg(feature = "websocket")]
            Action::WebSocket => {
                discard_body(body).await;
                Box::pin(self.websocket(Transport::WebSocket, head)).await
            }
        }
    }

    /// A permit to send messages to the session that a request names.
    async fn permit_send(&self, id: Span, head: &Head) -> Result<SendPermit, Rejection> {
        let session = self.find(id, head).await?;
        SendPermit::acquire(session, self.options().max_pending_sends).ok_or(Rejection::SendsFull)
    }

    /// The session that a request names, if it has the same owner.
    async fn find(&self, id: Span, head: &Head) -> Result<Arc<Shared>, Rejection> {
        let owner = self.identify(head).await?;
        let session = self.endpoint.registry().get(head.text(id));
        // Its own endpoint may be another one below the same prefix, to which only the way through the router leads.
        #[cfg(feature = "cluster")]
        if session.is_none() && head.hop.is_link() {
            return Err(Rejection::NotOpen);
        }
        let session = session.ok_or(Rejection::NoSession)?;
        if same_owner(&owner, &session.connection.owner) { Ok(session) } else { Err(Rejection::Identity) }
    }

    /// Attaches a receiver to its session, and opens the session if there is none. `None` if another receiver is
    /// attached.
    ///
    /// The request is dropped at the end, since its headers share the connection's read buffer.
    async fn attach(
        &self,
        transport: Transport,
        id: Span,
        head: Box<Head>,
    ) -> Result<Option<Attachment>, Rejection> {
        let max_sessions = self.options().max_sessions.unwrap_or(usize::MAX);
        let owner = self.identify(&head).await?;
        loop {
            match self.endpoint.registry().lookup(head.text(id), transport, owner.as_ref(), max_sessions) {
                Lookup::Session(shared) if !same_owner(&owner, &shared.connection.owner) => {
                    return Err(Rejection::Identity);
                }
                Lookup::Opening(other) if !same_owner(&owner, &other) => return Err(Rejection::Identity),
                Lookup::Session(shared) => match Attachment::attach(shared).await {
                    Ok(attachment) => return Ok(Some(attachment)),
                    Err(AttachError::Busy) => return Ok(None),
                    // The session ended between lookup and attachment: its id is free again.
                    Err(AttachError::Gone) => {}
                },
                Lookup::Opening(_) => return Ok(None),
                Lookup::Refused(why) => return Err(why.into()),
                #[cfg(feature = "cluster")]
                Lookup::Vacant(_) if head.hop.is_link() => return Err(Rejection::NotOpen),
                Lookup::Vacant(reservation) => {
                    return Box::pin(self.open_session(reservation, transport, owner, head)).await.map(Some);
                }
            }
        }
    }
}

/// Whether two requests have the same owner; always true if sessions have no owner.
fn same_owner(one: &Option<Owner>, other: &Option<Owner>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.is(other),
        (None, None) => true,
        _ => false,
    }
}
