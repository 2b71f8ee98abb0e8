//! The affinity cookie as an option.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Request, header},
};
use axum_sockjs::{Cookie, Options};

use crate::support::in_process::{call, header, info, with_options};

#[tokio::test(start_paused = true)]
async fn a_cookie_of_ones_own_is_set_on_session_urls() {
    let cookie = Cookie::custom(|headers: &HeaderMap| {
        let node = headers.get("x-node")?.to_str().ok()?;
        HeaderValue::try_from(format!("node={node}; Path=/; Secure")).ok()
    });
    let app = with_options(Options::new().cookie(cookie));
    assert_eq!(info(&app).await["cookie_needed"], true);
    for (method, uri, has_cookie) in [
        ("POST", "/app/000/x/xhr", true),
        ("POST", "/app/000/x/xhr_send", true),
        ("OPTIONS", "/app/000/x/xhr", true),
        ("GET", "/app/000/y/eventsource", true),
        ("OPTIONS", "/app/000/y/eventsource", true),
        ("GET", "/app/000/z/jsonp?c=cb", true),
        ("GET", "/app/info", false),
        ("GET", "/app", false),
        ("GET", "/app/iframe.html", false),
        ("GET", "/app/nothing", false),
    ] {
        let request = || Request::builder().method(method).uri(uri);
        let answer = call(&app, request().header("x-node", "7").body(Body::empty()).unwrap()).await;
        let expected = if has_cookie { "node=7; Path=/; Secure" } else { "" };
        assert_eq!(header(&answer, header::SET_COOKIE), expected, "{method} {uri}");
        let answer = call(&app, request().body(Body::empty()).unwrap()).await;
        assert_eq!(header(&answer, header::SET_COOKIE), "", "{method} {uri}: the application wants none");
    }
    for (cookie, needed) in [(Cookie::off(), false), (Cookie::jsessionid().into(), true)] {
        let app = with_options(Options::new().cookie(cookie));
        assert_eq!(info(&app).await["cookie_needed"], needed);
    }
}
