//! Who has logged in: a form, and a cookie that says so from then on.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::http::{HeaderMap, header::COOKIE};
use uuid::Uuid;

/// Nobody would write passwords down in a program that is not an example.
const USERS: [(&str, &str); 2] = [("ada", "lovelace"), ("grace", "hopper")];

/// How long a login lasts.
const LASTS: Duration = Duration::from_secs(8 * 60 * 60);

const COOKIE_NAME: &str = "trading-session";

/// What a browser shows to say that it has logged in. It cannot be guessed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Token(String);

/// The logins that count. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Logins(Arc<Mutex<HashMap<Token, (&'static str, Instant)>>>);

impl Token {
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let cookies = headers.get_all(COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
        let mut pairs =
            cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(name, _)| *name == COOKIE_NAME).map(|(_, token)| Self(token.to_owned()))
    }

    /// The cookie that gives it to a browser. Pages of other sites cannot use it.
    pub(crate) fn cookie(&self) -> String {
        format!("{COOKIE_NAME}={}; Max-Age={}; Path=/; HttpOnly; SameSite=Strict", self.0, LASTS.as_secs())
    }
}

impl Logins {
    fn lock(&self) -> MutexGuard<'_, HashMap<Token, (&'static str, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn begin(&self, name: &str, password: &str) -> Option<Token> {
        let (name, _) = USERS.into_iter().find(|user| *user == (name, password))?;
        let (token, now) = (Token(Uuid::new_v4().simple().to_string()), Instant::now());
        let mut logins = self.lock();
        logins.retain(|_, (_, until)| *until > now);
        logins.insert(token.clone(), (name, now + LASTS));
        Some(token)
    }

    /// Who has logged in, and how long that still counts.
    pub(crate) fn get(&self, token: &Token) -> Option<(&'static str, Duration)> {
        let (name, until) = *self.lock().get(token)?;
        let left = until.checked_duration_since(Instant::now())?;
        Some((name, left))
    }

    /// Returns who it was.
    pub(crate) fn end(&self, token: &Token) -> Option<&'static str> {
        self.lock().remove(token).map(|(name, _)| name)
    }
}
