//! Who may connect: a cookie or a token in the URL, judged before the session exists, and whose it is then.
//!
//! `cargo run --example auth [IP:PORT]`, then open <http://127.0.0.1:8081>. A browser is logged in by `/login`, and
//! the cookie comes with every later request. Another client names its token in the URL, which sockjs-client keeps on
//! each request: `new SockJS("http://127.0.0.1:8081/private?token=for-robots")`.
//!
//! Anyone else could be answered 401, by a handler that takes `User`. But sockjs-client does not tell its page a
//! status: it tries its transports one after the other, and then closes with 1002 or with 2000 "All transports
//! failed", as when there is no server. So the handler here takes the rejection too, and closes with a code that the
//! page knows, before anything else. That costs a session for a moment; where that is too much, keep `User`.
//!
//! A session belongs to whom it was opened for: a request of the other user is answered 404, whatever session id
//! it names. And no page but this server's own may use what the browser sends along, for that is the default of
//! `Options::origins`.

use std::net::SocketAddr;

use axum::{
    Router,
    extract::{ConnectInfo, FromRequestParts, Query},
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{Html, IntoResponse, Redirect},
    routing::get,
    serve::ListenerExt,
};
use axum_sockjs::{Session, SockJs};
use serde::Deserialize;
use tokio::net::TcpListener;

/// What logged-in users have proved to be. A real application looks the secret up in its sessions.
const SECRETS: [(&str, &str); 2] = [("for-people", "Ada"), ("for-robots", "R2")];

/// The code of a close that says: log in. Those from 4000 are an application's own.
const LOG_IN: u16 = 4401;

#[derive(Clone)]
struct App;

/// Somebody known.
#[derive(PartialEq, Eq, Hash)]
struct User(&'static str);

/// What a request of somebody unknown is answered.
type Rejection = (StatusCode, &'static str);

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
}

impl FromRequestParts<App> for User {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Rejection> {
        let query = Query::<Token>::from_request_parts(parts, app).await;
        let token =
            query.ok().and_then(|Query(query)| query.token).or_else(|| cookie(&parts.headers, "login"));
        SECRETS
            .into_iter()
            .find(|(secret, _)| token.as_deref() == Some(secret))
            .map(|(_, name)| Self(name))
            .ok_or((StatusCode::UNAUTHORIZED, "log in"))
    }
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    // Other cookies may have any bytes, and HTTP/2 may bring each in a line of its own.
    let lines = headers.get_all(header::COOKIE).iter();
    let mut pairs = lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b';'));
    let value = pairs.find_map(|pair| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
    std::str::from_utf8(value).ok().map(str::to_owned)
}

/// Asked of every request, those that send and receive later too. The sessions of the unknown are closed at once:
/// they need no owner.
async fn owner(user: Result<User, Rejection>) -> Option<User> {
    user.ok()
}

async fn private(
    user: Result<User, Rejection>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut session: Session,
) {
    let name = match user {
        Ok(User(name)) => name,
        Err((_, why)) => return session.close(LOG_IN, why),
    };
    println!("{name} has come from {peer} by {}", session.transport());
    session.send(format!("hello {name}")).await.ok();
    while let Some(message) = session.recv().await {
        session.send(message).await.ok();
    }
    println!("{name} has left: {}", session.closed().await);
}

async fn login() -> impl IntoResponse {
    let cookie = format!("login={}; Path=/; HttpOnly; SameSite=Lax", SECRETS[0].0);
    ([(header::SET_COOKIE, cookie)], Redirect::to("/"))
}

fn app() -> Router {
    Router::new()
        .route("/", get(Html(include_str!("auth.html"))))
        .route("/login", get(login))
        .nest_service("/private", SockJs::new(private).identity(owner).with_state(App))
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8081".to_owned());
    let app = app().into_make_service_with_connect_info::<SocketAddr>();
    let listener = TcpListener::bind(addr).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener.tap_io(|tcp| _ = tcp.set_nodelay(true)), app).await
}

#[cfg(test)]
mod tests {
    use axum_sockjs::Transport;
    use sockjs_client::test::TestClient;

    use super::app;

    const TRANSPORTS: [Transport; 3] = [Transport::WebSocket, Transport::XhrStreaming, Transport::XhrPolling];

    #[tokio::test(start_paused = true)]
    async fn a_cookie_or_a_token_says_who_comes() {
        let person = TestClient::new(app(), "/private").cookie("login", "for-people");
        let robot = TestClient::new(app(), "/private?token=for-robots");
        for transport in TRANSPORTS {
            for (client, hello) in [(&person, "hello Ada"), (&robot, "hello R2")] {
                let mut session = client.open(transport).await.unwrap();
                assert_eq!(session.recv().await, hello, "{transport}");
                session.send("echo").await;
                assert_eq!(session.recv().await, "echo", "{transport}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_unknown_are_told_to_log_in() {
        for path in ["/private", "/private?token=wrong"] {
            for transport in TRANSPORTS {
                let mut session = TestClient::new(app(), path).open(transport).await.unwrap();
                let end = session.closed().await;
                assert_eq!((end.code(), end.reason()), (super::LOG_IN, "log in"), "{transport}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_of_another_server_does_not_use_the_cookie() {
        let client = TestClient::new(app(), "/private").cookie("login", "for-people");
        let client = client.header("origin", "https://evil.example");
        for transport in TRANSPORTS {
            let refusal = client.open(transport).await.unwrap_err();
            assert_eq!(refusal.status(), 403, "{transport}");
        }
    }
}
