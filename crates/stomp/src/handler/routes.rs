//! Which handler a destination has.

use std::{fmt, sync::Arc};

use bytestring::ByteString;
use stomp_codec::Command;
use tokio::time::Instant;

use super::{
    context::Context,
    erased::{ErasedHandler, erase},
    error::HandlerError,
    function::{Function, Handler},
    on_error::{Failed, Hook, Hooks, OnError},
    reply::{IntoAnswer, IntoReplies, Replies},
};
use crate::{
    payload::Encoded,
    stats::{HandlerCounters, HandlerStats},
};

/// Handlers for destinations.
///
/// Paths are those of axum: they begin with a slash, `{name}` is one segment, and `{*rest}` at the end is one or more.
/// A literal segment goes before `{name}`. Braces that are meant literally are doubled.
///
/// Destinations are compared as plain text: nothing is decoded, `/a` and `/a/` differ, and no segment of `{name}` is
/// empty. What comes before the path, such as `/app`, belongs to the server, not to the routes.
///
/// ```
/// use axum::{Json, extract::State};
/// use axum_stomp::{Path, Routes, SendTo, User};
///
/// #[derive(Clone)]
/// struct App;
///
/// async fn chat(
///     State(app): State<App>,
///     Path(room): Path<String>,
///     user: User,
///     Json(line): Json<String>,
/// ) -> SendTo<String> {
///     SendTo::new(format!("/topic/rooms/{room}"), format!("{user}: {line}"))
/// }
///
/// async fn hello() -> &'static str {
///     "hello"
/// }
///
/// let routes: Routes<App> =
///     Routes::new().nest("/rooms", Routes::new().message("/{room}", chat)).subscribe("/hello", hello);
/// ```
#[must_use = "routes do nothing before they are given to a server"]
pub struct Routes<S = ()> {
    messages: PathTable<S, Replies>,
    subscriptions: PathTable<S, Option<Encoded>>,
    on_error: Option<Hook>,
}

impl<S> Routes<S>
where
    S: Send + Sync + 'static,
{
    /// No handlers.
    pub fn new() -> Self {
        Self { messages: PathTable::default(), subscriptions: PathTable::default(), on_error: None }
    }

    /// Adds a handler of messages: a client's `SEND` to this path calls it.
    ///
    /// The [arguments](crate::FromMessage) are made from the frame, and what it returns are [replies](IntoReplies). A
    /// session handles one message after the other: it reads the next frame when the handler is done, and then the
    /// client has its receipt, if it asked for one.
    ///
    /// # Panics
    /// If the path does not begin with a slash or is not valid, or a handler of messages has the same path, or one that
    /// differs only in the names of parameters.
    #[track_caller]
    pub fn message<H, T>(self, path: &str, handler: H) -> Self
    where
        H: Function<T> + Handler<T, S>,
        H::Output: IntoReplies,
        T: 'static,
    {
        self.add_message(path, handler, false)
    }

    /// Adds a handler of messages that runs beside others of the same session: the session goes on reading, and what
    /// one that takes long replies may come after the replies of later ones.
    ///
    /// # Panics
    /// See [`message`](Self::message).
    #[track_caller]
    pub fn message_parallel<H, T>(self, path: &str, handler: H) -> Self
    where
        H: Function<T> + Handler<T, S>,
        H::Output: IntoReplies,
        T: 'static,
    {
        self.add_message(path, handler, true)
    }

    #[track_caller]
    fn add_message<H, T>(mut self, path: &str, handler: H, is_parallel: bool) -> Self
    where
        H: Handler<T, S, Output: IntoReplies>,
        T: 'static,
    {
        let handler = erase(handler, |output: H::Output| {
            let mut replies = Replies::new();
            output.into_replies(&mut replies)?;
            Ok(replies)
        });
        self.messages.insert(Route {
            pattern: path.into(),
            handler,
            is_parallel,
            hooks: Hooks::default(),
            counters: HandlerCounters::default(),
        });
        self
    }

    /// Adds a handler of subscriptions: a client's `SUBSCRIBE` to this path calls it, and gets the
    /// [answer](IntoAnswer) in one message to that subscription, which gets no other.
    ///
    /// # Panics
    /// If the path does not begin with a slash or is not valid, or a handler of subscriptions has the same path, or one
    /// that differs only in the names of parameters.
    #[track_caller]
    pub fn subscribe<H, T>(mut self, path: &str, handler: H) -> Self
    where
        H: Function<T> + Handler<T, S>,
        H::Output: IntoAnswer,
        T: 'static,
    {
        let handler = erase(handler, |output: H::Output| output.into_answer());
        let hooks = Hooks::default();
        let counters = HandlerCounters::default();
        self.subscriptions.insert(Route {
            pattern: path.into(),
            handler,
            is_parallel: false,
            hooks,
            counters,
        });
        self
    }

    /// Adds all handlers of other routes, with `prefix` before their paths. They keep their
    /// [`on_error`](Self::on_error).
    ///
    /// The path `/` becomes the prefix alone. The prefix may have parameters, which the handlers can have too.
    ///
    /// # Panics
    /// If the prefix does not begin with a slash, is only a slash ([`merge`](Self::merge) does that), ends with one or
    /// has a `{*rest}`, or a path with it is taken: see [`message`](Self::message).
    #[track_caller]
    pub fn nest(self, prefix: &str, routes: Self) -> Self {
        assert!(
            prefix.starts_with('/'),
            "the prefix {prefix:?} of nested routes does not begin with a slash"
        );
        assert!(prefix != "/", "nested routes need a prefix: call `merge` to have them at the root");
        assert!(!prefix.ends_with('/'), "the prefix {prefix:?} of nested routes ends with a slash");
        assert!(!prefix.contains("{*"), "the prefix {prefix:?} of nested routes has a `{{*rest}}`");
        self.add_all(prefix, routes)
    }

    /// Adds all handlers of other routes. They keep their [`on_error`](Self::on_error).
    ///
    /// # Panics
    /// If a path is taken: see [`message`](Self::message).
    #[track_caller]
    pub fn merge(self, routes: Self) -> Self {
        self.add_all("", routes)
    }

    #[track_caller]
    fn add_all(mut self, prefix: &str, routes: Self) -> Self {
        let Self { messages, subscriptions, on_error } = routes;
        self.messages.insert_all(prefix, messages, on_error.as_ref());
        self.subscriptions.insert_all(prefix, subscriptions, on_error.as_ref());
        self
    }

    /// Decides what becomes of failures of these handlers, those added later too.
    ///
    /// Failures of nested routes go to their own `on_error` first, and here if there is none, or it returns
    /// [`OnError::Default`].
    ///
    /// The failure is logged at the level ERROR if [nobody has told the client](HandlerError::is_fault) and this
    /// returns [`OnError::Default`], and a panic always is; otherwise at DEBUG.
    ///
    /// `function` is called on the session's task and may not block. If it panics, it has decided nothing.
    ///
    /// ```
    /// # use axum_stomp::{HandlerError, OnError, Routes, SendToUser};
    /// # #[derive(Debug)] enum ChatError { RoomFull, Banned }
    /// # impl std::fmt::Display for ChatError {
    /// #     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { write!(f, "{self:?}") }
    /// # }
    /// # impl std::error::Error for ChatError {}
    /// async fn join() -> Result<(), ChatError> {
    ///     Err(ChatError::RoomFull)
    /// }
    ///
    /// let routes: Routes = Routes::new().message("/join", join).on_error(|error, _| {
    ///     match error.downcast_ref::<ChatError>() {
    ///         Some(ChatError::RoomFull) => {
    ///             OnError::reply(SendToUser::new("/queue/chat", "the room is full").this_session_only())
    ///         }
    ///         Some(ChatError::Banned) => OnError::close("banned"),
    ///         None => OnError::Default,
    ///     }
    /// });
    /// ```
    ///
    /// # Panics
    /// If these routes have one already.
    #[track_caller]
    pub fn on_error<F>(mut self, function: F) -> Self
    where
        F: Fn(&HandlerError, &Failed<'_>) -> OnError + Send + Sync + 'static,
    {
        assert!(
            self.on_error.is_none(),
            "these routes have an `on_error` already: nested ones may have their own"
        );
        self.on_error = Some(Arc::new(function));
        self
    }

    /// What sessions look handlers up in.
    pub(crate) fn freeze(self) -> Table<S> {
        let own = Self::new().merge(self);
        Table { messages: own.messages, subscriptions: own.subscriptions }
    }
}

impl<S: Send + Sync + 'static> Default for Routes<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> fmt::Debug for Routes<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Routes")
            .field("messages", &self.messages)
            .field("subscriptions", &self.subscriptions)
            .finish_non_exhaustive()
    }
}

/// The handlers of a server. Paths are without the prefix, such as `/chat/1` for `/app/chat/1`.
pub(crate) struct Table<S> {
    messages: PathTable<S, Replies>,
    subscriptions: PathTable<S, Option<Encoded>>,
}

impl<S: Send + Sync + 'static> Table<S> {
    /// The handler of messages to this path.
    pub(crate) fn at_message(&self, path: &ByteString) -> Option<Matched<S, Replies>> {
        self.messages.at(path)
    }

    /// What the handlers did.
    pub(crate) fn stats(&self) -> Vec<HandlerStats> {
        let messages = self.messages.stats(Command::Send);
        messages.chain(self.subscriptions.stats(Command::Subscribe)).collect()
    }

    /// The handler of subscriptions to this path.
    pub(crate) fn at_subscribe(&self, path: &ByteString) -> Option<Matched<S, Option<Encoded>>> {
        self.subscriptions.at(path)
    }
}

impl<S> fmt::Debug for Table<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("messages", &self.messages)
            .field("subscriptions", &self.subscriptions)
            .finish()
    }
}

/// A handler that returns an `R`, and where it is.
struct Route<S, R> {
    pattern: Arc<str>,
    handler: Arc<dyn ErasedHandler<S, R>>,
    is_parallel: bool,
    hooks: Hooks,
    counters: HandlerCounters,
}

/// Handlers by their paths.
struct PathTable<S, R> {
    /// The places of the routes.
    router: matchit::Router<usize>,
    routes: Vec<Arc<Route<S, R>>>,
}

impl<S, R> Default for PathTable<S, R> {
    fn default() -> Self {
        Self { router: matchit::Router::new(), routes: Vec::new() }
    }
}

impl<S, R> PathTable<S, R> {
    #[track_caller]
    fn insert(&mut self, route: Route<S, R>) {
        let pattern = &route.pattern;
        assert!(pattern.starts_with('/'), "the path {pattern:?} of a handler does not begin with a slash");
        for segment in pattern.split('/') {
            assert!(
                !segment.starts_with([':', '*']),
                "the path {pattern:?} of a handler has the segment {segment:?}: write `{{name}}` for one segment, or \
                 `{{*rest}}` at the end for one or more"
            );
        }
        if let Err(error) = self.router.insert(&**pattern, self.routes.len()) {
            panic!("the path {pattern:?} of a handler is not possible: {error}");
        }
        self.routes.push(Arc::new(route));
    }

    #[track_caller]
    fn insert_all(&mut self, prefix: &str, others: Self, hook: Option<&Hook>) {
        for route in others.routes {
            let pattern = match (prefix, &*route.pattern) {
                ("", _) => route.pattern.clone(),
                (prefix, "/") => prefix.into(),
                (prefix, path) => format!("{prefix}{path}").into(),
            };
            let mut hooks = route.hooks.clone();
            hooks.0.extend(hook.cloned());
            let (handler, is_parallel) = (route.handler.clone(), route.is_parallel);
            self.insert(Route { pattern, handler, is_parallel, hooks, counters: HandlerCounters::default() });
        }
    }

    fn stats(&self, command: Command) -> impl Iterator<Item = HandlerStats> {
        self.routes.iter().map(move |route| route.counters.stats(command, route.pattern.clone()))
    }

    fn at(&self, path: &ByteString) -> Option<Matched<S, R>> {
        let found = self.router.at(path).ok()?;
        // The router takes an empty segment at the end for no parameter, and in the middle for one.
        if found.params.iter().any(|(_, value)| value.is_empty()) {
            return None;
        }
        let params = found.params.iter().map(|(name, value)| (name.into(), path.slice_ref(value))).collect();
        Some(Matched { route: self.routes[*found.value].clone(), params })
    }
}

impl<S, R> fmt::Debug for PathTable<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.routes.iter().map(|route| &route.pattern)).finish()
    }
}

/// The handler of a destination.
pub(crate) struct Matched<S, R> {
    route: Arc<Route<S, R>>,
    /// For [`Inbound::params`](super::context::Inbound).
    pub(crate) params: Vec<(Arc<str>, ByteString)>,
}

impl<S: Send + Sync + 'static, R> Matched<S, R> {
    /// For [`Inbound::route`](super::context::Inbound).
    pub(crate) fn pattern(&self) -> Arc<str> {
        self.route.pattern.clone()
    }

    /// Whether the session may read on meanwhile.
    pub(crate) fn is_parallel(&self) -> bool {
        self.route.is_parallel
    }

    /// Calls the handler. A panic is an error, and nothing is logged.
    pub(crate) async fn call(&self, context: Context<'_>, state: &S) -> Result<R, HandlerError> {
        let Route { handler, counters, .. } = &*self.route;
        let begun = Instant::now();
        let result = handler.call(context, state).await;
        counters.called(result.is_err(), begun.elapsed());
        result
    }

    /// Decides what becomes of an error of [`call`](Self::call), or of a reply that no broker has taken, and logs it.
    pub(crate) fn on_error(&self, error: &HandlerError, failed: &Failed<'_>) -> OnError {
        self.route.hooks.decide(error, failed)
    }
}

impl<S, R> fmt::Debug for Matched<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Matched").field("pattern", &self.route.pattern).field("params", &self.params).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use axum::extract::State;

    use super::{
        super::{
            path::Path,
            reply::SendTo,
            testing::{World, session},
        },
        *,
    };

    async fn named(Path(name): Path<String>) -> SendTo<String> {
        SendTo::new("/topic/a", name)
    }

    async fn nothing() {}

    fn params<S: Send + Sync + 'static>(table: &Table<S>, path: &'static str) -> Option<String> {
        let matched = table.at_message(&path.into())?;
        let params = matched.params.iter().map(|(name, value)| format!(" {name}={value}"));
        Some(format!("{}{}", matched.pattern(), params.collect::<String>()))
    }

    #[test]
    fn paths_are_those_of_axum_and_destinations_plain_text() {
        let routes: Routes = Routes::new()
            .message("/a", nothing)
            .message("/rooms/{room}", named)
            .message("/rooms/main", nothing)
            .message("/rooms/{room}/lines/{line}", nothing)
            .message("/files/{*path}", named)
            .subscribe("/a", nothing);
        let table = routes.freeze();
        for (path, expected) in [
            ("/a", Some("/a")),
            ("/a/", None),
            ("/A", None),
            ("", None),
            ("/", None),
            ("a", None),
            ("/rooms/main", Some("/rooms/main")),
            ("/rooms/x%2Fé:{y}", Some("/rooms/{room} room=x%2Fé:{y}")),
            ("/rooms/", None),
            ("/rooms//lines/1", None),
            ("/rooms/1/lines/2", Some("/rooms/{room}/lines/{line} room=1 line=2")),
            ("/files/a//b/", Some("/files/{*path} path=a//b/")),
            ("/files/", None),
        ] {
            assert_eq!(params(&table, path).as_deref(), expected, "{path}");
        }
        assert!(table.at_subscribe(&"/a".into()).is_some());
        assert!(table.at_subscribe(&"/rooms/main".into()).is_none());
    }

    #[tokio::test]
    async fn handlers_are_called_with_their_parameters_and_the_state() {
        async fn hello(State(greeting): State<&'static str>) -> String {
            format!("{greeting}!")
        }

        let routes: Routes<&'static str> = Routes::new()
            .message("/{name}", named)
            .message_parallel("/slow/a", nothing)
            .subscribe("/hello", hello);
        let table = routes.freeze();
        let matched = table.at_message(&"/anna".into()).unwrap();
        let mut world = World::send("");
        world.frame.params = matched.params.clone();
        let replies = matched.call(world.context(), &"hi").await.unwrap();
        assert_eq!((replies.0[0].body().clone(), matched.is_parallel()), ("anna".into(), false));
        assert!(table.at_message(&"/slow/a".into()).unwrap().is_parallel());
        let matched = table.at_subscribe(&"/hello".into()).unwrap();
        assert_eq!(matched.call(world.context(), &"hi").await.unwrap().unwrap().body, "hi!");
    }

    proptest::proptest! {
        #[test]
        fn any_destination_is_found_or_not(path in "[/ab:{}*é\0]{0,12}") {
            let routes: Routes =
                Routes::new().message("/a/{x}/b", nothing).message("/{x}/é/{*y}", nothing).message("/{{}}", nothing);
            if let Some(matched) = routes.freeze().at_message(&ByteString::from(path.as_str())) {
                let values: usize = matched.params.iter().map(|(_, value)| value.len()).sum();
                assert!(values < path.len() && matched.params.iter().all(|(_, value)| path.contains(&**value)));
            }
        }
    }

    #[test]
    fn nested_routes_have_a_prefix() {
        let inner =
            || Routes::<()>::new().message("/", nothing).message("/{id}", nothing).subscribe("/x", nothing);
        let routes = Routes::new().nest("/trade/{market}", inner()).merge(inner().nest("/more", inner()));
        let table = routes.freeze();
        for (path, expected) in [
            ("/trade/a", Some("/trade/{market} market=a")),
            ("/trade/a/b", Some("/trade/{market}/{id} market=a id=b")),
            ("/trade/a/", None),
            ("/", Some("/")),
            ("/more", Some("/more")),
            ("/less", Some("/{id} id=less")),
            ("/more/1", Some("/more/{id} id=1")),
        ] {
            assert_eq!(params(&table, path).as_deref(), expected, "{path}");
        }
        assert!(table.at_subscribe(&"/more/x".into()).is_some());
    }

    #[test]
    fn failures_go_to_the_innermost_routes_first() {
        let by = |name: &'static str, text: &'static str| {
            Routes::<()>::new().message(name, nothing).on_error(move |error, _| {
                if error.to_string() == text { OnError::tell(text) } else { OnError::Default }
            })
        };
        let routes = by("/a", "outer").nest("/b", by("/b", "middle").nest("/c", by("/c", "inner")));
        let (table, world, session) = (routes.freeze(), World::send(""), session(None));
        let told = |path: &'static str, text: &'static str| {
            let failed = Failed { frame: &world.frame, session: &session };
            let matched = table.at_message(&path.into()).unwrap();
            matches!(matched.on_error(&HandlerError::handler(text), &failed), OnError::Tell(told) if told == text)
        };
        for (path, texts) in [
            ("/a", &["outer"][..]),
            ("/b/b", &["middle", "outer"]),
            ("/b/c/c", &["inner", "middle", "outer"]),
        ] {
            for text in ["inner", "middle", "outer"] {
                assert_eq!(told(path, text), texts.contains(&text), "{path} {text}");
            }
        }
    }

    #[test]
    fn what_cannot_be_routed_is_a_panic_with_the_path() {
        let panics = |add: fn(Routes) -> Routes| {
            let routes = Routes::new().message("/a/{x}", nothing);
            let thrown = catch_unwind(AssertUnwindSafe(|| add(routes))).unwrap_err();
            HandlerError::panic(&*thrown).to_string()
        };
        for (text, words) in [
            (panics(|routes| routes.message("/a/{y}", nothing)), "\"/a/{y}\""),
            (
                panics(|routes| routes.message("/a/{y}", nothing)),
                "conflict with previously registered route: /a/{x}",
            ),
            (panics(|routes| routes.nest("/a", Routes::new().message("/{y}", nothing))), "\"/a/{y}\""),
            (panics(|routes| routes.merge(Routes::new().message("/a/{x}", nothing))), "\"/a/{x}\""),
            (panics(|routes| routes.message("a", nothing)), "does not begin with a slash"),
            (panics(|routes| routes.message("/:id", nothing)), "write `{name}` for one segment"),
            (panics(|routes| routes.subscribe("/a/*", nothing)), "`{*rest}` at the end"),
            (panics(|routes| routes.message("/{", nothing)), "not possible"),
            (panics(|routes| routes.nest("/", Routes::new())), "call `merge`"),
            (panics(|routes| routes.nest("a", Routes::new())), "does not begin with a slash"),
            (panics(|routes| routes.nest("/a/", Routes::new())), "ends with a slash"),
            (panics(|routes| routes.nest("/{*a}", Routes::new())), "has a `{*rest}`"),
            (
                panics(|routes| routes.on_error(|_, _| OnError::Ignore).on_error(|_, _| OnError::Ignore)),
                "have an `on_error` already",
            ),
        ] {
            assert!(text.contains(words), "{text:?} does not say {words:?}");
        }
    }
}
