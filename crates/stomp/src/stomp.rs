//! The server: what an application sets up, and where it is mounted.
//!
//! Imports: app, broker, driver, events, handler, messenger, opening, options, registry, stats.

use std::{fmt, sync::Arc, time::Duration};

use axum::extract::State;
use axum_sockjs::{LoneSurrogates, Options, SockJs};
use http::request::Parts;
use stomp_codec::Version;

use crate::{
    app::App,
    broker::{Broker, memory::MemoryBroker},
    driver::{Connection, serve},
    events::{Event, Listeners},
    handler::{
        Connector, Failed, Function, Handler, HandlerError, IntoAnswer, IntoDecision, IntoLogin, IntoReplies,
        OnError, Routes, Rule,
    },
    messenger::Messenger,
    opening::detached,
    options::StompOptions,
    registry::Registry,
    stats::{Counters, StompStats},
};

/// How much the connection below holds for a client, in bytes. What waits in front of it is bounded by
/// [`StompOptions::outbound_bytes`], and only there can messages be dropped.
const SEND_QUEUE_BYTES: usize = 64 << 10;

/// How long the connection below waits for a client that may be slow for ever: what it holds is to go some day.
const LONGEST_WRITE: Duration = Duration::from_secs(3600);

/// The least that is held of a request that brings messages, in bytes.
const MIN_BODY_BYTES: usize = 1 << 20;

/// A STOMP server that is being set up: its handlers, rules and settings.
///
/// `S` is the state of the handlers, as in axum.
///
/// ```
/// use axum::{Json, Router};
/// use axum_stomp::{SendTo, Stomp};
///
/// async fn chat(Json(line): Json<String>) -> SendTo<Json<String>> {
///     SendTo::new("/topic/chat", Json(line))
/// }
///
/// let server = Stomp::new().message("/chat", chat).build();
/// let app: Router = Router::new().merge(server.sockjs().into_router("/stomp"));
/// # let _ = app;
/// ```
#[must_use = "a server does nothing before it is built and mounted"]
pub struct Stomp<S = ()> {
    routes: Routes<S>,
    options: StompOptions,
    broker: Arc<dyn Broker>,
    connector: Option<Connector<S>>,
    rule: Option<Rule<S>>,
    listeners: Listeners,
}

impl<S> Stomp<S>
where
    S: Clone + Send + Sync + 'static,
{
    /// A server without handlers, with a [`MemoryBroker`], that lets everybody in.
    pub fn new() -> Self {
        Self {
            routes: Routes::new(),
            options: StompOptions::new(),
            broker: Arc::new(MemoryBroker::new()),
            connector: None,
            rule: None,
            listeners: Listeners::default(),
        }
    }

    /// Sets the settings of sessions, and their limits.
    pub fn options(mut self, options: StompOptions) -> Self {
        self.options = options;
        self
    }

    /// Sets the broker that serves topics, queues and users.
    pub fn broker(mut self, broker: impl Broker) -> Self {
        self.broker = Arc::new(broker);
        self
    }

    /// Adds a handler of messages: see [`Routes::message`].
    ///
    /// # Panics
    /// If there is one at this path already, or it is not a path.
    #[track_caller]
    pub fn message<H, T>(mut self, path: &str, handler: H) -> Self
    where
        H: Function<T> + Handler<T, S>,
        H::Output: IntoReplies,
        T: 'static,
    {
        self.routes = self.routes.message(path, handler);
        self
    }

    /// Adds a handler of messages that does not hold up the session: see [`Routes::message_parallel`].
    ///
    /// # Panics
    /// As [`message`](Self::message).
    #[track_caller]
    pub fn message_parallel<H, T>(mut self, path: &str, handler: H) -> Self
    where
        H: Function<T> + Handler<T, S>,
        H::Output: IntoReplies,
        T: 'static,
    {
        self.routes = self.routes.message_parallel(path, handler);
        self
    }

    /// Adds a handler that answers subscriptions: see [`Routes::subscribe`].
    ///
    /// # Panics
    /// As [`message`](Self::message).
    #[track_caller]
    pub fn subscribe<H, T>(mut self, path: &str, handler: H) -> Self
    where
        H: Function<T> + Handler<T, S>,
        H::Output: IntoAnswer,
        T: 'static,
    {
        self.routes = self.routes.subscribe(path, handler);
        self
    }

    /// Adds routes behind a prefix: see [`Routes::nest`].
    ///
    /// # Panics
    /// As [`Routes::nest`].
    #[track_caller]
    pub fn nest(mut self, prefix: &str, routes: Routes<S>) -> Self {
        self.routes = self.routes.nest(prefix, routes);
        self
    }

    /// Adds routes: see [`Routes::merge`].
    ///
    /// # Panics
    /// As [`Routes::merge`].
    #[track_caller]
    pub fn merge(mut self, routes: Routes<S>) -> Self {
        self.routes = self.routes.merge(routes);
        self
    }

    /// Sets what becomes of errors of handlers: see [`Routes::on_error`].
    ///
    /// # Panics
    /// If that is set already.
    #[track_caller]
    pub fn on_error<F>(mut self, function: F) -> Self
    where
        F: Fn(&HandlerError, &Failed<'_>) -> OnError + Send + Sync + 'static,
    {
        self.routes = self.routes.on_error(function);
        self
    }

    /// Sets the function that says who a client is, or refuses him: an `async fn` of extractors that is called for each
    /// `CONNECT`, and returns what is [`IntoLogin`].
    ///
    /// The user is known before the client gets its `CONNECTED`. A client that is refused gets an `ERROR` with the
    /// message "access refused", and is closed. Why it was refused is logged and not told. The function may take
    /// [`connect_timeout`](StompOptions::connect_timeout), and is dropped where it waits if it takes longer: the client gets
    /// an `ERROR` "no login in time".
    ///
    /// Whom the SockJS or WebSocket endpoint already knows, by its [identity](axum_sockjs::SockJs::identity), is an
    /// argument: `Option<`[`User`](crate::User)`>`, or an [`Identity`](crate::Identity) for one that is no name.
    ///
    /// Without this function everybody is let in, as the user that the endpoint knows, if there is one.
    ///
    /// ```
    /// use axum_stomp::{Credentials, Login, Rejection, Stomp};
    ///
    /// async fn connect(credentials: Credentials) -> Result<Login, Rejection> {
    ///     match (&*credentials.login, credentials.passcode.as_deref()) {
    ///         ("alice", Some("secret")) => Ok(Login::new("alice")),
    ///         _ => Err(Rejection::new("wrong passcode")),
    ///     }
    /// }
    ///
    /// let server = Stomp::<()>::new().on_connect(connect).build();
    /// # let _ = server;
    /// ```
    pub fn on_connect<H, T>(mut self, function: H) -> Self
    where
        H: Function<T> + Handler<T, S>,
        H::Output: IntoLogin,
        T: 'static,
    {
        self.connector = Some(Connector::new(function));
        self
    }

    /// Sets the rule that allows or denies each `SEND` and `SUBSCRIBE`: an `async fn` of extractors that returns what is
    /// [`IntoDecision`]. It is asked for what the settings allow in general, [`StompOptions::client_send`], and for
    /// destinations that there are; what both deny is answered as [`StompOptions::denial`] says.
    ///
    /// A frame within a transaction is judged when it comes, and not at the `COMMIT`.
    ///
    /// Say what is allowed, and not what is denied: the destination of a `SUBSCRIBE` may be a pattern, such as
    /// `/topic/**`, which gets what any topic gets.
    ///
    /// ```
    /// use axum_stomp::{Access, Stomp, User};
    ///
    /// async fn rule(access: Access, user: Option<User>) -> bool {
    ///     user.is_some() || access.destination.starts_with("/topic/public/")
    /// }
    ///
    /// let server = Stomp::<()>::new().authorize(rule).build();
    /// # let _ = server;
    /// ```
    pub fn authorize<H, T>(mut self, rule: H) -> Self
    where
        H: Function<T> + Handler<T, S>,
        H::Output: IntoDecision,
        T: 'static,
    {
        self.rule = Some(Rule::new(rule));
        self
    }

    /// Adds a function that is told of each [`Event`], in the order in which they happen to a session, and gets what it
    /// can send with. It is called by the session's task, so it must not block.
    ///
    /// A message has been sent when the method of the [`Messenger`] returns: what that returns need not be awaited. The
    /// client of [`Event::Subscribed`] is one of those that get it, before the receipt of its `SUBSCRIBE`. Listeners of
    /// several sessions run at the same time: where the order of their messages matters, a lock is to be held around the
    /// change that is told and the call that tells it. A panic is logged, and the session goes on.
    ///
    /// ```
    /// use axum_stomp::{Event, Stomp};
    ///
    /// let server = Stomp::<()>::new().on_event(|event, messenger| {
    ///     let what = match event {
    ///         Event::Connected(_) => "joined",
    ///         Event::Disconnected(..) => "left",
    ///         _ => return,
    ///     };
    ///     if let Some(user) = event.session().user() {
    ///         messenger.send("/topic/people", format!("{user} has {what}"));
    ///     }
    /// });
    /// # let _ = server.build();
    /// ```
    pub fn on_event(mut self, listener: impl Fn(&Event, &Messenger) + Send + Sync + 'static) -> Self {
        self.listeners.add(listener);
        self
    }

    /// Finishes the set-up.
    ///
    /// # Panics
    /// If a prefix is not a path such as `/app`, or if two prefixes overlap, those of the broker included.
    #[track_caller]
    pub fn build(self) -> StompServer<S> {
        let Self { routes, options, broker, connector, rule, listeners } = self;
        check_prefixes(&options, &*broker);
        let messenger = Messenger::new(broker.clone(), options.user_prefix.clone());
        StompServer(Arc::new(App {
            options: Arc::new(options),
            broker,
            messenger,
            handlers: routes.freeze(),
            connector,
            rule,
            registry: Registry::default(),
            listeners,
            counters: Counters::default(),
        }))
    }
}

/// The beginnings of the names of temporary queues: for others, and for the client itself.
const RESERVED: [&str; 2] = ["/reply-queue", "/temp-queue"];

#[track_caller]
fn check_prefixes(options: &StompOptions, broker: &dyn Broker) {
    let is_brokers = |prefix: &str| broker.has(prefix) || broker.has(&format!("{prefix}/a"));
    for prefix in RESERVED {
        assert!(!is_brokers(prefix), "a prefix of the broker's overlaps with {prefix:?}");
    }
    let mut seen: Vec<&str> = Vec::new();
    for prefix in options.app_prefixes.iter().chain([&options.user_prefix]) {
        let is_path = prefix.len() > 1 && prefix.starts_with('/') && !prefix.ends_with('/');
        assert!(is_path, "the prefix {prefix:?} does not begin with a slash and end with a name");
        let within = |one: &str, other: &str| {
            one.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        for other in seen.iter().copied().chain(RESERVED) {
            assert!(
                !within(prefix, other) && !within(other, prefix),
                "the prefixes {prefix:?} and {other:?} overlap"
            );
        }
        assert!(!is_brokers(prefix), "the prefix {prefix:?} overlaps with one of the broker's");
        seen.push(prefix);
    }
}

impl<S> Default for Stomp<S>
where
    S: Clone + Send + Sync + 'static,
{
    fn default() -> Self {
        Self::new()
    }
}

impl<S> fmt::Debug for Stomp<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stomp").field("options", &self.options).finish_non_exhaustive()
    }
}

/// A STOMP server, to be mounted on SockJS endpoints, WebSocket routes and TCP listeners: they all share its users and
/// destinations.
///
/// Clones are the same server.
pub struct StompServer<S = ()>(Arc<App<S>>);

impl<S> StompServer<S>
where
    S: Clone + Send + Sync + 'static,
{
    /// An endpoint for SockJS clients, and with [`raw_websocket`](SockJs::raw_websocket) for WebSockets at any other
    /// route. The state of the router is that of the handlers.
    ///
    /// Its options are those of [`sockjs_options`](Self::sockjs_options).
    ///
    /// ```
    /// use axum::{Router, routing::any_service};
    /// use axum_stomp::Stomp;
    ///
    /// let server = Stomp::new().build();
    /// let sockjs = server.sockjs();
    /// let app: Router =
    ///     Router::new().route_service("/ws", sockjs.raw_websocket()).merge(sockjs.into_router("/stomp"));
    /// # let _ = app;
    /// ```
    pub fn sockjs(&self) -> SockJs<S> {
        self.sockjs_with(self.sockjs_options())
    }

    /// As [`sockjs`](Self::sockjs), with options that are changed from [`sockjs_options`](Self::sockjs_options).
    ///
    /// ```
    /// use axum_stomp::{Origins, Stomp};
    ///
    /// let server = Stomp::<()>::new().build();
    /// let sockjs = server.sockjs_with(server.sockjs_options().origins(Origins::any()));
    /// # let _ = sockjs;
    /// ```
    pub fn sockjs_with(&self, options: Options) -> SockJs<S> {
        let app = self.0.clone();
        let handler = move |State(state): State<S>, opening: Parts, session: axum_sockjs::Session| {
            serve(app.clone(), state, Connection::of_sockjs(session), detached(opening))
        };
        SockJs::new(handler).options(options)
    }

    /// Options of an endpoint for STOMP: the defaults, but for
    ///
    /// | option | value | why |
    /// |---|---|---|
    /// | `subprotocols` | `v12.stomp`, `v11.stomp`, `v10.stomp` | WebSocket clients offer them |
    /// | `lone_surrogates` | kept | clients that split a frame cut characters, which are put together again |
    /// | `max_message_bytes` | the longest frame that the limits allow | a frame may be one message |
    /// | `max_body_bytes` | the same twice, at least 1 MiB | escaped |
    /// | `write_timeout` | [`StompOptions::send_timeout`], or an hour if that is none | it is the time that the client has |
    /// | `send_queue_bytes` | 64 KiB | what waits is bounded by [`StompOptions::outbound_bytes`] |
    pub fn sockjs_options(&self) -> Options {
        let frame = self.0.options.max_frame_bytes();
        Options::new()
            .subprotocols(Version::ALL.iter().rev().map(|version| version.subprotocol()))
            .lone_surrogates(LoneSurrogates::Keep)
            .max_message_bytes(frame)
            .max_body_bytes(frame.saturating_mul(2).max(MIN_BODY_BYTES))
            .write_timeout(self.0.options.send_timeout.unwrap_or(LONGEST_WRITE))
            .send_queue_bytes(SEND_QUEUE_BYTES)
    }

    /// Sends messages from anywhere.
    #[must_use]
    pub fn messenger(&self) -> Messenger {
        self.0.messenger.clone()
    }

    /// The sessions that are open, with their users and subscriptions.
    #[must_use]
    pub fn registry(&self) -> Registry {
        self.0.registry.clone()
    }

    /// The numbers of the server. All open sessions are gone through.
    #[must_use]
    pub fn stats(&self) -> StompStats {
        self.0.counters.stats(&self.0.registry, self.0.handlers.stats(), self.0.broker.bus_stats())
    }

    #[cfg(feature = "tcp")]
    pub(crate) fn app(&self) -> &Arc<App<S>> {
        &self.0
    }
}

impl<S> Clone for StompServer<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S> fmt::Debug for StompServer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StompServer").field("options", &self.0.options).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    #[test]
    fn prefixes_that_overlap_are_no_server() {
        let builds = |options: fn() -> StompOptions, topics: &'static str| {
            let build = || {
                let broker = MemoryBroker::builder().topic_prefixes([topics]).build();
                Stomp::<()>::new().options(options()).broker(broker).build();
            };
            catch_unwind(build).is_ok()
        };
        for topics in ["/topic", "/app-topic", "/reply", "/reply-queues"] {
            assert!(builds(StompOptions::new, topics), "{topics}");
        }
        // The last ones would let clients subscribe to the answers that others get.
        for topics in ["/app", "/user", "/temp-queue", "/reply-queue"] {
            assert!(!builds(StompOptions::new, topics), "{topics}");
        }
        for options in [
            (|| StompOptions::new().user_prefix("/topic/user")) as fn() -> StompOptions,
            || StompOptions::new().user_prefix("/app/user"),
            || StompOptions::new().user_prefix("/reply-queue/user"),
            || StompOptions::new().user_prefix("user"),
            || StompOptions::new().user_prefix("/user/"),
            || StompOptions::new().user_prefix("/"),
            || StompOptions::new().app_prefixes(["/a", "/a"]),
            || StompOptions::new().app_prefixes(["/temp-queue"]),
        ] {
            assert!(!builds(options, "/topic"));
        }
    }
}
