//! Who a client is: functions for `on_connect`.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::BoxError;
use bytestring::ByteString;
use futures_util::future::BoxFuture;
use http::Extensions;
use stomp_codec::Command;

use super::{
    context::Context,
    erased::{ErasedHandler, erase},
    error::HandlerError,
    extract::{FromMessage, OptionalFromMessage},
    extractors::User,
    function::Handler,
    rejection::Rejection,
};

/// `login` and `passcode` of the `CONNECT` frame.
///
/// Rejected, which refuses the client, if there is no `login`; `Option<Credentials>` is `None` if there is no `passcode`
/// either. Anywhere but in `on_connect` they are rejected as no fault of the client's: nothing keeps them.
///
/// `Debug` does not show the passcode.
#[derive(Clone)]
pub struct Credentials {
    /// The user's name.
    pub login: String,
    /// The password, token or the like; `None` if the client has sent none, which is not an empty one.
    ///
    /// A client without one says who it is, and proves nothing.
    pub passcode: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("login", &self.login).finish_non_exhaustive()
    }
}

impl<S: Send + Sync> FromMessage<S> for Credentials {
    type Rejection = Rejection;

    async fn from_message(context: &mut Context<'_>, state: &S) -> Result<Self, Rejection> {
        let credentials = Self::from_message_if_any(context, state).await?;
        credentials.ok_or_else(|| Rejection::new("login is missing"))
    }
}

impl<S: Send + Sync> OptionalFromMessage<S> for Credentials {
    type Rejection = Rejection;

    async fn from_message_if_any(context: &mut Context<'_>, _: &S) -> Result<Option<Self>, Rejection> {
        if !matches!(context.command(), Command::Connect | Command::Stomp) {
            return Err(Rejection::fault("there are Credentials in on_connect only"));
        }
        let headers = context.headers();
        match (headers.get("login"), headers.get("passcode")) {
            (Some(login), passcode) => {
                Ok(Some(Self { login: login.to_owned(), passcode: passcode.map(str::to_owned) }))
            }
            (None, None) => Ok(None),
            (None, Some(_)) => Err(Rejection::new("login is missing")),
        }
    }
}

/// Who a client is, and for how long.
///
/// ```
/// use std::time::Duration;
/// use axum_stomp::{Credentials, Login, Rejection};
///
/// #[derive(Clone)]
/// struct IsAdmin(bool);
///
/// async fn connect(Credentials { login, passcode }: Credentials) -> Result<Login, Rejection> {
///     if passcode.as_deref() != Some("secret") {
///         return Err(Rejection::new("wrong passcode"));
///     }
///     let is_admin = IsAdmin(login == "root");
///     Ok(Login::new(login).expires_in(Duration::from_secs(3600)).attribute(is_admin))
/// }
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "on_connect returns it"]
pub struct Login {
    pub(crate) name: Option<ByteString>,
    pub(crate) expiry: Option<Expiry>,
    pub(crate) attributes: Extensions,
}

/// When a login ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expiry {
    At(SystemTime),
    In(Duration),
}

impl Login {
    /// A user with this name. All sessions with the same name are of one user; an empty name is none.
    pub fn new(name: impl Into<ByteString>) -> Self {
        let name = Some(name.into()).filter(|name| !name.is_empty());
        Self { name, ..Self::default() }
    }

    /// A client without a user.
    pub fn anonymous() -> Self {
        Self::default()
    }

    /// The session is ended at this time by the system's clock, at once if that has been.
    pub fn expires_at(mut self, time: SystemTime) -> Self {
        self.expiry = Some(Expiry::At(time));
        self
    }

    /// The session is ended after this time.
    pub fn expires_in(mut self, time: Duration) -> Self {
        self.expiry = Some(Expiry::In(time));
        self
    }

    /// Gives the session a value of its own, one for each type: see
    /// [`Session::attributes`](crate::Session::attributes).
    pub fn attribute<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.attributes.insert(value);
        self
    }

    /// How long the session may last from now on.
    pub(crate) fn lifetime(&self) -> Option<Duration> {
        self.expiry.map(|expiry| match expiry {
            Expiry::In(time) => time,
            Expiry::At(time) => time.duration_since(SystemTime::now()).unwrap_or_default(),
        })
    }
}

/// What a function for `on_connect` may return.
///
/// | type | who the client is |
/// |---|---|
/// | [`Login`] | what it says |
/// | [`User`] | that user |
/// | `()` | nobody: the session has no user |
/// | `Option<L>` | `L`, or nobody |
/// | `Result<L, E>` with an `E: Into<BoxError>` | `L`, or refused |
///
/// A client that is refused gets an `ERROR` frame that says "access refused" and nothing else; the error is logged, at
/// the level WARN, or DEBUG if it is a [`Rejection`]. So it is if an argument of the function cannot be made, and if
/// the function panics, which is logged at the level ERROR.
#[diagnostic::on_unimplemented(
    message = "a function for `on_connect` cannot return `{Self}`",
    label = "this says not who the client is",
    note = "return `Login`, `User`, `()`, or an `Option` or `Result<_, E>` of one where `E: Into<axum::BoxError>`"
)]
pub trait IntoLogin {
    /// Says who the client is.
    ///
    /// # Errors
    /// If the client is refused.
    fn into_login(self) -> Result<Login, BoxError>;
}

impl IntoLogin for Login {
    fn into_login(self) -> Result<Login, BoxError> {
        Ok(self)
    }
}

impl IntoLogin for User {
    fn into_login(self) -> Result<Login, BoxError> {
        Ok(Login::new(self.0))
    }
}

impl IntoLogin for () {
    fn into_login(self) -> Result<Login, BoxError> {
        Ok(Login::anonymous())
    }
}

impl<L: IntoLogin> IntoLogin for Option<L> {
    fn into_login(self) -> Result<Login, BoxError> {
        self.map_or_else(|| Ok(Login::anonymous()), IntoLogin::into_login)
    }
}

impl<L: IntoLogin, E: Into<BoxError>> IntoLogin for Result<L, E> {
    fn into_login(self) -> Result<Login, BoxError> {
        self.map_err(Into::into)?.into_login()
    }
}

/// A function for `on_connect`.
pub(crate) struct Connector<S>(Arc<dyn ErasedHandler<S, Login>>);

impl<S: Send + Sync + 'static> Connector<S> {
    pub(crate) fn new<H, T>(function: H) -> Self
    where
        H: Handler<T, S, Output: IntoLogin>,
        T: 'static,
    {
        Self(erase(function, IntoLogin::into_login))
    }

    /// Asks who the client is. An error means that it is refused, and has been logged.
    pub(crate) fn connect<'a>(
        &'a self,
        context: Context<'a>,
        state: &'a S,
    ) -> BoxFuture<'a, Result<Login, HandlerError>> {
        Box::pin(async move {
            let result = self.0.call(context, state).await;
            if let Err(error) = &result {
                error.log_refusal("on_connect refuses a client");
            }
            result
        })
    }
}

impl<S> Clone for Connector<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S> fmt::Debug for Connector<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}

#[cfg(test)]
mod tests {
    use axum::extract::State;

    use super::{super::testing::World, *};

    const BOTH: &[(&str, &str)] = &[("login", "anna"), ("passcode", "secret")];

    async fn login<H, T>(
        headers: &[(&'static str, &'static str)],
        function: H,
    ) -> Result<Option<String>, String>
    where
        H: Handler<T, (), Output: IntoLogin>,
        T: 'static,
    {
        let connector = Connector::new(function);
        let result = connector.connect(World::connect(headers).context(), &()).await;
        result.map(|login| login.name.map(|name| name.to_string())).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn a_function_says_who_the_client_is() {
        let anna = Ok(Some("anna".to_owned()));
        let credentials = async |Credentials { login, .. }: Credentials| Login::new(login);
        assert_eq!(login(BOTH, credentials).await, anna);
        assert_eq!(login(BOTH, async || User("anna".into())).await, anna);
        assert_eq!(login(BOTH, async || Ok::<_, BoxError>(Some(User("anna".into())))).await, anna);
        assert_eq!(login(BOTH, async || ()).await, Ok(None));
        assert_eq!(login(BOTH, async || None::<User>).await, Ok(None));
        assert_eq!(login(BOTH, async || Login::new("")).await, Ok(None));
        assert_eq!(login(BOTH, async || Login::anonymous()).await, Ok(None));
        assert_eq!(login(BOTH, async || Err::<Login, _>("wrong")).await, Err("wrong".to_owned()));
        let panics = async |_: Option<Credentials>| -> Login { panic!("a bug") };
        assert_eq!(login(BOTH, panics).await, Err("panicked: a bug".to_owned()));
    }

    #[tokio::test]
    async fn it_sees_the_frame_the_opening_request_and_the_state() {
        async fn connect(
            Credentials { login, passcode }: Credentials,
            headers: stomp_codec::Headers,
            request: http::HeaderMap,
            State(right): State<&'static str>,
        ) -> Result<Login, Rejection> {
            assert!(headers.contains("login") && request.contains_key("user-agent"));
            if passcode.as_deref() == Some(right) {
                Ok(Login::new(login))
            } else {
                Err(Rejection::new("wrong passcode"))
            }
        }

        let connector = Connector::new(connect);
        let mut world = World::connect(BOTH);
        assert!(connector.connect(world.context(), &"secret").await.is_ok());
        let error = connector.connect(world.context(), &"other").await.unwrap_err();
        assert_eq!(error.to_string(), "wrong passcode");
    }

    #[tokio::test]
    async fn a_passcode_may_be_missing_and_a_login_may_not() {
        let required = async |credentials: Credentials| User(credentials.login.into());
        let optional = async |credentials: Option<Credentials>| credentials.map(|one| User(one.login.into()));
        assert_eq!(login(&[], required).await, Err("login is missing".to_owned()));
        assert_eq!(login(&[], optional).await, Ok(None));
        assert_eq!(login(&BOTH[..1], optional).await, Ok(Some("anna".to_owned())));
        let passcode = async |one: Credentials| User(format!("{:?}", one.passcode).into());
        assert_eq!(login(&BOTH[..1], passcode).await, Ok(Some("None".to_owned())));
        let empty = [BOTH[0], ("passcode", "")];
        assert_eq!(login(&empty, passcode).await, Ok(Some("Some(\"\")".to_owned())));
        assert_eq!(login(&BOTH[1..], optional).await, Err("login is missing".to_owned()));
        let error = World::send("").call(async |_: Option<Credentials>| ()).await.unwrap_err();
        assert!(error.is_fault());
    }

    #[test]
    fn a_passcode_is_not_shown() {
        let credentials = Credentials { login: "anna".to_owned(), passcode: Some("secret".to_owned()) };
        assert_eq!(format!("{credentials:?}"), "Credentials { login: \"anna\", .. }");
        assert!(!format!("{:?}", World::connect(BOTH).context()).contains("secret"));
    }

    #[test]
    fn a_login_may_end_and_have_attributes() {
        let login = Login::new("a").expires_in(Duration::from_secs(60)).attribute(7_u8).attribute("text");
        assert_eq!(login.lifetime(), Some(Duration::from_secs(60)));
        assert_eq!((login.attributes.get::<u8>(), login.attributes.get::<&str>()), (Some(&7), Some(&"text")));
        assert_eq!(Login::new("a").lifetime(), None);
        assert_eq!(login.clone().expires_at(SystemTime::UNIX_EPOCH).lifetime(), Some(Duration::ZERO));
        let later = login.expires_at(SystemTime::now() + Duration::from_secs(3600)).lifetime().unwrap();
        assert!(later > Duration::from_secs(3500) && later <= Duration::from_secs(3600), "{later:?}");
    }
}
