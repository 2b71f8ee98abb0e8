//! Who may come, whose sessions are whose, and where a client is.

use std::net::SocketAddr;

use axum::{
    extract::{FromRequestParts, Query},
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use axum_sockjs::{Message, Options, Session, SockJs};
use serde::Deserialize;

use crate::echo::echo;

/// What users have proved to be by a token in the URL, or by a cookie.
const SECRETS: [(&str, &str); 2] = [("for-people", "Ada"), ("for-robots", "R2")];

#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct User(&'static str);

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for User {
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let query = Query::<Token>::from_request_parts(parts, state).await;
        let token = query.ok().and_then(|Query(query)| query.token).or_else(|| cookie(&parts.headers));
        SECRETS
            .into_iter()
            .find(|(secret, _)| token.as_deref() == Some(secret))
            .map(|(_, name)| Self(name))
            .ok_or((StatusCode::UNAUTHORIZED, "log in"))
    }
}

fn cookie(headers: &HeaderMap) -> Option<String> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split("; "));
    pairs.find_map(|pair| pair.strip_prefix("login=")).map(str::to_owned)
}

async fn owner(user: User) -> User {
    user
}

/// Where a client is: what the proxy in front says, or else where its connection comes from.
pub(crate) fn client(headers: &HeaderMap, address: Option<SocketAddr>) -> Option<String> {
    let by_proxy = headers.get("x-forwarded-for").and_then(|value| value.to_str().ok());
    let by_proxy = by_proxy.and_then(|value| value.rsplit(',').next()).map(|client| client.trim().to_owned());
    by_proxy.or_else(|| Some(address?.ip().to_string()))
}

async fn private(user: User, headers: HeaderMap, session: Session) {
    let peer = session.peer_addr();
    let hello = serde_json::json!({
        "user": user.0,
        "address": peer.map(|peer| peer.ip().to_string()),
        "client": client(&headers, peer),
    });
    if session.send(Message::from(hello.to_string())).await.is_ok() {
        echo(session).await;
    }
}

pub(crate) fn service(options: Options) -> SockJs {
    SockJs::new(private).options(options).identity(owner)
}
