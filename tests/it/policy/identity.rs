//! Sessions bound to what their opening request has proved.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Extension, Router,
    extract::{FromRef, FromRequestParts, OptionalFromRequestParts, OriginalUri, Path, State},
    http::{StatusCode, Uri, request::Parts},
};
use axum_sockjs::{CloseFrame, Options, RejectionCause, Session, SockJs, SockJsHandle};
use sockjs_client::test::TestClient;
use tokio::sync::Notify;

use crate::support::{
    apps::{self, Endpoint, open_to_all},
    client::{Kind, Way, http_ways, on_each},
    fresh_id,
    http::{Connection, Request},
    in_process::{forgotten, transports},
    server::Server,
    until,
};

/// Who sends `X-User`; anyone else is told to log in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct User(String);

impl<S: Sync> FromRequestParts<S> for User {
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let user = parts.headers.get("x-user").and_then(|user| user.to_str().ok());
        user.map(|user| Self(user.to_owned())).ok_or((StatusCode::UNAUTHORIZED, "log in"))
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for User {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Infallible> {
        Ok(<Self as FromRequestParts<S>>::from_request_parts(parts, state).await.ok())
    }
}

async fn serve(sockjs: SockJs) -> (Server, SockJsHandle) {
    let handle = sockjs.handle();
    (Server::start(Router::new().nest_service("/app", sockjs)).await, handle)
}

/// An echo whose sessions belong to users.
async fn private() -> (Server, SockJsHandle) {
    let echo = SockJs::new(apps::echo).options(open_to_all(Options::new()));
    serve(echo.identity(|user: User| async { user })).await
}

/// Whether there is no session any more, and none remembered.
fn is_forgotten(handle: &SockJsHandle) -> bool {
    let total = handle.stats().total();
    total.open() + total.closing + total.closed == 0
}

/// A request by a user; nobody if that is empty.
fn by(user: &str, request: Request) -> Request {
    if user.is_empty() { request } else { request.header("X-User", user) }
}

/// Sends a receiving request and reads up to its first frame.
async fn receive(connection: &mut Connection, way: &Way, id: &str, user: &str) -> String {
    connection.send(&by(user, way.receiving(id))).await;
    frame(connection, way).await
}

/// The frame that answers a receiving request.
async fn frame(connection: &mut Connection, way: &Way) -> String {
    if way.kind == Kind::Poll {
        let response = connection.answer(way.method).await;
        assert_eq!(response.status, 200, "{response}");
        return response.text().to_owned();
    }
    let head = connection.head().await;
    assert_eq!(head.status, 200, "{head}");
    connection.text_chunk().await;
    connection.text_chunk().await
}

#[tokio::test]
async fn a_foreign_user_neither_reads_nor_sends_on_any_transport() {
    on_each(http_ways(), async |way| {
        let (server, handle) = private().await;
        let id = fresh_id();
        let mut owner = server.connect().await;
        assert!(receive(&mut owner, way, &id, "ada").await.contains('o'));

        // By whatever transport, while the owner receives and while not.
        for other in http_ways() {
            for (user, status) in [("eve", 404), ("ADA", 404), ("", 401)] {
                let response = server.ask(&by(user, other.receiving(&id))).await;
                assert_eq!(response.status, status, "{user:?} by {}: {response}", other.transport);
                let response = server.ask(&by(user, other.sending(&id, r#"["forged"]"#))).await;
                assert_eq!(response.status, status, "{user:?} by {}: {response}", other.transport);
                // As if there were none.
                let unknown = server.ask(&by(user, other.sending(&fresh_id(), r#"["forged"]"#))).await;
                assert_eq!((unknown.status, &unknown.body), (response.status, &response.body));
            }
        }
        assert_eq!(handle.len(), 1);

        // The owner has noticed nothing.
        way.expect_taken(&server.ask(&by("ada", way.sending(&id, r#"["own"]"#))).await);
        let received = if way.kind == Kind::Poll {
            receive(&mut owner, way, &id, "ada").await
        } else {
            owner.text_chunk().await
        };
        assert!(received.contains("own") && !received.contains("forged"), "{received}");
    })
    .await;
}

/// What `docs/origins.md` says of guessing.
#[tokio::test]
async fn a_foreign_user_can_tell_that_an_id_is_taken_and_no_more() {
    on_each(http_ways(), async |way| {
        let (server, handle) = private().await;
        let id = fresh_id();
        let mut owner = server.connect().await;
        assert!(receive(&mut owner, way, &id, "ada").await.contains('o'));
        for other in http_ways() {
            // What sends is answered as for an id that is free; whose session it is makes no difference.
            let taken = server.ask(&by("eve", other.sending(&id, "[]"))).await;
            let free = server.ask(&by("eve", other.sending(&fresh_id(), "[]"))).await;
            assert_eq!((taken.status, &taken.body), (404, &free.body), "{}", other.transport);
            assert_eq!(free.status, 404, "{}", other.transport);
            // What receives is not: a free id opens a session.
            let taken = server.ask(&by("eve", other.receiving(&id))).await;
            assert_eq!((taken.status, &taken.body), (404, &free.body), "{}", other.transport);
            let mut eve = server.connect().await;
            assert!(receive(&mut eve, other, &fresh_id(), "eve").await.contains('o'), "{}", other.transport);
        }
        // Nothing of it has ended the session, or told its handler anything.
        let owned = server.ask(&by("ada", way.sending(&id, r#"["own"]"#))).await;
        way.expect_taken(&owned);
        let received = if way.kind == Kind::Poll {
            receive(&mut owner, way, &id, "ada").await
        } else {
            owner.text_chunk().await
        };
        assert!(received.contains("own"), "{received}");
        assert!(handle.stats().rejected[&RejectionCause::Identity] >= 2);
    })
    .await;
}

/// What `docs/mounting.md` says of an endpoint in many places.
#[tokio::test]
async fn a_session_belongs_to_its_room_if_the_identity_says_so() {
    for bound in [false, true] {
        let join = |Path(room): Path<String>, mut session: Session| async move {
            while let Some(message) = session.recv().await {
                session.send(format!("{room}: {}", message.as_str().unwrap())).await.ok();
            }
        };
        let sockjs = SockJs::new(join);
        let sockjs = if bound { sockjs.identity(|Path(room): Path<String>| async { room }) } else { sockjs };
        let server = Server::start(Router::new().nest_service("/rooms/{room}", sockjs)).await;
        let id = fresh_id();
        let post =
            async |room, name, body: &str| server.post(format!("/rooms/{room}/000/{id}/{name}"), body).await;
        assert_eq!(post("red", "xhr", "").await.text(), "o\n");
        let elsewhere = post("blue", "xhr_send", r#"["from blue"]"#).await;
        assert_eq!(elsewhere.status, if bound { 404 } else { 204 });
        assert_eq!(post("red", "xhr_send", r#"["from red"]"#).await.status, 204);
        let received = post("red", "xhr", "").await;
        let blue = if bound { "" } else { r#""red: from blue","# };
        assert_eq!(received.text(), format!("a[{blue}\"red: from red\"]\n"));
    }
}

#[tokio::test]
async fn refusals_are_counted() {
    let (server, handle) = private().await;
    let id = fresh_id();
    let poll = || Request::post(Endpoint::path(&id, "xhr"));
    assert_eq!(server.ask(&by("ada", poll())).await.text(), "o\n");
    server.ask(&by("eve", poll())).await;
    server.ask(&by("eve", Request::post(Endpoint::path(&id, "xhr_send")).body("[]"))).await;
    server.ask(&poll()).await;
    let rejected = handle.stats().rejected;
    assert_eq!(
        (
            rejected[&RejectionCause::Identity],
            rejected[&RejectionCause::Extractor],
            rejected[&RejectionCause::NoSession]
        ),
        (2, 1, 0)
    );
}

/// A client of an endpoint, and one for each user.
fn clients(sockjs: SockJs) -> (TestClient, impl Fn(&str) -> TestClient) {
    let anyone = TestClient::new(sockjs.options(open_to_all(Options::new())), "/");
    (anyone.clone(), move |user| anyone.clone().header("x-user", user))
}

#[tokio::test(start_paused = true)]
async fn sessions_are_found_and_closed_by_their_identity() {
    for transport in transports() {
        let sockjs = SockJs::new(apps::echo).identity(|user: User| async { user });
        let handle = sockjs.handle();
        let (_, by) = clients(sockjs);
        let mut tabs = Vec::new();
        for user in ["ada", "ada", "eve"] {
            tabs.push(by(user).open(transport).await.unwrap());
        }
        let (ada, eve, nobody) = (User("ada".into()), User("eve".into()), User("bob".into()));
        let count = |user| handle.senders_of(user).len();
        assert_eq!((count(&ada), count(&eve), count(&nobody)), (2, 1, 0));
        assert_eq!(handle.senders().len(), 3);
        let of_eve = handle.senders_of(&eve).remove(0);
        assert_eq!((of_eve.identity(), of_eve.identity::<&str>()), (Some(&eve), None));
        assert_eq!(handle.get(of_eve.id()).expect("it is open").id(), of_eve.id());

        assert_eq!(handle.close_where(4001, "logged out", |tab| tab.identity() == Some(&ada)), 2);
        assert_eq!((count(&ada), count(&eve), handle.senders().len()), (0, 1, 1));
        of_eve.close(4000, "");
        assert_eq!((count(&eve), handle.get(of_eve.id()).is_none()), (0, true));
        for (tab, code) in tabs.iter_mut().zip([4001, 4001, 4000]) {
            assert_eq!(tab.closed().await.code(), code, "{transport}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_identity_has_so_many_sessions_as_it_may() {
    for transport in transports() {
        let limited = SockJs::new(apps::echo)
            .identity(|user: Option<User>| async { user })
            .max_sessions_per_identity(|user: &Option<User>| user.as_ref().map(|user| user.0.len()));
        let handle = limited.handle();
        let (anyone, by) = clients(limited);
        let mut open = Vec::new();
        let mut refused = Vec::new();
        for user in ["a", "a", "bo", "bo", "bo"] {
            match by(user).open(transport).await {
                Ok(session) => open.push(session),
                Err(refusal) => refused.push((user, refusal)),
            }
        }
        assert_eq!(refused.iter().map(|(user, _)| *user).collect::<Vec<_>>(), ["a", "bo"], "{transport}");
        for (_, refusal) in refused {
            let close_code = refusal.close_frame().map_or(0, CloseFrame::code);
            assert!(refusal.status() == 429 || close_code == 1013, "{transport}: {refusal}");
        }
        for _ in 0..5 {
            // Who has not logged in has no limit.
            open.push(anyone.open(transport).await.unwrap());
        }
        assert_eq!(handle.stats().rejected[&RejectionCause::IdentityFull], 2);
    }
}

#[test]
#[should_panic(expected = "before it is cloned")]
fn a_clone_without_identity_is_refused() {
    let echo: SockJs = SockJs::new(apps::echo);
    let _clone = echo.clone();
    drop(echo.identity(|user: User| async { user }));
}

#[test]
#[should_panic(expected = "does not return u64")]
fn senders_of_another_type_are_not_looked_for() {
    let echo: SockJs = SockJs::new(apps::echo).identity(|user: User| async { Some(user) });
    drop(echo.handle().senders_of(&7_u64));
}

#[test]
#[should_panic(expected = "must come after `identity`")]
fn a_limit_of_another_identity_is_refused() {
    let echo: SockJs = SockJs::new(apps::echo).identity(|user: User| async { user });
    drop(echo.max_sessions_per_identity(|_: &Option<User>| None));
}

#[tokio::test]
async fn a_large_body_of_a_foreign_user_is_read_and_the_connection_stays_good() {
    let (server, _) = private().await;
    let mut connection = server.connect().await;
    let id = fresh_id();
    let poll = || Request::post(Endpoint::path(&id, "xhr"));
    assert_eq!(connection.ask(&by("ada", poll())).await.text(), "o\n");
    for user in ["eve", ""] {
        let send = Request::post(Endpoint::path(&id, "xhr_send")).body("x".repeat(3 << 20));
        let response = connection.ask(&by(user, send)).await;
        assert_eq!(response.status, if user.is_empty() { 401 } else { 404 });
    }
    assert_eq!(connection.ask(&Request::get("/app")).await.status, 200);
}

#[tokio::test]
async fn an_id_is_free_for_others_after_its_session() {
    let echo = SockJs::new(apps::echo).options(Options::new().disconnect_delay(Duration::from_millis(20)));
    let (server, handle) = serve(echo.identity(|user: User| async { user })).await;
    let id = fresh_id();
    let poll = || Request::post(Endpoint::path(&id, "xhr"));
    for user in ["ada", "eve"] {
        assert_eq!(server.ask(&by(user, poll())).await.text(), "o\n");
        until("the end of the session", || is_forgotten(&handle)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_opens_a_session_is_judged_on_every_transport() {
    let sockjs = SockJs::new(apps::echo).identity(|user: User| async { user });
    let handle = sockjs.handle();
    let (anyone, by) = clients(sockjs);
    for transport in transports() {
        let refusal = anyone.open(transport).await.unwrap_err();
        assert_eq!((refusal.status(), &*refusal.text()), (StatusCode::UNAUTHORIZED, "log in"), "{transport}");
        assert!(handle.is_empty());
        let session = by("ada").open(transport).await.unwrap();
        assert_eq!(handle.len(), 1, "{transport}");
        drop(session);
        forgotten(handle.clone()).await;
    }
}

#[derive(Clone)]
struct App {
    asked: Arc<AtomicUsize>,
}

impl FromRef<App> for Arc<AtomicUsize> {
    fn from_ref(app: &App) -> Self {
        Self::clone(&app.asked)
    }
}

#[tokio::test]
async fn identities_come_from_any_extractors_and_see_no_session_id() {
    async fn who(
        State(asked): State<Arc<AtomicUsize>>,
        Extension(tenant): Extension<&'static str>,
        uri: Uri,
        OriginalUri(original): OriginalUri,
        user: Option<User>,
        parts: Parts,
    ) -> (String, Option<User>) {
        asked.fetch_add(1, Ordering::SeqCst);
        let seen = format!("{tenant} {uri} {original} {parts:?}");
        assert!(!seen.contains("session"), "{seen}");
        (tenant.to_owned(), user)
    }
    let app = App { asked: Arc::default() };
    // In whichever order.
    let endpoint =
        SockJs::new(|_: State<App>, mut session: Session| async move { drop(session.recv().await) })
            .identity(who)
            .options(Options::new())
            .with_state(app.clone());
    let layered = |tenant| Router::new().nest_service("/app", endpoint.clone()).layer(Extension(tenant));
    let one = Server::start(layered("one")).await;
    let two = Server::start(layered("two")).await;
    let id = fresh_id();
    let poll = || Request::post(Endpoint::path(&id, "xhr"));
    let send = || Request::post(Endpoint::path(&id, "xhr_send")).body("[]");
    // Who has not logged in is somebody too: nobody.
    assert_eq!(one.ask(&poll()).await.text(), "o\n");
    assert_eq!(one.ask(&send()).await.status, 204);
    assert_eq!(one.ask(&by("ada", send())).await.status, 404);
    assert_eq!(two.ask(&send()).await.status, 404);
    assert_eq!(app.asked.load(Ordering::SeqCst), 4);
    // What asks for no session, nobody has to be for.
    for path in ["/app", "/app/info"] {
        assert_eq!(one.get(path).await.status, 200);
    }
    assert_eq!(app.asked.load(Ordering::SeqCst), 4);
    let missing = Server::start(Router::new().nest_service("/app", endpoint)).await;
    assert_eq!(missing.ask(&poll()).await.status, 500, "the rejection of the extractor that fails");
}

#[tokio::test]
async fn an_identity_that_takes_too_long_is_503() {
    let options = Options::new().open_timeout(Duration::from_millis(20));
    let sockjs = SockJs::new(apps::echo).options(options);
    let never = |user: User| async {
        if user.0 == "slow" {
            std::future::pending::<()>().await;
        }
        user
    };
    let (server, handle) = serve(sockjs.identity(never)).await;
    let id = fresh_id();
    for name in ["xhr", "xhr_send"] {
        let response = server.ask(&by("slow", Request::post(Endpoint::path(&id, name)).body("[]"))).await;
        assert_eq!((response.status, response.header("retry-after")), (503, Some("5")), "{response}");
    }
    assert!(handle.is_empty());
}

#[tokio::test]
async fn a_session_that_is_just_opening_has_its_owner_already() {
    /// Waits in the handler's extractors until it is told to go on.
    struct Gate;
    impl FromRequestParts<Arc<Notify>> for Gate {
        type Rejection = StatusCode;

        async fn from_request_parts(_: &mut Parts, gate: &Arc<Notify>) -> Result<Self, StatusCode> {
            gate.notified().await;
            Ok(Self)
        }
    }
    let gate = Arc::new(Notify::new());
    let handler = |_: Gate, session: Session| async move { drop(session.closed().await) };
    let sockjs = SockJs::new(handler).identity(|user: User| async { user }).with_state(Arc::clone(&gate));
    let (server, handle) = serve(sockjs).await;
    let id = fresh_id();
    let poll = || Request::post(Endpoint::path(&id, "xhr"));
    let mut owner = server.connect().await;
    owner.send(&by("ada", poll())).await;
    until("the request that opens it", || handle.stats().total().opening == 1).await;
    assert_eq!(server.ask(&by("eve", poll())).await.status, 404);
    assert!(server.ask(&by("ada", poll())).await.text().starts_with("c[2010"));
    gate.notify_one();
    assert_eq!(owner.answer("POST").await.text(), "o\n");
}

#[tokio::test]
async fn without_an_identity_the_id_is_enough() {
    let (server, _) = serve(SockJs::new(apps::echo)).await;
    let id = fresh_id();
    assert_eq!(server.ask(&by("ada", Request::post(Endpoint::path(&id, "xhr")))).await.text(), "o\n");
    let send = Request::post(Endpoint::path(&id, "xhr_send")).body("[]");
    assert_eq!(server.ask(&by("eve", send)).await.status, 204);
}
