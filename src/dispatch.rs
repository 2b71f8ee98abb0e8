//! From a request to its answer: the path, the route, the method, and the session.

use std::{
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::pin,
    sync::Arc,
};

use axum::{
    extract::{ConnectInfo, connect_info::MockConnectInfo},
    response::Response,
};
use bytes::Bytes;
use http::{
    HeaderValue, Method, StatusCode, Version,
    header::{CONNECTION, SET_COOKIE},
    request::Parts,
};
use http_body::Body;

use crate::{
    Cors, Options, SockJs, Transport,
    handler::Opened,
    identity::Owner,
    origin::Silent,
    protocol::path::{self, Path},
    random,
    request::{Head, Span, discard_body},
    response::{
        cache,
        cors::{self, AllowOrigin},
        reply::{self, Rejection},
    },
    session::{AttachError, Attachment, Connection, Driver, Lookup, Reservation, Shared},
    timeout::timeout,
    transport::{self, Action, ROUTES, Receiver, Route, send::Sending},
};

/// An answer that ends a request early. Whole, it would make every request larger that waits for something.
type Refusal = Box<Response>;

/// What a request asks for.
enum Target {
    Greeting,
    Info,
    Iframe,
    Client { version: Option<Box<str>> },
    RawWebSocket,
    Session { route: &'static Route, id: Span },
}

impl Target {
    /// Whether only pages of certain origins may ask for it. The others give nothing away.
    fn is_guarded(&self) -> bool {
        !matches!(self, Self::Greeting | Self::Client { .. })
    }

    /// Who asks for it without saying where the request comes from.
    fn silent(&self) -> Silent {
        match self {
            Self::Iframe => Silent::Page,
            Self::Session { route, .. } => route.silent(),
            Self::Greeting | Self::Info | Self::Client { .. } | Self::RawWebSocket => Silent::NoPage,
        }
    }
}

impl SockJs {
    /// Answers a request. It may wait for long, and is then no larger than it must be: what comes before the wait is
    /// boxed.
    pub(crate) async fn respond<B: Body<Data = Bytes>>(&self, head: Box<Head>, body: B) -> Response {
        let version = head.parts.version;
        let mut response = self.answer(head, body).await;
        if let Some(rejection) = response.extensions_mut().remove::<Rejection>() {
            self.endpoint.registry.count_rejection(rejection);
            tracing::debug!(cause = rejection.name(), status = response.status().as_u16(), "request refused");
        } else {
            debug_assert!(response.status().as_u16() < 400, "a refusal without its cause: {response:?}");
        }
        if version == Version::HTTP_10 && response.body().size_hint().exact().is_none() {
            // Only the end of the connection ends this body. To an answer of HTTP/1.1, hyper adds `keep-alive`.
            *response.version_mut() = version;
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    async fn answer<B: Body<Data = Bytes>>(&self, head: Box<Head>, body: B) -> Response {
        let target = self.target(&head);
        if target.as_ref().is_some_and(|target| target.is_guarded() && !self.lets_in(target, &head.parts)) {
            discard_body(body).await;
            return reply::origin_refused();
        }
        if let Some(Target::Session { route, id }) = target {
            return self.session_url(route, id, head, body).await;
        }
        discard_body(body).await;
        match target {
            Some(Target::Info) => self.info(&head.parts),
            Some(Target::RawWebSocket) => Box::pin(self.raw_websocket(*head)).await,
            Some(Target::Greeting) => {
                page(&head.parts, || reply::text(StatusCode::OK, "Welcome to SockJS!\n"))
            }
            Some(Target::Iframe) => page(&head.parts, || self.iframe(&head.parts)),
            Some(Target::Client { version }) => self.client_script(version.as_deref(), &head.parts),
            Some(Target::Session { .. }) | None => reply::not_found(),
        }
    }

    fn target(&self, head: &Head) -> Option<Target> {
        Some(match path::parse(head.path()?)? {
            Path::Greeting => Target::Greeting,
            Path::Info => Target::Info,
            Path::Iframe if self.options_ref().has_legacy_transports() => Target::Iframe,
            Path::Client { version } if self.options_ref().client_script.is_some() => {
                Target::Client { version: version.map(Box::from) }
            }
            Path::RawWebSocket if self.is_enabled(Transport::RawWebSocket) => Target::RawWebSocket,
            Path::Client { .. } | Path::Iframe | Path::RawWebSocket => return None,
            Path::Session { session, transport } => {
                let route = ROUTES.iter().find(|route| route.name == transport)?;
                let enabled = route.transports.iter().any(|&transport| self.is_enabled(transport));
                enabled.then(|| Target::Session { route, id: head.span_before(session, transport) })?
            }
        })
    }

    fn options_ref(&self) -> &Options {
        &self.endpoint.options
    }

    fn is_enabled(&self, transport: Transport) -> bool {
        self.options_ref().is_enabled(transport)
    }

    /// Whether the page that a request comes from may use the endpoint; if not, the log may say so.
    fn lets_in(&self, target: &Target, parts: &Parts) -> bool {
        let options = self.options_ref();
        let verdict = options.origins.judge(&options.asking(parts, target.silent()));
        if let Err(refused) = &verdict {
            self.endpoint.refusals.log(refused, parts);
        }
        verdict.is_ok()
    }

    /// Whom an answer to a request that was let in names, where this crate is to say it.
    fn allow_origin(&self, parts: &Parts) -> Option<AllowOrigin> {
        let Options { origins, cors, .. } = self.options_ref();
        (*cors == Cors::BuiltIn).then(|| AllowOrigin::of(&parts.headers, origins))
    }

    fn iframe(&self, parts: &Parts) -> Response {
        match self.options_ref().origins.frame_ancestors(&parts.headers) {
            Some(policy) => self.endpoint.iframe.respond_within(policy),
            None => self.endpoint.iframe.respond(&parts.headers),
        }
    }

    fn info(&self, parts: &Parts) -> Response {
        // A client of a server that goes down is to fail at once, and to come back where another serves it.
        let info = || match self.endpoint.registry.is_shutting_down() {
            true => reply::overloaded(Rejection::Shutdown),
            false => self.endpoint.info.respond(),
        };
        let Some(allow_origin) = self.allow_origin(parts) else {
            return page(parts, info);
        };
        cross_origin_page(parts, allow_origin, info)
    }

    fn client_script(&self, version: Option<&str>, parts: &Parts) -> Response {
        let Some(script) = &self.options_ref().client_script else { return reply::not_found() };
        let script = || script.respond(version, &parts.headers);
        if self.options_ref().cors == Cors::External {
            return page(parts, script);
        }
        // A page of another origin may check its `integrity`, which takes a readable answer; and anyone may
        // read what is the same for all.
        cross_origin_page(parts, AllowOrigin::Anyone, script)
    }

    /// A URL below `/SERVER/SESSION/`: the methods and headers that all of them share.
    async fn session_url<B>(&self, route: &Route, id: Span, head: Box<Head>, body: B) -> Response
    where
        B: Body<Data = Bytes>,
    {
        let cookie = self.options_ref().cookie.for_request(&head.parts.headers);
        let mut allow_origin = if route.cross_origin { self.allow_origin(&head.parts) } else { None };
        if matches!(route.action, Action::Receive(_)) {
            allow_origin = allow_origin.map(AllowOrigin::detached);
        }
        let methods = match (allow_origin.is_some(), &route.method) {
            (true, &Method::GET) => "OPTIONS, GET",
            (true, _) => "OPTIONS, POST",
            (false, &Method::GET) => "GET",
            (false, _) => "POST",
        };
        let mut response = if route.serves(&head.parts) {
            let mut response = match route.action {
                Action::Send(sending) => self.send(sending, id, &head, body).await,
                Action::Receive(read_query) => {
                    // Unread bytes would hide from hyper that the client has gone.
                    discard_body(body).await;
                    match read_query(head.parts.uri.query()) {
                        Ok(receiver) => {
                            let transport = receiver.transport;
                            let response = self.receive(receiver, id, head).await;
                            if transport == Transport::EventSource && Rejection::is_overload(&response) {
                                transport::eventsource::refuse(response)
                            } else {
                                response
                            }
                        }
                        Err(invalid) => reply::malformed(invalid.text()),
                    }
                }
                #[cfg(feature = "websocket")]
                Action::WebSocket => {
                    discard_body(body).await;
                    Box::pin(self.websocket(Transport::WebSocket, *head)).await
                }
            };
            cache::never(response.headers_mut());
            response
        } else {
            discard_body(body).await;
            if head.parts.method == Method::OPTIONS && allow_origin.is_some() {
                preflight(&head.parts, methods)
            } else {
                reply::method_not_allowed(methods)
            }
        };
        if let Some(allow_origin) = allow_origin {
            allow_origin.apply(response.headers_mut());
        }
        if let Some(cookie) = cookie {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
        response
    }

    /// A request that brings messages.
    async fn send<B>(&self, sending: &Sending, id: Span, head: &Head, body: B) -> Response
    where
        B: Body<Data = Bytes>,
    {
        let session = self.find(id, head).await.and_then(|session| {
            let permit = session.permit_send(self.options_ref().max_pending_sends);
            permit.ok_or_else(|| Box::new(reply::overloaded(Rejection::SendsFull)))
        });
        let session = match session {
            Ok(session) => session,
            Err(refusal) => {
                discard_body(body).await;
                return *refusal;
            }
        };
        transport::send::respond(sending, self.options_ref(), session, &head.parts.headers, body).await
    }

    /// The session that a request names, if it belongs to who asks.
    async fn find(&self, id: Span, head: &Head) -> Result<Arc<Shared>, Refusal> {
        let owner = self.identify(head).await?;
        let session =
            self.endpoint.registry.get(head.text(id)).ok_or_else(|| Box::new(reply::no_session()))?;
        if same(&owner, &session.connection.owner) {
            Ok(session)
        } else {
            Err(Box::new(reply::foreign_session()))
        }
    }

    /// Whom a request comes from, where the application binds sessions to that.
    async fn identify(&self, head: &Head) -> Result<Option<Owner>, Refusal> {
        let Some(identity) = &self.identity else { return Ok(None) };
        Box::pin(self.judged(identity.identify(head.shown(), ()))).await.map(Some)
    }

    /// Answers with the frames of a session.
    async fn receive(&self, receiver: Receiver, id: Span, head: Box<Head>) -> Response {
        match self.attach(receiver.transport, id, head).await {
            Ok(Some(attachment)) => {
                transport::receive::respond(receiver, attachment, self.options_ref().response_limit).await
            }
            Ok(None) => transport::receive::refuse(receiver),
            Err(refusal) => *refusal,
        }
    }

    /// Attaches a receiver to its session, which it opens if there is none; `None` if another is attached.
    ///
    /// The request is dropped with the end: its headers share the connection's read buffer.
    async fn attach(
        &self,
        transport: Transport,
        id: Span,
        head: Box<Head>,
    ) -> Result<Option<Attachment>, Refusal> {
        let options = self.options_ref();
        let owner = self.identify(&head).await?;
        loop {
            match self.endpoint.registry.lookup(
                head.text(id),
                transport,
                owner.as_ref(),
                options.max_sessions,
            ) {
                Lookup::Session(shared) if !same(&owner, &shared.connection.owner) => {
                    return Err(Box::new(reply::foreign_session()));
                }
                Lookup::Opening(other) if !same(&owner, &other) => {
                    return Err(Box::new(reply::foreign_session()));
                }
                Lookup::Session(shared) => match Attachment::attach(shared).await {
                    Ok(attachment) => return Ok(Some(attachment)),
                    Err(AttachError::Busy) => return Ok(None),
                    // It went between the two looks: its id is free again.
                    Err(AttachError::Gone) => {}
                },
                Lookup::Opening(_) => return Ok(None),
                Lookup::Refused(why) => return Err(Box::new(reply::overloaded(why))),
                Lookup::Vacant(reservation) => {
                    return Box::pin(self.open_session(reservation, transport, owner, *head)).await.map(Some);
                }
            }
        }
    }

    /// Opens a session over an HTTP transport, in a task of its own.
    async fn open_session(
        &self,
        mut reservation: Reservation,
        transport: Transport,
        owner: Option<Owner>,
        head: Head,
    ) -> Result<Attachment, Refusal> {
        let connection = connection(transport, &head.parts, owner);
        self.admit(&mut reservation, &connection, &head.parts)
            .map_err(|why| Box::new(reply::overloaded(why)))?;
        let opened = self.open(head.into_shown()).await?;
        let started = self.start(reservation, connection, opened);
        let (mut driver, attachment) = started.map_err(|why| Box::new(reply::overloaded(why)))?;
        tokio::spawn(async move { poll_fn(|cx| driver.poll(true, cx)).await });
        Ok(attachment)
    }

    #[cfg(feature = "websocket")]
    async fn raw_websocket(&self, head: Head) -> Response {
        if !transport::websocket::is_opening(&head.parts) {
            return reply::method_not_allowed("GET");
        }
        self.websocket(Transport::RawWebSocket, head).await
    }

    #[cfg(not(feature = "websocket"))]
    async fn raw_websocket(&self, _: Head) -> Response {
        reply::not_found()
    }

    #[cfg(feature = "websocket")]
    async fn websocket(&self, transport: Transport, mut head: Head) -> Response {
        let options = self.options_ref();
        let upgrade = match transport::websocket::Upgrade::from_request(&mut head.parts, options) {
            Ok(upgrade) => upgrade,
            Err(response) => return response,
        };
        let owner = match self.identify(&head).await {
            Ok(owner) => owner,
            Err(refusal) => return *refusal,
        };
        let mut reservation = match self.endpoint.registry.reserve_socket(transport, options.max_sessions) {
            Ok(reservation) => reservation,
            Err(why) => return reply::overloaded(why),
        };
        let mut connection = connection(transport, &head.parts, owner);
        connection.binary &= upgrade.is_rfc6455();
        connection.pings = upgrade.is_rfc6455();
        if let Err(why) = self.admit(&mut reservation, &connection, &head.parts) {
            return reply::overloaded(why);
        }
        let opened = match self.open(head.into_shown()).await {
            Ok(opened) => opened,
            Err(refusal) => return *refusal,
        };
        match self.start(reservation, connection, opened) {
            Ok((driver, attachment)) => upgrade.accept(transport, options, attachment, driver),
            Err(why) => reply::overloaded(why),
        }
    }

    /// Refuses a peer that has its sessions already.
    fn admit(
        &self,
        reservation: &mut Reservation,
        connection: &Connection,
        parts: &Parts,
    ) -> Result<(), Rejection> {
        let options = self.options_ref();
        match options.max_sessions_per_peer {
            usize::MAX => Ok(()),
            limit => {
                if let Some(peer) = options.peer_key.peer(&parts.headers, connection.peer) {
                    return reservation.admit(peer, limit);
                }
                // Once: it goes for every request, or is meant for some.
                self.endpoint.nameless_peer.call_once(|| {
                    tracing::warn!(
                        limit,
                        "a peer is not known, and its sessions are not limited; serve with \
                         `into_make_service_with_connect_info::<SocketAddr>()`, or see what \
                         `Options::peer_key` needs",
                    );
                });
                Ok(())
            }
        }
    }

    /// Lets the handler's extractors judge the opening request.
    async fn open(&self, parts: Parts) -> Result<Opened, Refusal> {
        self.judged(self.handler.open(parts, ())).await
    }

    /// Gives the application's extractors their time.
    async fn judged<T>(&self, extractors: impl Future<Output = Result<T, Response>>) -> Result<T, Refusal> {
        match timeout(self.options_ref().open_timeout, pin!(extractors)).await {
            Ok(result) => result.map_err(|rejection| Box::new(Rejection::Extractor.mark(rejection))),
            Err(_) => Err(Box::new(reply::overloaded(Rejection::OpenTimeout))),
        }
    }

    fn start(
        &self,
        reservation: Reservation,
        connection: Connection,
        opened: Opened,
    ) -> Result<(Driver, Attachment), Rejection> {
        let options = self.options_ref();
        let settings = options.settings(&connection);
        let fallback = !connection.transport.is_socket() && options.transports.has_websocket();
        let Connection { id, transport, .. } = connection;
        let (registered, attachment) = reservation.open(connection, settings, fallback)?;
        tracing::debug!(connection = %id, %transport, "session opened");
        Ok((Driver::new(registered, opened, options.span_level), attachment))
    }
}

/// A page that belongs to no session. The answer to HEAD loses its body in the HTTP server.
fn page(parts: &Parts, page: impl FnOnce() -> Response) -> Response {
    match parts.method {
        Method::GET | Method::HEAD => page(),
        _ => reply::method_not_allowed("GET, HEAD"),
    }
}

/// The same for a page that other origins may read.
fn cross_origin_page(parts: &Parts, allow_origin: AllowOrigin, page: impl FnOnce() -> Response) -> Response {
    let mut response = match parts.method {
        Method::GET | Method::HEAD => page(),
        Method::OPTIONS => preflight(parts, "OPTIONS, GET"),
        _ => reply::method_not_allowed("OPTIONS, GET, HEAD"),
    };
    allow_origin.apply(response.headers_mut());
    response
}

/// Whether two requests come from the same owner; where sessions are bound to none, they do.
fn same(one: &Option<Owner>, other: &Option<Owner>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.is(other),
        (None, None) => true,
        _ => false,
    }
}

fn connection(transport: Transport, parts: &Parts, owner: Option<Owner>) -> Connection {
    Connection {
        id: random::uuid(),
        transport,
        peer: peer_addr(parts),
        owner,
        binary: transport == Transport::RawWebSocket,
        pings: false,
    }
}

/// As axum's extractor finds it, in tests too.
fn peer_addr(parts: &Parts) -> Option<SocketAddr> {
    let real = parts.extensions.get().map(|&ConnectInfo(peer)| peer);
    real.or_else(|| parts.extensions.get().map(|&MockConnectInfo(peer)| peer))
}

/// The answer to a CORS preflight request; good for a year (suite: `verify_options`).
fn preflight(parts: &Parts, methods: &'static str) -> Response {
    let mut response = reply::empty(StatusCode::NO_CONTENT);
    cors::preflight(&parts.headers, methods, response.headers_mut());
    cache::for_a_year(response.headers_mut());
    response
}
