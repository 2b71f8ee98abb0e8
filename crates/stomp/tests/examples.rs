//! The examples, by clients in process that speak STOMP as their pages do.

#![allow(dead_code, reason = "their main functions")]
#![allow(clippy::duplicate_mod, reason = "both are programs of their own")]

#[path = "../examples/chat/main.rs"]
mod chat;
#[path = "../examples/trading/main.rs"]
mod trading;

use std::{collections::BTreeMap, time::Duration};

use axum::{
    Json, Router,
    body::Body,
    http::{Request, StatusCode, header},
};
use axum_stomp::{
    Command, Frame, Headers,
    test::{TestClient, TestMessage, TestSession},
};
use serde_json::{Value, json};
use tower::ServiceExt as _;

/// The body: JSON, or what is told of an error.
fn body(message: &TestMessage) -> Value {
    serde_json::from_slice(message.body()).unwrap_or_else(|_| message.text().into())
}

/// Subscribes, with the destination as the id.
async fn subscribe(page: &mut TestSession, destination: &'static str) {
    subscribe_as(page, destination, destination).await;
}

async fn subscribe_as(page: &mut TestSession, id: &'static str, destination: &'static str) {
    let frame = Frame::new(Command::Subscribe).header("id", id);
    page.subscribe_with(frame.header("destination", destination)).await;
}

/// The body of the next message of a subscription.
async fn next_of(page: &mut TestSession, subscription: &str) -> Value {
    body(&page.message_of(subscription).await)
}

fn of<'a>(headers: &'a Headers, name: &str) -> &'a str {
    headers.get(name).unwrap_or_else(|| panic!("no {name} in {headers:?}"))
}

mod in_the_chat {
    use super::*;

    const LOBBY: &str = "/topic/rooms/lobby";
    const PEOPLE: &str = "/topic/rooms/lobby/people";
    const ERRORS: &str = "/user/queue/errors";

    fn client() -> TestClient {
        TestClient::new(chat::app::app(chat::common::Libraries::default()), "/stomp")
    }

    async fn enter(client: &TestClient, name: &'static str) -> TestSession {
        let mut page = client.clone().header("login", name).connect().await;
        assert_eq!(page.user(), Some(name.trim()));
        for destination in [ERRORS, PEOPLE, LOBBY] {
            subscribe(&mut page, destination).await;
        }
        page
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_subscribed_is_there_until_the_session_ends() {
        let client = client();
        let mut ada = enter(&client, "Ada").await;
        assert_eq!(next_of(&mut ada, PEOPLE).await, json!(["Ada"]));
        let bob = enter(&client, " Bob ").await;
        assert_eq!(next_of(&mut ada, PEOPLE).await, json!(["Ada", "Bob"]));
        // A second window of one who is there.
        let window = enter(&client, "Bob").await;
        assert_eq!(next_of(&mut ada, PEOPLE).await, json!(["Ada", "Bob"]));
        bob.abort();
        subscribe(&mut ada, "/app/rooms").await;
        let rooms = next_of(&mut ada, "/app/rooms").await;
        assert_eq!(rooms[0], json!({ "name": "lobby", "people": 2 }));
        window.abort();
        assert_eq!(next_of(&mut ada, PEOPLE).await, json!(["Ada"]));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_said_comes_to_the_room_and_to_who_comes_later() {
        let client = client();
        let mut ada = enter(&client, "Ada").await;
        ada.send("/app/rooms/lobby", Json(json!({ "text": " hello " }))).await;
        let line = next_of(&mut ada, LOBBY).await;
        assert_eq!((&line["from"], &line["text"]), (&json!("Ada"), &json!("hello")));
        let mut bob = enter(&client, "Bob").await;
        subscribe(&mut bob, "/app/rooms/lobby").await;
        let room = next_of(&mut bob, "/app/rooms/lobby").await;
        assert_eq!(room, json!({ "people": ["Ada", "Bob"], "lines": [line] }));
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_said_is_told_to_the_speaker() {
        let client = client();
        let mut ada = enter(&client, "Ada").await;
        for (destination, body, told) in [
            ("/app/rooms/lobby", json!({ "text": "  " }), "a line has 1 to 500 characters"),
            ("/app/rooms/lobby", json!({ "text": "x".repeat(501) }), "a line has 1 to 500 characters"),
            ("/app/rooms/rust", json!({ "text": "hello" }), "enter the room first"),
            (
                "/app/rooms/a%20b",
                json!({ "text": "hello" }),
                "the parameters of the destination are not what is expected",
            ),
            (
                "/app/rooms/lobby",
                json!({ "words": "" }),
                "the JSON of the body is not what is expected: line 1, column 12",
            ),
        ] {
            ada.send(destination, Json(body)).await;
            assert_eq!(next_of(&mut ada, ERRORS).await, told);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_comes_in_without_a_name() {
        let client = client();
        for headers in [&[][..], &[("login", " ")], &[("login", TOO_LONG)]] {
            let mut page = client.open().await;
            let mut connect = Frame::new(Command::Connect);
            connect.headers.extend(headers.iter().copied());
            page.send_frame(connect).await;
            assert_eq!(of(&page.error().await.headers, "message"), "access refused");
            assert_eq!(page.closed().await.code(), 1002);
        }
    }

    const TOO_LONG: &str = "a name of more than thirty characters";
}

mod in_trading {
    use super::*;

    const ERRORS: &str = "/user/queue/errors";
    const UPDATES: &str = "/user/queue/position-updates";
    /// Most of these change some prices each.
    const CHANGES: usize = 5_000;
    const PRICES: &str = "/topic/price.stock.*";

    /// Posts a form, and returns the status and the cookie that is set.
    async fn post(app: &Router, path: &str, form: &str, cookie: &str) -> (StatusCode, Option<String>) {
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::COOKIE, cookie)
            .body(Body::from(form.to_owned()));
        let response = app.clone().oneshot(request.expect("a request")).await.expect("a response");
        let cookie = response.headers().get(header::SET_COOKIE).and_then(|cookie| cookie.to_str().ok());
        let cookie = cookie.and_then(|cookie| cookie.split(';').next()).map(str::to_owned);
        (response.status(), cookie)
    }

    async fn login(app: &Router, form: &str) -> (String, TestClient) {
        let (status, cookie) = post(app, "/login", form, "").await;
        assert_eq!(status, StatusCode::NO_CONTENT);
        let cookie = cookie.expect("a cookie");
        let client = TestClient::new(app.clone(), "/stomp");
        let client = client.sockjs(|requests| requests.header(header::COOKIE, &*cookie));
        (cookie, client)
    }

    async fn enter(client: &TestClient) -> TestSession {
        let mut page = client.connect().await;
        for destination in [ERRORS, UPDATES, "/app/positions"] {
            subscribe(&mut page, destination).await;
        }
        page
    }

    #[tokio::test(start_paused = true)]
    async fn a_trade_is_told_in_all_windows_of_its_user_and_to_nobody_else() {
        let (app, _) = trading::app::app(trading::common::Libraries::default());
        let (_, ada) = login(&app, "name=ada&password=lovelace").await;
        let (_, grace) = login(&app, "name=grace&password=hopper").await;
        let [mut one, mut two, mut other] = [enter(&ada).await, enter(&ada).await, enter(&grace).await];
        let before = next_of(&mut one, "/app/positions").await;
        assert_eq!(next_of(&mut two, "/app/positions").await, before);
        next_of(&mut other, "/app/positions").await;
        one.send("/app/trade", Json(json!({ "side": "sell", "ticker": "SAIL", "shares": 100 }))).await;
        let after = two.message().await;
        assert_eq!((after.subscription(), one.message().await.body()), (UPDATES, after.body()));
        let after = body(&after);
        assert_eq!((&after["positions"]["SAIL"], &after["revision"]), (&json!(200), &json!(1)));
        let gained = after["cash"].as_u64().unwrap() - before["cash"].as_u64().unwrap();
        assert_eq!(gained, after["trade"]["price"].as_u64().unwrap() * 100);
        other.expect_nothing(Duration::from_secs(5)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn an_order_that_cannot_be_carried_out_is_told_to_who_gave_it() {
        let (app, _) = trading::app::app(trading::common::Libraries::default());
        let (_, ada) = login(&app, "name=ada&password=lovelace").await;
        let mut page = enter(&ada).await;
        for (side, ticker, shares, told) in [
            ("sell", "SAIL", json!(301), "there are not enough shares"),
            ("buy", "HLIX", json!(10_000), "there is not enough money"),
            ("buy", "HLIX", json!(10_001), "an order is for 1 to 10,000 shares"),
            ("buy", "HLIX", json!(0), "an order is for 1 to 10,000 shares"),
            ("buy", "NONE", json!(1), "there is no such stock"),
            ("buy", "HLIX", json!(-1), "the JSON of the body is not what is expected: line 1, column 12"),
        ] {
            page.send("/app/trade", Json(json!({ "shares": shares, "side": side, "ticker": ticker }))).await;
            assert_eq!(next_of(&mut page, ERRORS).await, told);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_client_gets_the_newest_price_of_each_stock() {
        let (app, prices) = trading::app::app(trading::common::Libraries::default());
        let (_, ada) = login(&app, "name=ada&password=lovelace").await;
        let mut page = enter(&ada).await;
        next_of(&mut page, "/app/positions").await;
        subscribe(&mut page, PRICES).await;
        subscribe(&mut page, "/app/stocks").await;
        next_of(&mut page, "/app/stocks").await;
        page.sockjs().stop_reading();
        for _ in 0..CHANGES {
            prices.change().await;
        }
        page.sockjs().resume_reading();
        subscribe_as(&mut page, "now", "/app/stocks").await;
        let (mut count, mut newest) = (0, BTreeMap::new());
        let stocks = loop {
            let message = page.message().await;
            let body = body(&message);
            if message.subscription() == "now" {
                break body;
            }
            count += 1;
            newest.insert(body["ticker"].to_string(), body["price"].clone());
        };
        for stock in stocks.as_array().unwrap() {
            assert_eq!(newest[&stock["ticker"].to_string()], stock["price"]);
        }
        assert!((8..CHANGES).contains(&count), "{count}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_not_logged_in_is_refused_and_who_logs_out_is_closed() {
        let (app, _) = trading::app::app(trading::common::Libraries::default());
        assert_eq!(post(&app, "/login", "name=ada&password=hopper", "").await.0, StatusCode::UNAUTHORIZED);
        let nobody = TestClient::new(app.clone(), "/stomp");
        let refused = nobody.login("ada", "lovelace").try_connect().await.unwrap_err();
        assert_eq!(of(&refused.headers, "message"), "access refused");
        let (cookie, here) = login(&app, "name=ada&password=lovelace").await;
        let (_, elsewhere) = login(&app, "name=ada&password=lovelace").await;
        let [mut one, mut other] = [enter(&here).await, enter(&elsewhere).await];
        next_of(&mut one, "/app/positions").await;
        next_of(&mut other, "/app/positions").await;
        post(&app, "/logout", "", &cookie).await;
        assert_eq!(of(&one.error().await.headers, "message"), "logged out");
        assert_eq!(one.closed().await.code(), 1002);
        other.expect_nothing(Duration::from_secs(5)).await;
        let refused = here.try_connect().await.unwrap_err();
        assert_eq!(of(&refused.headers, "message"), "access refused");
    }
}
