//! The cookie by which load balancers keep a session on its server.

use serde_json::Value;

use crate::support::{
    apps,
    http::{Request, Response},
    suite::{expect_no_cookie, session_of, stream},
};

/// The name and value of the cookie that was set for all paths.
#[track_caller]
fn cookie(response: &Response) -> &str {
    let cookie = response.header("set-cookie").unwrap_or_else(|| panic!("no cookie: {response}"));
    let (pair, path) = cookie.split_once(';').unwrap_or_else(|| panic!("no path: {cookie}"));
    assert_eq!(path.trim().to_lowercase(), "path=/");
    pair.trim()
}

/// Suite: `JsessionidCookie.test_basic`.
#[tokio::test]
async fn info_says_that_a_cookie_is_needed_and_sets_none() {
    let response = apps::suite().await.get("/cookie_needed_echo/info").await;
    assert_eq!(response.status, 200);
    expect_no_cookie(&response);
    let info: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(info["cookie_needed"], true);
}

/// Suite: `JsessionidCookie.test_xhr`.
#[tokio::test]
async fn a_poll_sets_the_cookie_or_echoes_the_one_that_came() {
    let server = apps::suite().await;
    let response = server.post(session_of("cookie_needed_echo") + "/xhr", "").await;
    assert_eq!((response.status, response.text()), (200, "o\n"));
    assert_eq!(cookie(&response), "JSESSIONID=dummy");

    let request =
        Request::post(session_of("cookie_needed_echo") + "/xhr").header("Cookie", "JSESSIONID=0123.node7");
    let response = server.ask(&request).await;
    assert_eq!((response.status, response.text()), (200, "o\n"));
    assert_eq!(cookie(&response), "JSESSIONID=0123.node7");
}

/// Suite: `JsessionidCookie.test_xhr_streaming`.
#[tokio::test]
async fn a_stream_sets_the_cookie() {
    let request = Request::post(session_of("cookie_needed_echo") + "/xhr_streaming");
    let (_, head, _) = stream(&apps::suite().await, &request).await;
    assert_eq!(cookie(&head), "JSESSIONID=dummy");
}

/// Suite: `JsessionidCookie.test_eventsource`.
#[tokio::test]
async fn an_event_stream_sets_the_cookie() {
    let request = Request::get(session_of("cookie_needed_echo") + "/eventsource");
    let (_, head, _) = stream(&apps::suite().await, &request).await;
    assert_eq!(cookie(&head), "JSESSIONID=dummy");
}

/// Suite: `JsessionidCookie.test_htmlfile`.
#[tokio::test]
async fn a_page_sets_the_cookie() {
    let request = Request::get(session_of("cookie_needed_echo") + "/htmlfile?c=f");
    let (_, head, _) = stream(&apps::suite().await, &request).await;
    assert_eq!(cookie(&head), "JSESSIONID=dummy");
}

/// Suite: `JsessionidCookie.test_jsonp`.
#[tokio::test]
async fn a_jsonp_poll_and_its_sending_set_the_cookie() {
    let server = apps::suite().await;
    let session = session_of("cookie_needed_echo");
    let response = server.get(format!("{session}/jsonp?c=f")).await;
    assert_eq!((response.status, response.text()), (200, "/**/f(\"o\");\r\n"));
    assert_eq!(cookie(&response), "JSESSIONID=dummy");
    let response = server.post(format!("{session}/jsonp_send"), r#"["y"]"#).await;
    assert_eq!((response.status, response.text()), (200, "ok"));
    assert_eq!(cookie(&response), "JSESSIONID=dummy");
}
