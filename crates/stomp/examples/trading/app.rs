//! What clients may send and subscribe to, and how they log in.

use std::time::Duration;

use axum::{
    Form, Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, header::SET_COOKIE},
    response::IntoResponse,
    routing::post,
};
use axum_stomp::{
    Login, Messenger, Registry, Rejection, SendToUser, Stomp, StompOptions, User, outbox::Overflow,
};
use serde::Deserialize;

use super::{
    accounts::{Accounts, Order, Portfolio},
    common::{CSS, HTML, JAVASCRIPT, Libraries},
    logins::{Logins, Token},
    market::{Market, Stock},
};

/// What the destinations of prices begin with. Of positions, which are at other ones, none is dropped.
const PRICES: &str = "/topic/price.stock.";

/// How long a client may read nothing. Meanwhile its prices take the room of one for each stock.
const PATIENCE: Duration = Duration::from_secs(60);

const PAGE: [(&str, &str, &str); 3] = [
    ("/", HTML, include_str!("index.html")),
    ("/trading.js", JAVASCRIPT, include_str!("trading.js")),
    ("/trading.css", CSS, include_str!("trading.css")),
];

#[derive(Clone)]
struct App {
    accounts: Accounts,
    logins: Logins,
    market: Market,
}

/// Changes prices, and tells everybody.
pub(crate) struct Prices {
    market: Market,
    messenger: Messenger,
}

impl Prices {
    /// Changes some prices once.
    pub(crate) async fn change(&self) {
        for quote in self.market.change() {
            let destination = format!("{PRICES}{}", quote.ticker);
            if let Err(error) = self.messenger.send(destination, Json(quote)).await {
                eprintln!("a price is not told: {error}");
            }
        }
    }
}

/// The application with its page, and what is to be called for prices to change.
pub(crate) fn app(libraries: Libraries) -> (Router, Prices) {
    let market = Market::new(0x5eed);
    let app =
        App { accounts: Accounts::new(market.clone()), logins: Logins::default(), market: market.clone() };
    let options = StompOptions::new().overflow_for(PRICES, Overflow::KeepNewest).send_timeout(PATIENCE);
    let server = Stomp::new()
        .options(options)
        .on_connect(connect)
        .message("/trade", trade)
        .subscribe("/positions", positions)
        .subscribe("/stocks", stocks)
        .build();
    let sockjs = server.sockjs_with(libraries.sockjs(server.sockjs_options()));
    let logins = Router::new()
        .route("/login", post(login))
        .route("/logout", post(logout))
        .with_state((app.logins.clone(), server.registry()));
    let prices = Prices { market, messenger: server.messenger() };
    let router = sockjs.into_router("/stomp").with_state(app).merge(logins).merge(libraries.page(&PAGE));
    (router, prices)
}

#[derive(Deserialize)]
struct Credentials {
    name: String,
    password: String,
}

async fn login(
    State((logins, _)): State<(Logins, Registry)>,
    Form(Credentials { name, password }): Form<Credentials>,
) -> impl IntoResponse {
    match logins.begin(&name, &password) {
        Some(token) => Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, token.cookie())])),
        None => Err(StatusCode::UNAUTHORIZED),
    }
}

/// Ends the login of a browser, and the sessions that it has begun with it.
async fn logout(State((logins, registry)): State<(Logins, Registry)>, headers: HeaderMap) -> StatusCode {
    if let Some(token) = Token::of(&headers) {
        let name = logins.end(&token).unwrap_or_default();
        for session in registry.sessions_of(name) {
            if session.attributes(|attributes| attributes.get() == Some(&token)) {
                session.close("logged out");
            }
        }
    }
    StatusCode::NO_CONTENT
}

/// The cookie of the request that has opened the connection says who it is.
async fn connect(State(App { logins, .. }): State<App>, headers: HeaderMap) -> Result<Login, Rejection> {
    let token = Token::of(&headers).ok_or_else(|| Rejection::new("no cookie"))?;
    let (name, left) = logins.get(&token).ok_or_else(|| Rejection::new("the login has ended"))?;
    Ok(Login::new(name).expires_in(left).attribute(token))
}

async fn stocks(State(App { market, .. }): State<App>) -> Json<Vec<Stock>> {
    Json(market.stocks())
}

async fn positions(State(App { accounts, .. }): State<App>, user: User) -> Json<Portfolio> {
    Json(accounts.get(user.name()))
}

async fn trade(
    State(App { accounts, .. }): State<App>,
    user: User,
    Json(order): Json<Order>,
) -> Result<SendToUser<Json<Portfolio>>, Rejection> {
    let portfolio = accounts.trade(user.name(), order).map_err(Rejection::new)?;
    Ok(SendToUser::new("/queue/position-updates", Json(portfolio)))
}
