//! The transport `htmlfile`.

use crate::support::{
    apps,
    http::Request,
    suite::{checksum, content_type, expect_not_cached, session_of, stream, xhr_send},
};

/// Length and checksum of the page's head before and after the name of the callback.
const HEAD_BEFORE: (usize, u64) = (256, 0x780a_f5e5_29d9_accb);
const HEAD_AFTER: (usize, u64) = (106, 0x0055_9a1f_271d_b54d);

/// Suite: `HtmlFile.test_transport`.
#[tokio::test]
async fn frames_are_scripts_of_a_page_that_goes_on() {
    let server = apps::suite().await;
    let session = session_of("echo");
    let (mut connection, head, prelude) =
        stream(&server, &Request::get(format!("{session}/htmlfile?c=w.%66unction"))).await;
    assert_eq!(content_type(&head), "text/html;charset=UTF-8");
    expect_not_cached(&head);

    // Browsers parse nothing before the first kilobyte.
    assert!(prelude.len() > 1024, "{}", prelude.len());
    let page = prelude.trim();
    let (before, after) = page.split_once("parent.w.function;").expect("the page names the callback");
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</script>"), "{page}");
    assert_eq!((before.len(), checksum(before)), HEAD_BEFORE, "{page}");
    assert_eq!((after.len(), checksum(after)), HEAD_AFTER, "{page}");

    assert_eq!(connection.text_chunk().await, "<script>\np(\"o\");\n</script>\r\n");
    xhr_send(&server, &session, r#"["y"]"#).await;
    assert_eq!(connection.text_chunk().await, "<script>\np(\"a[\\\"y\\\"]\");\n</script>\r\n");
}

/// Suite: `HtmlFile.test_no_callback`.
#[tokio::test]
async fn a_page_without_a_callback_is_refused() {
    let server = apps::suite().await;
    for query in ["", "?", "?c=", "?d=x", "?callback"] {
        let response = server.get(format!("/echo/x/y/htmlfile{query}")).await;
        assert_eq!(response.status, 500, "{query}");
        assert!(response.text().contains("\"callback\" parameter required"), "{response}");
    }
}

/// Suite: `HtmlFile.test_invalid_callback`.
#[tokio::test]
async fn a_callback_that_is_no_name_is_refused() {
    let server = apps::suite().await;
    for callback in ["%20", "*", "f(", "f%28", "f;g", "f%0Ag", "%3Cb%3E", "f%00", "%C3%A9"] {
        let response = server.get(format!("/echo/x/y/htmlfile?c={callback}")).await;
        assert_eq!(response.status, 500, "{callback}");
        assert!(response.text().contains("invalid \"callback\" parameter"), "{response}");
    }
}

/// Suite: `HtmlFile.test_response_limit`.
#[tokio::test]
async fn a_page_ends_after_4096_bytes() {
    let server = apps::suite().await;
    let session = session_of("echo");
    let (mut connection, ..) = stream(&server, &Request::get(format!("{session}/htmlfile?c=f"))).await;
    assert_eq!(connection.text_chunk().await, "<script>\np(\"o\");\n</script>\r\n");
    let long = "y".repeat(4096);
    xhr_send(&server, &session, &format!("[\"{long}\"]")).await;
    assert_eq!(connection.text_chunk().await, format!("<script>\np(\"a[\\\"{long}\\\"]\");\n</script>\r\n"));
    assert_eq!(connection.text_chunk().await, "");
}
