//! The examples, by clients in process that speak STOMP as their pages do.

#![allow(dead_code, reason = "their main functions")]
#![allow(clippy::duplicate_mod, reason = "both are programs of their own")]

#[path = "../examples/chat/main.rs"]
mod chat;
#[path = "../examples/trading/main.rs"]
mod trading;

use std::{collections::BTreeMap, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode, header},
};
use axum_stomp::{Command, Frame, Headers, Version};
use serde_json::{Value, json};
use sockjs_client::{
    Transport,
    test::{TestClient, TestSession},
};
use stomp_codec::{Decoder, Limits};
use tower::ServiceExt as _;

/// A page that is connected.
struct Page {
    socket: TestSession,
    decoder: Decoder,
    piece: axum_stomp::Bytes,
}

/// What has come: of which subscription, and the body.
type Message = (String, Value);

impl Page {
    async fn open(client: &TestClient) -> Self {
        let socket = client.open(Transport::WebSocket).await.expect("the server lets it open a session");
        let mut decoder = Decoder::of_server(Limits::new());
        decoder.set_version(Version::V1_2);
        Self { socket, decoder, piece: axum_stomp::Bytes::new() }
    }

    /// Connects, and returns the answer: `CONNECTED` or `ERROR`.
    async fn connect(client: &TestClient, headers: &[(&'static str, &'static str)]) -> (Self, Frame) {
        let mut page = Self::open(client).await;
        let connect = Frame::new(Command::Connect).header("accept-version", "1.2");
        let connect = headers.iter().fold(connect, |frame, &(name, value)| frame.header(name, value));
        page.send_frame(&connect).await;
        let answer = page.frame().await;
        (page, answer)
    }

    async fn send_frame(&mut self, frame: &Frame) {
        let bytes = frame.encode(Version::V1_2);
        self.socket.send(String::from_utf8(bytes.into()).expect("a frame of text")).await;
    }

    async fn frame(&mut self) -> Frame {
        loop {
            if let Some(frame) = self.decoder.decode(&mut self.piece).expect("a frame") {
                return frame;
            }
            self.piece = self.socket.recv().await.to_bytes_lossy();
        }
    }

    /// Subscribes, with the destination as the id.
    async fn subscribe(&mut self, destination: &'static str) {
        self.subscribe_as(destination, destination).await;
    }

    async fn subscribe_as(&mut self, id: &'static str, destination: &'static str) {
        let frame = Frame::new(Command::Subscribe).header("id", id);
        self.send_frame(&frame.header("destination", destination)).await;
    }

    async fn send(&mut self, destination: &'static str, body: &Value) {
        let headers = Frame::new(Command::Send).header("destination", destination);
        self.send_frame(&headers.header("content-type", "application/json").body(body.to_string())).await;
    }

    /// The next message: JSON, or what is told of an error.
    async fn next(&mut self) -> Message {
        let Frame { command, headers, body } = self.frame().await;
        assert_eq!(command, Command::Message, "{headers:?}");
        let body = serde_json::from_slice(&body)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&body).into_owned()));
        (of(&headers, "subscription"), body)
    }

    /// The next message of a subscription; those of others are dropped.
    async fn next_of(&mut self, subscription: &str) -> Value {
        loop {
            let (from, body) = self.next().await;
            if from == subscription {
                return body;
            }
        }
    }
}

fn of(headers: &Headers, name: &str) -> String {
    headers.get(name).unwrap_or_else(|| panic!("no {name} in {headers:?}")).to_owned()
}

mod in_the_chat {
    use super::*;

    const LOBBY: &str = "/topic/rooms/lobby";
    const PEOPLE: &str = "/topic/rooms/lobby/people";
    const ERRORS: &str = "/user/queue/errors";

    fn client() -> TestClient {
        TestClient::new(chat::app::app(chat::common::Libraries::default()), "/stomp")
    }

    async fn enter(client: &TestClient, name: &'static str) -> Page {
        let (mut page, connected) = Page::connect(client, &[("login", name)]).await;
        assert_eq!(of(&connected.headers, "user-name"), name.trim());
        for destination in [ERRORS, PEOPLE, LOBBY] {
            page.subscribe(destination).await;
        }
        page
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_subscribed_is_there_until_the_session_ends() {
        let client = client();
        let mut ada = enter(&client, "Ada").await;
        assert_eq!(ada.next_of(PEOPLE).await, json!(["Ada"]));
        let bob = enter(&client, " Bob ").await;
        assert_eq!(ada.next_of(PEOPLE).await, json!(["Ada", "Bob"]));
        // A second window of one who is there.
        let window = enter(&client, "Bob").await;
        assert_eq!(ada.next_of(PEOPLE).await, json!(["Ada", "Bob"]));
        bob.socket.abort();
        ada.subscribe("/app/rooms").await;
        let rooms = ada.next_of("/app/rooms").await;
        assert_eq!(rooms[0], json!({ "name": "lobby", "people": 2 }));
        window.socket.abort();
        assert_eq!(ada.next_of(PEOPLE).await, json!(["Ada"]));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_said_comes_to_the_room_and_to_who_comes_later() {
        let client = client();
        let mut ada = enter(&client, "Ada").await;
        ada.send("/app/rooms/lobby", &json!({ "text": " hello " })).await;
        let line = ada.next_of(LOBBY).await;
        assert_eq!((&line["from"], &line["text"]), (&json!("Ada"), &json!("hello")));
        let mut bob = enter(&client, "Bob").await;
        bob.subscribe("/app/rooms/lobby").await;
        let room = bob.next_of("/app/rooms/lobby").await;
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
            ada.send(destination, &body).await;
            assert_eq!(ada.next_of(ERRORS).await, told);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_comes_in_without_a_name() {
        let client = client();
        for headers in [&[][..], &[("login", " ")], &[("login", TOO_LONG)]] {
            let (mut page, error) = Page::connect(&client, headers).await;
            assert_eq!(error.command, Command::Error);
            assert_eq!(of(&error.headers, "message"), "access refused");
            assert_eq!(page.socket.closed().await.code(), 1002);
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
        let client = TestClient::new(app.clone(), "/stomp").header(header::COOKIE, &*cookie);
        (cookie, client)
    }

    async fn enter(client: &TestClient) -> Page {
        let (mut page, connected) = Page::connect(client, &[]).await;
        assert_eq!(connected.command, Command::Connected, "{:?}", connected.headers);
        for destination in [ERRORS, UPDATES, "/app/positions"] {
            page.subscribe(destination).await;
        }
        page
    }

    #[tokio::test(start_paused = true)]
    async fn a_trade_is_told_in_all_windows_of_its_user_and_to_nobody_else() {
        let (app, _) = trading::app::app(trading::common::Libraries::default());
        let (_, ada) = login(&app, "name=ada&password=lovelace").await;
        let (_, grace) = login(&app, "name=grace&password=hopper").await;
        let [mut one, mut two, mut other] = [enter(&ada).await, enter(&ada).await, enter(&grace).await];
        let before = one.next_of("/app/positions").await;
        assert_eq!(two.next_of("/app/positions").await, before);
        other.next_of("/app/positions").await;
        one.send("/app/trade", &json!({ "side": "sell", "ticker": "SAIL", "shares": 100 })).await;
        let after = two.next().await;
        assert_eq!((one.next().await, &*after.0), (after.clone(), UPDATES));
        assert_eq!((&after.1["positions"]["SAIL"], &after.1["revision"]), (&json!(200), &json!(1)));
        let gained = after.1["cash"].as_u64().unwrap() - before["cash"].as_u64().unwrap();
        assert_eq!(gained, after.1["trade"]["price"].as_u64().unwrap() * 100);
        other.socket.expect_nothing(Duration::from_secs(5)).await;
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
            page.send("/app/trade", &json!({ "shares": shares, "side": side, "ticker": ticker })).await;
            assert_eq!(page.next_of(ERRORS).await, told);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_client_gets_the_newest_price_of_each_stock() {
        let (app, prices) = trading::app::app(trading::common::Libraries::default());
        let (_, ada) = login(&app, "name=ada&password=lovelace").await;
        let mut page = enter(&ada).await;
        page.next_of("/app/positions").await;
        page.subscribe(PRICES).await;
        page.subscribe("/app/stocks").await;
        page.next_of("/app/stocks").await;
        page.socket.stop_reading();
        for _ in 0..CHANGES {
            prices.change().await;
        }
        page.socket.resume_reading();
        page.subscribe_as("now", "/app/stocks").await;
        let (mut count, mut newest) = (0, BTreeMap::new());
        let stocks = loop {
            let (from, body) = page.next().await;
            if from == "now" {
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
        let (_, refused) = Page::connect(&nobody, &[("login", "ada"), ("passcode", "lovelace")]).await;
        assert_eq!(of(&refused.headers, "message"), "access refused");
        let (cookie, here) = login(&app, "name=ada&password=lovelace").await;
        let (_, elsewhere) = login(&app, "name=ada&password=lovelace").await;
        let [mut one, mut other] = [enter(&here).await, enter(&elsewhere).await];
        one.next_of("/app/positions").await;
        other.next_of("/app/positions").await;
        post(&app, "/logout", "", &cookie).await;
        assert_eq!(of(&one.frame().await.headers, "message"), "logged out");
        assert_eq!(one.socket.closed().await.code(), 1002);
        other.socket.expect_nothing(Duration::from_secs(5)).await;
        let (_, refused) = Page::connect(&here, &[]).await;
        assert_eq!(of(&refused.headers, "message"), "access refused");
    }
}
