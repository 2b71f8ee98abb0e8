//! The files of the two pages.

use std::path::Path;

use axum::{
    Router,
    http::StatusCode,
    response::{Html, IntoResponse, Response},
    routing::get,
};
use tower_http::services::{ServeDir, ServeFile};

/// How the page is built.
pub(crate) const BUILD: &str = "cd crates/stomp/examples/dashboard/page && npm ci && npm run build";

/// Whether there is a page below the example's folder.
pub(crate) fn is_built(folder: &Path) -> bool {
    folder.join("page/dist/index.html").is_file()
}

/// The React app at `/`, and at `/spring/` the page of a Spring application, with the scripts that it wants where Spring
/// Boot's webjars would have them.
pub(crate) fn routes(folder: &Path) -> Router {
    let modules = folder.join("page/node_modules");
    let missing = {
        let folder = folder.to_owned();
        get(move || async move {
            if is_built(&folder) { StatusCode::NOT_FOUND.into_response() } else { how_to_build() }
        })
    };
    Router::new()
        .nest_service("/spring", ServeDir::new(folder.join("spring")))
        .route_service(
            "/webjars/sockjs-client/sockjs.min.js",
            ServeFile::new(modules.join("sockjs-client/dist/sockjs.min.js")),
        )
        .route_service(
            "/webjars/stomp-websocket/stomp.min.js",
            ServeFile::new(modules.join("stompjs/lib/stomp.min.js")),
        )
        .fallback_service(ServeDir::new(folder.join("page/dist")).fallback(missing))
}

fn how_to_build() -> Response {
    let page = format!(
        r#"<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Not built yet</title>
<style>
  :root {{ color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }}
  body {{ max-width: 46rem; margin: 15vh auto; padding: 0 1rem; }}
  pre {{ padding: 1rem; overflow-x: auto; border: 1px solid; border-radius: .5rem; }}
</style>
<h1>The page is not built yet</h1>
<p>The server works. Its page is a React app, which is built once, with Node.js 20.19 or newer:</p>
<pre><code>{BUILD}</code></pre>
<p>Then load this page again. The server need not be started again.</p>
</html>
"#,
        BUILD = BUILD.replace('&', "&amp;"),
    );
    (StatusCode::SERVICE_UNAVAILABLE, Html(page)).into_response()
}
